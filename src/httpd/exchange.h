/*
 * exchange.h
 *		One request and its answer, on their way between a client and the database.
 */
#ifndef IMGEXPORT_HTTPD_EXCHANGE_H
#define IMGEXPORT_HTTPD_EXCHANGE_H

#include <libpq-fe.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "httpd/route.h"

/* What the database said; shared by whoever sends it. */
typedef struct Answer
{
	int references; /* atomic */
	int status;
	const char *headers; /* lines, without an end */
	const char *body;
	size_t length; /* of body */
	uint64_t size; /* of all there is of it */
	const char *more;
	int again_ms; /* 0: it is ready */
	char etag[80];
	PGresult *result; /* owns the texts */
	char *own;		  /* or this does */
} Answer;

/* A field of a form. */
typedef struct Field
{
	char *name;
	char *file; /* NULL: it is no file */
	char *data;
	size_t length;
	size_t room;
} Field;

#define MAX_FIELDS 200

typedef enum QueryKind
{
	QUERY_ROUTE, /* what the route says */
	QUERY_AGAIN, /* an answer that was not ready */
	QUERY_SLICE	 /* more of a body */
} QueryKind;

typedef struct Client Client;

typedef struct Exchange
{
	struct MHD_Connection *connection;
	Client *client;
	const Route *route;
	char *path; /* as it was sent */
	char *query;
	bool head;
	const char *method; /* MHD's */

	/* the body of the request */
	struct MHD_PostProcessor *form;
	char *type;
	Field *fields;
	int field_count;
	size_t received;
	int refusal; /* status to refuse it with, 0: none */
	const char *refusal_reason;

	/* its way through the database */
	QueryKind kind;
	char *etags;   /* the client's, and of what we have */
	Answer *known; /* in the cache; NULL: nothing */
	Answer *answer;
	bool waiting; /* suspended: the database has it */
	uint64_t slice_from;
	Answer *slice; /* part of the body that was fetched last */
	uint64_t slice_start;
	bool slice_failed;
	int64_t due_ms;				/* to be asked again then */
	struct Exchange *next;		/* in a queue */
	struct Exchange *followers; /* that asked the same meanwhile; linked by next */

	/* for the log */
	int64_t started_us;
	int status;
	uint64_t sent;
	bool from_cache;
} Exchange;

Answer *answer_of_result(PGresult *result);
Answer *answer_of_text(int status, const char *error);
Answer *answer_share(Answer *answer);
void answer_release(Answer *answer);

void exchange_free(Exchange *exchange);
int64_t now_us(void);

#endif
