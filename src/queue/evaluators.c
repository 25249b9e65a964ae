/*
 * evaluators.c
 *		The worker's side of evaluators: processes that run users' functions, each for one role.
 *
 * Nothing here waits and nothing needs a transaction.  An evaluator is a background worker of the
 * server; it comes to a socket of ours, and which process it is the kernel tells.  A role has at
 * most one, so that its functions wait for each other and for nobody else's; where more roles
 * want one than there may be, they take turns (turns.c).
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "queue/evaluation.h"
#include "queue/worker.h"
#include "settings.h"

/* A cancelled function may take so long to come back, and a process to start or to end. */
#define GRACE_MS 3000
#define PROCESS_MS 20000

/* Where no process can be had it is tried again. */
#define RESTART_MS 1000
#define COMPLAINT_MS 60000

/* One that nobody needs is let go. */
#define IDLE_MS 30000

typedef enum EvaluatorState
{
	EVALUATOR_STARTING, /* until it comes to our socket */
	EVALUATOR_IDLE,
	EVALUATOR_BUSY,
	EVALUATOR_LEAVING /* told to; its place is taken until it has */
} EvaluatorState;

typedef struct Evaluator
{
	Oid role; /* InvalidOid: a free place */
	EvaluatorState state;
	BackgroundWorkerHandle *handle;
	int socket;				/* -1: it has not come yet, or is told to leave */
	uint32 id;				/* of what it was sent last; 0: it was sent nothing yet */
	Evaluation *evaluation; /* that it is busy with */
	TimestampTz deadline;	/* of its state; when idle, of its being kept */
	bool complained;
} Evaluator;

static Evaluator evaluators[EVALUATORS_MAX];
static int listener = -1;
static char listener_name[64];
static TimestampTz restart_at;
static Frame frame; /* too large for the stack */

/* At our exit: they are nobody's then. */
static void
end_all(int code, Datum argument)
{
	for (int i = 0; i < EVALUATORS_MAX; i++)
		if (OidIsValid(evaluators[i].role))
			TerminateBackgroundWorker(evaluators[i].handle);
}

static void
open_listener(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint8 random[16];

	if (!pg_strong_random(random, sizeof random))
		elog(ERROR, "could not generate a random name");
	strcpy(listener_name, "imgexport-");
	for (size_t i = 0; i < sizeof random; i++)
		sprintf(listener_name + strlen(listener_name), "%02x", random[i]);
	/* A name that begins with a zero byte is in no directory. */
	memcpy(address.sun_path + 1, listener_name, strlen(listener_name));
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 ||
		bind(listener, (struct sockaddr *) &address,
			 offsetof(struct sockaddr_un, sun_path) + 1 + strlen(listener_name)) != 0 ||
		listen(listener, EVALUATORS_MAX) != 0)
		ereport(ERROR,
				(errcode_for_socket_access(), errmsg("could not listen for evaluators: %m")));
	pool_note_sockets();
	before_shmem_exit(end_all, (Datum) 0);
}

static void
set_state(Evaluator *evaluator, EvaluatorState state, long allowed_ms)
{
	evaluator->state = state;
	evaluator->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), allowed_ms);
}

static void
close_socket(Evaluator *evaluator)
{
	if (evaluator->socket < 0)
		return;
	close(evaluator->socket);
	evaluator->socket = -1;
	pool_note_sockets();
}

/* Its evaluation fails, and others of its role wait for another evaluator. */
static void
lose_evaluation(Evaluator *evaluator, int sqlstate, const char *message, const char *hint)
{
	Evaluation *evaluation = evaluator->evaluation;
	MemoryContext before;

	evaluator->evaluation = NULL;
	if (evaluation == NULL)
		return;
	before = MemoryContextSwitchTo(evaluation->task->context);
	evaluation_settle(
		evaluation,
		helper_error(sqlstate, true, psprintf(message, evaluation->name), NULL, hint));
	MemoryContextSwitchTo(before);
}

/* Have it leave: an idle one when its socket is closed, a busy one by a signal. */
static void
dismiss(Evaluator *evaluator)
{
	if (evaluator->state != EVALUATOR_IDLE)
		TerminateBackgroundWorker(evaluator->handle);
	close_socket(evaluator);
	set_state(evaluator, EVALUATOR_LEAVING, PROCESS_MS);
}

static bool
start_evaluator(Evaluator *evaluator, Oid role)
{
	EvaluatorStart start = {.database = MyDatabaseId, .role = role};
	BackgroundWorker process = {.bgw_flags = BGWORKER_SHMEM_ACCESS |
											 BGWORKER_BACKEND_DATABASE_CONNECTION,
								.bgw_start_time = BgWorkerStart_RecoveryFinished,
								.bgw_restart_time = BGW_NEVER_RESTART,
								.bgw_type = "imgexport evaluator",
								.bgw_library_name = "imgexport",
								.bgw_function_name = "imgexport_evaluator_main",
								.bgw_notify_pid = MyProcPid};
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
	bool started;

	if (listener < 0)
		open_listener();
	strlcpy(start.socket, listener_name, sizeof start.socket);
	memcpy(process.bgw_extra, &start, sizeof start);
	snprintf(process.bgw_name, BGW_MAXLEN, "imgexport evaluator for role %u", role);
	started = RegisterDynamicBackgroundWorker(&process, &evaluator->handle);
	MemoryContextSwitchTo(before);
	if (!started)
		return false;
	evaluator->role = role;
	evaluator->socket = -1;
	evaluator->id = 0;
	evaluator->complained = false;
	set_state(evaluator, EVALUATOR_STARTING, PROCESS_MS);
	return true;
}

/* Whoever comes has to be a process that we have started. */
static Evaluator *
evaluator_of_peer(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	pid_t pid;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != geteuid())
		return NULL;
	for (int i = 0; i < EVALUATORS_MAX; i++)
		if (OidIsValid(evaluators[i].role) && evaluators[i].state == EVALUATOR_STARTING &&
			GetBackgroundWorkerPid(evaluators[i].handle, &pid) == BGWH_STARTED &&
			pid == peer.pid)
			return &evaluators[i];
	return NULL;
}

static void
accept_evaluators(void)
{
	int fd;

	while (listener >= 0 &&
		   (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		Evaluator *evaluator = evaluator_of_peer(fd);

		if (evaluator == NULL)
		{
			close(fd);
			continue;
		}
		evaluator->socket = fd;
		set_state(evaluator, EVALUATOR_IDLE, IDLE_MS);
		pool_note_sockets();
	}
}

/* What a function has raised; NULL: that is no error. */
static HelperError *
read_error(const Frame *answer)
{
	Unpacker unpacker;
	int sqlstate;
	const char *texts[3];

	unpacker_init(&unpacker, answer->body, answer->size);
	sqlstate = unpack_u32(&unpacker);
	for (int i = 0; i < 3; i++)
		texts[i] = unpack_text(&unpacker);
	if (!unpack_finished(&unpacker))
		return NULL;
	return helper_error(sqlstate, sqlstate_is_retryable(sqlstate), texts[0], texts[1],
						texts[2]);
}

/* Take an answer, whose image is looked at when the recipe is evaluated; false: it is none. */
static bool
take_answer(Evaluator *evaluator)
{
	Evaluation *evaluation = evaluator->evaluation;
	MemoryContext before;
	HelperError *error = NULL;

	if (evaluation == NULL || frame.id != evaluator->id ||
		(frame.type != FRAME_EVALUATED && frame.type != FRAME_FAILED))
		return false;
	before = MemoryContextSwitchTo(evaluation->task->context);
	if (frame.type == FRAME_FAILED)
		error = read_error(&frame);
	else
	{
		evaluation->answer = palloc(sizeof frame);
		memcpy(evaluation->answer, &frame, offsetof(Frame, body) + frame.size);
		frame.fd_count = 0;
	}
	MemoryContextSwitchTo(before);
	if (frame.type == FRAME_FAILED && error == NULL)
		return false;
	evaluator->evaluation = NULL;
	evaluation_settle(evaluation, error);
	set_state(evaluator, EVALUATOR_IDLE, IDLE_MS);
	return true;
}

static void
receive(Evaluator *evaluator)
{
	FrameStatus status = FRAME_AGAIN;

	while (evaluator->socket >= 0 &&
		   (status = frame_receive(evaluator->socket, &frame)) == FRAME_OK)
	{
		bool taken = take_answer(evaluator);

		frame_close_fds(&frame);
		if (taken)
			continue;
		lose_evaluation(evaluator, ERRCODE_IMAGE_HELPER,
						"evaluator has answered step %s with what is no answer", NULL);
		dismiss(evaluator);
	}
	/* It has ended, or is about to; when it has, its place is free. */
	if (evaluator->socket >= 0 && status != FRAME_AGAIN)
	{
		lose_evaluation(evaluator, ERRCODE_IMAGE_HELPER,
						"evaluator has ended in the middle of step %s", NULL);
		dismiss(evaluator);
	}
}

/* Its process is seen to have ended. */
static void
free_place(Evaluator *evaluator)
{
	lose_evaluation(evaluator, ERRCODE_IMAGE_HELPER,
					"evaluator has ended in the middle of step %s", NULL);
	if (evaluator->state == EVALUATOR_STARTING)
		restart_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESTART_MS);
	close_socket(evaluator);
	pfree(evaluator->handle);
	evaluator->role = InvalidOid;
}

static void
enforce_deadline(Evaluator *evaluator)
{
	if (evaluator->deadline > GetCurrentTimestamp())
		return;
	switch (evaluator->state)
	{
		case EVALUATOR_BUSY:
			lose_evaluation(evaluator, ERRCODE_QUERY_CANCELED,
							"step %s was not evaluated in time",
							"imgexport.evaluate_timeout sets the limit.");
			/* FALLTHROUGH */
		case EVALUATOR_STARTING:
		case EVALUATOR_IDLE:
			dismiss(evaluator);
			break;
		case EVALUATOR_LEAVING:
			if (!evaluator->complained)
				ereport(
					WARNING,
					(errmsg("evaluator of role %u does not end", evaluator->role),
					 errdetail("It runs a function that can be neither cancelled nor "
							   "terminated."),
					 errhint("It ends with the server.  Take it from the role, or its right "
							 "to submit jobs.")));
			evaluator->complained = true;
			turns_fail(evaluator->role);
			set_state(evaluator, EVALUATOR_LEAVING, PROCESS_MS);
			break;
	}
}

static Evaluator *
evaluator_of(Oid role)
{
	for (int i = 0; i < EVALUATORS_MAX; i++)
		if (evaluators[i].role == role)
			return &evaluators[i];
	return NULL;
}

/* Does a role have one, in whatever state? */
bool
evaluators_have(Oid role)
{
	return evaluator_of(role) != NULL;
}

static void
send_evaluation(Evaluator *evaluator, Evaluation *evaluation)
{
	Parcel *request = &evaluation->request;
	FrameStatus status =
		frame_send(evaluator->socket, FRAME_EVALUATE, ++evaluator->id, request->body,
				   request->packer.used, request->fds, request->fd_count);

	/* One that has ended meanwhile is found by receive(). */
	if (status != FRAME_OK)
		return;
	evaluation->state = EVALUATION_SENT;
	evaluator->evaluation = evaluation;
	set_state(evaluator, EVALUATOR_BUSY, (long) settings.evaluate_timeout_ms + GRACE_MS);
}

/* A place for another evaluator; NULL: none is free. */
static Evaluator *
free_evaluator(void)
{
	int most = Min(settings.evaluators, EVALUATORS_MAX);

	for (int i = 0; i < most; i++)
		if (!OidIsValid(evaluators[i].role))
			return &evaluators[i];
	return NULL;
}

static void
complain(void)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(last, now, COMPLAINT_MS))
		ereport(WARNING, (errmsg("could not start an imgexport evaluator"),
						  errhint("Perhaps max_worker_processes is too low.")));
	last = now;
}

/* Start evaluators for roles that have none; true: some role waits for a place. */
static bool
start_wanted(void)
{
	Evaluation *evaluation;

	while ((evaluation = turns_next(InvalidOid)) != NULL)
	{
		Evaluator *evaluator = free_evaluator();

		if (evaluator == NULL)
			return true;
		if (restart_at > GetCurrentTimestamp())
			return false;
		if (!start_evaluator(evaluator, evaluation->task->role))
		{
			complain();
			restart_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESTART_MS);
			return false;
		}
	}
	return false;
}

/* Give the idle ones work; where roles wait for a place, one makes room when it has had its turn. */
static void
assign(bool crowded)
{
	for (int i = 0; i < EVALUATORS_MAX; i++)
	{
		Evaluator *evaluator = &evaluators[i];
		Evaluation *evaluation;

		if (!OidIsValid(evaluator->role) || evaluator->state != EVALUATOR_IDLE)
			continue;
		evaluation = turns_next(evaluator->role);
		if (crowded && (evaluation == NULL || evaluator->id > 0))
		{
			turns_requeue(evaluator->role);
			dismiss(evaluator);
		}
		else if (evaluation != NULL)
			send_evaluation(evaluator, evaluation);
	}
}

/* Take answers, and give evaluators what waits. */
void
evaluators_advance(void)
{
	pid_t pid;

	accept_evaluators();
	for (int i = 0; i < EVALUATORS_MAX; i++)
	{
		Evaluator *evaluator = &evaluators[i];

		if (!OidIsValid(evaluator->role))
			continue;
		receive(evaluator);
		if (GetBackgroundWorkerPid(evaluator->handle, &pid) == BGWH_STOPPED)
			free_place(evaluator);
		else
			enforce_deadline(evaluator);
	}
	assign(start_wanted());
}

/* A task is given up: what runs for it is terminated. */
void
evaluators_drop(const Task *task)
{
	for (int i = 0; i < EVALUATORS_MAX; i++)
		if (evaluators[i].evaluation != NULL && evaluators[i].evaluation->task == task)
		{
			evaluators[i].evaluation = NULL;
			dismiss(&evaluators[i]);
		}
}

/* How long may the loop sleep for us?  -1: until a socket or the latch says something. */
long
evaluators_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = 0;

	for (int i = 0; i < EVALUATORS_MAX; i++)
		if (OidIsValid(evaluators[i].role) && (next == 0 || evaluators[i].deadline < next))
			next = evaluators[i].deadline;
	if (restart_at > now && (next == 0 || restart_at < next))
		next = restart_at;
	return next == 0 ? -1 : TimestampDifferenceMilliseconds(now, next) + 1;
}

/* The sockets to wait for; returns how many. */
int
evaluators_sockets(int *sockets, int room)
{
	int count = 0;

	if (listener >= 0 && room > 0)
		sockets[count++] = listener;
	for (int i = 0; i < EVALUATORS_MAX && count < room; i++)
		if (OidIsValid(evaluators[i].role) && evaluators[i].socket >= 0)
			sockets[count++] = evaluators[i].socket;
	return count;
}
