/*
 * reply.c
 *		An exchange's answer, as HTTP has it (RFC 9110): conditional, in a range, or streamed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "httpd/cache.h"
#include "httpd/clients.h"
#include "httpd/database.h"
#include "httpd/log.h"
#include "httpd/options.h"
#include "httpd/reply.h"

/* A client reads an answer at this rate at least, beside a minute for whatever it is. */
#define SLOWEST_BYTES_PER_S 10000

/* What libmicrohttpd asks for at a time, of a body that comes in slices. */
#define BLOCK_BYTES 65536

/* The page (gallery.html), by the assembler. */
__asm__(".section .rodata\n"
		".global gallery_page\n"
		"gallery_page:\n"
		".incbin \"" GALLERY_PAGE "\"\n"
		"gallery_page_end:\n"
		".byte 0\n"
		".previous\n");
extern const char gallery_page[];
extern const char gallery_page_end[];

static const char page_policy[] =
	"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
	"img-src * data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
	"frame-ancestors 'none'";

/* The part of a body that is sent; from to end, which is not part of it. */
typedef struct Range
{
	uint64_t from;
	uint64_t end;
	int status; /* 200: all of it, 206, 416: there is no such part */
} Range;

/* Does an If-None-Match name an ETag? */
bool
reply_has_etag(const char *list, const char *etag)
{
	return list != NULL && etag[0] != '\0' &&
		   (strstr(list, etag) != NULL || strcmp(list, "*") == 0);
}

static const char *
request_header(const Exchange *exchange, const char *name)
{
	return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

/*
 * What a Range header asks for.  Of several ranges, and what is none, all is sent: a server
 * may ignore it (RFC 9110, section 14.2).
 */
static Range
read_range(const Exchange *exchange, uint64_t size, const char *etag)
{
	Range all = {0, size, 200};
	Range range = {0, size, 206};
	const char *header = request_header(exchange, "Range");
	const char *only_if = request_header(exchange, "If-Range");
	unsigned long long first;
	unsigned long long last;
	char rest;

	if (header == NULL || etag[0] == '\0' || (only_if != NULL && strcmp(only_if, etag) != 0))
		return all;
	if (strncmp(header, "bytes=", 6) != 0 || strlen(header) > 60 ||
		strpbrk(header, " ,+") != NULL)
		return all;
	header += 6;
	if (sscanf(header, "-%llu%c", &last, &rest) == 1)
	{
		range.from = last >= size ? 0 : size - last;
		range.status = last == 0 || size == 0 ? 416 : 206;
	}
	else if (sscanf(header, "%llu-%llu%c", &first, &last, &rest) == 2)
	{
		if (last < first)
			return all;
		range.from = first;
		range.end = last + 1 < size ? last + 1 : size;
		range.status = first < size ? 206 : 416;
	}
	else if (sscanf(header, "%llu%c%c", &first, &rest, &rest) == 2 && rest == '-')
	{
		range.from = first;
		range.status = first < size ? 206 : 416;
	}
	else
		return all;
	return range;
}

/* A body that comes in slices ----------------------------------------------- */

typedef struct Stream
{
	Exchange *exchange;
	uint64_t from;
} Stream;

static const Answer *
slice_with(const Exchange *exchange, uint64_t position, uint64_t *start)
{
	if (position < exchange->answer->length)
	{
		*start = 0;
		return exchange->answer;
	}
	if (exchange->slice != NULL && position >= exchange->slice_start &&
		position < exchange->slice_start + exchange->slice->length)
	{
		*start = exchange->slice_start;
		return exchange->slice;
	}
	return NULL;
}

/* libmicrohttpd's MHD_ContentReaderCallback: what we have of it, or wait for more. */
static ssize_t
on_read(void *argument, uint64_t position, char *to, size_t most)
{
	Stream *stream = argument;
	Exchange *exchange = stream->exchange;
	uint64_t at = stream->from + position;
	uint64_t start;
	const Answer *slice = slice_with(exchange, at, &start);
	size_t left;

	if (slice == NULL && exchange->slice_failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (slice == NULL)
	{
		exchange->kind = QUERY_SLICE;
		exchange->slice_from = at;
		exchange->waiting = true;
		MHD_suspend_connection(exchange->connection);
		database_ask(exchange);
		return 0;
	}
	left = slice->length - (size_t) (at - start);
	if (left > most)
		left = most;
	memcpy(to, slice->body + (at - start), left);
	return (ssize_t) left;
}

static struct MHD_Response *
stream_response(Exchange *exchange, const Range *range)
{
	Stream *stream = malloc(sizeof *stream);

	if (stream == NULL)
		return NULL;
	stream->exchange = exchange;
	stream->from = range->from;
	return MHD_create_response_from_callback(range->end - range->from, BLOCK_BYTES, on_read,
											 stream, free);
}

/* Responses ------------------------------------------------------------------- */

static void
release(void *answer)
{
	answer_release(answer);
}

/* libmicrohttpd's MHD_ContentReaderCallback, of a body that is not sent. */
static ssize_t
read_nothing(void *argument, uint64_t position, char *to, size_t most)
{
	(void) argument;
	(void) position;
	(void) to;
	(void) most;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* 304 says how long the body is that it does not have (RFC 9110, section 15.4.5). */
static struct MHD_Response *
bodiless_response(const Answer *answer)
{
	return MHD_create_response_from_callback(answer->size, BLOCK_BYTES, read_nothing, NULL,
											 NULL);
}

static struct MHD_Response *
body_response(Exchange *exchange, Answer *body, const Range *range)
{
	if (body->size > body->length)
		return stream_response(exchange, range);
	return MHD_create_response_from_buffer_with_free_callback_cls(
		(size_t) (range->end - range->from), (void *) (body->body + range->from), release,
		answer_share(body));
}

static void
add_headers(struct MHD_Response *response, const char *lines)
{
	char *copy = strdup(lines);
	char *rest = copy;
	char *line;

	while (copy != NULL && (line = strsep(&rest, "\n")) != NULL)
	{
		char *colon = strstr(line, ": ");

		if (colon == NULL)
			continue;
		*colon = '\0';
		MHD_add_response_header(response, line, colon + 2);
	}
	free(copy);
}

static void
add_common(struct MHD_Response *response, const char *policy)
{
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Content-Security-Policy", policy);
	if (options.allow_origin != NULL)
	{
		MHD_add_response_header(response, "Access-Control-Allow-Origin", options.allow_origin);
		MHD_add_response_header(response, "Access-Control-Expose-Headers",
								"ETag, Content-Range");
	}
}

static enum MHD_Result
queue(Exchange *exchange, int status, struct MHD_Response *response, uint64_t size)
{
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	exchange->status = status;
	exchange->sent = exchange->head ? 0 : size;
	clients_allow(exchange->client, (int) (60 + size / SLOWEST_BYTES_PER_S));
	result = MHD_queue_response(exchange->connection, (unsigned) status, response);
	MHD_destroy_response(response);
	return result;
}

/* What the database said was good of what we have: its body, with the headers of today. */
static Answer *
body_of(Exchange *exchange, int *status)
{
	Answer *answer = exchange->answer;

	*status = answer->status;
	if (answer->status != 304)
		return answer;
	if (reply_has_etag(request_header(exchange, "If-None-Match"), answer->etag) ||
		exchange->known == NULL || strcmp(exchange->known->etag, answer->etag) != 0)
		return answer;
	exchange->from_cache = true;
	*status = 200;
	return exchange->known;
}

static void
add_range(struct MHD_Response *response, const Range *range, uint64_t size)
{
	char text[80];

	MHD_add_response_header(response, "Accept-Ranges", "bytes");
	if (range->status == 206)
		snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long) range->from,
				 (unsigned long long) range->end - 1, (unsigned long long) size);
	else
		snprintf(text, sizeof text, "bytes */%llu", (unsigned long long) size);
	if (range->status != 200)
		MHD_add_response_header(response, "Content-Range", text);
}

static bool
is_kept(const Exchange *exchange, const Answer *body, int status)
{
	return status == 200 && !exchange->from_cache && body->etag[0] != '\0' &&
		   body->size == body->length && (exchange->route->flags & ROUTE_KEPT) != 0;
}

/* Prometheus hears of this server and of the database at once. */
static Answer *
with_own_metrics(Answer *answer)
{
	char *own = log_metrics();
	Answer *both = answer_of_text(answer->status, "");
	char *text = own ? malloc(answer->length + strlen(own) + 1) : NULL;

	if (text != NULL)
	{
		memcpy(text, answer->body, answer->length);
		strcpy(text + answer->length, own);
		free(both->own);
		both->own = text;
		both->body = text;
		both->length = both->size = answer->length + strlen(own);
		both->headers = "Content-Type: text/plain; version=0.0.4; charset=utf-8\n"
						"Cache-Control: no-store";
	}
	free(own);
	answer_release(answer);
	return both;
}

/* Send the answer that an exchange has. */
enum MHD_Result
reply_send(Exchange *exchange)
{
	int status;
	Answer *body;
	Range range;
	struct MHD_Response *response;

	if (exchange->route != NULL && strcmp(exchange->route->pattern, "=/metrics") == 0 &&
		strstr(exchange->answer->headers, "text/plain") != NULL)
		exchange->answer = with_own_metrics(exchange->answer);
	body = body_of(exchange, &status);
	if (exchange->route != NULL && is_kept(exchange, body, status))
		cache_keep(exchange->path,
				   exchange->route->flags & ROUTE_VARIES && exchange->type ? exchange->type
																		   : "",
				   body);
	range = status == 200 ? read_range(exchange, body->size, body->etag)
						  : (Range){0, body->size, status};
	if (range.status == 416)
		range.from = range.end = 0;
	if (status == 304)
		range.end = 0;
	response = status == 304 ? bodiless_response(body) : body_response(exchange, body, &range);
	if (response == NULL)
		return MHD_NO;
	add_headers(response, exchange->answer->headers);
	add_common(response, "default-src 'none'; frame-ancestors 'none'; sandbox");
	if (status == 200 && body->etag[0] != '\0')
		add_range(response, &range, body->size);
	if (status == 503)
		MHD_add_response_header(response, "Retry-After", "1");
	return queue(exchange, range.status, response, range.end - range.from);
}

/* Send the gallery. */
enum MHD_Result
reply_page(Exchange *exchange)
{
	size_t size = (size_t) (gallery_page_end - gallery_page);
	struct MHD_Response *response =
		MHD_create_response_from_buffer(size, (void *) gallery_page, MHD_RESPMEM_PERSISTENT);

	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
	MHD_add_response_header(response, "Cache-Control", "no-cache");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	add_common(response, page_policy);
	return queue(exchange, 200, response, size);
}

/* A browser asks what a page of another origin may do. */
enum MHD_Result
reply_preflight(Exchange *exchange)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(0, (void *) "", MHD_RESPMEM_PERSISTENT);

	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, "Allow", "GET, HEAD, POST, OPTIONS");
	MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, HEAD, POST");
	MHD_add_response_header(response, "Access-Control-Allow-Headers",
							"Content-Type, X-API-Key");
	MHD_add_response_header(response, "Access-Control-Max-Age", "86400");
	add_common(response, "default-src 'none'");
	return queue(exchange, 204, response, 0);
}
