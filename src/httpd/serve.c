/*
 * serve.c
 *		What a request may, and who answers it: this program, the cache, or the database.
 */
#include <string.h>
#include <strings.h>

#include "httpd/cache.h"
#include "httpd/grammar.h"
#include "httpd/options.h"
#include "httpd/reply.h"
#include "httpd/serve.h"
#include "httpd/site.h"

/* Of a body that means nothing (GET has none by its definition): it is read past, up to this. */
#define MOST_UNWANTED_BYTES 65536

/* Compared in the same time wherever they differ. */
static bool
same_text(const char *a, const char *b)
{
	size_t length = strlen(b);
	unsigned char different = strlen(a) != length;

	for (size_t i = 0; i < length; i++)
		different |= (unsigned char) (a[different ? 0 : i] ^ b[i]);
	return different == 0;
}

/* The key, as X-API-Key or, as Prometheus sends it, as a bearer's. */
static bool
has_key(const Request *request)
{
	const char *key = request->fields[FIELD_API_KEY];
	const char *bearer = request->fields[FIELD_AUTHORIZATION];

	if (key == NULL && bearer != NULL && strncasecmp(bearer, "Bearer ", 7) == 0)
		key = skip_blanks(bearer + 7);
	return key != NULL && same_text(key, options.api_key);
}

static void
refuse(Exchange *exchange, int status, const char *reason)
{
	if (exchange->refusal != 0)
		return;
	exchange->refusal = status;
	exchange->refusal_reason = reason;
}

/* Set what is known of the method.  Returns 0, or the status where it is none of ours. */
static int
read_method(Exchange *exchange)
{
	static const char *const others[] = {"PUT", "DELETE", "PATCH", "TRACE", "CONNECT"};
	const char *method = exchange->request.method;

	exchange->is_head = strcmp(method, "HEAD") == 0;
	exchange->is_post = strcmp(method, "POST") == 0;
	exchange->is_options = strcmp(method, "OPTIONS") == 0;
	if (exchange->is_head || exchange->is_post || exchange->is_options ||
		strcmp(method, "GET") == 0)
		return 0;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (strcmp(method, others[i]) == 0)
			return 405;
	return 501;
}

/* What it may not, as far as its head tells. */
static void
check_rights(Exchange *exchange)
{
	const Request *request = &exchange->request;
	bool is_open = (exchange->route->flags & ROUTE_OPEN) != 0;

	if (options.api_key != NULL)
	{
		if (!is_open && !has_key(request))
			refuse(exchange, 401, "X-API-Key is missing or wrong");
	}
	else if (!is_open && !site_may_ask(request))
		refuse(exchange, 403, "pages of other sites may not use this server: --allow-origin");
}

static void
check_body(Exchange *exchange)
{
	const Request *request = &exchange->request;
	const char *coding = request->fields[FIELD_CONTENT_ENCODING];
	uint64_t most = exchange->is_post ? options.max_body_bytes : MOST_UNWANTED_BYTES;

	if (request->body == BODY_LENGTH && request->content_length > most)
		refuse(exchange, 413, "the body is larger than this server takes");
	else if (exchange->is_post && coding != NULL && strcasecmp(coding, "identity") != 0)
		refuse(exchange, 415, "a body with a Content-Encoding is not understood");
}

/* The head is here. */
void
serve_begin(Exchange *exchange)
{
	const Request *request = &exchange->request;
	int status = read_method(exchange);
	int methods = route_methods(request->path);

	/* Who is called by another's name is called by a page of another's. */
	if (options.api_key == NULL && !site_is_ours(request->host))
		refuse(exchange, 421, "this server does not answer to that host: --allow-host");
	if (methods == 0 && strcmp(request->path, "*") != 0)
		refuse(exchange, 404, "there is nothing here");
	if (status != 0)
		refuse(exchange, status, "the methods are GET, HEAD, POST and OPTIONS");
	if (exchange->is_options)
		exchange->route = NULL;
	else if (exchange->refusal == 0)
	{
		exchange->route = route_find(request->path, exchange->is_post);
		if (exchange->route == NULL)
			refuse(exchange, 405, "this path has another method");
		else
			check_rights(exchange);
	}
	check_body(exchange);
	if (exchange->route != NULL && (exchange->route->flags & ROUTE_VARIES) != 0)
		accept_reduce(request->fields[FIELD_ACCEPT], exchange->accept);
	else if (exchange->route != NULL && (exchange->route->flags & ROUTE_METRICS) != 0)
		strcpy(exchange->accept, accept_metrics(request->fields[FIELD_ACCEPT]));
}

/* Some bytes of the body. */
void
serve_take(Exchange *exchange, const char *data, size_t size)
{
	const Request *request = &exchange->request;

	exchange->received += size;
	if (exchange->received > (exchange->is_post ? options.max_body_bytes : MOST_UNWANTED_BYTES))
		refuse(exchange, 413, "the body is larger than this server takes");
	else if (exchange->is_post && exchange->refusal == 0 &&
			 !form_append(&exchange->form, data, size, (size_t) request->content_length))
		refuse(exchange, 503, "there are too many bodies at once");
}

/* What the client has, and what we have: either may turn out to be good still. */
static bool
note_etags(Exchange *exchange)
{
	if ((exchange->route->flags & ROUTE_KEPT) != 0)
		exchange->known = cache_find(exchange->request.path, exchange->accept);
	exchange->etags = etags_of(exchange->request.fields[FIELD_IF_NONE_MATCH],
							   exchange->known ? exchange->known->etag : "");
	return exchange->etags != NULL;
}

/* The request is complete, with its body. */
Served
serve_answer(Exchange *exchange)
{
	if (exchange->refusal == 0 && exchange->is_post)
	{
		const char *reason = "there is no memory";
		int status =
			form_parse(&exchange->form, exchange->request.fields[FIELD_CONTENT_TYPE], &reason);

		if (status != 0)
			refuse(exchange, status, reason);
	}
	if (exchange->refusal != 0)
		return reply_refusal(exchange, exchange->refusal, exchange->refusal_reason)
				   ? SERVE_ANSWERED
				   : SERVE_FAILED;
	if (exchange->is_options)
		return reply_methods(exchange) ? SERVE_ANSWERED : SERVE_FAILED;
	if (exchange->route->function == NULL)
		return reply_page(exchange) ? SERVE_ANSWERED : SERVE_FAILED;
	return note_etags(exchange) ? SERVE_ASKED : SERVE_FAILED;
}
