/*
 * pool.c
 *		The worker's helpers: several codecs, each with one job, and one network process
 *		with many transfers.
 *
 * Nothing here waits and nothing needs a transaction: pool_advance() moves every task
 * as far as the sockets allow.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/helper.h"
#include "image/fetch.h"
#include "queue/worker.h"
#include "settings.h"
#include "wire/message.h"

#define POOL_MAX_CODECS 256

/* Jobs that wait for a codec, besides those that have one, so that no codec waits for a job. */
#define PREPARED_AHEAD 2

/* Sources and bases that wait in memory: beyond this no further job is claimed. */
#define HELD_MAX_BYTES ((uint64) 512 << 20)

/* A helper that ended before it did anything is not started again sooner. */
#define RESTART_DELAY_MS 1000

/* A full socket is looked at again after so long. */
#define RETRY_SEND_MS 5

typedef struct Codec
{
	Helper *helper; /* NULL: none */
	Task *task;		/* that it works on; NULL: it is free */
	TimestampTz deadline;
} Codec;

static Codec codecs[POOL_MAX_CODECS];
static int codec_count;
static Helper *net;
static TimestampTz restart_at; /* of any helper */
static uint32 last_id;
static bool sockets_changed = true;
static bool net_is_full;
static Frame frame; /* too large for the stack */

static int
wanted_codecs(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (settings.codec_processes > 0)
		return Min(settings.codec_processes, POOL_MAX_CODECS);
	return Max(1, Min(processors, POOL_MAX_CODECS));
}

void
pool_open(void)
{
	codec_count = wanted_codecs();
}

static Helper *
start_helper(HelperKind kind)
{
	sockets_changed = true;
	return helper_start(kind, TopMemoryContext);
}

static void
stop_helper(Helper **helper)
{
	sockets_changed = true;
	helper_stop(*helper);
	*helper = NULL;
}

static void
hold_restarts(const Helper *ended)
{
	if (!helper_is_ready(ended))
		restart_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESTART_DELAY_MS);
}

/* How many more jobs may be claimed. */
int
pool_room(void)
{
	int fetching = 0;
	int rendering = 0;
	uint64 held = 0;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state == TASK_FETCHING)
			fetching++;
		else if (task->state != TASK_DONE)
			rendering++;
		held += task->source.length + task->base.length;
	}
	if (held > HELD_MAX_BYTES)
		return 0;
	return Max(0, settings.fetch_concurrency + codec_count * PREPARED_AHEAD - fetching -
					  rendering);
}

/* A source or base has come, or will not. */
static void
input_settled(Task *task)
{
	bool source_here = task->source.url == NULL || task->source.fd >= 0;
	bool base_here = task->base.url == NULL || task->base.fd >= 0;

	if (task->state == TASK_FETCHING && source_here && base_here)
	{
		task->state = TASK_READY;
		task->fetched_at = GetCurrentTimestamp();
	}
}

/* A base that does not come is done without; a source that does not is the job's failure. */
static void
input_failed(Task *task, TaskInput *input, HelperError *error)
{
	if (input == &task->base)
	{
		task_warn(task, "base was skipped: %s", error->message);
		task->base.url = NULL;
		input_settled(task);
	}
	else
		task_fail(task, error);
}

static Task *
task_of_fetch(uint32 id, TaskInput **input)
{
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state != TASK_FETCHING)
			continue;
		*input = task->source.fetch_id == id ? &task->source : &task->base;
		if ((*input)->requested && (*input)->fetch_id == id)
			return task;
	}
	return NULL;
}

/* One answer of the network process; false when it is none. */
static bool
take_fetched(void)
{
	TaskInput *input;
	Task *task = task_of_fetch(frame.id, &input);
	MemoryContext before;
	Fetched fetched;
	Failure failure;
	bool good = true;

	if (task == NULL)
		return frame.type == FRAME_FETCHED || frame.type == FRAME_ERROR;
	before = MemoryContextSwitchTo(task->context);
	if (frame.type == FRAME_ERROR && unpack_failure(frame.body, frame.size, &failure))
		input_failed(task, input, helper_error_of_failure(&failure));
	else if (frame.type == FRAME_FETCHED && unpack_fetched(frame.body, frame.size, &fetched) &&
			 frame.fd_count == 1 && bulk_is_valid(frame.fds[0], fetched.length))
	{
		input->fd = frame_take_fd(&frame, 0);
		input->length = fetched.length;
		input_settled(task);
	}
	else
		good = false;
	MemoryContextSwitchTo(before);
	return good;
}

/* The network process is gone: every transfer has failed, and may be tried again. */
static void
net_ended(FrameStatus status)
{
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		MemoryContext before = MemoryContextSwitchTo(task->context);

		if (task->state == TASK_FETCHING && task->base.requested && task->base.fd < 0 &&
			task->base.url != NULL)
			input_failed(task, &task->base, helper_ended(net, status));
		if (task->state == TASK_FETCHING && task->source.requested && task->source.fd < 0 &&
			task->source.url != NULL)
			input_failed(task, &task->source, helper_ended(net, status));
		MemoryContextSwitchTo(before);
	}
	hold_restarts(net);
	stop_helper(&net);
}

static void
receive_fetched(void)
{
	FrameStatus status;

	if (net == NULL)
		return;
	while ((status = helper_receive(net, &frame)) == FRAME_OK)
	{
		bool good = take_fetched();

		frame_close_fds(&frame);
		if (!good)
		{
			net_ended(FRAME_BROKEN);
			return;
		}
	}
	if (status != FRAME_AGAIN)
		net_ended(status);
}

/* Ask for one input; false when the socket has no room. */
static bool
request_input(Task *task, TaskInput *input)
{
	static uint8 body[FRAME_MAX_BYTES];
	Packer packer;
	FrameStatus status;

	if (input->url == NULL || input->requested)
		return true;
	packer_init(&packer, body, sizeof body);
	fetch_request_pack(&packer, input->url, settings.fetch_timeout_ms);
	if (packer.overflow)
	{
		MemoryContext before = MemoryContextSwitchTo(task->context);

		input_failed(task, input,
					 helper_error(ERRCODE_INVALID_PARAMETER_VALUE, false, "URL is too long",
								  NULL, NULL));
		MemoryContextSwitchTo(before);
		return true;
	}
	status = helper_send(net, FRAME_FETCH, ++last_id, body, packer.used, NULL, 0);
	if (status == FRAME_AGAIN)
		return false;
	/* Where sending fails, receiving says why, and fails this request with the others. */
	input->fetch_id = last_id;
	input->requested = true;
	return true;
}

static void
request_inputs(void)
{
	dlist_iter iter;

	net_is_full = false;
	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state != TASK_FETCHING)
			continue;
		if (net == NULL && restart_at <= GetCurrentTimestamp())
			net = start_helper(HELPER_NET);
		if (net == NULL)
			return;
		if (!request_input(task, &task->source) || !request_input(task, &task->base))
		{
			net_is_full = true;
			return;
		}
	}
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
		task_fail(task, helper_ended(codec->helper, status));
		MemoryContextSwitchTo(before);
	}
	else
		helper_ended(codec->helper, status);
	hold_restarts(codec->helper);
	stop_helper(&codec->helper);
}

static void
receive_rendered(Codec *codec)
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
	stop_helper(&codec->helper);
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
		stop_helper(&codec->helper);
	if (codec->helper == NULL)
		codec->helper = start_helper(HELPER_CODEC);
	status = helper_send(codec->helper, FRAME_RENDER, ++last_id, task->message.body,
						 task->message.size, task->message.fds, task->message.fd_count);
	if (status == FRAME_AGAIN)
		return;
	codec->task = task;
	codec->deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), settings.codec_timeout_ms);
	task->state = TASK_RENDERING;
	task->rendering_at = GetCurrentTimestamp();
}

static void
assign_waiting(void)
{
	Task *task;

	if (restart_at > GetCurrentTimestamp())
		return;
	for (int i = 0; i < codec_count && (task = next_waiting()) != NULL; i++)
		if (codecs[i].task == NULL)
			assign(&codecs[i], task);
}

/* Move every task as far as it goes without waiting. */
void
pool_advance(void)
{
	receive_fetched();
	request_inputs();
	for (int i = 0; i < codec_count; i++)
	{
		receive_rendered(&codecs[i]);
		enforce_deadline(&codecs[i]);
	}
	assign_waiting();
}

/* How long may the loop sleep for us?  -1: until a socket says something. */
long
pool_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long wait_ms = net_is_full ? RETRY_SEND_MS : -1;
	dlist_iter iter;

	for (int i = 0; i < codec_count; i++)
		if (codecs[i].task != NULL)
		{
			long left = TimestampDifferenceMilliseconds(now, codecs[i].deadline) + 1;

			wait_ms = wait_ms < 0 ? left : Min(wait_ms, left);
		}
	if (restart_at > now && worker.task_count > 0)
	{
		long left = TimestampDifferenceMilliseconds(now, restart_at) + 1;

		wait_ms = wait_ms < 0 ? left : Min(wait_ms, left);
	}
	dlist_foreach(iter, &worker.tasks)
	{
		TaskState state = dlist_container(Task, link, iter.cur)->state;

		/* Made in this round, taken up in the next. */
		if (state == TASK_DONE || state == TASK_READY)
			return 0;
	}
	return wait_ms;
}

/* Has the set of sockets changed since pool_sockets() was asked? */
bool
pool_sockets_changed(void)
{
	return sockets_changed;
}

/* The sockets to wait for; returns how many. */
int
pool_sockets(int *sockets, int room)
{
	int count = 0;

	sockets_changed = false;
	if (net != NULL)
		sockets[count++] = helper_socket(net);
	for (int i = 0; i < codec_count && count < room; i++)
		if (codecs[i].helper != NULL)
			sockets[count++] = helper_socket(codecs[i].helper);
	return count;
}
