/*
 * reply.c
 *		An exchange's answer, as HTTP has it (RFC 9110): conditional, whole, or in parts.
 *
 * Each function makes the output of an exchange: texts and parts of a body, in their order.
 * They return false where there is no memory for it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "httpd/cache.h"
#include "httpd/date.h"
#include "httpd/grammar.h"
#include "httpd/log.h"
#include "httpd/options.h"
#include "httpd/reply.h"

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

static const char body_policy[] = "default-src 'none'; frame-ancestors 'none'; sandbox";

static const struct
{
	int status;
	const char *phrase;
} phrases[] = {
	{200, "OK"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{302, "Found"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

/* Headers that an answer of the database may have: no text in a row can add another. */
static const char *const answer_headers[] = {
	"Cache-Control", "Content-Disposition", "Content-Type",
	"ETag",			 "Last-Modified",		"Location",
	"Vary",			 "WWW-Authenticate",	"Content-Language"};

/* Texts --------------------------------------------------------------------------- */

typedef struct Text
{
	char *bytes;
	size_t length;
	size_t room;
	bool failed;
} Text;

static void __attribute__((format(printf, 2, 3))) add(Text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = text->failed ? 0
						  : vsnprintf(text->bytes ? text->bytes + text->length : NULL,
									  text->room - text->length, format, arguments);
	va_end(arguments);
	if (length < 0)
		text->failed = true;
	if (text->failed)
		return;
	if ((size_t) length >= text->room - text->length)
	{
		size_t room = text->room * 2 + (size_t) length + 1024;
		char *grown = realloc(text->bytes, room);

		if (grown == NULL)
		{
			text->failed = true;
			return;
		}
		text->bytes = grown;
		text->room = room;
		va_start(arguments, format);
		vsnprintf(text->bytes + text->length, text->room - text->length, format, arguments);
		va_end(arguments);
	}
	text->length += (size_t) length;
}

/* The time of now as a header, written once a second. */
static const char *
date_now(void)
{
	static __thread time_t last;
	static __thread char text[DATE_BYTES];
	time_t now = time(NULL);

	if (now != last)
	{
		date_write(now, text);
		last = now;
	}
	return text;
}

static const char *
phrase_of(int status)
{
	for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "";
}

/* The first line and what every answer has. */
static void
begin(Text *text, Exchange *exchange, int status, const char *policy)
{
	exchange->status = status;
	add(text, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Content-Type-Options: nosniff\r\n", status,
		phrase_of(status), date_now());
	add(text, "Content-Security-Policy: %s\r\n", policy);
	if (exchange->closes)
		add(text, "Connection: close\r\n");
	else if (exchange->request.minor == 0)
		add(text, "Connection: keep-alive\r\n");
	if (options.allow_origin != NULL)
		add(text,
			"Access-Control-Allow-Origin: %s\r\nAccess-Control-Expose-Headers: ETag, "
			"Content-Range\r\n",
			options.allow_origin);
	if (status == 429 || status == 503)
		add(text, "Retry-After: 1\r\n");
	if (status == 401)
		add(text, "WWW-Authenticate: Bearer\r\n");
}

static bool
is_answer_header(const char *line, size_t length)
{
	size_t name = token_length(line);

	if (name + 2 > length || line[name] != ':' || line[name + 1] != ' ')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_field_char((unsigned char) line[i]))
			return false;
	for (size_t i = 0; i < sizeof answer_headers / sizeof answer_headers[0]; i++)
		if (same_word(line, name, answer_headers[i]))
			return true;
	return false;
}

/* The headers of an answer; not its type where the body is another. */
static void
add_headers(Text *text, const char *lines, bool with_type)
{
	while (*lines != '\0')
	{
		size_t length = strcspn(lines, "\n");

		if (!is_answer_header(lines, length))
			log_problem("a header of an answer is left out: %.*s", (int) length, lines);
		else if (with_type || strncasecmp(lines, "Content-Type:", 13) != 0)
			add(text, "%.*s\r\n", (int) length, lines);
		lines += length + (lines[length] == '\n');
	}
}

/* Pieces --------------------------------------------------------------------------- */

static void
add_piece(Output *output, bool is_body, uint64_t from, uint64_t end)
{
	if (from < end)
		output->pieces[output->count++] = (Piece){is_body, from, end};
}

/* The output is complete; of HEAD the head alone is sent. */
static bool
finish(Exchange *exchange, Text *text, Answer *body)
{
	Output *output = &exchange->output;

	if (text->failed)
	{
		free(text->bytes);
		return false;
	}
	output->texts = text->bytes;
	output->body = body != NULL ? answer_share(body) : NULL;
	if (exchange->is_head)
		output->count = 1;
	exchange->sent = 0;
	for (int i = 0; i < output->count; i++)
		exchange->sent +=
			output->pieces[i].is_body ? output->pieces[i].end - output->pieces[i].from : 0;
	return true;
}

/* A head, and all of a body or none of it. */
static bool
finish_plain(Exchange *exchange, Text *text, Answer *body, uint64_t from, uint64_t end)
{
	add(text, "\r\n");
	add_piece(&exchange->output, false, 0, text->length);
	add_piece(&exchange->output, true, from, end);
	return finish(exchange, text, body);
}

static void
add_content_range(Text *text, const Range *range, uint64_t size)
{
	add(text, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long) range->from,
		(unsigned long long) range->end - 1, (unsigned long long) size);
}

static const char *
content_type(const Answer *answer, size_t *length)
{
	const char *line = strcasestr(answer->headers, "Content-Type: ");

	*length = line ? strcspn(line + 14, "\n") : 0;
	return line ? line + 14 : "";
}

/* Several parts of a body (RFC 9110, section 14.6). */
static bool
finish_parts(Exchange *exchange, Text *text, Answer *body, const Range *ranges, int count)
{
	Output *output = &exchange->output;
	Text parts = {0};
	uint64_t starts[MAX_RANGES + 1];
	uint64_t length = 0;
	uint64_t random[2] = {0};
	char boundary[40];
	size_t type_length;
	const char *type = content_type(exchange->answer, &type_length);
	uint64_t head;

	/* One that nobody can have put into an image. */
	text->failed |= getrandom(random, sizeof random, 0) != sizeof random;
	snprintf(boundary, sizeof boundary, "%016llx%016llx", (unsigned long long) random[0],
			 (unsigned long long) random[1]);
	for (int i = 0; i < count; i++)
	{
		starts[i] = parts.length;
		add(&parts, "%s--%s\r\nContent-Type: %.*s\r\n", i > 0 ? "\r\n" : "", boundary,
			(int) type_length, type);
		add_content_range(&parts, &ranges[i], body->size);
		add(&parts, "\r\n");
		length += ranges[i].end - ranges[i].from;
	}
	starts[count] = parts.length;
	add(&parts, "\r\n--%s--\r\n", boundary);
	add(text, "Content-Type: multipart/byteranges; boundary=%s\r\nContent-Length: %llu\r\n\r\n",
		boundary, (unsigned long long) (length + parts.length));
	head = text->length;
	if (!parts.failed)
		add(text, "%s", parts.bytes);
	text->failed |= parts.failed;
	add_piece(output, false, 0, head);
	for (int i = 0; i < count; i++)
	{
		add_piece(output, false, head + starts[i], head + starts[i + 1]);
		add_piece(output, true, ranges[i].from, ranges[i].end);
	}
	add_piece(output, false, head + starts[count], head + parts.length);
	free(parts.bytes);
	return finish(exchange, text, body);
}

/* Answers of the database ------------------------------------------------------------ */

/* Prometheus hears of this server and of the database at once. */
static Answer *
with_own_metrics(Answer *answer)
{
	char *own = log_metrics();
	Answer *both;

	if (own == NULL)
		return answer;
	both = answer_of_texts(answer->status,
						   "Content-Type: text/plain; version=0.0.4; charset=utf-8\n"
						   "Cache-Control: no-store",
						   answer->body, own);
	free(own);
	answer_release(answer);
	return both;
}

/* What the database said was good of what we have: its body, with the headers of today. */
static Answer *
find_body(Exchange *exchange, int *status)
{
	Answer *answer = exchange->answer;

	*status = answer->status;
	if (answer->status != 200 && answer->status != 304)
		return answer;
	/* By 304 it says that it is what one of us has; which, and whether that is wanted, is ours. */
	*status = condition_status(&exchange->request, !exchange->is_post,
							   &(Validators){answer->etag, answer->last_modified});
	if (answer->status == 200 || *status != 200)
		return answer;
	if (exchange->known == NULL || strcmp(exchange->known->etag, answer->etag) != 0)
	{
		*status = 304;
		return answer;
	}
	exchange->from_cache = true;
	return exchange->known;
}

static bool
is_kept(const Exchange *exchange, const Answer *body, int status)
{
	return status == 200 && body->status == 200 && !exchange->from_cache &&
		   body->etag[0] != '\0' && body->size == body->length &&
		   (exchange->route->flags & ROUTE_KEPT) != 0;
}

/* The parts of a body that are wanted; RANGES_IGNORED: all of it. */
static int
find_ranges(const Exchange *exchange, const Answer *body, Range *ranges)
{
	const char *header = exchange->request.fields[FIELD_RANGE];
	Validators now = {exchange->answer->etag, exchange->answer->last_modified};

	/* GET alone has ranges (RFC 9110, section 14.2). */
	if (header == NULL || exchange->is_head || exchange->is_post || body->etag[0] == '\0' ||
		!condition_allows_range(&exchange->request, &now))
		return RANGES_IGNORED;
	return ranges_read(header, body->size, ranges);
}

static bool
send_body(Exchange *exchange, Answer *body)
{
	Range ranges[MAX_RANGES];
	int count = find_ranges(exchange, body, ranges);
	Range range = count == 1 ? ranges[0] : (Range){0, body->size};
	Text text = {0};

	if (count == RANGES_NONE)
		return reply_refusal(exchange, 416, "the body has no such part");
	begin(&text, exchange, count == RANGES_IGNORED ? 200 : 206, body_policy);
	add_headers(&text, exchange->answer->headers, count <= 1);
	if (body->etag[0] != '\0')
		add(&text, "Accept-Ranges: bytes\r\n");
	if (count > 1)
		return finish_parts(exchange, &text, body, ranges, count);
	if (count == 1)
		add_content_range(&text, &range, body->size);
	add(&text, "Content-Length: %llu\r\n", (unsigned long long) (range.end - range.from));
	return finish_plain(exchange, &text, body, range.from, range.end);
}

/* Make the output of the answer that an exchange has. */
bool
reply_answer(Exchange *exchange)
{
	int status;
	Answer *body;
	Text text = {0};

	if ((exchange->route->flags & ROUTE_METRICS) != 0 &&
		strstr(exchange->answer->headers, "text/plain") != NULL)
		exchange->answer = with_own_metrics(exchange->answer);
	body = find_body(exchange, &status);
	if (is_kept(exchange, body, status))
		cache_keep(exchange->request.path, exchange->accept, body);
	if (status == 200 && (body->size == body->length || body->length > 0))
		return send_body(exchange, body);
	if (status == 412)
		return reply_refusal(exchange, 412, "it is not what you think it is");
	if (status < 200 || status > 599 || status == 200)
		return reply_refusal(exchange, 500, "internal error");
	begin(&text, exchange, status, body_policy);
	add_headers(&text, exchange->answer->headers, true);
	/* 304 may say how long the body is that it does not have; undici would wait for it. */
	if (status != 204 && status != 304)
		add(&text, "Content-Length: %zu\r\n", body->length);
	return finish_plain(exchange, &text, body, 0,
						status == 304 || status == 204 ? 0 : body->length);
}

/* Answers of our own ------------------------------------------------------------------ */

static void
add_allow(Text *text, const char *path)
{
	int methods = strcmp(path, "*") == 0 ? METHOD_GET | METHOD_POST : route_methods(path);

	add(text, "Allow: %s%sOPTIONS\r\n", methods & METHOD_GET ? "GET, HEAD, " : "",
		methods & METHOD_POST ? "POST, " : "");
}

/* Make the output of an error; the request may be one that could not be read. */
bool
reply_refusal(Exchange *exchange, int status, const char *reason)
{
	Answer *answer = answer_of_text(status, reason);
	const char *path = exchange->request.path;
	bool made;
	Text text = {0};

	begin(&text, exchange, status, body_policy);
	add_headers(&text, answer->headers, true);
	if (status == 405 || status == 501)
		add_allow(&text, path != NULL ? path : "*");
	if (status == 416)
		add(&text, "Content-Range: bytes */%llu\r\n",
			(unsigned long long) exchange->answer->size);
	add(&text, "Content-Length: %zu\r\n", answer->length);
	made = finish_plain(exchange, &text, answer, 0, answer->length);
	answer_release(answer);
	return made;
}

/* Make the output of the gallery. */
bool
reply_page(Exchange *exchange)
{
	size_t size = (size_t) (gallery_page_end - gallery_page);
	Answer *page = answer_of_constant(gallery_page, size);
	bool made;
	Text text = {0};

	begin(&text, exchange, 200, page_policy);
	add(&text,
		"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\n"
		"Referrer-Policy: no-referrer\r\nContent-Length: %zu\r\n",
		size);
	made = finish_plain(exchange, &text, page, 0, size);
	answer_release(page);
	return made;
}

/* OPTIONS: which methods there are, and what a page of another origin may do. */
bool
reply_methods(Exchange *exchange)
{
	Text text = {0};

	begin(&text, exchange, 204, "default-src 'none'");
	add_allow(&text, exchange->request.path);
	if (options.allow_origin != NULL)
		add(&text, "Access-Control-Allow-Methods: GET, HEAD, POST\r\n"
				   "Access-Control-Allow-Headers: Content-Type, X-API-Key, Authorization\r\n"
				   "Access-Control-Max-Age: 86400\r\n");
	return finish_plain(exchange, &text, NULL, 0, 0);
}
