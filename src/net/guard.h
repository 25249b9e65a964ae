/*
 * guard.h
 *		Which addresses and hosts may be talked to.
 */
#ifndef IMGEXPORT_NET_GUARD_H
#define IMGEXPORT_NET_GUARD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* A network in CIDR form; IPv4 ones are kept as IPv4-mapped IPv6. */
typedef struct Network
{
	unsigned char address[16];
	int prefix; /* bits of the 128 */
} Network;

#define GUARD_MAX_NETWORKS 64

typedef struct Guard
{
	int count;
	Network allowed[GUARD_MAX_NETWORKS];
} Guard;

bool guard_parse(Guard *guard, const char *networks);
bool guard_allows(const Guard *guard, const struct sockaddr *address);
bool guard_allows_text(const Guard *guard, const char *address);
bool guard_host_matches(const char *host, const char *patterns);

#endif
