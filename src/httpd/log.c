/*
 * log.c
 *		The access log, a line a request, and what was counted, for /metrics.
 *
 * Queries are not logged: they have signatures.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "httpd/clients.h"
#include "httpd/grammar.h"
#include "httpd/log.h"
#include "httpd/memory.h"
#include "httpd/options.h"

static FILE *file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t requests[6]; /* by the first digit of their status */
static uint64_t sent_bytes;
static uint64_t from_cache;
static uint64_t seconds_us;

/* Open the access log, if there is to be one. */
void
log_open(void)
{
	if (options.access_log == NULL)
		return;
	file = strcmp(options.access_log, "-") == 0 ? stdout : fopen(options.access_log, "a");
	if (file == NULL)
	{
		perror(options.access_log);
		exit(1);
	}
	setvbuf(file, NULL, _IOFBF, 1 << 16);
}

/* Begin a new file of that name, where the old one was moved away; else go on with the old one. */
void
log_reopen(void)
{
	FILE *fresh;

	if (file == NULL || file == stdout)
		return;
	fresh = fopen(options.access_log, "a");
	if (fresh == NULL)
	{
		log_problem("could not open %s again: %m", options.access_log);
		return;
	}
	setvbuf(fresh, NULL, _IOFBF, 1 << 16);
	pthread_mutex_lock(&lock);
	fclose(file);
	file = fresh;
	pthread_mutex_unlock(&lock);
}

/* What is wrong, on standard error: a line a second at most, as it may be wrong for everybody. */
void
log_problem(const char *format, ...)
{
	static time_t last;
	static int unsaid;
	char given[500];
	char text[600];
	va_list arguments;
	time_t now = time(NULL);

	va_start(arguments, format);
	vsnprintf(given, sizeof given, format, arguments);
	va_end(arguments);
	given[strcspn(given, "\n")] = '\0';
	escape_for_log(text, sizeof text, given);
	pthread_mutex_lock(&lock);
	if (now == last)
		unsaid++;
	else
	{
		fprintf(stderr, "imgexport-httpd: %s", text);
		if (unsaid > 0)
			fprintf(stderr, " (and %d more before)", unsaid);
		fputc('\n', stderr);
		last = now;
		unsaid = 0;
	}
	pthread_mutex_unlock(&lock);
}

static void
write_line(const Exchange *exchange, const Client *client)
{
	static __thread time_t last;
	static __thread char stamp[40];
	const Request *request = &exchange->request;
	const char *given = request->fields[FIELD_USER_AGENT];
	char method[64];
	char path[512];
	char agent[200];
	time_t now = time(NULL);
	struct tm utc;

	if (now != last)
	{
		last = now;
		strftime(stamp, sizeof stamp, "%d/%b/%Y:%H:%M:%S +0000", gmtime_r(&now, &utc));
	}
	/* A request that could not be read may have none of them. */
	escape_for_log(method, sizeof method, request->method ? request->method : "-");
	escape_for_log(path, sizeof path, request->path ? request->path : "-");
	escape_for_log(agent, sizeof agent, given ? given : "-");
	fprintf(file, "%s - - [%s] \"%s %s%s HTTP/1.%d\" %d %llu \"-\" \"%s\" %.1fms%s\n",
			clients_address(client), stamp, method, path,
			request->query && request->query[0] ? "?..." : "", request->minor, exchange->status,
			(unsigned long long) exchange->sent, agent,
			(double) (now_us() - exchange->started_us) / 1000,
			exchange->from_cache ? " kept" : "");
}

/* A request is over. */
void
log_exchange(const Exchange *exchange, const struct Client *client)
{
	int digit = exchange->status / 100;

	__atomic_add_fetch(&requests[digit > 5 ? 0 : digit], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&sent_bytes, exchange->sent, __ATOMIC_RELAXED);
	__atomic_add_fetch(&from_cache, exchange->from_cache, __ATOMIC_RELAXED);
	__atomic_add_fetch(&seconds_us, (uint64_t) (now_us() - exchange->started_us),
					   __ATOMIC_RELAXED);
	if (file == NULL)
		return;
	pthread_mutex_lock(&lock);
	write_line(exchange, client);
	pthread_mutex_unlock(&lock);
}

void
log_flush(void)
{
	if (file == NULL)
		return;
	pthread_mutex_lock(&lock);
	fflush(file);
	pthread_mutex_unlock(&lock);
}

/* What this server counted, in the format of Prometheus; the caller's to free. */
char *
log_metrics(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	fprintf(out, "# HELP imgexport_http_requests_total Requests, by class of status.\n"
				 "# TYPE imgexport_http_requests_total counter\n");
	for (int i = 1; i < 6; i++)
		fprintf(out, "imgexport_http_requests_total{status=\"%dxx\"} %llu\n", i,
				(unsigned long long) requests[i]);
	fprintf(out,
			"# HELP imgexport_http_request_seconds_total Time from a request to the end of its "
			"answer.\n"
			"# TYPE imgexport_http_request_seconds_total counter\n"
			"imgexport_http_request_seconds_total %.6f\n"
			"# HELP imgexport_http_sent_bytes_total Bytes of bodies sent.\n"
			"# TYPE imgexport_http_sent_bytes_total counter\n"
			"imgexport_http_sent_bytes_total %llu\n"
			"# HELP imgexport_http_kept_total Bodies sent without reading them again.\n"
			"# TYPE imgexport_http_kept_total counter\n"
			"imgexport_http_kept_total %llu\n"
			"# HELP imgexport_http_clients Clients connected.\n"
			"# TYPE imgexport_http_clients gauge\n"
			"imgexport_http_clients %d\n"
			"# HELP imgexport_http_memory_bytes Memory that is counted against --memory.\n"
			"# TYPE imgexport_http_memory_bytes gauge\n"
			"imgexport_http_memory_bytes %zu\n",
			(double) seconds_us / 1e6, (unsigned long long) sent_bytes,
			(unsigned long long) from_cache, clients_count(), memory_used());
	fclose(out);
	return text;
}
