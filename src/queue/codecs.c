/*
 * codecs.c
 *		The worker's codec processes, each with one job, and small ones ahead.
 *
 * Nothing here waits and nothing needs a transaction.  A codec answers in order.  While it
 * works on a small image a few others may lie before it, so that it goes on while we are
 * in a transaction; large ones wait for whichever codec is free first.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/helper.h"
#include "queue/worker.h"
#include "settings.h"

#define CODECS_MAX 256

/* Jobs before a codec, and the bytes of a source that is small. */
#define CODEC_DEPTH 4
#define SMALL_BYTES (256 * 1024)

/* Of one codec, before it is looked at what else there is. */
#define FRAMES_A_ROUND 1000

typedef struct Codec
{
	Helper *helper;			  /* NULL: none */
	Task *tasks[CODEC_DEPTH]; /* the first is the one that it works on */
	int task_count;
	TimestampTz deadline; /* of the first */
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

static void
start_deadline(Codec *codec)
{
	codec->deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), settings.codec_timeout_ms);
}

/* Take the first task off a codec. */
static Task *
take_first(Codec *codec)
{
	Task *task = codec->tasks[0];

	memmove(&codec->tasks[0], &codec->tasks[1], --codec->task_count * sizeof(Task *));
	start_deadline(codec);
	return task;
}

/* A rendering is over, well or not. */
static void
finish_rendering(Codec *codec)
{
	Task *task = take_first(codec);
	HelperError *error = task->answer.error;
	int failed = 0;

	render_message_close(&task->message);
	if (error == NULL)
		for (int i = 0; i < task->answer.count; i++)
			failed += task->answer.renderings[i].error != NULL;
	if (error == NULL && failed == task->answer.count)
		error = task->answer.renderings[0].error;
	if (error == NULL && task->renders_for_calls)
		calls_begin(task);
	else if (error == NULL)
		objects_begin(task);
	else if (!calls_distrust(task, error))
		task_fail(task, error);
}

/* A codec goes; what it had not begun waits for another one. */
static void
stop_codec(Codec *codec)
{
	for (int i = 0; i < codec->task_count; i++)
	{
		Task *task = codec->tasks[i];
		MemoryContext before = MemoryContextSwitchTo(task->context);

		render_answer_init(&task->answer, task->answer.count, true);
		task->state = TASK_WAITING;
		MemoryContextSwitchTo(before);
	}
	codec->task_count = 0;
	worker_stop_helper(&codec->helper);
}

/* The first task of a codec fails, and the codec goes with it; error: in the task's context. */
static void
fail_first(Codec *codec, HelperError *error)
{
	Task *task = take_first(codec);

	render_message_close(&task->message);
	task_fail(task, error);
	stop_codec(codec);
}

static void
codec_ended(Codec *codec, FrameStatus status)
{
	restart_at = worker_restart_time(codec->helper);
	if (codec->task_count > 0)
	{
		MemoryContext before = MemoryContextSwitchTo(codec->tasks[0]->context);

		worker.counters.helpers_lost++;
		fail_first(codec, helper_ended(codec->helper, status));
		MemoryContextSwitchTo(before);
		return;
	}
	helper_ended(codec->helper, status);
	stop_codec(codec);
}

static void
receive(Codec *codec)
{
	FrameStatus status = FRAME_AGAIN;

	if (codec->helper == NULL)
		return;
	/* A codec that talks without end is left to its deadline, and the others get their turn. */
	for (int frames = 0; frames < FRAMES_A_ROUND &&
						 (status = helper_receive(codec->helper, &frame)) == FRAME_OK;
		 frames++)
	{
		const char *broken = "an answer to no request";
		bool finished = false;

		if (codec->task_count > 0)
		{
			MemoryContext before = MemoryContextSwitchTo(codec->tasks[0]->context);

			finished = render_answer_take(&codec->tasks[0]->answer, &frame, &broken);
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
	if (status == FRAME_CLOSED || status == FRAME_BROKEN)
		codec_ended(codec, status);
}

/* What it may hold besides its own memory: the sources of its requests. */
static uint64
lent_bytes(const Codec *codec)
{
	uint64 sum = 0;

	for (int i = 0; i < codec->task_count; i++)
		sum += bulk_sizes(codec->tasks[i]->message.fds, codec->tasks[i]->message.fd_count);
	return sum;
}

static void
enforce_memory(Codec *codec)
{
	if (codec->helper != NULL && codec->task_count > 0 &&
		helper_is_over_memory(codec->helper, lent_bytes(codec)))
		codec_ended(codec, FRAME_CLOSED);
	else if (codec->helper != NULL && codec->task_count == 0)
		helper_rest(codec->helper);
}

/* The codec reports its own time limit; this is for one that does not. */
static void
enforce_deadline(Codec *codec)
{
	MemoryContext before;

	if (codec->task_count == 0 || codec->deadline > GetCurrentTimestamp())
		return;
	before = MemoryContextSwitchTo(codec->tasks[0]->context);
	fail_first(codec, helper_error(ERRCODE_IMAGE_TIMEOUT, true,
								   psprintf("image was not finished within %d ms",
											settings.codec_timeout_ms),
								   NULL, "imgexport.codec_timeout sets the limit."));
	MemoryContextSwitchTo(before);
}

/* A task is given up that a codec has: the codec goes with it. */
void
codecs_drop(Task *task)
{
	for (int i = 0; i < codec_count; i++)
		for (int j = 0; j < codecs[i].task_count; j++)
			if (codecs[i].tasks[j] == task)
			{
				stop_codec(&codecs[i]);
				render_message_close(&task->message);
				return;
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

/* The codec that has least before it and may have this one too; NULL: none may. */
static Codec *
codec_for(const Task *task)
{
	Codec *best = NULL;

	for (int i = 0; i < codec_count; i++)
	{
		Codec *codec = &codecs[i];
		bool may = codec->task_count == 0 ||
				   (codec->task_count < CODEC_DEPTH && codec->helper != NULL &&
					task->source.length <= SMALL_BYTES &&
					codec->tasks[0]->source.length <= SMALL_BYTES);

		if (may && (best == NULL || codec->task_count < best->task_count))
			best = codec;
	}
	return best;
}

/* Give a codec the next job; false when its socket is full. */
static bool
assign(Codec *codec, Task *task)
{
	FrameStatus status;

	if (codec->task_count == 0 && codec->helper != NULL &&
		(helper_is_worn(codec->helper) || helper_is_idle_gone(codec->helper)))
		worker_stop_helper(&codec->helper);
	if (codec->helper == NULL)
		codec->helper = worker_start_helper(HELPER_CODEC);
	if (codec->helper == NULL)
	{
		restart_at = worker_restart_time(NULL);
		return false;
	}
	status = helper_send(codec->helper, FRAME_RENDER, ++last_id, task->message.body,
						 task->message.size, task->message.fds, task->message.fd_count);
	if (status == FRAME_AGAIN)
		return false;
	if (codec->task_count == 0)
		start_deadline(codec);
	codec->tasks[codec->task_count++] = task;
	task->state = TASK_RENDERING;
	return true;
}

/* Take what was rendered, and give codecs what waits. */
void
codecs_advance(void)
{
	Task *task;
	Codec *codec;

	for (int i = 0; i < codec_count; i++)
	{
		receive(&codecs[i]);
		enforce_deadline(&codecs[i]);
		enforce_memory(&codecs[i]);
	}
	if (restart_at > GetCurrentTimestamp())
		return;
	while ((task = next_waiting()) != NULL && (codec = codec_for(task)) != NULL)
		if (!assign(codec, task))
			return;
}

/* How long may the loop sleep for us?  -1: until a socket says something. */
long
codecs_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = 0;
	long wait_ms;

	for (int i = 0; i < codec_count; i++)
		if (codecs[i].task_count > 0 && (next == 0 || codecs[i].deadline < next))
			next = codecs[i].deadline;
	if (restart_at > now && worker.task_count > 0 && (next == 0 || restart_at < next))
		next = restart_at;
	wait_ms = next == 0 ? -1 : TimestampDifferenceMilliseconds(now, next) + 1;
	for (int i = 0; i < codec_count; i++)
		if (codecs[i].task_count > 0 && helper_watch_ms(codecs[i].helper) >= 0)
			wait_ms = Min(wait_ms, helper_watch_ms(codecs[i].helper));
	return wait_ms;
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
