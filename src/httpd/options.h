/*
 * options.h
 *		What the server was started with.
 */
#ifndef IMGEXPORT_HTTPD_OPTIONS_H
#define IMGEXPORT_HTTPD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum SandboxChoice
{
	SANDBOX_USE, /* as far as the kernel has it */
	SANDBOX_MUST,
	SANDBOX_NONE
} SandboxChoice;

typedef struct Options
{
	const char *listen; /* a numeric address */
	int port;			/* 0: a free one */
	const char *database;
	int connections; /* to the database */
	int threads;	 /* that serve clients */
	int max_clients;
	int max_clients_per_address; /* 0: no limit of its own */
	int max_rate;				 /* requests a second of one address, 0: no limit */
	size_t max_body_bytes;
	size_t max_header_bytes;
	size_t memory_bytes; /* for all that is kept, the cache among it */
	size_t cache_bytes;
	int header_timeout_s; /* from the first byte of a request to the end of its headers */
	int body_timeout_s;
	int idle_timeout_s; /* between requests */
	int statement_timeout_s;
	char *api_key;			/* NULL: none is asked for */
	const char *allow_host; /* further names, a list; NULL: none */
	const char *allow_origin;
	SandboxChoice sandbox;
	const char *access_log; /* "-": standard output, NULL: none */
} Options;

extern Options options;

void options_read(int argc, char **argv);

#endif
