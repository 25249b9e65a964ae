/*
 * fallback.c
 *		A job that cannot be done as its preset says, begun once more by another one.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "queue/worker.h"

static WorkerStep forget_step = {.activity = "forget damaged answers of services"};

/* A copy that belongs to a task. */
static char *
copy_text_in(MemoryContext owner, const char *text)
{
	return text == NULL ? NULL : MemoryContextStrdup(owner, text);
}

/* The input of a task becomes that of another; its bytes move. */
static void
move_input(TaskInput *from, TaskInput *to)
{
	to->url = copy_text_in(to->task->context, from->url);
	to->fd = from->fd;
	to->length = from->length;
	from->fd = -1;
}

/* What the job's row says, but for what is to be made. */
static void
copy_row(const Task *task, Task *next)
{
	next->batch_id = task->batch_id;
	next->job_id = task->job_id;
	next->claim = task->claim;
	next->run_at = task->run_at;
	next->queue = copy_text_in(next->context, task->queue);
	next->owner = copy_text_in(next->context, task->owner);
	next->host = copy_text_in(next->context, task->host);
	next->deadline = task->deadline;
	next->attempts = task->attempts;
	next->max_attempts = task->max_attempts;
	next->notify = task->notify;
	next->wants_base = task->wants_base;
	next->store = next->own_store = copy_text_in(next->context, task->own_store);
	if (task->own_expires_in != NULL)
	{
		next->own_expires_in = MemoryContextAlloc(next->context, sizeof(Interval));
		*next->own_expires_in = *task->own_expires_in;
	}
	next->expires_in = next->own_expires_in;
}

static void
forget_answers(void *task)
{
	calls_forget_answers(task);
}

static void
warn(const Task *task, Task *next)
{
	ListCell *cell;

	foreach (cell, task->warnings)
		task_warn(next, "%s", (char *) lfirst(cell));
	if (task->preset == NULL)
		task_warn(next, "preset \"%s\" was used: %s", next->preset, task->error->message);
	else
		task_warn(next, "preset \"%s\" was used instead of \"%s\": %s", next->preset,
				  task->preset, task->error->message);
}

/*
 * Begin a task that has failed once more, by its fallback_preset alone; it is freed, and a new
 * one takes its place.  The job's row is still that of the first: a retry of the job begins
 * with its own preset.
 */
void
fallback_begin(Task *task)
{
	Task *next = task_new(worker.jobs);
	bool forgotten = step_run(&forget_step, forget_answers, task);
	MemoryContext before = MemoryContextSwitchTo(next->context);

	/* The next one that gets the same answer finds out by itself. */
	if (!forgotten)
		ereport(LOG, (errmsg("imgexport keeps a damaged answer of a service")));
	copy_row(task, next);
	next->preset = copy_text_in(next->context, task->fallback_preset);
	move_input(&task->source, &next->source);
	move_input(&task->base, &next->base);
	/* What services have said of the image was paid for. */
	if (task->metadata != NULL)
		next->metadata = DatumGetJsonbPCopy(JsonbPGetDatum(task->metadata));
	next->metadata_changed = task->metadata_changed;
	next->claimed_at = task->claimed_at;
	next->fetched_at = task->fetched_at;
	next->service_ms = task->service_ms;
	warn(task, next);
	next->state = TASK_READY;
	MemoryContextSwitchTo(before);
	dlist_push_tail(&worker.tasks, &next->link);
	worker.task_count++;
	worker_forget(task);
}
