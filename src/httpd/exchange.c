/*
 * exchange.c
 *		One request and its answer.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "httpd/date.h"
#include "httpd/exchange.h"
#include "httpd/log.h"
#include "httpd/memory.h"

/* Columns of every answer, in this order. */
enum
{
	COLUMN_STATUS,
	COLUMN_HEADERS,
	COLUMN_BODY,
	COLUMN_SIZE,
	COLUMN_MORE,
	COLUMN_AGAIN_MS,
	COLUMN_COUNT
};

/* What SQLSTATEs come to; their texts are told where they are about the request. */
static const struct
{
	const char *state; /* or what it begins with */
	int status;
	bool tell;
} failures[] = {
	{"IX001", 422, true},  {"IX002", 415, true},  {"IX003", 413, true},	 {"IX004", 504, true},
	{"IX005", 502, true},  {"IX006", 502, false}, {"IX007", 500, false}, {"22", 400, true},
	{"23514", 400, true},  {"42501", 403, false}, {"25006", 503, false}, {"53", 503, false},
	{"57014", 504, false}, {"57P", 503, false},	  {"55", 503, false},	 {"08", 503, false},
};

int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int32_t
int4_column(const PGresult *result, int column)
{
	uint32_t value;

	if (PQgetisnull(result, 0, column))
		return 0;
	memcpy(&value, PQgetvalue(result, 0, column), sizeof value);
	return (int32_t) ntohl(value);
}

static uint64_t
int8_column(const PGresult *result, int column)
{
	uint32_t halves[2];

	memcpy(halves, PQgetvalue(result, 0, column), sizeof halves);
	return (uint64_t) ntohl(halves[0]) << 32 | ntohl(halves[1]);
}

static const char *
text_column(const PGresult *result, int column)
{
	return PQgetisnull(result, 0, column) ? "" : PQgetvalue(result, 0, column);
}

/* The value of a header of the answer, in room; "": it has none, or a longer one. */
static void
find_header(const Answer *answer, const char *name, char *room, size_t size)
{
	size_t name_length = strlen(name);

	room[0] = '\0';
	for (const char *line = answer->headers; *line != '\0';)
	{
		size_t length = strcspn(line, "\n");

		if (length > name_length + 2 && strncasecmp(line, name, name_length) == 0 &&
			strncmp(line + name_length, ": ", 2) == 0 && length - name_length - 2 < size)
		{
			memcpy(room, line + name_length + 2, length - name_length - 2);
			room[length - name_length - 2] = '\0';
			return;
		}
		line += length + (line[length] == '\n');
	}
}

static void
find_validators(Answer *answer)
{
	char text[64];

	find_header(answer, "ETag", answer->etag, sizeof answer->etag);
	find_header(answer, "Last-Modified", text, sizeof text);
	if (!date_read(text, &answer->last_modified))
		answer->last_modified = 0;
}

static Answer *
answer_new(void)
{
	Answer *answer = calloc(1, sizeof *answer);

	if (answer == NULL)
		abort();
	answer->references = 1;
	answer->counted = sizeof *answer;
	answer->headers = answer->body = answer->more = "";
	return answer;
}

/* error: of a text of ours, or a message of the database; becomes JSON. */
Answer *
answer_of_text(int status, const char *error)
{
	static const char headers[] = "Content-Type: application/json\nCache-Control: no-store";
	Answer *answer = answer_new();
	size_t room = strlen(error) * 6 + 64;
	char *to;

	answer->status = status;
	answer->headers = headers;
	answer->own = to = malloc(room);
	if (to == NULL)
		abort();
	to += sprintf(to, "{\"success\": false, \"error\": \"");
	for (; *error != '\0'; error++)
	{
		if (*error == '"' || *error == '\\')
			to += sprintf(to, "\\%c", *error);
		else if ((unsigned char) *error < ' ')
			to += sprintf(to, "\\u%04x", *error);
		else
			*to++ = *error;
	}
	to += sprintf(to, "\"}\n");
	answer->body = answer->own;
	answer->length = answer->size = (size_t) (to - answer->own);
	answer->counted += room;
	memory_count(answer->counted);
	return answer;
}

/* Two texts, one after the other. */
Answer *
answer_of_texts(int status, const char *headers, const char *first, const char *second)
{
	Answer *answer = answer_new();
	size_t length = strlen(first) + strlen(second);

	answer->own = malloc(length + 1);
	if (answer->own == NULL)
		abort();
	strcpy(answer->own, first);
	strcat(answer->own, second);
	answer->status = status;
	answer->headers = headers;
	answer->body = answer->own;
	answer->length = answer->size = length;
	answer->counted += length;
	memory_count(answer->counted);
	return answer;
}

/* A text that stays where it is. */
Answer *
answer_of_constant(const char *text, size_t length)
{
	Answer *answer = answer_new();

	answer->status = 200;
	answer->body = text;
	answer->length = answer->size = length;
	memory_count(answer->counted);
	return answer;
}

static Answer *
answer_of_error(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	for (size_t i = 0; state != NULL && i < sizeof failures / sizeof failures[0]; i++)
		if (strncmp(state, failures[i].state, strlen(failures[i].state)) == 0)
		{
			if (!failures[i].tell)
				log_problem("%s: %s", state, message);
			return answer_of_text(failures[i].status,
								  failures[i].tell			  ? message
								  : failures[i].status == 403 ? "not allowed here"
								  : failures[i].status == 503 ? "the database is busy"
															  : "it could not be done");
		}
	log_problem("%s: %s", state ? state : "?",
				message ? message : PQresultErrorMessage(result));
	return answer_of_text(500, "internal error");
}

/* The answer of a result, which becomes the answer's. */
Answer *
answer_of_result(PGresult *result)
{
	Answer *answer;

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
	{
		answer = answer_of_error(result);
		PQclear(result);
		return answer;
	}
	answer = answer_new();
	answer->result = result;
	answer->counted += PQresultMemorySize(result);
	memory_count(answer->counted);
	/* A slice is one column of bytes; an answer has all columns. */
	if (PQnfields(result) < COLUMN_COUNT)
	{
		answer->status = PQgetisnull(result, 0, 0) ? 404 : 200;
		answer->body = PQgetvalue(result, 0, 0);
		answer->length = (size_t) PQgetlength(result, 0, 0);
		return answer;
	}
	answer->status = int4_column(result, COLUMN_STATUS);
	answer->headers = text_column(result, COLUMN_HEADERS);
	answer->body = text_column(result, COLUMN_BODY);
	answer->length = (size_t) PQgetlength(result, 0, COLUMN_BODY);
	answer->size =
		PQgetisnull(result, 0, COLUMN_SIZE) ? answer->length : int8_column(result, COLUMN_SIZE);
	answer->more = text_column(result, COLUMN_MORE);
	answer->again_ms = int4_column(result, COLUMN_AGAIN_MS);
	if (answer->size < answer->length)
		answer->size = answer->length;
	find_validators(answer);
	return answer;
}

Answer *
answer_share(Answer *answer)
{
	__atomic_add_fetch(&answer->references, 1, __ATOMIC_RELAXED);
	return answer;
}

void
answer_release(Answer *answer)
{
	if (answer == NULL || __atomic_sub_fetch(&answer->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	memory_give(answer->counted);
	PQclear(answer->result);
	free(answer->own);
	free(answer);
}

/* NULL: there is no memory for it. */
Exchange *
exchange_new(struct Connection *connection)
{
	Exchange *exchange;

	if (!memory_take(sizeof *exchange))
		return NULL;
	exchange = calloc(1, sizeof *exchange);
	if (exchange == NULL)
	{
		memory_give(sizeof *exchange);
		return NULL;
	}
	exchange->connection = connection;
	exchange->started_us = now_us();
	return exchange;
}

void
exchange_free(Exchange *exchange)
{
	answer_release(exchange->known);
	answer_release(exchange->answer);
	answer_release(exchange->slice);
	answer_release(exchange->output.body);
	free(exchange->output.texts);
	free(exchange->etags);
	form_free(&exchange->form);
	request_free(&exchange->request);
	free(exchange);
	memory_give(sizeof *exchange);
}
