/*
 * helper.c
 *		A helper process of this process.
 *
 * The object lives in a memory context of its own; whatever resets that context
 * ends the process, and so does this process's exit.  A helper that broke the
 * protocol once is never listened to again.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "helper/helper.h"
#include "helper/memory.h"
#include "helper/spawn.h"
#include "settings.h"
#include "wire/exit.h"

struct Helper
{
	HelperKind kind;
	MemoryContext context;
	MemoryContextCallback on_reset;
	dlist_node link;	 /* in living */
	pid_t pid;			 /* 0: reaped */
	int socket;			 /* -1: closed */
	int exit_status;	 /* as waitpid gave it, once pid is 0 */
	bool killed;		 /* by us */
	bool over_memory;	 /* that is why */
	bool working;		 /* it starts, or something was sent to it that is not over */
	uint64 memory_bytes; /* its limit, 0: none */
	TimestampTz watched_at;
	bool ready;		/* its HELLO came */
	int generation; /* of the settings it was started with */
	int requests;
	bool starved;		 /* it ran out of memory once */
	TimestampTz used_at; /* last started or sent to */
	char *about;
};

typedef struct HelperProgram
{
	const char *name;
	const char *noun; /* in messages */
	const int *memory_mb;
	int descriptors;
	uint64 stack_bytes; /* threads of the network process wait for name servers, many at once */
} HelperProgram;

static const HelperProgram programs[] = {
	[HELPER_CODEC] = {"imgexport-codec", "image codec process", &settings.codec_memory_mb, 64,
					  8 << 20},
	[HELPER_NET] = {"imgexport-net", "network process", &settings.net_memory_mb, 4096, 1 << 20},
	[HELPER_FILES] = {"imgexport-files", "file process", &settings.net_memory_mb, 64, 8 << 20},
};

#define UNDEAD_MAX 64

/* A killed process ends within this, or waits for a disk. */
#define END_MS 2000

/* How often the memory of a helper that works is looked at. */
#define WATCH_MS 50

/* One result never needs more: a bytea holds less. */
#define RESULT_MAX_BYTES ((uint64) 1 << 30)

static dlist_head living = DLIST_STATIC_INIT(living);

/* Collect the exit status; without a kill before, only where it has ended by itself. */
static void
helper_reap(Helper *helper, int options)
{
	pid_t reaped;

	if (helper->pid == 0)
		return;
	do
		reaped = waitpid(helper->pid, &helper->exit_status, options);
	while (reaped < 0 && errno == EINTR);
	if (reaped != 0)
		helper->pid = 0;
}

/*
 * Processes that did not end though they were killed, as they wait for a disk that hangs: they are
 * collected when they do.
 */
static pid_t undead[UNDEAD_MAX];

static void
collect_undead(void)
{
	for (int i = 0; i < UNDEAD_MAX; i++)
		if (undead[i] != 0 && waitpid(undead[i], NULL, WNOHANG) != 0)
			undead[i] = 0;
}

/* Give a killed process a moment to end; no longer. */
static void
await_end(Helper *helper)
{
	for (int i = 0; i < END_MS && helper->pid != 0; i++)
	{
		helper_reap(helper, WNOHANG);
		if (helper->pid != 0)
			pg_usleep(1000);
	}
	for (int i = 0; i < UNDEAD_MAX && helper->pid != 0; i++)
		if (undead[i] == 0)
		{
			undead[i] = helper->pid;
			helper->pid = 0;
		}
	/* There are too many of them. */
	helper_reap(helper, 0);
}

/* Kill and collect it.  May run in a reset callback or at exit, so nothing here raises. */
static void
helper_release(Helper *helper)
{
	if (helper->pid > 0)
	{
		helper->killed = true;
		kill(helper->pid, SIGKILL);
		await_end(helper);
	}
	if (helper->socket >= 0)
	{
		close(helper->socket);
		ReleaseExternalFD();
		helper->socket = -1;
	}
}

static void
helper_on_reset(void *argument)
{
	Helper *helper = argument;

	helper_release(helper);
	dlist_delete(&helper->link);
}

/*
 * A helper left behind would be adopted by process 1.  Where that is the postmaster
 * itself (a container), it would take the unknown child's death for a backend's crash.
 */
static void
helpers_on_exit(int code, Datum argument)
{
	dlist_iter iter;

	dlist_foreach(iter, &living) helper_release(dlist_container(Helper, link, iter.cur));
}

/* Directories that stores may be in, a line each. */
static char *
store_list(void)
{
	List *directories;
	ListCell *cell;
	StringInfoData list;

	initStringInfo(&list);
	if (!SplitDirectoriesString(pstrdup(settings.store_directories), ',', &directories))
		return list.data;
	foreach (cell, directories)
		appendStringInfo(&list, "%s\n", (char *) lfirst(cell));
	return list.data;
}

static char **
helper_arguments(HelperKind kind, const char *path)
{
	char **arguments = palloc0(8 * sizeof(char *));
	int count = 0;

	arguments[count++] = pstrdup(path);
	arguments[count++] = psprintf(
		"--sandbox=%s", settings.sandbox == SETTINGS_SANDBOX_REQUIRE ? "require" : "prefer");
	arguments[count++] = psprintf("--idle=%d", settings.helper_idle_s);
	if (kind == HELPER_CODEC)
		arguments[count++] = psprintf("--loaders=%s", settings.allowed_loaders);
	if (kind == HELPER_FILES)
		arguments[count++] = psprintf("--stores=%s", store_list());
	return arguments;
}

static char *
helper_path(HelperKind kind)
{
	const char *directory =
		settings.helper_directory[0] != '\0' ? settings.helper_directory : pkglib_path;

	return psprintf("%s/%s", directory, programs[kind].name);
}

/* Start the process and take its socket, which counts against this process's descriptors. */
static void
helper_launch(Helper *helper)
{
	const HelperProgram *program = &programs[helper->kind];
	SpawnLimits limits = {.file_bytes = RESULT_MAX_BYTES,
						  .descriptors = program->descriptors,
						  .stack_bytes = program->stack_bytes};
	char *path = helper_path(helper->kind);
	int socket;

	collect_undead();

	limits.memory_bytes = helper->memory_bytes = (uint64) *program->memory_mb << 20;
	helper->pid = helper_spawn(path, helper_arguments(helper->kind, path), &limits, &socket);
	if (!AcquireExternalFD())
	{
		close(socket);
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start \"%s\": too many open files", path)));
	}
	helper->socket = socket;
}

/*
 * Start a helper; it becomes ready later, when its HELLO is received.
 *
 * parent	context that owns it; the process dies with it
 * Errors	53000 no process or descriptor left
 */
Helper *
helper_start(HelperKind kind, MemoryContext parent)
{
	static bool exit_callback_registered = false;
	MemoryContext context =
		AllocSetContextCreate(parent, "imgexport helper", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Helper *helper = palloc0(sizeof *helper);

	if (!exit_callback_registered)
	{
		on_proc_exit(helpers_on_exit, (Datum) 0);
		exit_callback_registered = true;
	}
	helper->kind = kind;
	helper->context = context;
	helper->socket = -1;
	helper->generation = settings_helper_generation;
	helper->used_at = GetCurrentTimestamp();
	helper->working = true;
	helper->on_reset.func = helper_on_reset;
	helper->on_reset.arg = helper;
	dlist_push_tail(&living, &helper->link);
	MemoryContextRegisterResetCallback(context, &helper->on_reset);

	PG_TRY();
	{
		helper_launch(helper);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(before);
		MemoryContextDelete(context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	return helper;
}

/* End a helper and free it; NULL is allowed. */
void
helper_stop(Helper *helper)
{
	if (helper != NULL)
		MemoryContextDelete(helper->context);
}

/* For a wait set; borrowed. */
int
helper_socket(const Helper *helper)
{
	return helper->socket;
}

/* Has its HELLO come? */
bool
helper_is_ready(const Helper *helper)
{
	return helper->ready;
}

/*
 * Time to replace it: it has worked enough, the settings it started with have changed, or it
 * is about to leave because it had nothing to do, perhaps while it is sent something.
 */
bool
helper_is_worn(const Helper *helper)
{
	long idle_ms = TimestampDifferenceMilliseconds(helper->used_at, GetCurrentTimestamp());

	return helper->starved || helper->requests >= settings.helper_max_requests ||
		   helper->generation != settings_helper_generation ||
		   idle_ms > settings.helper_idle_s * 500L;
}

/* Has an idle helper left by itself, as it does after imgexport.helper_idle? */
bool
helper_is_idle_gone(Helper *helper)
{
	helper_reap(helper, WNOHANG);
	return helper->pid == 0;
}

/* What it said of itself: JSON, NULL before it is ready. */
const char *
helper_about(const Helper *helper)
{
	return helper->about;
}

const char *
helper_program_name(HelperKind kind)
{
	return programs[kind].name;
}

/* Send a request.  FRAME_AGAIN: no room now, wait until the socket can be written. */
FrameStatus
helper_send(Helper *helper, FrameType type, uint32 id, const void *body, Size size,
			const int *fds, int fd_count)
{
	FrameStatus status;

	if (!helper->working)
	{
		helper->working = true;
		spawn_allow_files(helper->pid, RESULT_MAX_BYTES, true);
	}
	status = frame_send(helper->socket, type, id, body, size, fds, fd_count);
	if (status == FRAME_OK && type != FRAME_CANCEL)
	{
		helper->requests++;
		helper->used_at = GetCurrentTimestamp();
	}
	return status;
}

/* All that was sent to it is over: it needs no memory until something else is. */
void
helper_rest(Helper *helper)
{
	/* One that starts sets its own limits yet; without one (valgrind) it writes what it likes. */
	if (!helper->working || !helper->ready || helper->memory_bytes == 0 || helper->pid == 0)
		return;
	helper->working = false;
	spawn_allow_files(helper->pid, RESULT_MAX_BYTES, false);
}

/* How long may the loop sleep before it looks at the memory of a helper?  -1: for ever. */
long
helper_watch_ms(const Helper *helper)
{
	return helper->working && helper->memory_bytes > 0 ? WATCH_MS : -1;
}

/*
 * Does it hold more memory than it may?  Then it is killed, and helper_ended() says so.  Looks
 * once in WATCH_MS and not more often.
 *
 * lent_bytes	of memfds that it was sent, and of bodies that it was asked for
 */
bool
helper_is_over_memory(Helper *helper, uint64 lent_bytes)
{
	TimestampTz now = GetCurrentTimestamp();

	if (helper_watch_ms(helper) < 0 || helper->pid == 0 ||
		!TimestampDifferenceExceeds(helper->watched_at, now, WATCH_MS))
		return false;
	helper->watched_at = now;
	if (process_memory(helper->pid) <= helper->memory_bytes + lent_bytes)
		return false;
	helper->over_memory = true;
	return true;
}

/* Take a HELLO in; false when this is not a helper of our version. */
static bool
helper_welcome(Helper *helper, const Frame *frame)
{
	Hello hello;

	if (frame->type != FRAME_HELLO || !unpack_hello(frame->body, frame->size, &hello) ||
		hello.version != WIRE_VERSION)
		return false;
	helper->about = MemoryContextStrdup(helper->context, hello.about);
	helper->ready = true;
	if (helper->requests == 0)
		helper_rest(helper);
	return true;
}

/* Libraries that went on without memory they asked for leave their state in no order. */
static void
note_starved(Helper *helper, const Frame *frame)
{
	Failure failure;

	if (frame->type == FRAME_ERROR && unpack_failure(frame->body, frame->size, &failure) &&
		failure.kind == FAILURE_MEMORY)
		helper->starved = true;
}

/*
 * The next frame, if there is one.  The HELLO is taken in silently: FRAME_AGAIN
 * is returned and helper_is_ready() is true from then on.
 *
 * On FRAME_CLOSED and FRAME_BROKEN ask helper_ended() what happened.
 */
FrameStatus
helper_receive(Helper *helper, Frame *frame)
{
	FrameStatus status = frame_receive(helper->socket, frame);

	if (status == FRAME_OK && helper->ready)
		note_starved(helper, frame);
	if (status != FRAME_OK || helper->ready)
		return status;
	if (!helper_welcome(helper, frame))
		status = FRAME_BROKEN;
	else
		status = FRAME_AGAIN;
	frame_close_fds(frame);
	return status;
}

/* What a signal that ended a helper most likely means. */
static const char *
signal_detail(int number)
{
	switch (number)
	{
		case SIGKILL:
			return "Perhaps the system ran out of memory.";
		case SIGSYS:
			return "It made a system call that its sandbox forbids.";
		case SIGXCPU:
			return "It used more processor time than any request may.";
		default:
			return "It crashed; the database is not affected.";
	}
}

static HelperError *
out_of_memory(const Helper *helper)
{
	const HelperProgram *program = &programs[helper->kind];

	return helper_error(
		ERRCODE_OUT_OF_MEMORY, true, psprintf("%s ran out of memory", program->noun),
		psprintf("It may use %d MB.", *program->memory_mb),
		helper->kind == HELPER_CODEC
			? "A smaller image needs less; imgexport.codec_memory sets the limit."
			: "imgexport.net_memory sets the limit.");
}

static HelperError *
error_of_exit_code(const Helper *helper, int code)
{
	const char *noun = programs[helper->kind].noun;

	switch (code)
	{
		case EXIT_OUT_OF_MEMORY:
			return out_of_memory(helper);
		case EXIT_SANDBOX:
			return helper_error(
				ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, false,
				psprintf("%s could not set up its sandbox", noun),
				"This kernel lacks Landlock or seccomp, and imgexport.sandbox is \"require\".",
				"With imgexport.sandbox = prefer it works with what there is.");
		case 127:
			return helper_error(ERRCODE_IMAGE_HELPER, true,
								psprintf("could not execute \"%s\"", helper_path(helper->kind)),
								NULL, "Was imgexport installed with \"make install\"?");
		default:
			return helper_error(ERRCODE_IMAGE_HELPER, true,
								psprintf("%s exited with code %d", noun, code), NULL, NULL);
	}
}

/*
 * Why a helper can no longer be talked to; collects it, so that stopping it is all that is left.
 *
 * status	FRAME_CLOSED or FRAME_BROKEN
 * Returns	an error in the current memory context
 */
HelperError *
helper_ended(Helper *helper, FrameStatus status)
{
	const char *noun = programs[helper->kind].noun;

	if (helper->over_memory)
	{
		helper_release(helper);
		return out_of_memory(helper);
	}
	if (status == FRAME_CLOSED)
	{
		/* It may have closed its socket without leaving: it gets a moment, then it is made to. */
		for (int i = 0; i < 100 && !helper_is_idle_gone(helper); i++)
			pg_usleep(1000);
	}
	helper_release(helper);
	if (status == FRAME_BROKEN || helper->killed)
		return helper_error(ERRCODE_IMAGE_HELPER, true, psprintf("%s broke the protocol", noun),
							"It was stopped; the next call starts another one.", NULL);
	if (WIFSIGNALED(helper->exit_status))
		return helper_error(
			ERRCODE_IMAGE_HELPER, true,
			psprintf("%s was killed by signal %d", noun, WTERMSIG(helper->exit_status)),
			signal_detail(WTERMSIG(helper->exit_status)), NULL);
	return error_of_exit_code(helper, WEXITSTATUS(helper->exit_status));
}
