/*
 * http_head_fuzz.c
 *		The head of a request, as it comes in pieces, and all that is decided by it alone.
 */
#include <stdlib.h>
#include <string.h>

#include "httpd/options.h"
#include "httpd/request.h"
#include "httpd/serve.h"
#include "httpd/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Found in one piece or byte by byte, the head ends at the same place. */
static ssize_t
find_head(const char *bytes, size_t size)
{
	ssize_t whole = request_head_length(bytes, size, 0);
	ssize_t length = 0;

	for (size_t got = 0; got <= size && length == 0; got++)
		length = request_head_length(bytes, got, got > 1 ? got - 2 : 0);
	if (length != whole)
		abort();
	return whole;
}

/* What was taken has no byte that could begin another line of a log, a header or a statement. */
static void
check_request(const Request *request)
{
	if (request->method[strcspn(request->method, " \t\r\n\033")] != '\0' ||
		request->path[strcspn(request->path, " \t\r\n\033#?")] != '\0' ||
		(request->path[0] != '/' && strcmp(request->path, "*") != 0) ||
		request->host[strcspn(request->host, " \t\r\n/@,")] != '\0')
		abort();
	for (int i = 0; i < FIELD_COUNT; i++)
		if (request->fields[i] != NULL &&
			request->fields[i][strcspn(request->fields[i], "\r\n")] != '\0')
			abort();
	if (request->body == BODY_CHUNKED && request->fields[FIELD_CONTENT_LENGTH] != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Exchange exchange = {0};
	const char *reason = NULL;
	ssize_t length;
	int status;

	if (size > 4096 || (length = find_head((const char *) data, size)) <= 0)
		return 0;
	options.api_key = data[0] & 1 ? "0123456789abcdef" : NULL;
	status = request_parse(&exchange.request, (const char *) data, (size_t) length, &reason);
	if (status == 0)
	{
		check_request(&exchange.request);
		serve_begin(&exchange);
		/* Without a key only names of this machine are answered. */
		if (options.api_key == NULL && exchange.refusal == 0 &&
			!site_is_ours(exchange.request.host))
			abort();
	}
	else if (reason == NULL)
		abort();
	request_free(&exchange.request);
	return 0;
}
