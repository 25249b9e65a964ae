/*
 * task.c
 *		A job in work.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/presentable.h"
#include "queue/calls.h"
#include "queue/evaluation.h"
#include "queue/task.h"

/* Further ones say nothing new. */
#define WARNINGS_MAX 500

static void
close_input(TaskInput *input)
{
	if (input->fd >= 0)
		close(input->fd);
	input->fd = -1;
}

/* What no context owns: descriptors. */
static void
task_on_reset(void *argument)
{
	Task *task = argument;

	close_input(&task->source);
	close_input(&task->base);
	evaluations_close(task);
	calls_close(task);
	render_message_close(&task->message);
}

/* An empty task in a context of its own. */
Task *
task_new(MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "imgexport task", ALLOCSET_DEFAULT_SIZES);
	Task *task = MemoryContextAllocZero(context, sizeof *task);

	task->context = context;
	task->source.fd = -1;
	task->base.fd = -1;
	task->source.task = task;
	task->base.task = task;
	task->on_reset.func = task_on_reset;
	task->on_reset.arg = task;
	MemoryContextRegisterResetCallback(context, &task->on_reset);
	return task;
}

void
task_free(Task *task)
{
	MemoryContextDelete(task->context);
}

/* The task has failed; error is copied, wherever it is. */
void
task_fail(Task *task, const HelperError *error)
{
	task->error = helper_error_copy(error, task->context);
	task->failed_in = task->state;
	task_done(task);
}

/*
 * What the server itself could not do for a task is done later, and costs no attempt: the task
 * stays in its state, with all that it has.
 *
 * Returns	false: it was something else, and the task fails of it
 */
bool
task_put_off(Task *task, const HelperError *error)
{
	if (!error->of_server)
		return false;
	backoff_begin(&task->backoff);
	ereport(DEBUG1, (errmsg("imgexport puts a job off: %s", error->message)));
	return true;
}

bool
task_is_due(const Task *task)
{
	return backoff_wait_ms(&task->backoff) == 0;
}

/* The source and the base are needed no more, unless it fails. */
void
task_close_inputs(Task *task)
{
	if (task->on_error == ON_ERROR_PRESET)
		return;
	if (task->on_error != ON_ERROR_KEEP_ORIGINAL)
		close_input(&task->source);
	close_input(&task->base);
}

/*
 * Note what the job goes on without; once, though a recipe may be evaluated again, and whatever
 * the text is made of, as a text that a row may hold.
 */
void
task_warn(Task *task, const char *format, ...)
{
	MemoryContext before = MemoryContextSwitchTo(task->context);
	StringInfoData text;
	ListCell *cell;
	char *warning;

	initStringInfo(&text);
	for (;;)
	{
		va_list arguments;
		int needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&text, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	warning = presentable(text.data);
	pfree(text.data);
	foreach (cell, task->warnings)
		if (strcmp(lfirst(cell), warning) == 0)
			break;
	if (cell == NULL && list_length(task->warnings) < WARNINGS_MAX)
		task->warnings = lappend(task->warnings, warning);
	MemoryContextSwitchTo(before);
}

void
task_done(Task *task)
{
	task->state = TASK_DONE;
	task->done_at = GetCurrentTimestamp();
}

/* What its outputs hold in memory. */
uint64
task_output_bytes(const Task *task)
{
	uint64 bytes = 0;

	for (int i = 0; i < task->output_count && task->answer.renderings != NULL; i++)
		if (task->answer.renderings[i].data != NULL)
			bytes += VARSIZE(task->answer.renderings[i].data);
	return bytes;
}

/* What is done in a state, in a word for people. */
const char *
task_phase(TaskState state)
{
	switch (state)
	{
		case TASK_FETCHING:
			return "fetch";
		case TASK_READY:
			return "recipe";
		case TASK_EVALUATING:
			return "function";
		case TASK_WAITING:
		case TASK_RENDERING:
			return "render";
		case TASK_CALLING:
			return "service";
		case TASK_STORING:
		case TASK_DONE:
			return "store";
	}
	return "?";
}
