/*
 * session.c
 *		The helpers of a session.
 *
 * A query sends one request and waits for its answers, for its latch and for
 * its deadline, whichever comes first.  If anything goes wrong on the way, a
 * cancel included, the helper is in an unknown state: it is killed, and the
 * next call starts another one.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/session.h"
#include "settings.h"

/* Loading libvips takes 20 ms; a machine on its knees gets this long. */
#define START_TIMEOUT_MS 15000

static Helper *helpers[2]; /* by HelperKind */
static Frame answer;	   /* too large for the stack */
static uint32 last_id = 0;

typedef struct Deadline
{
	TimestampTz at;
	HelperKind kind;
	int64 allowed_ms;
	bool starting;
	uint64 lent_bytes; /* that the helper may hold besides its own memory */
} Deadline;

static void
raise_timeout(const Deadline *deadline)
{
	if (deadline->starting)
		ereport(ERROR, (errcode(ERRCODE_IMAGE_HELPER),
						errmsg("\"%s\" did not start within " INT64_FORMAT " ms",
							   helper_program_name(deadline->kind), deadline->allowed_ms)));
	ereport(ERROR,
			(errcode(ERRCODE_IMAGE_TIMEOUT),
			 errmsg("image was not finished within " INT64_FORMAT " ms", deadline->allowed_ms),
			 errhint("imgexport.%s sets the limit.",
					 deadline->kind == HELPER_CODEC ? "codec_timeout" : "fetch_timeout")));
}

/* Raises on cancel and at the deadline; returns the milliseconds that are left. */
static long
check_patience(const Deadline *deadline)
{
	long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline->at);

	CHECK_FOR_INTERRUPTS();
	if (left_ms <= 0)
		raise_timeout(deadline);
	return left_ms;
}

/* Sleep until the helper's socket is ready. */
static void
wait_for_socket(Helper *helper, int event, const Deadline *deadline)
{
	long left_ms = check_patience(deadline);
	long watch_ms = helper_watch_ms(helper);

	if (helper_is_over_memory(helper, deadline->lent_bytes))
		helper_error_raise(helper_ended(helper, FRAME_CLOSED));
	if (watch_ms >= 0)
		left_ms = Min(left_ms, watch_ms);
	if (WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH | event,
						  helper_socket(helper), left_ms, PG_WAIT_EXTENSION) &
		WL_LATCH_SET)
		ResetLatch(MyLatch);
}

static Deadline
deadline_in(HelperKind kind, int64 allowed_ms, bool starting)
{
	return (Deadline){.at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), allowed_ms),
					  .kind = kind,
					  .allowed_ms = allowed_ms,
					  .starting = starting};
}

/* The next frame; raises when there will be none.  A helper that never stops talking is no use. */
static void
next_answer(Helper *helper, const Deadline *deadline)
{
	FrameStatus status;

	check_patience(deadline);
	while ((status = helper_receive(helper, &answer)) == FRAME_AGAIN)
	{
		if (deadline->starting && helper_is_ready(helper))
			return;
		wait_for_socket(helper, WL_SOCKET_READABLE, deadline);
	}
	if (status != FRAME_OK)
		helper_error_raise(helper_ended(helper, status));
}

static void
forget_helper(HelperKind kind)
{
	Helper *helper = helpers[kind];

	helpers[kind] = NULL;
	helper_stop(helper);
}

/* This session's helper, ready for a request; a new one where the old is gone or worn. */
static Helper *
session_helper(HelperKind kind)
{
	Helper *helper = helpers[kind];

	if (helper != NULL && (helper_is_worn(helper) || helper_is_idle_gone(helper)))
		forget_helper(kind);
	if (helpers[kind] == NULL)
		helpers[kind] = helper_start(kind, TopMemoryContext);
	helper = helpers[kind];
	if (!helper_is_ready(helper))
	{
		Deadline deadline = deadline_in(kind, START_TIMEOUT_MS, true);

		next_answer(helper, &deadline);
	}
	return helper;
}

static void
send_request(Helper *helper, FrameType type, const void *body, Size size, const int *fds,
			 int fd_count, const Deadline *deadline)
{
	FrameStatus status;

	while ((status = helper_send(helper, type, last_id, body, size, fds, fd_count)) ==
		   FRAME_AGAIN)
		wait_for_socket(helper, WL_SOCKET_WRITEABLE, deadline);
	if (status != FRAME_OK)
		helper_error_raise(helper_ended(helper, status));
}

/* Give the handler each answer to our request until it says that it has had the last one. */
static void
receive_answers(Helper *helper, const Deadline *deadline, AnswerHandler handler, void *state)
{
	bool finished = false;

	while (!finished)
	{
		next_answer(helper, deadline);
		if (answer.id == last_id)
			handler(&answer, state, &finished);
		else if (answer.id == 0 && answer.type == FRAME_ERROR)
			handler(&answer, state, &finished);
		else
			session_broken("an answer to no request");
		frame_close_fds(&answer);
	}
}

/*
 * Send a request to this session's helper and wait for its answers.
 *
 * fds			sent with it; they stay the caller's to close
 * timeout_ms	for the whole exchange
 * handler		called for each answer; what it keeps of the frame's descriptors it takes
 *				with frame_take_fd, and it may raise.  Sets *finished at the last one
 * Errors		IX004 out of time, IX007 the helper died or broke the protocol, 53200 it
 *				ran out of memory, 57014 cancelled
 */
void
session_request(HelperKind kind, FrameType type, const void *body, Size size, const int *fds,
				int fd_count, int64 timeout_ms, AnswerHandler handler, void *state)
{
	PG_TRY();
	{
		Helper *helper = session_helper(kind);
		Deadline deadline = deadline_in(kind, timeout_ms, false);

		deadline.lent_bytes = bulk_sizes(fds, fd_count);
		if (kind == HELPER_NET)
			deadline.lent_bytes += (uint64) settings.fetch_max_kb * 1024;
		last_id = last_id == PG_UINT32_MAX ? 1 : last_id + 1;
		send_request(helper, type, body, size, fds, fd_count, &deadline);
		receive_answers(helper, &deadline, handler, state);
		helper_rest(helper);
	}
	PG_CATCH();
	{
		frame_close_fds(&answer);
		forget_helper(kind);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* What this session's helper says of itself, JSON, borrowed; starts one if need be. */
const char *
session_about(HelperKind kind)
{
	PG_TRY();
	{
		session_helper(kind);
	}
	PG_CATCH();
	{
		forget_helper(kind);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return helper_about(helpers[kind]);
}

/* Raise what a handler met in an answer that no honest helper sends. */
void
session_broken(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_IMAGE_HELPER), errmsg("image helper broke the protocol"),
					errdetail("It sent %s, and was stopped.", what)));
}
