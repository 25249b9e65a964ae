/*
 * evaluator.c
 *		The process that runs one role's functions for the worker of a database.
 *
 * It is to the worker what a codec is: it is sent an image and a step, and answers with an image
 * or an error.  What a function does stays here and ends with its evaluation:
 *
 *	- the session's user is the role, and the operation is a restricted one, as in autovacuum
 *	  and REFRESH MATERIALIZED VIEW: no SET ROLE, no temporary tables, nothing deferred;
 *	- the transaction is always aborted, which takes back what was written, settings, locks,
 *	  LISTEN and cursors; what outlives a transaction is taken back besides;
 *	- it is cancelled after imgexport.evaluate_timeout, and what is not impressed by that is
 *	  terminated by the worker.
 *
 * It is never killed: the postmaster takes a killed process for a crash, and has every session of
 * the server end.  A function that can be neither cancelled nor terminated (an endless loop in
 * PL/Perl) keeps its process, and with it its role's one evaluator, and nothing else.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

#include "helper/errors.h"
#include "image/stepcall.h"
#include "pins.h"
#include "queue/background.h"
#include "queue/evaluation.h"
#include "settings.h"

/* Texts of an error are cut to this. */
#define TEXT_MAX_BYTES 4000

/* What the worker wants evaluated, in the memory of the transaction. */
typedef struct Request
{
	char *step;
	Jsonb *arguments; /* NULL: none */
	LazyImage *image;
	bool optional;
	RecipeContext context;
	ParcelSources sources;
} Request;

/* From here on this process has no more rights than the role; its name may have changed, its OID not. */
static void
become(Oid role)
{
	HeapTuple tuple;
	bool exists;

	StartTransactionCommand();
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	exists = HeapTupleIsValid(tuple);
	if (exists)
	{
		SetSessionAuthorization(role, ((Form_pg_authid) GETSTRUCT(tuple))->rolsuper);
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	if (!exists)
		proc_exit(0);
}

static int
connect_to_worker(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	/* In the abstract namespace: a name that begins with a zero byte. */
	memcpy(address.sun_path + 1, name, strlen(name));
	if (fd < 0 || connect(fd, (struct sockaddr *) &address, length) != 0)
		ereport(FATAL, (errcode_for_socket_access(), errmsg("could not reach the worker: %m")));
	return fd;
}

static Jsonb *
json_of_bytes(const bytea *bytes)
{
	char *text = pnstrdup(VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

static void
read_request(const Frame *frame, Request *request)
{
	ParcelReader reader;
	LazyImage *base;
	int flags;

	memset(request, 0, sizeof *request);
	parcel_open(&reader, frame, NULL);
	request->step = pstrdup(unpack_text(&reader.unpacker));
	flags = unpack_u8(&reader.unpacker);
	if (flags & EVALUATION_ARGUMENTS)
		request->arguments = json_of_bytes(parcel_take_bytes(&reader));
	request->image = parcel_take_image(&reader, CurrentMemoryContext);
	request->context.has_base = (flags & EVALUATION_BASE) != 0;
	if (request->context.has_base)
	{
		base = parcel_take_image(&reader, CurrentMemoryContext);
		request->context.base = lazy_image_datum(base);
	}
	request->context.base_skipped = (flags & EVALUATION_BASE_SKIPPED) != 0;
	if (request->image == NULL || unpack_finished(&reader.unpacker) == false)
		elog(ERROR, "worker has sent what is no step");
	request->optional = (flags & EVALUATION_OPTIONAL) != 0;
	request->sources = reader.own;
}

/* Call the function, and pack what it returns. */
static void
call(const Frame *frame, Parcel *answer)
{
	Request request;
	StepFunction function;
	LazyImage *image;
	Datum result;

	read_request(frame, &request);
	/* The function may do what it likes with its argument: a copy keeps the sources. */
	image = lazy_image_copy(request.image, CurrentMemoryContext);
	step_function_find(request.step, &function);
	result = step_call(&function, request.arguments == NULL ? NULL : &request.arguments->root,
					   lazy_image_datum(image), request.optional, &request.context);
	parcel_begin(answer, &request.sources);
	parcel_put_image(answer, lazy_image(result, CurrentMemoryContext));
	parcel_end(answer);
}

/*
 * In a transaction and as the role: the answer, or the error.
 *
 * answer	its memory is the transaction's, its descriptors are to be closed
 * Returns	NULL, or the error, in the given context
 */
static ErrorData *
evaluate(Oid role, const Frame *frame, Parcel *answer, MemoryContext context)
{
	ErrorData *volatile error = NULL;

	PushActiveSnapshot(GetTransactionSnapshot());
	SetUserIdAndSecContext(role, SECURITY_RESTRICTED_OPERATION);
	(void) NewGUCNestLevel();
	pins_apply(PINS_PROCESS, GUC_ACTION_SAVE);
	enable_timeout_after(STATEMENT_TIMEOUT, settings.evaluate_timeout_ms);
	PG_TRY();
	{
		call(frame, answer);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	disable_timeout(STATEMENT_TIMEOUT, false);
	return error;
}

/* What a function may have left that no transaction's end takes back. */
static void
forget_session(void)
{
	LockReleaseAll(USER_LOCKMETHOD, true);
	DropAllPreparedStatements();
	ResetSequenceCaches();
}

static void
pack_short(Packer *packer, const char *text)
{
	char *copy = pstrdup(text == NULL ? "" : text);

	copy[pg_mbcliplen(copy, strlen(copy), TEXT_MAX_BYTES)] = '\0';
	pack_text(packer, copy);
}

static void
send_error(int worker, uint32 id, const ErrorData *error)
{
	uint8 *body = palloc(FRAME_MAX_BYTES);
	Packer packer;

	packer_init(&packer, body, FRAME_MAX_BYTES);
	pack_u32(&packer, error->sqlerrcode);
	pack_short(&packer, error->message);
	pack_short(&packer, error->detail);
	pack_short(&packer, error->hint);
	frame_send(worker, FRAME_FAILED, id, body, packer.used, NULL, 0);
}

static void
serve(int worker, Oid role, const Frame *frame, MemoryContext context)
{
	Parcel answer = {.is_open = false};
	ErrorData *error;

	MemoryContextSwitchTo(context);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, "evaluate a step");
	error = evaluate(role, frame, &answer, context);
	if (error == NULL)
		frame_send(worker, FRAME_EVALUATED, frame->id, answer.body, answer.packer.used,
				   answer.fds, answer.fd_count);
	parcel_close(&answer);
	/* Nothing that it did outlives it: not in tables, nor in this session. */
	AbortOutOfAnyTransaction();
	/* It leaves one current that lives for ever. */
	MemoryContextSwitchTo(context);
	forget_session();
	if (error != NULL)
		send_error(worker, frame->id, error);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(context);
}

/* Entry point of the process; the worker ends it by closing the socket. */
void
imgexport_evaluator_main(Datum argument)
{
	static Frame frame;
	EvaluatorStart start;
	MemoryContext context;
	int worker;

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof start);
	background_start();
	background_connect(start.database, "imgexport evaluator");
	become(start.role);
	worker = connect_to_worker(start.socket);
	context =
		AllocSetContextCreate(TopMemoryContext, "imgexport evaluation", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		int events =
			WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH,
							  worker, -1, PG_WAIT_EXTENSION);

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (!(events & WL_SOCKET_READABLE))
			continue;
		if (frame_receive(worker, &frame) != FRAME_OK)
			proc_exit(0);
		if (frame.type == FRAME_EVALUATE)
			serve(worker, start.role, &frame, context);
		frame_close_fds(&frame);
	}
}
