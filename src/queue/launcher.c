/*
 * launcher.c
 *		The process that starts a worker for each database that wants one.
 *
 * It is connected to no database and runs no statement: which databases there are it
 * reads from the shared catalogue at its start, and later it is told.  What it has to know of
 * workers is in their slots, so that a launcher that takes the place of another one goes on with
 * the workers of that one; whoever ends wakes the launcher that there is then.  A worker that
 * finds no extension in its database says so and is not wanted any more.
 */
#include "postgres.h"

#include <signal.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "queue/background.h"
#include "queue/launcher.h"
#include "queue/shmem.h"

/* Where no process can be had it is tried again after so long. */
#define RETRY_MS 5000

/* Slots are looked at so often though nobody says that something has changed. */
#define LOOK_MS 60000

/* The same trouble is not told more often than this. */
#define COMPLAINT_MS 60000

/* A worker that we started, until it is seen to have ended. */
typedef struct StartedWorker
{
	Oid database; /* InvalidOid: free */
	BackgroundWorkerHandle *handle;
	TimestampTz started_at;
} StartedWorker;

static StartedWorker started[QUEUE_MAX_DATABASES];

/* Called once, from _PG_init, when imgexport is preloaded. */
void
launcher_define(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished, /* not on a standby */
		.bgw_restart_time = 1,
		.bgw_name = "imgexport launcher",
		.bgw_type = "imgexport launcher",
		.bgw_library_name = "imgexport",
		.bgw_function_name = "imgexport_launcher_main"};

	RegisterBackgroundWorker(&worker);
}

/* Every database that can be connected to may have the extension. */
static void
want_all_databases(void)
{
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;
	QueueState *state;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	state = queue_lock();
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		WorkerSlot *slot;

		if (!database->datallowconn || database->datistemplate)
			continue;
		slot = queue_slot(state, database->oid, true);
		if (slot != NULL)
			slot->wanted = true;
	}
	queue_unlock();
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static bool
database_accepts(Oid database)
{
	HeapTuple tuple;
	bool accepts;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	accepts = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datallowconn;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	CommitTransactionCommand();
	return accepts;
}

static void
complain(Oid database)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(last, now, COMPLAINT_MS))
		ereport(WARNING,
				(errmsg("could not start an imgexport worker for database %u", database),
				 errhint("Perhaps max_worker_processes is too low.")));
	last = now;
}

/* Start a worker; it takes its slot by itself. */
static bool
start_worker(Oid database)
{
	BackgroundWorker worker = {.bgw_flags =
								   BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
							   .bgw_start_time = BgWorkerStart_RecoveryFinished,
							   .bgw_restart_time = BGW_NEVER_RESTART,
							   .bgw_type = "imgexport worker",
							   .bgw_library_name = "imgexport",
							   .bgw_function_name = "imgexport_worker_main",
							   .bgw_main_arg = ObjectIdGetDatum(database),
							   .bgw_notify_pid = MyProcPid};

	for (int i = 0; i < QUEUE_MAX_DATABASES; i++)
		if (started[i].database == InvalidOid)
		{
			snprintf(worker.bgw_name, BGW_MAXLEN, "imgexport worker for database %u", database);
			if (!RegisterDynamicBackgroundWorker(&worker, &started[i].handle))
				break;
			started[i].database = database;
			started[i].started_at = GetCurrentTimestamp();
			return true;
		}
	complain(database);
	return false;
}

static bool
is_started(Oid database)
{
	for (int i = 0; i < QUEUE_MAX_DATABASES; i++)
		if (started[i].database == database)
			return true;
	return false;
}

/*
 * A worker that we started has ended.  What follows from that the worker itself has noted in its
 * slot (see queue_note_end), unless it never got as far as that.
 */
static void
note_end(StartedWorker *worker)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, worker->database, false);

	if (slot != NULL && slot->started_at < worker->started_at)
		queue_note_end(slot);
	queue_unlock();
	pfree(worker->handle);
	worker->database = InvalidOid;
}

static void
note_ends(void)
{
	pid_t pid;

	for (int i = 0; i < QUEUE_MAX_DATABASES; i++)
		if (started[i].database != InvalidOid &&
			GetBackgroundWorkerPid(started[i].handle, &pid) == BGWH_STOPPED)
			note_end(&started[i]);
}

/* A process that ended without clearing its slot would keep every other from it. */
static bool
is_dead(pid_t pid)
{
	return kill(pid, 0) != 0 && errno == ESRCH;
}

/* The next database that wants a worker now; *wait_ms: until the next one may want one. */
static Oid
next_wanted(long *wait_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	QueueState *state = queue_lock();
	Oid found = InvalidOid;

	for (int i = 0; i < QUEUE_MAX_DATABASES && found == InvalidOid; i++)
	{
		WorkerSlot *slot = &state->slots[i];

		if (slot->pid != 0 && is_dead(slot->pid))
			queue_note_end(slot);
		if (slot->database == InvalidOid || !slot->wanted || slot->pid != 0 ||
			is_started(slot->database))
			continue;
		if (slot->held_until > now)
			*wait_ms =
				Min(*wait_ms, TimestampDifferenceMilliseconds(now, slot->held_until) + 1);
		else
			found = slot->database;
	}
	queue_unlock();
	return found;
}

/* Start what is wanted; returns how long nothing more will be, in ms. */
static long
start_wanted(void)
{
	long wait_ms = LOOK_MS;
	Oid database;

	while (OidIsValid(database = next_wanted(&wait_ms)))
	{
		if (!database_accepts(database))
			queue_forget(database);
		else if (!start_worker(database))
			return RETRY_MS;
	}
	return wait_ms;
}

/* A setting may have said that a database is dormant: its worker looks again. */
static void
want_dormant(void)
{
	QueueState *state = queue_lock();

	for (int i = 0; i < QUEUE_MAX_DATABASES; i++)
	{
		WorkerSlot *slot = &state->slots[i];

		slot->wanted |= slot->dormant;
		slot->dormant = false;
	}
	queue_unlock();
}

static void
launcher_leave(int code, Datum argument)
{
	queue_lock()->launcher = NULL;
	queue_unlock();
}

/* Entry point of the process. */
void
imgexport_launcher_main(Datum argument)
{
	background_start();
	before_shmem_exit(launcher_leave, (Datum) 0);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	queue_lock()->launcher = MyLatch;
	queue_unlock();
	pgstat_report_appname("imgexport launcher");
	want_all_databases();
	for (;;)
	{
		long wait_ms;

		note_ends();
		wait_ms = start_wanted();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			want_dormant();
			SetLatch(MyLatch);
		}
	}
}
