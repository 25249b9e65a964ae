/*
 * query.c
 *		What the database is asked: a prepared statement a route, and parameters in binary.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/log.h"
#include "httpd/memory.h"
#include "httpd/query.h"

/* Types of parameters, from the server's catalogue: they never change. */
enum
{
	OID_BYTEA = 17,
	OID_INT8 = 20,
	OID_TEXT = 25
};

#define ANSWER_COLUMNS "status, headers, body, size, more, again_ms"

/* The binary form of a one-dimensional array (array_recv in the server's arrayfuncs.c). */
static char *
pack_array(const Exchange *exchange, uint32_t type, int which, int *length)
{
	size_t size = 20;
	char *packed;
	char *to;
	uint32_t header[5] = {htonl(1), htonl(1), htonl(type),
						  htonl((uint32_t) exchange->form.count), htonl(1)};

	for (int i = 0; i < exchange->form.count; i++)
	{
		const Field *field = &exchange->form.fields[i];

		size += 4 + (which == 0	  ? strlen(field->name)
					 : which == 1 ? (field->file ? strlen(field->file) : 0)
								  : field->length);
	}
	packed = to = malloc(size);
	if (packed == NULL)
		return NULL;
	if (exchange->form.count == 0)
	{
		uint32_t empty[3] = {0, 0, htonl(type)};

		memcpy(packed, empty, sizeof empty);
		*length = sizeof empty;
		return packed;
	}
	memcpy(to, header, sizeof header);
	to += sizeof header;
	for (int i = 0; i < exchange->form.count; i++)
	{
		const Field *field = &exchange->form.fields[i];
		const char *value = which == 0 ? field->name : which == 1 ? field->file : field->data;
		size_t bytes = value == NULL ? 0 : which == 2 ? field->length : strlen(value);
		uint32_t prefix = value == NULL && which == 1 ? 0xffffffff : htonl((uint32_t) bytes);

		memcpy(to, &prefix, 4);
		if (bytes > 0)
			memcpy(to + 4, value, bytes);
		to += 4 + bytes;
	}
	*length = (int) (to - packed);
	return packed;
}

static bool
send_get(PGconn *server, const Exchange *exchange)
{
	const char *values[4] = {exchange->request.path, exchange->request.query, exchange->accept,
							 exchange->etags};

	return PQsendQueryPrepared(server, exchange->route->function, 4, values, NULL, NULL, 1) ==
		   1;
}

static bool
send_parts(PGconn *server, const Exchange *exchange)
{
	const char *type = exchange->request.fields[FIELD_CONTENT_TYPE];
	int lengths[6] = {0};
	int formats[6] = {0, 0, 0, 1, 1, 1};
	char *names = pack_array(exchange, OID_TEXT, 0, &lengths[3]);
	char *files = pack_array(exchange, OID_TEXT, 1, &lengths[4]);
	char *parts = pack_array(exchange, OID_BYTEA, 2, &lengths[5]);
	const char *values[6] = {
		exchange->request.path, exchange->request.query, type ? type : "", names, files, parts};
	bool sent = names != NULL && files != NULL && parts != NULL &&
				PQsendQueryPrepared(server, exchange->route->function, 6, values, lengths,
									formats, 1) == 1;

	free(names);
	free(files);
	free(parts);
	return sent;
}

/* A body is there twice more while it is sent: packed, and in libpq's buffer. */
static bool
send_post(PGconn *server, const Exchange *exchange)
{
	size_t copies = 2 * exchange->form.length;
	bool sent;

	if (!memory_take(copies))
		return false;
	sent = send_parts(server, exchange);
	memory_give(copies);
	return sent;
}

static bool
send_slice(PGconn *server, const Exchange *exchange)
{
	char from[24];
	const char *values[2] = {exchange->answer->more, from};

	snprintf(from, sizeof from, "%llu", (unsigned long long) exchange->slice_from);
	return PQsendQueryPrepared(server, "slice", 2, values, NULL, NULL, 1) == 1;
}

/* Send what an exchange asks.  Returns false where it could not be sent. */
bool
query_send(PGconn *server, const Exchange *exchange)
{
	const char *more[1];

	switch (exchange->kind)
	{
		case QUERY_SLICE:
			return send_slice(server, exchange);
		case QUERY_AGAIN:
			more[0] = exchange->answer->more;
			return PQsendQueryPrepared(server, "again", 1, more, NULL, NULL, 1) == 1;
		default:
			return (exchange->route->flags & ROUTE_POST) != 0 ? send_post(server, exchange)
															  : send_get(server, exchange);
	}
}

static bool
prepare(PGconn *server, const char *name, const char *text, int count, const Oid *types)
{
	PGresult *result = PQprepare(server, name, text, count, types);
	bool good = PQresultStatus(result) == PGRES_COMMAND_OK;

	if (!good)
		log_problem("%s", PQresultErrorMessage(result));
	PQclear(result);
	return good;
}

/* Prepare all that is asked on a new connection. */
bool
query_prepare(PGconn *server)
{
	static const Oid get[] = {OID_TEXT, OID_TEXT, OID_TEXT, OID_TEXT};
	static const Oid post[] = {OID_TEXT, OID_TEXT, OID_TEXT, 1009, 1009, 1001}; /* arrays */
	static const Oid slice[] = {OID_TEXT, OID_INT8};
	char text[200];
	bool good = prepare(server, "slice", "SELECT imgexport.http_slice($1, $2)", 2, slice) &&
				prepare(server, "again",
						"SELECT " ANSWER_COLUMNS " FROM imgexport.http_again($1)", 1, get);

	for (int i = 0; i < route_count && good; i++)
	{
		bool is_post = (routes[i].flags & ROUTE_POST) != 0;
		bool is_first = routes[i].function != NULL;

		/* Two routes may have one function. */
		for (int j = 0; j < i; j++)
			is_first &= routes[j].function == NULL || routes[i].function == NULL ||
						strcmp(routes[j].function, routes[i].function) != 0;
		if (!is_first)
			continue;
		snprintf(text, sizeof text,
				 "SELECT " ANSWER_COLUMNS " FROM imgexport.%s($1, $2, $3, $4%s)",
				 routes[i].function, is_post ? ", $5, $6" : "");
		good = prepare(server, routes[i].function, text, is_post ? 6 : 4, is_post ? post : get);
	}
	return good;
}
