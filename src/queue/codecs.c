/*
 * codecs.c
 *		The worker's codec processes, each with one job.
 *
 * Nothing here waits and nothing needs a transaction.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/helper.h"
#include "queue/worker.h"
#include "settings.h"

#define CODECS_MAX 256

typedef struct Codec
{
	Helper *helper; /* NULL: none */
	Task *task;		/* that it works on; NULL: it is free */
	TimestampTz deadline;
} Codec;

static Codec codecs[CODECS_MAX];
static int codec_count;
static TimestampTz restart_at;
static uint32 last_id;
static Frame frame; /* too large for the stack */

/* Decide how many there may be; called once. */
void
codecs_open(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	codec_count = settings.codec_processes > 0 ? settings.codec_processes : Max(1, processors);
	codec_count = Min(codec_count, CODECS_MAX);
}

int
codecs_count(void)
{
	return codec_count;
}

/* A rendering is over, well or not. */
static void
finish_rendering(Codec *codec)
{
	Task *task = codec->task;
	int failed = 0;

	codec->task = NULL;
	render_message_close(&task->message);
	if (task->answer.error == NULL)
		for (int i = 0; i < task->output_count; i++)
			failed += task->answer.renderings[i].error != NULL;
	if (task->answer.error != NULL)
		task_fail(task, task->answer.error);
	else if (failed == task->output_count)
		task_fail(task, task->answer.renderings[0].error);
	else
		task_done(task);
}

static void
codec_ended(Codec *codec, FrameStatus status)
{
	if (codec->task != NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(codec->task->context);
		Task *task = codec->task;

		codec->task = NULL;
		render_message_close(&task->message);
		worker.counters.helpers_lost++;
		task_fail(task, helper_ended(codec->helper, status));
		MemoryContextSwitchTo(before);
	}
	else
		helper_ended(codec->helper, status);
	restart_at = worker_restart_time(codec->helper);
	worker_stop_helper(&codec->helper);
}

static void
receive(Codec *codec)
{
	FrameStatus status;

	if (codec->helper == NULL)
		return;
	while ((status = helper_receive(codec->helper, &frame)) == FRAME_OK)
	{
		const char *broken = "an answer to no request";
		bool finished = false;

		if (codec->task != NULL)
		{
			MemoryContext before = MemoryContextSwitchTo(codec->task->context);

			finished = render_answer_take(&codec->task->answer, &frame, &broken);
			MemoryContextSwitchTo(before);
		}
		frame_close_fds(&frame);
		if (broken != NULL)
		{
			codec_ended(codec, FRAME_BROKEN);
			return;
		}
		if (finished)
			finish_rendering(codec);
	}
	if (status != FRAME_AGAIN)
		codec_ended(codec, status);
}

/* The codec reports its own time limit; this is for one that does not. */
static void
enforce_deadline(Codec *codec)
{
	Task *task = codec->task;
	MemoryContext before;

	if (task == NULL || codec->deadline > GetCurrentTimestamp())
		return;
	before = MemoryContextSwitchTo(task->context);
	codec->task = NULL;
	render_message_close(&task->message);
	task_fail(task, helper_error(ERRCODE_IMAGE_TIMEOUT, true,
								 psprintf("image was not finished within %d ms",
										  settings.codec_timeout_ms),
								 NULL, "imgexport.codec_timeout sets the limit."));
	MemoryContextSwitchTo(before);
	worker_stop_helper(&codec->helper);
}

/* A task is given up while a codec works on it: the codec goes with it. */
void
codecs_drop(Task *task)
{
	for (int i = 0; i < codec_count; i++)
		if (codecs[i].task == task)
		{
			codecs[i].task = NULL;
			render_message_close(&task->message);
			worker_stop_helper(&codecs[i].helper);
		}
}

static Task *
next_waiting(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state == TASK_WAITING)
			return task;
	}
	return NULL;
}

/* Give a free codec the next job. */
static void
assign(Codec *codec, Task *task)
{
	FrameStatus status;

	if (codec->helper != NULL &&
		(helper_is_worn(codec->helper) || helper_is_idle_gone(codec->helper)))
		worker_stop_helper(&codec->helper);
	if (codec->helper == NULL)
		codec->helper = worker_start_helper(HELPER_CODEC);
	status = helper_send(codec->helper, FRAME_RENDER, ++last_id, task->message.body,
						 task->message.size, task->message.fds, task->message.fd_count);
	if (status == FRAME_AGAIN)
		return;
	codec->task = task;
	codec->deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), settings.codec_timeout_ms);
	task->state = TASK_RENDERING;
}

/* Take what was rendered, and give free codecs what waits. */
void
codecs_advance(void)
{
	Task *task;

	for (int i = 0; i < codec_count; i++)
	{
		receive(&codecs[i]);
		enforce_deadline(&codecs[i]);
	}
	if (restart_at > GetCurrentTimestamp())
		return;
	for (int i = 0; i < codec_count && (task = next_waiting()) != NULL; i++)
		if (codecs[i].task == NULL)
			assign(&codecs[i], task);
}

/* How long may the loop sleep for us?  -1: until a socket says something. */
long
codecs_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = 0;

	for (int i = 0; i < codec_count; i++)
		if (codecs[i].task != NULL && (next == 0 || codecs[i].deadline < next))
			next = codecs[i].deadline;
	if (restart_at > now && worker.task_count > 0 && (next == 0 || restart_at < next))
		next = restart_at;
	return next == 0 ? -1 : TimestampDifferenceMilliseconds(now, next) + 1;
}

/* The sockets to wait for; returns how many. */
int
codecs_sockets(int *sockets, int room)
{
	int count = 0;

	for (int i = 0; i < codec_count && count < room; i++)
		if (codecs[i].helper != NULL)
			sockets[count++] = helper_socket(codecs[i].helper);
	return count;
}
