/*
 * body.h
 *		Where the body of a request ends (RFC 9112, sections 6 and 7).
 */
#ifndef IMGEXPORT_HTTPD_BODY_H
#define IMGEXPORT_HTTPD_BODY_H

#include "httpd/request.h"

typedef struct Body
{
	BodyKind kind;
	int at;		   /* in a chunk: a state of body.c */
	uint64_t left; /* of the body, or of this chunk */
	int digits;	   /* of its size */
	size_t around; /* bytes of extensions and trailers */
	bool colon;	   /* this line of the trailers has had one */
} Body;

typedef enum BodyStep
{
	BODY_MORE, /* all that was given is read */
	BODY_DATA, /* what was read is data */
	BODY_END,  /* it is over; what comes next is another request */
	BODY_BAD
} BodyStep;

void body_begin(Body *body, const Request *request);
BodyStep body_step(Body *body, const char *bytes, size_t size, size_t *used);

#endif
