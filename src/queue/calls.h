/*
 * calls.h
 *		A job's calls of services.
 */
#ifndef IMGEXPORT_QUEUE_CALLS_H
#define IMGEXPORT_QUEUE_CALLS_H

#include "queue/services.h"
#include "queue/task.h"

typedef enum CallState
{
	CALL_NEW,	   /* its image is to be rendered */
	CALL_RENDERED, /* its request is to be made */
	CALL_FAILED,   /* its request is to be sent, or sent again, at retry_at */
	CALL_SENT,	   /* it is under way */
	CALL_ANSWERED, /* its answer is to be read */
	CALL_DONE
} CallState;

/* A step of a recipe that asks a service, known by where in the recipes it is. */
typedef struct ServiceCall
{
	Task *task;
	int output; /* of which output, -1: of all */
	int step;
	char *service;
	Jsonb *parameters; /* in full */
	Jsonb *fallback;   /* recipe that is run where it fails; NULL: none */
	bool may_skip;	   /* where it fails the job goes on without */
	bool is_analysis;
	char *metadata_key;
	char *apply; /* what is done with an image: image, alpha, mask */
	int concurrency;
	LazyImage *image; /* as it is sent */
	CallState state;
	bytea *sent; /* the image, rendered; NULL once the request is made */
	bytea *request_hash;
	char *url;
	char *headers;
	char *answer_url; /* that the service has answered with; NULL: it has not */
	bool own_host;	  /* it is the service's own */
	int body;		  /* sealed memfd, -1: none */
	uint64 body_length;
	int timeout_ms;
	int retries;
	int attempt;
	ServicePrice price;
	TimestampTz sent_at;
	TimestampTz retry_at;
	Transfer *transfer;
	bytea *answer; /* as it came */
	int result;	   /* sealed memfd of the image that it has made, -1: none */
	uint64 result_length;
	bool distrusted; /* its answer turned out to be damaged */
} ServiceCall;

ServiceCall *calls_find(const Task *task, int output, int step);
ServiceCall *calls_new(Task *task, int output, int step);
void calls_add(ServiceCall *call);
bool calls_has_twin(const ServiceCall *call);
void calls_close(Task *task);
uint64 calls_held_bytes(const Task *task);
void calls_settle(Task *task);

/* call.c */
void call_close(ServiceCall *call);
void call_fail(ServiceCall *call, HelperError *error);
void call_advance(void *argument);

/* servicestep.c */
bool service_step(const RecipeContext *context, int step, JsonbContainer *arguments,
				  Datum *image);

#endif
