/*
 * request.h
 *		The head of a request: its first line and headers (RFC 9112).
 */
#ifndef IMGEXPORT_HTTPD_REQUEST_H
#define IMGEXPORT_HTTPD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Headers that mean something here; request.c has their names. */
typedef enum FieldName
{
	FIELD_ACCEPT,
	FIELD_API_KEY,
	FIELD_AUTHORIZATION,
	FIELD_CONNECTION,
	FIELD_CONTENT_ENCODING,
	FIELD_CONTENT_LENGTH,
	FIELD_CONTENT_TYPE,
	FIELD_EXPECT,
	FIELD_HOST,
	FIELD_IF_MATCH,
	FIELD_IF_MODIFIED_SINCE,
	FIELD_IF_NONE_MATCH,
	FIELD_IF_RANGE,
	FIELD_IF_UNMODIFIED_SINCE,
	FIELD_ORIGIN,
	FIELD_RANGE,
	FIELD_SEC_FETCH_SITE,
	FIELD_TRANSFER_ENCODING,
	FIELD_USER_AGENT,
	FIELD_COUNT
} FieldName;

typedef enum BodyKind
{
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED
} BodyKind;

typedef struct Request
{
	char *text; /* the head, cut into what follows */
	const char *method;
	const char *path; /* as it was sent, never decoded */
	const char *query;
	const char *host; /* with a port if it has one; "": none, in HTTP/1.0 */
	int minor;		  /* of HTTP/1 */
	bool keep_alive;
	bool expects_continue;
	BodyKind body;
	uint64_t content_length;
	const char *fields[FIELD_COUNT]; /* NULL: it was not sent */
	char *joined[FIELD_COUNT];		 /* owns those that came in several lines */
} Request;

ssize_t request_head_length(const char *bytes, size_t size, size_t from);
int request_parse(Request *request, const char *bytes, size_t size, const char **reason);
void request_free(Request *request);

#endif
