/*
 * range.h
 *		Parts of a body (RFC 9110, section 14).
 */
#ifndef IMGEXPORT_HTTPD_RANGE_H
#define IMGEXPORT_HTTPD_RANGE_H

#include <stdint.h>

/* A client that asks for more at once gets all. */
#define MAX_RANGES 16

typedef struct Range
{
	uint64_t from;
	uint64_t end; /* which is not part of it; from < end <= size of the body */
} Range;

#define RANGES_IGNORED 0
#define RANGES_NONE (-1)

int ranges_read(const char *header, uint64_t size, Range *ranges);

#endif
