/*
 * accept.h
 *		What a client accepts, reduced to what this server can choose between.
 */
#ifndef IMGEXPORT_HTTPD_ACCEPT_H
#define IMGEXPORT_HTTPD_ACCEPT_H

#include <stddef.h>

/* More than the longest reduced list. */
#define ACCEPT_BYTES 80

void accept_reduce(const char *header, char *reduced);
const char *accept_metrics(const char *header);

#endif
