/*
 * connection.h
 *		A client's connection: what it sends, and what it is sent.
 */
#ifndef IMGEXPORT_HTTPD_CONNECTION_H
#define IMGEXPORT_HTTPD_CONNECTION_H

#include <sys/socket.h>

#include "httpd/body.h"
#include "httpd/clients.h"
#include "httpd/exchange.h"
#include "httpd/loop.h"

typedef enum ConnectionState
{
	READ_HEAD, /* of a request, or wait for one */
	READ_BODY,
	WAITING, /* for the database, which has the exchange */
	SENDING,
	LINGERING, /* all is sent: what the client still sends is not read by anybody */
	CLOSED	   /* and to be freed by its loop */
} ConnectionState;

typedef struct Connection
{
	struct Connection *next; /* of its loop */
	struct Connection *previous;
	struct Connection *again; /* to be run once more */
	bool is_again;
	struct Connection *next_closed;
	Loop *loop;
	Client *client;
	int socket;
	ConnectionState state;
	int64_t deadline_us; /* 0: none */

	/* what was received and is not read yet: from start to filled */
	char *in;
	size_t room;
	size_t start;
	size_t filled;
	size_t scanned;		   /* of it, for the end of a head */
	bool skipped_line;	   /* an empty one before a request */
	size_t lingered_bytes; /* that were thrown away */

	Exchange *exchange; /* NULL: between requests */
	Body body;
} Connection;

Connection *connection_new(Loop *loop, int socket, const struct sockaddr *address);
void connection_run(Connection *connection);
void connection_answered(Connection *connection);
void connection_check(Connection *connection, int64_t now);
void connection_close(Connection *connection);
void connection_free(Connection *connection);

#endif
