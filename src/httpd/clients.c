/*
 * clients.c
 *		Connected clients, and how long each may take.
 *
 * libmicrohttpd ends a connection on which nothing happens.  One on which a byte happens now
 * and then is ended here: headers, bodies and answers have a time each, whatever trickles.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "httpd/clients.h"
#include "httpd/options.h"

struct Client
{
	Client *next;
	Client *previous;
	int socket;
	int64_t deadline_us; /* 0: none */
	char address[INET6_ADDRSTRLEN];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Client *clients;
static int count;

static void
read_address(Client *client, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info ? info->client_addr : NULL;

	if (address != NULL && address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *) address)->sin_addr, client->address,
				  sizeof client->address);
	else if (address != NULL && address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) address)->sin6_addr,
				  client->address, sizeof client->address);
}

static void
open_client(struct MHD_Connection *connection, void **context)
{
	Client *client = calloc(1, sizeof *client);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	*context = client;
	if (client == NULL)
		return;
	client->socket = info ? info->connect_fd : -1;
	client->deadline_us = now_us() + (int64_t) options.header_timeout_s * 1000000;
	read_address(client, connection);
	pthread_mutex_lock(&lock);
	client->next = clients;
	if (clients != NULL)
		clients->previous = client;
	clients = client;
	count++;
	pthread_mutex_unlock(&lock);
}

static void
close_client(Client *client)
{
	if (client == NULL)
		return;
	pthread_mutex_lock(&lock);
	if (client->next != NULL)
		client->next->previous = client->previous;
	*(client->previous ? &client->previous->next : &clients) = client->next;
	count--;
	pthread_mutex_unlock(&lock);
	free(client);
}

/* libmicrohttpd's MHD_NotifyConnectionCallback. */
void
clients_notify(void *argument, struct MHD_Connection *connection, void **context,
			   enum MHD_ConnectionNotificationCode code)
{
	(void) argument;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		open_client(connection, context);
	else
		close_client(*context);
}

/* NULL: there was no memory for it. */
Client *
clients_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* From now on it has so many seconds; 0: no limit. */
void
clients_allow(Client *client, int seconds)
{
	if (client == NULL)
		return;
	pthread_mutex_lock(&lock);
	client->deadline_us = seconds == 0 ? 0 : now_us() + (int64_t) seconds * 1000000;
	pthread_mutex_unlock(&lock);
}

/* Whose time is over is cut off; libmicrohttpd then finds the connection at its end. */
void
clients_end_slow_ones(void)
{
	int64_t now = now_us();

	pthread_mutex_lock(&lock);
	for (Client *client = clients; client != NULL; client = client->next)
		if (client->deadline_us != 0 && client->deadline_us < now)
		{
			shutdown(client->socket, SHUT_RDWR);
			client->deadline_us = 0;
		}
	pthread_mutex_unlock(&lock);
}

int
clients_count(void)
{
	int now;

	pthread_mutex_lock(&lock);
	now = count;
	pthread_mutex_unlock(&lock);
	return now;
}

const char *
clients_address(const Client *client)
{
	return client && client->address[0] ? client->address : "-";
}
