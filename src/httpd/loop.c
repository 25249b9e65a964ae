/*
 * loop.c
 *		The threads that serve clients, each with its own connections.
 *
 * Sockets are watched for edges: a connection goes on until it would have to wait, and is run
 * again when something happens.  The end has two steps.  Draining takes no new connection and
 * ends each after what it is at; stopping ends them all, but those that the database has, which
 * it gives back before.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "httpd/clients.h"
#include "httpd/connection.h"
#include "httpd/log.h"
#include "httpd/loop.h"
#include "httpd/options.h"
#include "httpd/threads.h"

#define EVENTS 64
#define CHECK_MS 250
#define PAUSE_MS 10

struct Loop
{
	int epoll;
	int wake;
	int count; /* of connections; atomic */
	Connection *connections;
	Connection *again;	/* to be run without waiting for anything */
	Connection *closed; /* to be freed */
	int64_t checked_us;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	Exchange *answered;
};

static Loop *loops;
static int listening;
static bool drains; /* atomic */
static bool stops;	/* atomic */

bool
loop_drains(void)
{
	return __atomic_load_n(&drains, __ATOMIC_RELAXED);
}

/* A connection has more to do, when others had their turn. */
void
loop_run_again(Connection *connection)
{
	if (connection->is_again)
		return;
	connection->is_again = true;
	connection->again = connection->loop->again;
	connection->loop->again = connection;
}

static void
wake(Loop *loop)
{
	uint64_t one = 1;

	/* It can only fail where the loop is to wake up anyway. */
	(void) !write(loop->wake, &one, sizeof one);
}

/* Called by the database's threads: an exchange has its answer, or its slice. */
void
loops_answered(Exchange *exchange)
{
	Loop *loop = exchange->connection->loop;
	bool first;

	pthread_mutex_lock(&loop->lock);
	first = loop->answered == NULL;
	exchange->next = loop->answered;
	loop->answered = exchange;
	pthread_mutex_unlock(&loop->lock);
	if (first)
		wake(loop);
}

/* Connections ---------------------------------------------------------------------- */

static void
link_connection(Loop *loop, Connection *connection)
{
	connection->next = loop->connections;
	if (loop->connections != NULL)
		loop->connections->previous = connection;
	loop->connections = connection;
	__atomic_add_fetch(&loop->count, 1, __ATOMIC_RELAXED);
}

/* A connection is closed, and can be freed when no event and no list has it any more. */
void
loop_closed(Connection *connection)
{
	connection->next_closed = connection->loop->closed;
	connection->loop->closed = connection;
}

static void
free_closed(Loop *loop)
{
	Connection *connection = loop->closed;
	Connection *next;

	loop->closed = NULL;
	for (; connection != NULL; connection = next)
	{
		next = connection->next_closed;
		if (connection->is_again)
		{
			loop_closed(connection);
			continue;
		}
		if (connection->next != NULL)
			connection->next->previous = connection->previous;
		*(connection->previous ? &connection->previous->next : &loop->connections) =
			connection->next;
		__atomic_sub_fetch(&loop->count, 1, __ATOMIC_RELAXED);
		connection_free(connection);
	}
}

/* There is no room: said in a line, if the client reads it. */
static void
turn_away(int socket)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
							   "Content-Length: 0\r\nConnection: close\r\n\r\n";

	(void) !send(socket, text, sizeof text - 1, MSG_NOSIGNAL);
	close(socket);
}

static void
open_connection(Loop *loop, int socket, const struct sockaddr *address)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	Connection *connection = connection_new(loop, socket, address);
	int one = 1;

	if (connection == NULL)
	{
		turn_away(socket);
		return;
	}
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	link_connection(loop, connection);
	event.data.ptr = connection;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, socket, &event) != 0)
		connection_close(connection);
	else
		connection_run(connection);
}

/* Take what waits, some at a time, so that those who are here have their turn. */
static void
accept_some(Loop *loop)
{
	struct sockaddr_storage address;
	struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};

	for (int i = 0; i < 16 && !loop_drains(); i++)
	{
		socklen_t size = sizeof address;
		int socket = accept4(listening, (struct sockaddr *) &address, &size,
							 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (socket >= 0)
			open_connection(loop, socket, (struct sockaddr *) &address);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		{
			log_problem("could not take a connection: %s", strerror(errno));
			nanosleep(&pause, NULL);
			return;
		}
		else if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

/* A loop ------------------------------------------------------------------------------ */

static void
run_answered(Loop *loop)
{
	Exchange *exchange;
	Exchange *next;
	uint64_t count;

	(void) !read(loop->wake, &count, sizeof count);
	pthread_mutex_lock(&loop->lock);
	exchange = loop->answered;
	loop->answered = NULL;
	pthread_mutex_unlock(&loop->lock);
	for (; exchange != NULL; exchange = next)
	{
		next = exchange->next;
		connection_answered(exchange->connection);
	}
}

static void
run_again(Loop *loop)
{
	Connection *connection = loop->again;
	Connection *next;

	loop->again = NULL;
	for (; connection != NULL; connection = next)
	{
		next = connection->again;
		connection->is_again = false;
		connection_run(connection);
	}
}

static void
check_all(Loop *loop)
{
	int64_t now = now_us();

	if (now - loop->checked_us < CHECK_MS * 1000)
		return;
	loop->checked_us = now;
	for (Connection *connection = loop->connections; connection != NULL;
		 connection = connection->next)
		connection_check(connection, now);
}

/* At the very end: whoever the database does not have. */
static void
close_all(Loop *loop)
{
	for (Connection *connection = loop->connections; connection != NULL;
		 connection = connection->next)
		if (connection->state != WAITING)
			connection_close(connection);
}

static void
run_events(Loop *loop, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (events[i].data.ptr == &listening)
			accept_some(loop);
		else if (events[i].data.ptr == loop)
			run_answered(loop);
		else
			connection_run(events[i].data.ptr);
	}
}

static void *
run_loop(void *argument)
{
	Loop *loop = argument;
	struct epoll_event events[EVENTS];
	bool accepts = true;

	while (!__atomic_load_n(&stops, __ATOMIC_ACQUIRE) || loop->connections != NULL)
	{
		int count = epoll_wait(loop->epoll, events, EVENTS, loop->again != NULL ? 0 : CHECK_MS);

		run_events(loop, events, count);
		run_again(loop);
		check_all(loop);
		if (accepts && loop_drains())
		{
			epoll_ctl(loop->epoll, EPOLL_CTL_DEL, listening, NULL);
			accepts = false;
		}
		if (__atomic_load_n(&stops, __ATOMIC_ACQUIRE))
			close_all(loop);
		free_closed(loop);
	}
	return NULL;
}

static bool
start_loop(Loop *loop)
{
	struct epoll_event on_wake = {.events = EPOLLIN, .data.ptr = loop};
	struct epoll_event on_client = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &listening};

	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return loop->epoll >= 0 && loop->wake >= 0 &&
		   epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &on_wake) == 0 &&
		   epoll_ctl(loop->epoll, EPOLL_CTL_ADD, listening, &on_client) == 0 &&
		   thread_start(&loop->thread, run_loop, loop);
}

/* Serve who connects to a socket, which is not blocking.  Returns false where that cannot be. */
bool
loops_start(int socket)
{
	listening = socket;
	loops = calloc((size_t) options.threads, sizeof *loops);
	for (int i = 0; loops != NULL && i < options.threads; i++)
		if (!start_loop(&loops[i]))
			return false;
	return loops != NULL;
}

/* Take no more connections, and end each after what it is at. */
void
loops_drain(void)
{
	__atomic_store_n(&drains, true, __ATOMIC_RELAXED);
	for (int i = 0; i < options.threads; i++)
		wake(&loops[i]);
}

bool
loops_are_drained(void)
{
	for (int i = 0; i < options.threads; i++)
		if (__atomic_load_n(&loops[i].count, __ATOMIC_RELAXED) > 0)
			return false;
	return true;
}

/* The database has given back what it had. */
void
loops_stop(void)
{
	__atomic_store_n(&stops, true, __ATOMIC_RELEASE);
	for (int i = 0; i < options.threads; i++)
	{
		wake(&loops[i]);
		pthread_join(loops[i].thread, NULL);
		close(loops[i].epoll);
		close(loops[i].wake);
		pthread_mutex_destroy(&loops[i].lock);
	}
	free(loops);
}
