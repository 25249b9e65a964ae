/*
 * clients.c
 *		Who is connected, from which address, and how much of the server one address may have.
 *
 * A kept connection is a courtesy: where an address has all that it may have, or the server,
 * the connection on which nothing has happened for longest makes room for the new one.  Of
 * IPv6 a network of 64 bits counts as one address, as anybody is given one.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "httpd/clients.h"
#include "httpd/exchange.h"
#include "httpd/memory.h"
#include "httpd/options.h"

#define BUCKETS 1024

/* An address that was quiet may ask for so many seconds' worth of requests at once. */
#define BURST_S 5

typedef struct Address
{
	struct Address *next; /* in its bucket */
	unsigned char key[8];
	bool is_v6;
	int clients;	 /* that point here */
	int connected;	 /* without those that leave */
	int64_t next_us; /* what it asked for is paid by then (a leaky bucket, as GCRA has it) */
} Address;

struct Client
{
	Client *next;
	Client *previous;
	Address *address;
	int socket;
	int64_t idle_since_us; /* 0: it is not */
	bool leaves;		   /* it was told to, and is not counted any more */
	char text[INET6_ADDRSTRLEN];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Address *buckets[BUCKETS];
static Client *clients;
static int count;

static void
read_address(Client *client, const struct sockaddr *from, unsigned char *key, bool *is_v6)
{
	memset(key, 0, 8);
	*is_v6 = false;
	if (from->sa_family == AF_INET)
	{
		const struct in_addr *v4 = &((const struct sockaddr_in *) from)->sin_addr;

		inet_ntop(AF_INET, v4, client->text, sizeof client->text);
		memcpy(key, v4, 4);
	}
	else if (from->sa_family == AF_INET6)
	{
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *) from)->sin6_addr;

		inet_ntop(AF_INET6, v6, client->text, sizeof client->text);
		if (IN6_IS_ADDR_V4MAPPED(v6))
			memcpy(key, v6->s6_addr + 12, 4);
		else
		{
			memcpy(key, v6->s6_addr, 8);
			*is_v6 = true;
		}
	}
}

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/). */
static unsigned
bucket_of(const unsigned char *key)
{
	uint32_t hash = 2166136261u;

	for (int i = 0; i < 8; i++)
		hash = (hash ^ key[i]) * 16777619u;
	return hash % BUCKETS;
}

/* The record of an address, made where there is none; NULL: no memory. */
static Address *
find_address(const unsigned char *key, bool is_v6)
{
	Address **bucket = &buckets[bucket_of(key)];
	Address *address;

	for (address = *bucket; address != NULL; address = address->next)
		if (memcmp(address->key, key, 8) == 0 && address->is_v6 == is_v6)
			return address;
	if (!memory_take(sizeof *address))
		return NULL;
	address = calloc(1, sizeof *address);
	if (address == NULL)
	{
		memory_give(sizeof *address);
		return NULL;
	}
	memcpy(address->key, key, 8);
	address->is_v6 = is_v6;
	address->next = *bucket;
	*bucket = address;
	return address;
}

static void
leave(Client *client)
{
	if (client->leaves)
		return;
	client->leaves = true;
	client->address->connected--;
	count--;
}

/* Have the client leave that was idle for longest, of an address or of all; false: none is. */
static bool
make_room(const Address *address)
{
	Client *oldest = NULL;

	for (Client *client = clients; client != NULL; client = client->next)
		if (client->idle_since_us != 0 && !client->leaves &&
			(address == NULL || client->address == address) &&
			(oldest == NULL || client->idle_since_us < oldest->idle_since_us))
			oldest = client;
	if (oldest == NULL)
		return false;
	/* Its thread finds the connection at its end. */
	shutdown(oldest->socket, SHUT_RDWR);
	leave(oldest);
	return true;
}

static bool
has_room(Address *address)
{
	int most = options.max_clients_per_address;

	if (most > 0 && address->connected >= most && !make_room(address))
		return false;
	return count < options.max_clients || make_room(NULL);
}

static void
link_client(Client *client, int socket)
{
	client->socket = socket;
	client->idle_since_us = now_us();
	client->next = clients;
	if (clients != NULL)
		clients->previous = client;
	clients = client;
	client->address->clients++;
	client->address->connected++;
	count++;
}

/* A new connection; NULL: there is no room for it. */
Client *
clients_open(int socket, const struct sockaddr *from)
{
	Client *client = calloc(1, sizeof *client);
	unsigned char key[8];
	bool is_v6;

	if (client == NULL)
		return NULL;
	read_address(client, from, key, &is_v6);
	pthread_mutex_lock(&lock);
	client->address = find_address(key, is_v6);
	if (client->address == NULL || !has_room(client->address))
	{
		pthread_mutex_unlock(&lock);
		free(client);
		return NULL;
	}
	link_client(client, socket);
	pthread_mutex_unlock(&lock);
	return client;
}

/* To be called before the socket is closed, so that no other's is shut down for it. */
void
clients_close(Client *client)
{
	pthread_mutex_lock(&lock);
	if (client->next != NULL)
		client->next->previous = client->previous;
	*(client->previous ? &client->previous->next : &clients) = client->next;
	leave(client);
	client->address->clients--;
	pthread_mutex_unlock(&lock);
	free(client);
}

/* Between requests a client is idle, and makes room for others. */
void
clients_idle(Client *client, bool idle)
{
	pthread_mutex_lock(&lock);
	client->idle_since_us = idle ? now_us() : 0;
	pthread_mutex_unlock(&lock);
}

/* May this client's address ask for one thing more now? */
bool
clients_may_ask(Client *client)
{
	Address *address = client->address;
	int64_t now = now_us();
	bool may;

	if (options.max_rate == 0)
		return true;
	pthread_mutex_lock(&lock);
	if (address->next_us < now)
		address->next_us = now;
	may = address->next_us - now <= BURST_S * 1000000;
	if (may)
		address->next_us += 1000000 / options.max_rate;
	pthread_mutex_unlock(&lock);
	return may;
}

/* Addresses that nothing is known of are not kept; called now and then. */
void
clients_forget(void)
{
	int64_t now = now_us();

	pthread_mutex_lock(&lock);
	for (int i = 0; i < BUCKETS; i++)
		for (Address **link = &buckets[i]; *link != NULL;)
		{
			Address *address = *link;

			if (address->clients > 0 || address->next_us > now)
			{
				link = &address->next;
				continue;
			}
			*link = address->next;
			memory_give(sizeof *address);
			free(address);
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
	return client->text[0] ? client->text : "-";
}
