/*
 * main.c
 *		imgexport-httpd: serves images and jobs over HTTP.
 *
 * libmicrohttpd speaks HTTP in a few threads; a request whose headers and body are here is
 * suspended, answered by the database (database.c), and resumed.  What a URL means is said by
 * functions of the database (route.c), and nothing here knows a table.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "httpd/cache.h"
#include "httpd/clients.h"
#include "httpd/database.h"
#include "httpd/form.h"
#include "httpd/log.h"
#include "httpd/options.h"
#include "httpd/reply.h"

/* At the end, so long for what is under way. */
#define STOP_S 15

static int active; /* exchanges; atomic */

static const char *
header(const Exchange *exchange, const char *name)
{
	return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

/* Called with the request line, before anything else: the URL as it was sent. */
static void *
on_uri(void *argument, const char *uri, struct MHD_Connection *connection)
{
	Exchange *exchange = calloc(1, sizeof *exchange);
	size_t path = strcspn(uri, "?");

	(void) argument;
	if (exchange == NULL)
		return NULL;
	__atomic_add_fetch(&active, 1, __ATOMIC_RELAXED);
	exchange->connection = connection;
	exchange->client = clients_of(connection);
	exchange->started_us = now_us();
	exchange->method = "?";
	exchange->path = strndup(uri, path);
	exchange->query = strdup(uri[path] == '?' ? uri + path + 1 : "");
	return exchange;
}

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
may_ask(const Exchange *exchange)
{
	const char *key = header(exchange, "X-API-Key");
	const char *bearer = header(exchange, "Authorization");

	if (key == NULL && bearer != NULL && strncmp(bearer, "Bearer ", 7) == 0)
		key = bearer + 7;

	return options.api_key == NULL || (exchange->route->flags & ROUTE_OPEN) != 0 ||
		   (key != NULL && same_text(key, options.api_key));
}

static enum MHD_Result
refuse(Exchange *exchange, int status, const char *reason)
{
	answer_release(exchange->answer);
	exchange->answer = answer_of_text(status, reason);
	return reply_send(exchange);
}

/* What is wrong with a request as far as its headers tell; 0: nothing. */
static int
find_refusal(Exchange *exchange, bool post, const char **reason)
{
	bool other_method;

	exchange->route = route_find(exchange->path, post, &other_method);
	if (!post && !exchange->head && strcmp(exchange->method, "GET") != 0)
	{
		*reason = "the methods are GET, HEAD and POST";
		return 405;
	}
	if (exchange->route == NULL)
	{
		*reason = other_method ? "this path has another method" : "there is nothing here";
		return other_method ? 405 : 404;
	}
	*reason = "X-API-Key is missing or wrong";
	return may_ask(exchange) ? 0 : 401;
}

/*
 * The headers are here.  Who is refused now loses the connection, as the rest of the request
 * is not read; without a body there is no rest, and it can wait until the request is complete.
 */
static enum MHD_Result
begin(Exchange *exchange, const char *method)
{
	bool post = strcmp(method, "POST") == 0;
	bool has_body = header(exchange, "Content-Length") != NULL ||
					header(exchange, "Transfer-Encoding") != NULL;
	const char *type;

	exchange->method = method;
	exchange->head = strcmp(method, "HEAD") == 0;
	if (strcmp(method, "OPTIONS") != 0)
		exchange->refusal = find_refusal(exchange, post, &exchange->refusal_reason);
	type = header(exchange, post ? "Content-Type" : "Accept");
	exchange->type = type ? strdup(type) : NULL;
	if (post && exchange->refusal == 0)
		form_begin(exchange);
	if (exchange->refusal != 0 && has_body)
		return refuse(exchange, exchange->refusal, exchange->refusal_reason);
	clients_allow(exchange->client, has_body ? options.body_timeout_s : 0);
	return MHD_YES;
}

/* What the client has, and what we have: either may turn out to be good still. */
static void
note_etags(Exchange *exchange)
{
	const char *given = header(exchange, "If-None-Match");
	bool varies = (exchange->route->flags & ROUTE_VARIES) != 0;
	const char *known = "";
	size_t size;

	if ((exchange->route->flags & ROUTE_KEPT) != 0)
		exchange->known =
			cache_find(exchange->path, varies && exchange->type ? exchange->type : "");
	if (exchange->known != NULL)
		known = exchange->known->etag;
	size = strlen(known) + (given ? strlen(given) : 0) + 3;
	exchange->etags = malloc(size);
	if (exchange->etags != NULL)
		snprintf(exchange->etags, size, "%s%s%s", given ? given : "",
				 given && known[0] ? ", " : "", known);
}

static enum MHD_Result
ask(Exchange *exchange)
{
	clients_allow(exchange->client, 0);
	if (exchange->route == NULL)
		return reply_preflight(exchange);
	if (exchange->route->function == NULL)
		return reply_page(exchange);
	note_etags(exchange);
	if (exchange->etags == NULL)
		return MHD_NO;
	exchange->waiting = true;
	MHD_suspend_connection(exchange->connection);
	database_ask(exchange);
	return MHD_YES;
}

/* libmicrohttpd's MHD_AccessHandlerCallback: with headers, with each part of a body, at its end. */
static enum MHD_Result
on_request(void *argument, struct MHD_Connection *connection, const char *url,
		   const char *method, const char *version, const char *data, size_t *size,
		   void **context)
{
	Exchange *exchange = *context;

	(void) argument;
	(void) connection;
	(void) url;
	(void) version;
	if (exchange == NULL || exchange->path == NULL || exchange->query == NULL)
		return MHD_NO;
	if (exchange->status != 0)
	{
		/* It is refused already; what still comes is not read. */
		*size = 0;
		return MHD_YES;
	}
	if (exchange->method[0] == '?')
		return begin(exchange, method);
	if (*size > 0)
	{
		form_take(exchange, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (exchange->refusal != 0)
		return refuse(exchange, exchange->refusal, exchange->refusal_reason);
	if (exchange->answer != NULL)
		return reply_send(exchange);
	return ask(exchange);
}

/* The database has answered, in one of its threads. */
static void
on_answer(Exchange *exchange)
{
	exchange->waiting = false;
	MHD_resume_connection(exchange->connection);
}

/* libmicrohttpd's MHD_RequestCompletedCallback. */
static void
on_completed(void *argument, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	Exchange *exchange = *context;

	(void) argument;
	(void) connection;
	(void) code;
	if (exchange == NULL)
		return;
	if (exchange->status != 0)
		log_exchange(exchange);
	clients_allow(exchange->client, options.idle_timeout_s + options.header_timeout_s);
	form_free(exchange);
	exchange_free(exchange);
	__atomic_sub_fetch(&active, 1, __ATOMIC_RELAXED);
	*context = NULL;
}

static void
on_mhd_log(void *argument, const char *format, va_list arguments)
{
	char text[200];

	(void) argument;
	vsnprintf(text, sizeof text, format, arguments);
	log_problem("%s", text);
}

static struct MHD_Daemon *
listen_on(void)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t) options.port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
							  .sin6_port = htons((uint16_t) options.port)};
	bool is_v6 = inet_pton(AF_INET6, options.listen, &v6.sin6_addr) == 1;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
					 MHD_USE_ERROR_LOG | (is_v6 ? MHD_USE_IPv6 : 0);
	struct sockaddr *address = is_v6 ? (struct sockaddr *) &v6 : (struct sockaddr *) &v4;

	if (!is_v6 && inet_pton(AF_INET, options.listen, &v4.sin_addr) != 1)
	{
		fprintf(stderr, "imgexport-httpd: \"%s\" is no address\n", options.listen);
		exit(2);
	}
	return MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, NULL, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
		MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		clients_notify, NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned) options.threads,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned) options.max_clients, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned) options.max_clients_per_address, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned) options.idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		options.max_header_bytes, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_END);
}

/* Wait for the end, and see to slow clients and the log meanwhile. */
static void
wait_for_signal(const sigset_t *signals)
{
	struct timespec second = {.tv_sec = 1};

	for (;;)
	{
		int signal = sigtimedwait(signals, NULL, &second);

		if (signal == SIGTERM || signal == SIGINT)
			return;
		if (signal == SIGHUP)
			log_reopen();
		clients_end_slow_ones();
		log_flush();
	}
}

/* New connections are refused, and what is under way has some time to end. */
static void
stop(struct MHD_Daemon *daemon)
{
	int listening = MHD_quiesce_daemon(daemon);
	struct timespec moment = {.tv_nsec = 20 * 1000000};

	if (listening != MHD_INVALID_SOCKET)
		close(listening);
	for (int i = 0; i < STOP_S * 50 && __atomic_load_n(&active, __ATOMIC_RELAXED) > 0; i++)
		nanosleep(&moment, NULL);
	database_stop();
	MHD_stop_daemon(daemon);
	log_flush();
	cache_clear();
}

int
main(int argc, char **argv)
{
	struct MHD_Daemon *daemon;
	sigset_t signals;

	options_read(argc, argv);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	log_open();
	database_start(on_answer);
	daemon = listen_on();
	if (daemon == NULL)
	{
		fprintf(stderr, "imgexport-httpd: could not listen on %s port %d: %s\n", options.listen,
				options.port, strerror(errno));
		return 1;
	}
	fprintf(stderr, "imgexport-httpd: listening on http://%s%s%s:%d\n",
			strchr(options.listen, ':') ? "[" : "", options.listen,
			strchr(options.listen, ':') ? "]" : "",
			MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	wait_for_signal(&signals);
	stop(daemon);
	return 0;
}
