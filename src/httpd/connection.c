/*
 * connection.c
 *		A client's connection: what it sends, and what it is sent.
 *
 * A connection is in one state, and only its own thread changes it.  While the database has
 * its exchange it is WAITING, and nothing else touches it: whatever the client does meanwhile
 * is found when the answer is sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "httpd/connection.h"
#include "httpd/database.h"
#include "httpd/log.h"
#include "httpd/memory.h"
#include "httpd/options.h"
#include "httpd/reply.h"
#include "httpd/serve.h"

#define FIRST_ROOM 4096
#define BODY_ROOM 65536

/* After the last answer: so long, and so much, for a client that is still sending. */
#define LINGER_S 2
#define LINGER_BYTES (1 << 20)

/* A client reads an answer at this rate at least, beside a minute for whatever it is. */
#define SLOWEST_BYTES_PER_S 10000

/* Steps before other connections have their turn. */
#define MOST_STEPS 64

static void
allow(Connection *connection, int64_t seconds)
{
	connection->deadline_us = seconds == 0 ? 0 : now_us() + seconds * 1000000;
}

/* NULL: there is no room for it, or no memory. */
Connection *
connection_new(Loop *loop, int socket, const struct sockaddr *address)
{
	Connection *connection;

	if (!memory_take(sizeof *connection + FIRST_ROOM))
		return NULL;
	connection = calloc(1, sizeof *connection);
	if (connection != NULL)
	{
		connection->in = malloc(FIRST_ROOM);
		connection->client = connection->in ? clients_open(socket, address) : NULL;
	}
	if (connection == NULL || connection->client == NULL)
	{
		if (connection != NULL)
			free(connection->in);
		free(connection);
		memory_give(sizeof *connection + FIRST_ROOM);
		return NULL;
	}
	connection->room = FIRST_ROOM;
	connection->loop = loop;
	connection->socket = socket;
	allow(connection, options.header_timeout_s);
	return connection;
}

/* The end of a connection; its loop frees it when nothing looks at it any more. */
void
connection_close(Connection *connection)
{
	if (connection->state == CLOSED)
		return;
	connection->state = CLOSED;
	if (connection->exchange != NULL)
	{
		if (connection->exchange->status != 0)
			log_exchange(connection->exchange, connection->client);
		exchange_free(connection->exchange);
		connection->exchange = NULL;
	}
	clients_close(connection->client);
	close(connection->socket);
	loop_closed(connection);
}

void
connection_free(Connection *connection)
{
	memory_give(sizeof *connection + connection->room);
	free(connection->in);
	free(connection);
}

/* An answer that must not look complete: the client sees the connection break. */
static void
abort_connection(Connection *connection)
{
	struct linger at_once = {.l_onoff = 1};

	setsockopt(connection->socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	connection_close(connection);
}

/* Receiving ---------------------------------------------------------------------- */

/* What is not read yet goes to the beginning, and the room is changed where it can be. */
static bool
set_room(Connection *connection, size_t room)
{
	size_t left = connection->filled - connection->start;
	char *moved;

	if (connection->start > 0)
		memmove(connection->in, connection->in + connection->start, left);
	connection->start = 0;
	connection->filled = left;
	if (room == connection->room || left > room)
		return false;
	if (room > connection->room && !memory_take(room - connection->room))
		return false;
	moved = realloc(connection->in, room);
	if (moved == NULL)
	{
		if (room > connection->room)
			memory_give(room - connection->room);
		return false;
	}
	if (room < connection->room)
		memory_give(connection->room - room);
	connection->in = moved;
	connection->room = room;
	return true;
}

/* Receive what there is.  Returns false where there is nothing, or the connection is over. */
static bool
receive(Connection *connection)
{
	ssize_t got;

	do
		got = recv(connection->socket, connection->in + connection->filled,
				   connection->room - connection->filled, 0);
	while (got < 0 && errno == EINTR);
	if (got > 0)
	{
		connection->filled += (size_t) got;
		return true;
	}
	if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		connection_close(connection);
	return false;
}

/* Begin to send the answer that the exchange has in its output. */
static void
begin_sending(Connection *connection)
{
	allow(connection, 60 + (int64_t) (connection->exchange->sent / SLOWEST_BYTES_PER_S));
	connection->state = SENDING;
}

/* Refuse what is no request, or one too many: nothing after it can be read. */
static void
refuse(Connection *connection, int status, const char *reason)
{
	if (connection->exchange == NULL)
		connection->exchange = exchange_new(connection);
	if (connection->exchange == NULL)
	{
		connection_close(connection);
		return;
	}
	connection->exchange->closes = true;
	if (reply_refusal(connection->exchange, status, reason))
		begin_sending(connection);
	else
		connection_close(connection);
}

/* Hand the exchange to who answers it. */
static void
answer(Connection *connection)
{
	switch (serve_answer(connection->exchange))
	{
		case SERVE_ANSWERED:
			begin_sending(connection);
			break;
		case SERVE_ASKED:
			connection->state = WAITING;
			connection->deadline_us = 0;
			/* From here on the database's threads have it. */
			database_ask(connection->exchange);
			break;
		case SERVE_FAILED:
			connection_close(connection);
	}
}

static void
begin_body(Connection *connection)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	Exchange *exchange = connection->exchange;

	body_begin(&connection->body, &exchange->request);
	if (exchange->request.expects_continue && connection->start == connection->filled &&
		send(connection->socket, go_on, sizeof go_on - 1, MSG_NOSIGNAL) != sizeof go_on - 1)
	{
		connection_close(connection);
		return;
	}
	/* Small ones need no more room; large ones are read faster with it, and as well without. */
	if (exchange->request.body == BODY_CHUNKED || exchange->request.content_length > BODY_ROOM)
		(void) set_room(connection, BODY_ROOM);
	allow(connection, options.body_timeout_s);
	connection->state = READ_BODY;
}

/* A head is complete. */
static void
begin_exchange(Connection *connection, size_t length)
{
	Exchange *exchange = exchange_new(connection);
	const char *reason;
	int status;

	clients_idle(connection->client, false);
	connection->exchange = exchange;
	if (exchange == NULL)
	{
		connection_close(connection);
		return;
	}
	status =
		request_parse(&exchange->request, connection->in + connection->start, length, &reason);
	connection->start += length;
	connection->scanned = 0;
	connection->skipped_line = false;
	if (status == 0 && !clients_may_ask(connection->client))
	{
		status = 429;
		reason = "these are too many requests at once";
	}
	if (status != 0)
	{
		refuse(connection, status, reason);
		return;
	}
	exchange->closes = !exchange->request.keep_alive || loop_drains();
	serve_begin(exchange);
	/* A body that nobody wants is not waited for. */
	if (exchange->refusal != 0 && exchange->request.body != BODY_NONE)
		refuse(connection, exchange->refusal, exchange->refusal_reason);
	else if (exchange->request.body != BODY_NONE)
		begin_body(connection);
	else
		answer(connection);
}

/* One empty line before a request is left over from the one before (RFC 9112, section 2.2). */
static void
skip_line(Connection *connection)
{
	if (!connection->skipped_line && connection->filled - connection->start >= 2 &&
		memcmp(connection->in + connection->start, "\r\n", 2) == 0)
	{
		connection->start += 2;
		connection->skipped_line = true;
	}
}

/* There is no end of the head yet: may there be more of it, and is there room for that? */
static bool
wait_for_head(Connection *connection, size_t size)
{
	bool was_empty = size == 0;

	connection->scanned = size > 0 ? size - 1 : 0;
	if (size >= options.max_header_bytes)
	{
		bool in_line = memchr(connection->in + connection->start, '\n', size) == NULL;

		refuse(connection, in_line ? 414 : 431,
			   in_line ? "the URL is too long" : "the headers are too long");
		return true;
	}
	if (connection->filled == connection->room && connection->start == 0 &&
		!set_room(connection, connection->room * 2))
	{
		refuse(connection, 503, "there is no memory");
		return true;
	}
	if (connection->filled == connection->room)
		(void) set_room(connection, connection->room);
	if (!receive(connection))
		return false;
	if (was_empty)
	{
		allow(connection, options.header_timeout_s);
		clients_idle(connection->client, false);
	}
	return true;
}

static bool
read_head(Connection *connection)
{
	size_t size;
	ssize_t length;

	skip_line(connection);
	size = connection->filled - connection->start;
	length = request_head_length(connection->in + connection->start, size, connection->scanned);
	if (length == 0)
		return wait_for_head(connection, size);
	if (length < 0)
		refuse(connection, 400, "the request is malformed");
	else if ((size_t) length > options.max_header_bytes)
		refuse(connection, 431, "the headers are too long");
	else
		begin_exchange(connection, (size_t) length);
	return true;
}

static bool
read_body(Connection *connection)
{
	Exchange *exchange = connection->exchange;
	const char *at = connection->in + connection->start;
	size_t used;
	BodyStep step =
		body_step(&connection->body, at, connection->filled - connection->start, &used);

	connection->start += used;
	if (step == BODY_DATA)
		serve_take(exchange, at, used);
	if (step == BODY_BAD)
		refuse(connection, 400, "the body is malformed");
	else if (exchange->refusal != 0)
		refuse(connection, exchange->refusal, exchange->refusal_reason);
	else if (step == BODY_END)
		answer(connection);
	else if (step == BODY_MORE && connection->start == connection->filled)
	{
		connection->start = connection->filled = 0;
		return receive(connection);
	}
	return true;
}

/* Sending ------------------------------------------------------------------------- */

/* The bytes of a body from a position on; NULL: they are still in the database. */
static const char *
body_at(const Exchange *exchange, uint64_t position, size_t *size)
{
	const Answer *body = exchange->output.body;

	if (position < body->length)
	{
		*size = body->length - (size_t) position;
		return body->body + position;
	}
	if (exchange->slice != NULL && position >= exchange->slice_start &&
		position - exchange->slice_start < exchange->slice->length)
	{
		*size = exchange->slice->length - (size_t) (position - exchange->slice_start);
		return exchange->slice->body + (position - exchange->slice_start);
	}
	return NULL;
}

/* What can be sent at once, in order; stops at what is not here. */
static int
gather(const Exchange *exchange, struct iovec *parts, int most)
{
	const Output *output = &exchange->output;
	uint64_t done = output->done;
	int count = 0;

	for (int i = output->at; i < output->count && count < most; i++)
	{
		const Piece *piece = &output->pieces[i];
		uint64_t from = piece->from + done;
		size_t size = (size_t) (piece->end - from);
		size_t here = size;
		const char *bytes =
			piece->is_body ? body_at(exchange, from, &here) : output->texts + from;

		if (bytes == NULL)
			break;
		parts[count].iov_base = (void *) bytes;
		parts[count++].iov_len = here < size ? here : size;
		if (here < size)
			break;
		done = 0;
	}
	return count;
}

static void
advance(Output *output, size_t sent)
{
	while (sent > 0)
	{
		const Piece *piece = &output->pieces[output->at];
		uint64_t left = piece->end - piece->from - output->done;
		uint64_t part = sent < left ? sent : left;

		output->done += part;
		sent -= (size_t) part;
		if (output->done == piece->end - piece->from)
		{
			output->at++;
			output->done = 0;
		}
	}
}

/* An exchange is over: on to the next, or to the end. */
static void
end_exchange(Connection *connection)
{
	bool closes = connection->exchange->closes;

	log_exchange(connection->exchange, connection->client);
	exchange_free(connection->exchange);
	connection->exchange = NULL;
	if (closes || loop_drains())
	{
		shutdown(connection->socket, SHUT_WR);
		allow(connection, LINGER_S);
		connection->state = LINGERING;
		return;
	}
	if (connection->room > FIRST_ROOM)
		(void) set_room(connection, FIRST_ROOM);
	connection->state = READ_HEAD;
	/* The next request may be here already. */
	allow(connection, connection->start == connection->filled ? options.idle_timeout_s
															  : options.header_timeout_s);
	clients_idle(connection->client, connection->start == connection->filled);
}

static bool
send_some(Connection *connection)
{
	Exchange *exchange = connection->exchange;
	Output *output = &exchange->output;
	struct iovec parts[8];
	struct msghdr message = {.msg_iov = parts};
	ssize_t sent;

	if (output->at == output->count)
	{
		end_exchange(connection);
		return true;
	}
	message.msg_iovlen = (size_t) gather(exchange, parts, 8);
	if (message.msg_iovlen == 0)
	{
		if (exchange->slice_failed)
			abort_connection(connection);
		else
		{
			exchange->slice_from = output->pieces[output->at].from + output->done;
			exchange->kind = QUERY_SLICE;
			connection->state = WAITING;
			database_ask(exchange);
		}
		return false;
	}
	do
		sent = sendmsg(connection->socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
	{
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			connection_close(connection);
		return false;
	}
	advance(output, (size_t) sent);
	return true;
}

/* A socket that is closed with bytes unread takes back what was sent last, so they are read. */
static bool
linger(Connection *connection)
{
	connection->start = connection->filled = 0;
	if (!receive(connection))
		return false;
	connection->lingered_bytes += connection->filled;
	if (connection->lingered_bytes > LINGER_BYTES)
		connection_close(connection);
	return true;
}

/* States -------------------------------------------------------------------------- */

/* Returns false where there is nothing to do until something happens. */
static bool
take_step(Connection *connection)
{
	switch (connection->state)
	{
		case READ_HEAD:
			return read_head(connection);
		case READ_BODY:
			return read_body(connection);
		case SENDING:
			return send_some(connection);
		case LINGERING:
			return linger(connection);
		default:
			return false;
	}
}

/* Something may have happened: go on as far as it goes. */
void
connection_run(Connection *connection)
{
	for (int steps = 0; take_step(connection); steps++)
		if (steps == MOST_STEPS)
		{
			loop_run_again(connection);
			return;
		}
}

/* The database has answered, with a slice or with all. */
void
connection_answered(Connection *connection)
{
	Exchange *exchange = connection->exchange;

	if (connection->state != WAITING)
		return;
	if (exchange->kind == QUERY_SLICE)
		connection->state = SENDING;
	else if (reply_answer(exchange))
		begin_sending(connection);
	else
		connection_close(connection);
	connection_run(connection);
}

/* Whose time is over is cut off; at the end of the server, who is idle too. */
void
connection_check(Connection *connection, int64_t now)
{
	if (connection->state == WAITING || connection->state == CLOSED)
		return;
	if ((connection->deadline_us != 0 && connection->deadline_us < now) ||
		(loop_drains() && connection->state == READ_HEAD &&
		 connection->start == connection->filled))
		connection_close(connection);
}
