/*
 * task.h
 *		A job in work: from its claim to its completion.
 *
 *	FETCHING -> READY -> WAITING -> RENDERING -> DONE
 *
 * A job with its bytes in the row starts READY; a failure leads from anywhere to DONE.
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

typedef enum TaskState
{
	TASK_FETCHING,	/* its URLs are on the way */
	TASK_READY,		/* its bytes are here; the recipe is to be evaluated */
	TASK_WAITING,	/* its request is ready; a codec is to be free */
	TASK_RENDERING, /* a codec works on it */
	TASK_DONE		/* to be written down */
} TaskState;

/* Bytes of a source or base: from the row or from the network. */
typedef struct TaskInput
{
	char *url;		/* NULL: none, or it was in the row */
	bool requested; /* the network process has it */
	uint32 fetch_id;
	int fd; /* sealed memfd, -1 until there is one */
	uint64 length;
} TaskInput;

typedef struct Task
{
	dlist_node link;
	MemoryContext context; /* owns all of this */
	MemoryContextCallback on_reset;
	TaskState state;
	pg_uuid_t batch_id;
	pg_uuid_t job_id;
	char *queue;
	char *owner;
	int attempts;
	int max_attempts;
	bool notify;
	Interval *expires_in; /* NULL: never, or the preset's */
	char *preset;
	Jsonb *recipe;
	Jsonb *outputs;
	Jsonb *metadata;
	TaskInput source;
	TaskInput base;
	int output_count;
	NamedImage *images;
	RenderMessage message;
	RenderAnswer answer;
	HelperError *error; /* the job has failed */
	List *warnings;		/* of char * */
	TimestampTz claimed_at;
	TimestampTz fetched_at;
	TimestampTz rendering_at;
	TimestampTz done_at;
} Task;

Task *task_new(MemoryContext parent);
void task_free(Task *task);
void task_fail(Task *task, HelperError *error);
void task_warn(Task *task, const char *format, ...) pg_attribute_printf(2, 3);
void task_done(Task *task);

#endif
