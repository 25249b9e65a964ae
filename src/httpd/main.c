/*
 * main.c
 *		imgexport-httpd: serves images and jobs over HTTP.
 *
 * A few threads serve clients (loop.c, connection.c); a request that is complete is answered
 * by the database (database.c), in threads of its own.  What a URL means is said by functions
 * of the database (route.c), and nothing here knows a table.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "httpd/cache.h"
#include "httpd/clients.h"
#include "httpd/confine.h"
#include "httpd/database.h"
#include "httpd/log.h"
#include "httpd/loop.h"
#include "httpd/options.h"

/* At the end, so long for what is under way. */
#define STOP_S 15

#define BACKLOG 1024

/* Descriptors that are no client's. */
#define OWN_DESCRIPTORS 64

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "imgexport-httpd: could not %s: %s\n", what, strerror(errno));
	exit(1);
}

static int
listen_on(void)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t) options.port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
							  .sin6_port = htons((uint16_t) options.port)};
	bool is_v6 = inet_pton(AF_INET6, options.listen, &v6.sin6_addr) == 1;
	struct sockaddr *address = is_v6 ? (struct sockaddr *) &v6 : (struct sockaddr *) &v4;
	socklen_t size = is_v6 ? sizeof v6 : sizeof v4;
	int on = 1;
	int fd;

	if (!is_v6 && inet_pton(AF_INET, options.listen, &v4.sin_addr) != 1)
	{
		fprintf(stderr, "imgexport-httpd: \"%s\" is not an IP address\n", options.listen);
		exit(2);
	}
	fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
		bind(fd, address, size) != 0 || listen(fd, BACKLOG) != 0)
	{
		fprintf(stderr, "imgexport-httpd: could not listen on %s port %d: %s\n", options.listen,
				options.port, strerror(errno));
		exit(1);
	}
	return fd;
}

static int
port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;

	if (getsockname(fd, (struct sockaddr *) &address, &size) != 0)
		fail("tell the port");
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &address)->sin6_port
											   : ((struct sockaddr_in *) &address)->sin_port);
}

/* As many descriptors as clients may take, or else fewer clients. */
static void
limit_descriptors(void)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t) (options.max_clients + options.connections + OWN_DESCRIPTORS);

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_cur <= (rlim_t) (options.connections + OWN_DESCRIPTORS))
		fail("get enough file descriptors");
	options.max_clients = (int) limit.rlim_cur - options.connections - OWN_DESCRIPTORS;
	fprintf(stderr, "imgexport-httpd: at most %d clients, for want of file descriptors\n",
			options.max_clients);
}

/* Wait for the end, and see to the log meanwhile. */
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
		clients_forget();
		log_flush();
	}
}

/* New connections are refused, and what is under way has some time to end. */
static void
stop(int listening)
{
	struct timespec moment = {.tv_nsec = 20 * 1000000};

	loops_drain();
	close(listening);
	for (int i = 0; i < STOP_S * 50 && !loops_are_drained(); i++)
		nanosleep(&moment, NULL);
	database_stop();
	loops_stop();
	log_flush();
	cache_clear();
	clients_forget();
}

int
main(int argc, char **argv)
{
	sigset_t signals;
	int listening;
	int port;

	options_read(argc, argv);
	/* Few heaps: many would keep more than is in use. */
	mallopt(M_ARENA_MAX, 2);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	limit_descriptors();
	log_open();
	listening = listen_on();
	port = port_of(listening);
	fprintf(stderr, "imgexport-httpd: listening on http://%s%s%s:%d\n",
			strchr(options.listen, ':') ? "[" : "", options.listen,
			strchr(options.listen, ':') ? "]" : "", port);
	confine_memory();
	confine();
	database_start(loops_answered);
	if (!loops_start(listening))
		fail("start a thread");
	wait_for_signal(&signals);
	stop(listening);
	return 0;
}
