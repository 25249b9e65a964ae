/*
 * filework.c
 *		The worker's file process: one request after another, and nothing here waits for it.
 *
 * What it is asked may be asked again: a file is written whole or not at all, and one that is
 * gone is gone.  So a request whose process ends is sent to the next one, some times; one that is
 * not answered in time ends the process, and has failed.
 */
#include "postgres.h"

#include <unistd.h>

#include "lib/ilist.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/helper.h"
#include "queue/filework.h"
#include "queue/worker.h"
#include "settings.h"
#include "wire/message.h"

/* How often a request is sent whose process ends. */
#define SENDS_MAX 3

/* A full socket is tried again after so long. */
#define RETRY_SEND_MS 5

struct FileJob
{
	dlist_node link;
	FrameType type;
	uint8 *body;
	Size size;
	int fd; /* sealed memfd of what is written, -1: none */
	int sends;
	FileDone done; /* NULL: nobody waits any more */
	void *owner;
};

static dlist_head jobs = DLIST_STATIC_INIT(jobs); /* the first may have been sent */
static MemoryContext memory;
static Helper *helper;
static uint32 sent_id; /* of the first job; 0: it was not sent */
static uint32 last_id;
static bool is_full;
static TimestampTz deadline; /* of what was sent */
static TimestampTz restart_at;
static Frame frame; /* too large for the stack */

/* Called once; the process itself is started with the first request. */
void
filework_open(void)
{
	memory =
		AllocSetContextCreate(TopMemoryContext, "imgexport file work", ALLOCSET_DEFAULT_SIZES);
}

static FileJob *
first(void)
{
	return dlist_is_empty(&jobs) ? NULL : dlist_head_element(FileJob, link, &jobs);
}

static void
free_job(FileJob *job)
{
	if (job == first())
		sent_id = 0;
	dlist_delete(&job->link);
	if (job->fd >= 0)
		close(job->fd);
	pfree(job->body);
	pfree(job);
}

static FileJob *
new_job(FrameType type, const FileRequest *request, FileDone done, void *owner)
{
	static uint8 buffer[FRAME_MAX_BYTES];
	FileJob *job;
	Packer packer;

	packer_init(&packer, buffer, sizeof buffer);
	pack_file_request(&packer, request);
	if (packer.overflow)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("path is too long")));
	job = MemoryContextAllocZero(memory, sizeof *job);
	job->body = MemoryContextAlloc(memory, packer.used);
	memcpy(job->body, buffer, packer.used);
	job->size = packer.used;
	job->type = type;
	job->fd = -1;
	job->done = done;
	job->owner = owner;
	return job;
}

/*
 * Have a file written under a store's root, in place of one that is there.
 *
 * bytes	copied
 * Errors	22023 the path is too long, 53000 no descriptor or memory left
 */
FileJob *
filework_write(const char *root, const char *key, const void *bytes, uint64 length,
			   FileDone done, void *owner)
{
	FileRequest request = {.root = root, .key = key, .length = length};
	int fd = bulk_of(bytes, length);
	FileJob *job;

	PG_TRY();
	{
		job = new_job(FRAME_STORE, &request, done, owner);
	}
	PG_CATCH();
	{
		close(fd);
		PG_RE_THROW();
	}
	PG_END_TRY();
	job->fd = fd;
	dlist_push_tail(&jobs, &job->link);
	return job;
}

/* Have a file removed, with directories that are empty then.  Errors: 22023. */
FileJob *
filework_remove(const char *root, const char *key, FileDone done, void *owner)
{
	FileRequest request = {.root = root, .key = key};
	FileJob *job = new_job(FRAME_REMOVE, &request, done, owner);

	dlist_push_tail(&jobs, &job->link);
	return job;
}

/* Nobody waits for it any more; what was sent is done all the same. */
void
filework_drop(FileJob *job)
{
	if (job == first() && sent_id != 0)
		job->done = NULL;
	else
		free_job(job);
}

static void
finish(HelperError *error)
{
	FileJob *job = first();
	FileDone done = job->done;
	void *owner = job->owner;

	free_job(job);
	if (done != NULL)
		done(owner, error);
}

/* The process is at its end; its request is sent again, or has failed. */
static void
process_end(HelperError *why, bool again)
{
	FileJob *job = first();
	bool had_job = sent_id != 0;

	restart_at = worker_restart_time(helper);
	worker_stop_helper(&helper);
	sent_id = 0;
	if (!had_job)
		return;
	worker.counters.helpers_lost++;
	if (!again || job->sends >= SENDS_MAX || job->done == NULL)
		finish(why);
}

/* One answer; false when no honest process sends it. */
static bool
take_answer(void)
{
	Failure failure;

	if (sent_id == 0 || frame.id != sent_id || frame.fd_count > 0)
		return false;
	if (frame.type == FRAME_STORED && frame.size == 0)
		finish(NULL);
	else if (frame.type == FRAME_ERROR && unpack_failure(frame.body, frame.size, &failure))
		finish(helper_error_of_failure(&failure));
	else
		return false;
	return true;
}

static void
receive(void)
{
	FrameStatus status;

	while (helper != NULL && (status = helper_receive(helper, &frame)) != FRAME_AGAIN)
	{
		bool honest = status == FRAME_OK && take_answer();

		if (status == FRAME_OK)
			frame_close_fds(&frame);
		if (!honest)
			process_end(helper_ended(helper, status == FRAME_OK ? FRAME_BROKEN : status), true);
	}
}

static void
enforce_deadline(void)
{
	if (sent_id == 0 || deadline > GetCurrentTimestamp())
		return;
	process_end(helper_error(ERRCODE_IMAGE_TIMEOUT, true,
							 psprintf("file was not written or removed within %d ms",
									  settings.store_timeout_ms),
							 NULL, "imgexport.store_timeout sets the limit."),
				false);
}

/* A process that is there to be sent to; NULL: there is none now. */
static Helper *
process_for_sending(void)
{
	if (helper != NULL && (helper_is_worn(helper) || helper_is_idle_gone(helper)))
		worker_stop_helper(&helper);
	if (helper == NULL && restart_at <= GetCurrentTimestamp())
	{
		helper = worker_start_helper(HELPER_FILES);
		if (helper == NULL)
			restart_at = worker_restart_time(NULL);
	}
	return helper;
}

static void
send_first(void)
{
	FileJob *job = first();
	FrameStatus status;

	is_full = false;
	if (job == NULL || sent_id != 0 || process_for_sending() == NULL)
		return;
	status = helper_send(helper, job->type, last_id + 1, job->body, job->size, &job->fd,
						 job->fd < 0 ? 0 : 1);
	is_full = status == FRAME_AGAIN;
	if (is_full)
		return;
	/* Where sending fails, receiving says why. */
	last_id = last_id == PG_UINT32_MAX ? 1 : last_id + 1;
	sent_id = last_id;
	job->sends++;
	deadline =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) settings.store_timeout_ms);
}

/* Take what was answered, and send what is next. */
void
filework_advance(void)
{
	receive();
	enforce_deadline();
	send_first();
}

/* How long may the loop sleep for us?  -1: until the socket says something. */
long
filework_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (dlist_is_empty(&jobs))
		return -1;
	if (sent_id != 0)
		return Max(0, TimestampDifferenceMilliseconds(now, deadline) + 1);
	if (is_full)
		return RETRY_SEND_MS;
	return restart_at > now ? TimestampDifferenceMilliseconds(now, restart_at) + 1 : 0;
}

/* The socket to wait for; -1: none. */
int
filework_socket(void)
{
	return helper == NULL ? -1 : helper_socket(helper);
}
