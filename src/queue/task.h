/*
 * task.h
 *		A job in work: from its claim to its completion.
 *
 *	FETCHING -> READY -> WAITING -> RENDERING -> STORING -> DONE
 *
 * A job with its bytes in the row starts READY; what is kept in the table is never STORING.
 * Whatever a task points to is its own: made in its context, by functions that take the task and
 * copy what they are given.  No text of a transaction, of SPI or of a frame is ever kept.
 *
 * Where its recipe has steps that are somebody's functions it is EVALUATING, and READY once more
 * when they are answered.  Where its recipe asks a service, what is rendered first is the image that is sent; then it
 * is CALLING, and READY once more.  A failure leads from anywhere to DONE.
 */
#ifndef IMGEXPORT_QUEUE_TASK_H
#define IMGEXPORT_QUEUE_TASK_H

#include "datatype/timestamp.h"
#include "lib/ilist.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "helper/errors.h"
#include "image/outputs.h"
#include "image/render.h"
#include "queue/step.h"
#include "queue/transfers.h"

typedef enum TaskState
{
	TASK_FETCHING,	 /* its URLs are on the way */
	TASK_READY,		 /* its bytes are here; the recipe is to be evaluated */
	TASK_EVALUATING, /* steps of its recipe wait for evaluators, which run them */
	TASK_WAITING,	 /* its request is ready; a codec is to be free */
	TASK_RENDERING,	 /* a codec works on it */
	TASK_CALLING,	 /* services are asked */
	TASK_STORING,	 /* its outputs are on their way into a store */
	TASK_DONE		 /* to be written down */
} TaskState;

/* What a job that cannot be done comes to. */
typedef enum OnError
{
	ON_ERROR_FAIL,
	ON_ERROR_SKIP,			/* nothing, with a warning */
	ON_ERROR_KEEP_ORIGINAL, /* its source as it is */
	ON_ERROR_STORE_URL,		/* the URL of its source */
	ON_ERROR_PRESET			/* what another preset makes of its source */
} OnError;

typedef enum Outcome
{
	OUTCOME_COMPLETED,
	OUTCOME_RETRIED,
	OUTCOME_FALLS_BACK, /* goes on by its fallback_preset, and is not written down yet */
	OUTCOME_FAILED
} Outcome;

/* Bytes of a source or base: from the row or from the network. */
typedef struct TaskInput
{
	struct Task *task;
	char *url;			/* NULL: none, or it was in the row */
	Transfer *transfer; /* that brings it; NULL: none does */
	int fd;				/* sealed memfd, -1 until there is one */
	uint64 length;
} TaskInput;

typedef struct Object Object;

typedef struct Task
{
	dlist_node link;
	MemoryContext context; /* owns all of this */
	MemoryContextCallback on_reset;
	TaskState state;
	pg_uuid_t batch_id;
	pg_uuid_t job_id;
	pg_uuid_t claim; /* of its row: without it nothing is written there */
	char *queue;
	char *owner;
	char *host; /* that it fetches from; NULL: none */
	TimestampTz run_at;
	TimestampTz deadline; /* 0: none */
	OnError on_error;
	char *fallback_preset; /* of ON_ERROR_PRESET */
	int attempts;
	int max_attempts;
	bool notify;
	char *preset;
	bool preset_exists;		  /* so its jobs are counted */
	Interval *own_expires_in; /* as its row says; NULL: never, or the preset's */
	char *own_store;		  /* likewise; NULL: the preset's, or the table */
	Interval *expires_in;	  /* what holds */
	char *store;
	Jsonb *recipe;
	Jsonb *outputs;
	Jsonb *metadata;
	TaskInput source;
	TaskInput base;
	bool wants_base; /* whether or not it comes */
	uint64 source_bytes;
	int output_count;
	NamedImage *images;
	Oid role;				/* its owner, once its recipe was looked at */
	List *evaluations;		/* of Evaluation *, that its recipe has made; see evaluation.h */
	List *calls;			/* of ServiceCall *, that its recipe has made; see calls.h */
	bool renders_for_calls; /* what is rendered is what they send */
	TimestampTz calling_since;
	long service_ms;
	bool metadata_changed;
	RenderMessage message;
	RenderAnswer answer;
	Object *objects; /* of each output, once they are on their way; see objects.c */
	TimestampTz storing_since;
	const HelperError *error; /* the job has failed; a copy of its own, see task_fail */
	TaskState failed_in;
	const HelperError
		*verdict;	 /* it has failed before it began; only its on_error is left to do */
	Backoff backoff; /* of what the server itself could not do for it */
	List *warnings;	 /* of char * */
	TimestampTz claimed_at;
	TimestampTz fetched_at;
	TimestampTz done_at;
	long store_us;
	int stored_images; /* in the last try to write it down; likewise their bytes */
	uint64 stored_bytes;
	bool decided;
	Outcome outcome;	  /* once it is decided */
	TimestampTz retry_at; /* where it is tried again */
	bool lost;			  /* the row says that it is not ours any more */
	bool busy;			  /* somebody else has locked what is to be written */
} Task;

Task *task_new(MemoryContext parent);
void task_free(Task *task);
void task_fail(Task *task, const HelperError *error);
bool task_put_off(Task *task, const HelperError *error);
bool task_is_due(const Task *task);
void task_warn(Task *task, const char *format, ...) pg_attribute_printf(2, 3);
uint64 task_output_bytes(const Task *task);
void task_close_inputs(Task *task);
void task_done(Task *task);
const char *task_phase(TaskState state);

#endif
