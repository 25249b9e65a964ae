/*
 * calls.c
 *		The calls of services that a job makes.
 *
 * When all calls of a job are over its recipe is evaluated once more, now with what they
 * have made.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/sha2.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/guarded.h"
#include "queue/calls.h"
#include "queue/worker.h"

static WorkerStatement forget_statement = {
	"DELETE FROM imgexport.service_answer WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM imgexport.service_answer WHERE service = $1 AND request_hash = $2"
	" FOR UPDATE NOWAIT))",
	2,
	{TEXTOID, BYTEAOID},
	NULL};

static WorkerStep call_step = {.activity = "ask services"};

/* A service that has no room, as far as this round has found out. */
static const char *full;

/* The call of a step; NULL: there was none yet. */
ServiceCall *
calls_find(const Task *task, int output, int step)
{
	ListCell *cell;

	foreach (cell, task->calls)
	{
		ServiceCall *call = lfirst(cell);

		if (call->output == output && call->step == step)
			return call;
	}
	return NULL;
}

/* A new one, in the task's context; it is none of the task's calls before calls_add. */
ServiceCall *
calls_new(Task *task, int output, int step)
{
	ServiceCall *call = MemoryContextAllocZero(task->context, sizeof *call);

	call->task = task;
	call->output = output;
	call->step = step;
	call->body = -1;
	call->result = -1;
	return call;
}

/* It is whole, and one of its task's calls from now on. */
void
calls_add(ServiceCall *call)
{
	MemoryContext before = MemoryContextSwitchTo(call->task->context);

	call->task->calls = lappend(call->task->calls, call);
	MemoryContextSwitchTo(before);
}

/* Close what a task's calls have open. */
void
calls_close(Task *task)
{
	ListCell *cell;

	foreach (cell, task->calls)
		call_close(lfirst(cell));
}

/* What a task's calls hold in memory. */
uint64
calls_held_bytes(const Task *task)
{
	uint64 bytes = 0;
	ListCell *cell;

	foreach (cell, task->calls)
	{
		const ServiceCall *call = lfirst(cell);

		bytes += call->body >= 0 ? call->body_length : 0;
		bytes += call->result >= 0 ? call->result_length : 0;
		bytes += call->sent != NULL ? VARSIZE(call->sent) : 0;
	}
	return bytes;
}

/* Nobody waits for them any more. */
void
calls_drop(Task *task)
{
	ListCell *cell;

	foreach (cell, task->calls)
	{
		ServiceCall *call = lfirst(cell);

		if (call->transfer == NULL)
			continue;
		if (call->answer_url == NULL)
			service_dropped(call->service);
		transfer_drop(call->transfer);
		call->transfer = NULL;
	}
}

/* Are there any that the recipe waits for? */
bool
calls_are_open(const Task *task)
{
	ListCell *cell;

	foreach (cell, task->calls)
		if (((ServiceCall *) lfirst(cell))->state != CALL_DONE)
			return true;
	return false;
}

/* With all of them done the recipe goes on. */
void
calls_settle(Task *task)
{
	if (task->state != TASK_CALLING || calls_are_open(task))
		return;
	task->service_ms +=
		TimestampDifferenceMilliseconds(task->calling_since, GetCurrentTimestamp());
	task->state = TASK_READY;
}

/* A request for the codec: the images that new calls send. */
void
calls_build_request(Task *task)
{
	LazyImage **images = palloc(list_length(task->calls) * sizeof *images);
	int count = 0;
	ListCell *cell;

	foreach (cell, task->calls)
	{
		ServiceCall *call = lfirst(cell);

		if (call->state == CALL_NEW)
			images[count++] = call->image;
	}
	render_message_build(&task->message, images, count, true);
	render_answer_init(&task->answer, count, true);
	task->renders_for_calls = true;
}

/* Their images are rendered, or some of them. */
void
calls_begin(Task *task)
{
	int next = 0;
	ListCell *cell;

	task->renders_for_calls = false;
	task->state = TASK_CALLING;
	task->calling_since = GetCurrentTimestamp();
	foreach (cell, task->calls)
	{
		ServiceCall *call = lfirst(cell);
		Rendering *rendering;

		if (call->state != CALL_NEW)
			continue;
		rendering = &task->answer.renderings[next++];
		call->sent = rendering->data;
		call->state = CALL_RENDERED;
		if (rendering->data == NULL)
			call_fail(call, rendering->error);
	}
	calls_settle(task);
}

/*
 * An image that does not decode may be one that a service made.  Then the service is not
 * trusted this time, and the recipe is evaluated without it.
 *
 * Returns	whether there is anything to be tried without
 */
bool
calls_distrust(Task *task, HelperError *error)
{
	bool again = false;
	ListCell *cell;

	if (error->sqlstate != ERRCODE_IMAGE_MALFORMED &&
		error->sqlstate != ERRCODE_IMAGE_UNSUPPORTED && error->sqlstate != ERRCODE_IMAGE_LIMIT)
		return false;
	foreach (cell, task->calls)
	{
		ServiceCall *call = lfirst(cell);

		if (call->result < 0)
			continue;
		call_close(call);
		call->distrusted = true;
		call_fail(call, error);
		again |= call->fallback != NULL || call->may_skip;
	}
	if (again)
		task->state = TASK_READY;
	return again;
}

/* In a transaction: damaged answers are not remembered. */
void
calls_forget_answers(const Task *task)
{
	ListCell *cell;

	foreach (cell, task->calls)
	{
		const ServiceCall *call = lfirst(cell);
		Datum values[] = {CStringGetTextDatum(call->service),
						  PointerGetDatum(call->request_hash)};

		if (call->distrusted)
			worker_execute(&forget_statement, values, NULL);
	}
}

/*
 * Is the same asked for another output of the job already?  Its answer will do, where it is
 * remembered.  False as long as a call's request_hash is not known.
 */
bool
calls_has_twin(const ServiceCall *call)
{
	ListCell *cell;

	if (call->request_hash == NULL)
		return false;
	foreach (cell, call->task->calls)
	{
		const ServiceCall *other = lfirst(cell);
		bool under_way = other->state == CALL_SENT || other->state == CALL_FAILED ||
						 other->state == CALL_ANSWERED;

		if (under_way && strcmp(other->service, call->service) == 0 &&
			memcmp(VARDATA(other->request_hash), VARDATA(call->request_hash),
				   PG_SHA256_DIGEST_LENGTH) == 0)
			return true;
	}
	return false;
}

/*
 * May one more request of a call's service be under way?  Many calls may wait for one
 * service, so the one that was found full last is not counted again in the same round.
 */
static bool
has_room(const ServiceCall *call)
{
	if (full != NULL && strcmp(full, call->service) == 0)
		return false;
	if (service_running(call->service) < call->concurrency)
		return true;
	full = call->service;
	return false;
}

/* Can something be done about a call now? */
static bool
is_due(const ServiceCall *call, TimestampTz now)
{
	switch (call->state)
	{
		case CALL_ANSWERED:
			return true;
		case CALL_RENDERED:
			return !calls_has_twin(call) && has_room(call);
		case CALL_FAILED:
			return call->retry_at <= now && has_room(call);
		default:
			return false;
	}
}

static void
advance_task(Task *task)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell *cell;

	foreach (cell, task->calls)
	{
		ServiceCall *call = lfirst(cell);
		HelperError *error;

		if (task->state != TASK_CALLING || !is_due(call, now))
			continue;
		error = run_guarded(call_advance, call, task->context);
		if (error == NULL)
			task->backoff = (Backoff){0};
		else if (!task_put_off(task, error))
			call_fail(call, error);
	}
	calls_settle(task);
}

static void
advance_all(void *argument)
{
	dlist_iter iter;

	full = NULL;
	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state == TASK_CALLING && task_is_due(task))
			advance_task(task);
	}
}

/* Send what is to be sent and read what was answered, in one transaction. */
void
calls_advance(void)
{
	if (calls_wait_ms() == 0)
		(void) step_run(&call_step, advance_all, NULL);
}

/* How long may the loop sleep for us?  -1: until a socket says something. */
long
calls_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long shortest = -1;
	dlist_iter iter;

	full = NULL;
	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		ListCell *cell;

		if (task->state != TASK_CALLING)
			continue;
		foreach (cell, task->calls)
		{
			const ServiceCall *call = lfirst(cell);
			long wait_ms;

			if (is_due(call, now))
			{
				wait_ms = backoff_wait_ms(&task->backoff);
				shortest = shortest < 0 ? wait_ms : Min(shortest, wait_ms);
				continue;
			}
			/* Others wait for one that is under way. */
			if (call->state != CALL_FAILED || call->retry_at <= now)
				continue;
			wait_ms = TimestampDifferenceMilliseconds(now, call->retry_at) + 1;
			shortest = shortest < 0 ? wait_ms : Min(shortest, wait_ms);
		}
	}
	return backoff_or(&call_step.backoff, shortest);
}
