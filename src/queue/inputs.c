/*
 * inputs.c
 *		What a job works on: its source and base, fetched where they are not in its row.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "image/fetch.h"
#include "queue/hosts.h"
#include "queue/worker.h"
#include "settings.h"

static bool
is_here(const TaskInput *input)
{
	return input->url == NULL || input->fd >= 0;
}

static void
settle(Task *task)
{
	if (task->state == TASK_FETCHING && is_here(&task->source) && is_here(&task->base))
	{
		task->state = TASK_READY;
		task->fetched_at = GetCurrentTimestamp();
		if (task->verdict != NULL)
			task_fail(task, task->verdict);
	}
}

/*
 * A base that does not come is done without; a source that does not is the job's failure.  What our
 * own process lost on its way comes at the next attempt.
 */
static void
fail(Task *task, TaskInput *input, HelperError *error)
{
	bool lost_here =
		error->sqlstate == ERRCODE_IMAGE_HELPER && task->attempts < task->max_attempts;

	if (input == &task->source || lost_here)
	{
		task_fail(task, task->verdict != NULL ? task->verdict : error);
		return;
	}
	task_warn(task, "base was skipped: %s", error->message);
	input->url = NULL;
	settle(task);
}

static void
input_done(void *owner, const Fetched *fetched, int fd, HelperError *error)
{
	TaskInput *input = owner;
	Task *task = input->task;
	const char *host = input == &task->source ? task->host : NULL;

	input->transfer = NULL;
	if (error != NULL)
	{
		hosts_failed(host, error);
		fail(task, input, error);
		return;
	}
	hosts_succeeded(host, fetched->length, fetched->total_us / 1000);
	worker.counters.fetched_bytes += fetched->length;
	input->fd = fd;
	input->length = fetched->length;
	settle(task);
}

static void
start(Task *task, TaskInput *input)
{
	MemoryContext before = MemoryContextSwitchTo(task->context);
	FetchRequest request = fetch_request(input->url, settings.fetch_timeout_ms);

	input->transfer = transfer_start(&request, UPLOAD_NOTHING, input_done, input);
	if (input->transfer == NULL)
		fail(task, input,
			 helper_error(ERRCODE_INVALID_PARAMETER_VALUE, false, "URL is too long", NULL,
						  NULL));
	else if (input == &task->source)
		hosts_start(task->host);
	MemoryContextSwitchTo(before);
}

/* Fetch what a new task has not in its row. */
void
inputs_start(Task *task)
{
	if (task->state == TASK_FETCHING && task->source.url != NULL)
		start(task, &task->source);
	if (task->state == TASK_FETCHING && task->base.url != NULL)
		start(task, &task->base);
}

/* Nobody waits for them any more. */
void
inputs_drop(Task *task)
{
	if (task->source.transfer != NULL)
	{
		hosts_dropped(task->host);
		transfer_drop(task->source.transfer);
	}
	if (task->base.transfer != NULL)
		transfer_drop(task->base.transfer);
	task->source.transfer = NULL;
	task->base.transfer = NULL;
}
