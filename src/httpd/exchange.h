/*
 * exchange.h
 *		One request and its answer, on their way between a client and the database.
 */
#ifndef IMGEXPORT_HTTPD_EXCHANGE_H
#define IMGEXPORT_HTTPD_EXCHANGE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "httpd/accept.h"
#include "httpd/condition.h"
#include "httpd/form.h"
#include "httpd/range.h"
#include "httpd/request.h"
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
	int64_t last_modified; /* 0: not known */
	PGresult *result;	   /* owns the texts */
	char *own;			   /* or this does */
	size_t counted;		   /* of memory */
} Answer;

typedef enum QueryKind
{
	QUERY_ROUTE, /* what the route says */
	QUERY_AGAIN, /* an answer that was not ready */
	QUERY_SLICE	 /* more of a body */
} QueryKind;

/* A part of what is sent: a text, or some of the body. */
typedef struct Piece
{
	bool is_body; /* from and end are of the body, else of the texts */
	uint64_t from;
	uint64_t end;
} Piece;

#define MAX_PIECES (2 * MAX_RANGES + 2)

/* What is sent; reply.c makes it, connection.c sends it. */
typedef struct Output
{
	char *texts; /* heads of the answer and of its parts */
	Piece pieces[MAX_PIECES];
	int count;
	int at;		   /* the piece that is sent now */
	uint64_t done; /* of it */
	Answer *body;
} Output;

typedef struct Exchange
{
	struct Connection *connection;
	Request request;
	const Route *route; /* NULL: none; it is answered by what is known */
	bool is_head;
	bool is_post;
	bool is_options;
	char accept[ACCEPT_BYTES]; /* reduced; "" where it makes no difference */
	Form form;
	uint64_t received; /* of the body */
	int refusal;	   /* status to refuse it with, 0: none */
	const char *refusal_reason;
	bool closes; /* the connection is not kept after it */

	/* its way through the database */
	QueryKind kind;
	char *etags;   /* the client's, and of what we have */
	Answer *known; /* in the cache; NULL: nothing */
	Answer *answer;
	uint64_t slice_from;
	Answer *slice; /* part of the body that was fetched last */
	uint64_t slice_start;
	bool slice_failed;
	int64_t due_ms;				/* to be asked again then */
	struct Exchange *next;		/* in a queue */
	struct Exchange *followers; /* that asked the same meanwhile; linked by next */

	Output output;

	/* for the log */
	int64_t started_us;
	int status;
	uint64_t sent;
	bool from_cache;
} Exchange;

/* What a slice of a body has at most. */
#define SLICE_BYTES 1048576

Answer *answer_of_result(PGresult *result);
Answer *answer_of_text(int status, const char *error);
Answer *answer_of_texts(int status, const char *headers, const char *first, const char *second);
Answer *answer_of_constant(const char *text, size_t length);
Answer *answer_share(Answer *answer);
void answer_release(Answer *answer);

Exchange *exchange_new(struct Connection *connection);
void exchange_free(Exchange *exchange);
int64_t now_us(void);

#endif
