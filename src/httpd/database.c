/*
 * database.c
 *		Exchanges on their way through the database: some connections, a thread each.
 *
 * A thread takes what waits, up to BATCH quick requests at once, and sends them in one
 * pipeline; slow ones go alone, and at least one connection is always left for the quick.
 * Who asks for what another is already waiting for, of the slow ones, waits with it.  A
 * connection that breaks is made again; what was not answered on it is asked once more if
 * that can do no harm.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "httpd/database.h"
#include "httpd/log.h"
#include "httpd/options.h"
#include "httpd/query.h"
#include "httpd/threads.h"

/* Quick requests in one pipeline. */
#define BATCH 16

/* A message of more than that is large. */
#define LARGE_BYTES (4 << 20)

/* A server that cannot be reached is left alone for so long, by all. */
#define RECONNECT_MS 200

typedef struct Queue
{
	Exchange *first;
	Exchange **end;
} Queue;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static Queue quick;
static Queue slow;
static Exchange *later;		  /* to be asked again, the next one first */
static Exchange **slow_slots; /* one a connection; NULL: it runs nothing slow */
static int slow_count;
static bool stopping;
static pthread_t *threads;
static int64_t reconnect_at_us; /* not before; atomic */
static int connected;			/* connections that stand; atomic */
static DatabaseDone done;

typedef struct Connection
{
	PGconn *server;
	int number;
} Connection;

static void deliver(Exchange *exchange, Answer *answer);

/* Queues --------------------------------------------------------------------- */

static void
queue_add(Queue *queue, Exchange *exchange)
{
	if (queue->first == NULL)
		queue->end = &queue->first;
	exchange->next = NULL;
	*queue->end = exchange;
	queue->end = &exchange->next;
}

static Exchange *
queue_take(Queue *queue)
{
	Exchange *exchange = queue->first;

	if (exchange != NULL)
		queue->first = exchange->next;
	return exchange;
}

static bool
is_slow(const Exchange *exchange)
{
	return exchange->kind == QUERY_ROUTE && (exchange->route->flags & ROUTE_SLOW) != 0;
}

static bool
asks_the_same(const Exchange *a, const Exchange *b)
{
	return a->route == b->route && (a->route->flags & ROUTE_POST) == 0 &&
		   strcmp(a->request.path, b->request.path) == 0 &&
		   strcmp(a->request.query, b->request.query) == 0 &&
		   strcmp(a->accept, b->accept) == 0 && strcmp(a->etags, b->etags) == 0;
}

/* One that is slow and has been asked, or is about to be. */
static Exchange *
find_leader(const Exchange *exchange)
{
	for (int i = 0; i < options.connections; i++)
		if (slow_slots[i] != NULL && asks_the_same(slow_slots[i], exchange))
			return slow_slots[i];
	for (Exchange *waiting = slow.first; waiting != NULL; waiting = waiting->next)
		if (asks_the_same(waiting, exchange))
			return waiting;
	return NULL;
}

static void
queue_later(Exchange *exchange)
{
	Exchange **link = &later;

	while (*link != NULL && (*link)->due_ms <= exchange->due_ms)
		link = &(*link)->next;
	exchange->next = *link;
	*link = exchange;
}

/* Have an exchange answered; it is suspended until then. */
void
database_ask(Exchange *exchange)
{
	Exchange *leader;
	bool refused;

	pthread_mutex_lock(&lock);
	refused = stopping;
	if (refused)
		;
	else if (is_slow(exchange) && (leader = find_leader(exchange)) != NULL)
	{
		exchange->next = leader->followers;
		leader->followers = exchange;
	}
	else
		queue_add(is_slow(exchange) ? &slow : &quick, exchange);
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	/* Nothing takes from the queues any more: what came to them would wait for ever. */
	if (refused)
		deliver(exchange, answer_of_text(503, "the server stops"));
}

/* What is due to be asked again is quick work now.  Returns when the next one is; 0: never. */
static int64_t
take_due(void)
{
	int64_t now_ms = now_us() / 1000;

	while (later != NULL && later->due_ms <= now_ms)
	{
		Exchange *exchange = later;

		later = exchange->next;
		queue_add(&quick, exchange);
	}
	return later == NULL ? 0 : later->due_ms;
}

static void
wait_for_work(int64_t until_ms)
{
	struct timespec until;
	int64_t wait_ms = until_ms - now_us() / 1000;

	if (until_ms == 0)
	{
		pthread_cond_wait(&work, &lock);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += wait_ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&work, &lock, &until);
}

/* Take what this connection is to do next; 0: the server stops. */
static int
take_work(const Connection *connection, Exchange **batch)
{
	int count = 0;

	pthread_mutex_lock(&lock);
	while (count == 0 && !stopping)
	{
		int64_t next_ms = take_due();

		while (count < BATCH && quick.first != NULL)
			batch[count++] = queue_take(&quick);
		if (count == 0 && slow.first != NULL && slow_count < options.connections - 1)
		{
			batch[count++] = queue_take(&slow);
			slow_slots[connection->number] = batch[0];
			slow_count++;
		}
		if (count == 0)
			wait_for_work(next_ms);
	}
	/* Others may wait without a time, from before anything was to be asked again: one takes ours over. */
	if (later != NULL || quick.first != NULL || slow.first != NULL)
		pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	return count;
}

/* Its followers go the way of what was slow. */
static Exchange *
end_slow(const Connection *connection, Exchange *exchange)
{
	Exchange *followers = NULL;

	pthread_mutex_lock(&lock);
	if (slow_slots[connection->number] == exchange)
	{
		slow_slots[connection->number] = NULL;
		slow_count--;
		followers = exchange->followers;
		exchange->followers = NULL;
		pthread_cond_signal(&work);
	}
	pthread_mutex_unlock(&lock);
	return followers;
}

/* Answering ------------------------------------------------------------------- */

/* A slice is some of the bytes that were asked for, or it has failed: nothing else is sent. */
static void
deliver_slice(Exchange *exchange, Answer *answer)
{
	uint64_t left = exchange->answer->size - exchange->slice_from;

	answer_release(exchange->slice);
	exchange->slice = NULL;
	exchange->slice_failed =
		answer->status != 200 || answer->length == 0 || answer->length > SLICE_BYTES ||
		exchange->slice_from > exchange->answer->size || answer->length > left;
	if (exchange->slice_failed)
		answer_release(answer);
	else
	{
		exchange->slice = answer;
		exchange->slice_start = exchange->slice_from;
	}
	done(exchange);
}

/* An answer that is not ready is asked for again, if there is somebody to ask. */
static bool
ask_later(Exchange *exchange, int ms)
{
	bool later_on;

	exchange->kind = QUERY_AGAIN;
	exchange->due_ms = now_us() / 1000 + ms;
	pthread_mutex_lock(&lock);
	later_on = !stopping;
	if (later_on)
	{
		queue_later(exchange);
		pthread_cond_signal(&work);
	}
	pthread_mutex_unlock(&lock);
	return later_on;
}

static void
deliver(Exchange *exchange, Answer *answer)
{
	if (exchange->kind == QUERY_SLICE)
	{
		deliver_slice(exchange, answer);
		return;
	}
	answer_release(exchange->answer);
	exchange->answer = answer;
	if (answer->again_ms > 0 && ask_later(exchange, answer->again_ms))
		return;
	if (answer->again_ms > 0)
	{
		answer_release(answer);
		exchange->answer = answer_of_text(503, "the server stops");
	}
	done(exchange);
}

static void
finish(const Connection *connection, Exchange *exchange, Answer *answer)
{
	Exchange *followers = end_slow(connection, exchange);

	while (followers != NULL)
	{
		Exchange *next = followers->next;

		deliver(followers, answer_share(answer));
		followers = next;
	}
	deliver(exchange, answer);
}

/* Connections ------------------------------------------------------------------ */

static void
ignore_notice(void *argument, const PGresult *result)
{
	(void) argument;
	(void) result;
}

static bool
connect_now(Connection *connection)
{
	char timeout[64];
	char silence[24];
	const char *names[] = {
		"dbname",		   "application_name", "options",		   "client_encoding",
		"connect_timeout", "keepalives_idle",  "tcp_user_timeout", NULL};
	const char *values[] = {
		options.database, "imgexport-httpd", timeout, "UTF8", "5", "30", silence, NULL};

	if (now_us() < __atomic_load_n(&reconnect_at_us, __ATOMIC_RELAXED))
		return false;
	snprintf(timeout, sizeof timeout, "-c statement_timeout=%ds -c search_path=pg_catalog",
			 options.statement_timeout_s);
	/* A server that is gone without a word is missed at last. */
	snprintf(silence, sizeof silence, "%d", (options.statement_timeout_s + 30) * 1000);
	connection->server = PQconnectdbParams(names, values, 1);
	if (PQstatus(connection->server) == CONNECTION_OK)
	{
		PQsetNoticeReceiver(connection->server, ignore_notice, NULL);
		if (query_prepare(connection->server) && PQenterPipelineMode(connection->server) == 1)
		{
			__atomic_store_n(&reconnect_at_us, 0, __ATOMIC_RELAXED);
			__atomic_add_fetch(&connected, 1, __ATOMIC_RELAXED);
			return true;
		}
	}
	else
		log_problem("%s", PQerrorMessage(connection->server));
	PQfinish(connection->server);
	connection->server = NULL;
	__atomic_store_n(&reconnect_at_us, now_us() + RECONNECT_MS * 1000, __ATOMIC_RELAXED);
	return false;
}

static void
disconnect(Connection *connection)
{
	if (connection->server == NULL)
		return;
	PQfinish(connection->server);
	connection->server = NULL;
	__atomic_sub_fetch(&connected, 1, __ATOMIC_RELAXED);
}

/* The result of the next query of the pipeline; NULL: the connection broke. */
static PGresult *
next_result(PGconn *server)
{
	PGresult *result = PQgetResult(server);
	PGresult *end;

	if (result == NULL)
		return NULL;
	/* After each query there are a NULL, its end, and the sync point that follows it. */
	while ((end = PQgetResult(server)) != NULL)
		PQclear(end);
	end = PQgetResult(server);
	if (PQstatus(server) != CONNECTION_OK || end == NULL ||
		PQresultStatus(end) != PGRES_PIPELINE_SYNC)
	{
		PQclear(end);
		PQclear(result);
		return NULL;
	}
	PQclear(end);
	return result;
}

/* How many of a batch could be sent; each is a transaction of its own. */
static int
send_batch(PGconn *server, Exchange **batch, int count)
{
	for (int i = 0; i < count; i++)
		if (!query_send(server, batch[i]) || PQpipelineSync(server) != 1)
			return i;
	return PQflush(server) < 0 ? 0 : count;
}

/* Returns how many were answered: fewer where there is no connection, or it broke. */
static int
try_batch(Connection *connection, Exchange **batch, int count)
{
	int answered = 0;
	int sent;
	bool large = false;

	if (connection->server == NULL && !connect_now(connection))
		return 0;
	sent = send_batch(connection->server, batch, count);
	while (answered < sent)
	{
		PGresult *result = next_result(connection->server);

		if (result == NULL)
			break;
		large |= PQresultMemorySize(result) > LARGE_BYTES ||
				 batch[answered]->form.length > LARGE_BYTES;
		finish(connection, batch[answered++], answer_of_result(result));
	}
	/* libpq keeps the room that its largest message took, so the connection is made anew. */
	if (answered < count || large)
		disconnect(connection);
	return answered;
}

/* May it have been done, so that doing it again would be doing it twice? */
static bool
is_delicate(const Exchange *exchange)
{
	return exchange->kind == QUERY_ROUTE && (exchange->route->flags & ROUTE_POST) != 0;
}

/*
 * The server takes no more connections, but others of ours stand: what there is to do is
 * theirs.  Returns false where none stands.
 */
static bool
hand_over(const Connection *connection, Exchange **batch, int count)
{
	struct timespec pause = {.tv_nsec = RECONNECT_MS * 1000000};

	if (__atomic_load_n(&connected, __ATOMIC_RELAXED) == 0)
		return false;
	for (int i = 0; i < count; i++)
	{
		Exchange *followers = end_slow(connection, batch[i]);

		database_ask(batch[i]);
		while (followers != NULL)
		{
			Exchange *next = followers->next;

			database_ask(followers);
			followers = next;
		}
	}
	nanosleep(&pause, NULL);
	return true;
}

/* What is lost with a connection is asked once more over a new one, if that can do no harm. */
static void
run_batch(Connection *connection, Exchange **batch, int count)
{
	bool was_connected;
	int answered;

	/* One that the server ended while it was idle has said so. */
	if (connection->server != NULL && (PQconsumeInput(connection->server) == 0 ||
									   PQstatus(connection->server) != CONNECTION_OK))
		disconnect(connection);
	was_connected = connection->server != NULL;
	if (!was_connected && !connect_now(connection) && hand_over(connection, batch, count))
		return;
	answered = try_batch(connection, batch, count);
	if (was_connected && answered < count && !is_delicate(batch[answered]))
		answered += try_batch(connection, batch + answered, count - answered);
	while (answered < count)
		finish(connection, batch[answered++],
			   answer_of_text(503, "the database cannot be reached"));
}

static void *
run(void *argument)
{
	Connection connection = {.number = (int) (intptr_t) argument};
	Exchange *batch[BATCH];
	int count;

	while ((count = take_work(&connection, batch)) > 0)
		run_batch(&connection, batch, count);
	disconnect(&connection);
	return NULL;
}

/* Start the threads; they connect when there is something to ask. */
void
database_start(DatabaseDone on_done)
{
	done = on_done;
	threads = calloc((size_t) options.connections, sizeof *threads);
	slow_slots = calloc((size_t) options.connections, sizeof *slow_slots);
	for (int i = 0; i < options.connections; i++)
		if (!thread_start(&threads[i], run, (void *) (intptr_t) i))
		{
			fprintf(stderr, "imgexport-httpd: could not start a thread\n");
			exit(1);
		}
}

static void
refuse_all(Queue *queue)
{
	Exchange *exchange;

	while ((exchange = queue_take(queue)) != NULL)
	{
		while (exchange->followers != NULL)
		{
			Exchange *follower = exchange->followers;

			exchange->followers = follower->next;
			deliver(follower, answer_of_text(503, "the server stops"));
		}
		deliver(exchange, answer_of_text(503, "the server stops"));
	}
}

/* End the threads when they have done what they are at; what waits is refused. */
void
database_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_broadcast(&work);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < options.connections; i++)
		pthread_join(threads[i], NULL);
	refuse_all(&quick);
	refuse_all(&slow);
	quick.first = later;
	later = NULL;
	refuse_all(&quick);
	free(threads);
	free(slow_slots);
}
