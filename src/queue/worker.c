/*
 * worker.c
 *		The process that runs the jobs of one database: its loop.
 *
 * Transactions are short and none is open while images move: one claims, one evaluates
 * recipes, one writes down what is done.  When nothing is due the loop sleeps and runs
 * no statement.
 *
 * What is allocated without saying where lives in worker.tick, in and out of transactions, until
 * the next round.  What is kept for longer is made by functions that are told whose it is: their
 * names end with _in, or they take the task or item.  A test reads that from the sources.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "pins.h"
#include "queue/background.h"
#include "queue/evaluation.h"
#include "queue/filework.h"
#include "queue/hosts.h"
#include "queue/services.h"
#include "queue/shmem.h"
#include "queue/worker.h"
#include "settings.h"

/* After PREPARE TRANSACTION a row becomes visible a little after the wake-up. */
static const int recheck_ms[] = {50, 200, 1000};

/* What somebody has locked is looked at again later; nobody waits for it. */
#define WORKER_LOCK_TIMEOUT "50ms"

/* With jobs in work, the queue is put in order no more often than this. */
#define UPKEEP_MS 100

Worker worker;

static uint64 seen_wakes;
static uint64 seen_cancels;
static int rechecks_left;

/*
 * There is no extension: another database may have the slot.  Somebody who has woken this one
 * since we last looked may have created it; then a worker is wanted.
 */
static void
leave_for_good(void)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, MyDatabaseId, false);

	if (slot != NULL && slot->wakes == seen_wakes)
		memset(slot, 0, sizeof *slot);
	queue_unlock();
	proc_exit(0);
}

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
							 false);
}

/*
 * Is the extension there, and will it stay so until the transaction ends?  DROP and ALTER
 * EXTENSION lock the extension first (the latter in utility.c), and the tables one by one:
 * without this lock we would meet them half way, in a deadlock.
 */
static bool
lock_extension(void)
{
	Oid extension = get_extension_oid("imgexport", true);

	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	return get_extension_oid("imgexport", true) == extension;
}

/*
 * Start a transaction with settings that nobody else has made.  When the extension is gone
 * from the database, so is this process.
 *
 * activity	for pg_stat_activity
 */
static void
begin_pinned(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pins_apply(PINS_PROCESS, GUC_ACTION_LOCAL);
	set_local("lock_timeout", WORKER_LOCK_TIMEOUT);
	if (!lock_extension())
	{
		AbortCurrentTransaction();
		leave_for_good();
	}
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
	MemoryContextSwitchTo(worker.tick);
}

/* Start a transaction of a schedule's task, whose statements may go through whole tables. */
void
worker_begin_for_tasks(const char *activity)
{
	begin_pinned(activity);
}

/*
 * Start a transaction of our own statements.  They find a few rows by their keys, whatever
 * the statistics of a table say that was empty when it was analyzed; each is planned once.
 */
void
worker_begin(const char *activity)
{
	static const struct
	{
		const char *name;
		const char *value;
	} planner[] = {
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"},
		/* An order that an index has is asked for where that index is the one to use. */
		{"enable_sort", "off"},
		{"plan_cache_mode", "force_generic_plan"},
	};

	begin_pinned(activity);
	for (int i = 0; i < lengthof(planner); i++)
		set_local(planner[i].name, planner[i].value);
}

/* What the worker is at between its transactions, in words. */
static const char *
progress(void)
{
	static char text[128];
	int counts[TASK_DONE + 1] = {0};
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks) counts[dlist_container(Task, link, iter.cur)->state]++;
	snprintf(text, sizeof text,
			 "%d jobs: %d in fetch, %d in recipe, %d in function, %d wait, %d in render, %d in "
			 "service, %d in "
			 "store",
			 worker.task_count, counts[TASK_FETCHING], counts[TASK_READY],
			 counts[TASK_EVALUATING], counts[TASK_WAITING], counts[TASK_RENDERING],
			 counts[TASK_CALLING], counts[TASK_STORING]);
	return text;
}

/* End it, where something may run here, and let autovacuum know what was written. */
void
worker_commit(void)
{
	installation_require();
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* It leaves another one current: a context that lives for ever, or the one before. */
	MemoryContextSwitchTo(worker.tick);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, progress());
}

static SPIPlanPtr
make_plan(const WorkerStatement *statement)
{
	SPIPlanPtr plan =
		SPI_prepare(statement->text, statement->argument_count, (Oid *) statement->types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->text,
			 SPI_result_code_string(SPI_result));
	return plan;
}

/*
 * Execute a statement; its plan is made at the first use and kept.
 *
 * nulls	'n' for each argument that is null, else ' '; NULL: none is
 * Returns	rows processed; rows returned are in SPI_tuptable.  SPI would leave its own
 *			memory context current, which ends with the transaction
 */
uint64
worker_execute(WorkerStatement *statement, Datum *values, const char *nulls)
{
	MemoryContext before = CurrentMemoryContext;
	int result;

	if (statement->plan == NULL)
		statement->plan = make_plan(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->text,
			 SPI_result_code_string(result));
	MemoryContextSwitchTo(before);
	return SPI_processed;
}

static Datum
column_value(uint64 row, int column, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, is_null);
}

/* A column of a row returned, as text in the current memory context; NULL where it is null. */
char *
worker_text(uint64 row, int column)
{
	bool is_null;
	Datum value = column_value(row, column, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

/* Likewise, in the memory of what keeps it. */
char *
worker_text_in(MemoryContext owner, uint64 row, int column)
{
	MemoryContext before = MemoryContextSwitchTo(owner);
	char *text = worker_text(row, column);

	MemoryContextSwitchTo(before);
	return text;
}

/* A column of a type like bytea or jsonb, copied into the memory of what keeps it. */
void *
worker_varlena_in(MemoryContext owner, uint64 row, int column)
{
	MemoryContext before = MemoryContextSwitchTo(owner);
	bool is_null;
	Datum value = column_value(row, column, &is_null);
	void *copy = is_null ? NULL : PG_DETOAST_DATUM_COPY(value);

	MemoryContextSwitchTo(before);
	return copy;
}

/* And an interval. */
Interval *
worker_interval_in(MemoryContext owner, uint64 row, int column)
{
	bool is_null;
	Datum value = column_value(row, column, &is_null);
	Interval *copy;

	if (is_null)
		return NULL;
	copy = MemoryContextAlloc(owner, sizeof *copy);
	*copy = *DatumGetIntervalP(value);
	return copy;
}

/* Add what was done in this round to the counters that everybody sees. */
static void
publish_counters(void)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, MyDatabaseId, false);
	int64 *sums = (int64 *) &slot->counters;
	const int64 *added = (const int64 *) &worker.counters;

	for (size_t i = 0; slot != NULL && i < sizeof(WorkerCounters) / sizeof(int64); i++)
		sums[i] += added[i];
	if (slot != NULL)
		slot->running = worker.task_count;
	queue_unlock();
	memset(&worker.counters, 0, sizeof worker.counters);
}

/* Take the slot; false when another worker has it, or the database was dropped meanwhile. */
static bool
enter(Oid database)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, database, false);
	bool entered = slot != NULL && slot->pid == 0;

	if (entered)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->leave = false;
		seen_wakes = slot->wakes;
		slot->started_at = GetCurrentTimestamp();
		slot->running = 0;
	}
	queue_unlock();
	return entered;
}

static void
worker_leave(int code, Datum database)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, DatumGetObjectId(database), false);

	if (slot != NULL && slot->pid == MyProcPid)
	{
		queue_note_end(slot);
		queue_wake_launcher(state);
	}
	queue_unlock();
}

/* What others have asked of us since the last round. */
static void
read_slot(void)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, MyDatabaseId, false);
	bool leave = slot == NULL || slot->leave;

	if (slot != NULL && slot->wakes != seen_wakes)
	{
		seen_wakes = slot->wakes;
		worker.look = true;
		worker.pass_milestones = true;
		if (slot->recheck)
			rechecks_left = lengthof(recheck_ms);
		slot->recheck = false;
	}
	if (slot != NULL && slot->cancels != seen_cancels)
	{
		seen_cancels = slot->cancels;
		worker.check_claims = true;
	}
	queue_unlock();
	/* Still wanted: whoever needs the database holds the next one off, and lets it in again. */
	if (leave)
	{
		retire();
		proc_exit(0);
	}
}

/* Look at the queue again then, if not before. */
void
worker_look_at(TimestampTz at)
{
	if (worker.look_at == 0 || at < worker.look_at)
		worker.look_at = at;
}

/* Have nobody work for a task any more. */
void
worker_stop(Task *task)
{
	inputs_drop(task);
	codecs_drop(task);
	evaluators_drop(task);
	calls_drop(task);
	objects_drop(task);
}

/* Give a task up, or be done with it. */
void
worker_forget(Task *task)
{
	worker_stop(task);
	dlist_delete(&task->link);
	worker.task_count--;
	task_free(task);
}

static void
reload_if_asked(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	worker.look = true;
}

/* Claim what there is room for; when there is nothing more, find out when there will be. */
static void
look_for_work(void)
{
	static TimestampTz tidied_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (worker.look_at != 0 && worker.look_at <= now)
		worker.look = worker.pass_milestones = true;
	if (!worker.look || !settings.enabled || pool_room() == 0)
		return;
	worker.look = false;
	worker.look_at = 0;
	claim_jobs();
	/* Under load it is enough to tidy up now and then. */
	if (worker.task_count > 0 && !TimestampDifferenceExceeds(tidied_at, now, UPKEEP_MS))
		worker_look_at(TimestampTzPlusMilliseconds(tidied_at, UPKEEP_MS));
	else if (!worker.look || worker.task_count > 0)
	{
		upkeep_run();
		tidied_at = now;
	}
	if (rechecks_left > 0)
		worker_look_at(TimestampTzPlusMilliseconds(
			now, recheck_ms[lengthof(recheck_ms) - rechecks_left--]));
}

/* How long may the loop sleep?  -1: until somebody wakes it. */
static long
sleep_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = settings.enabled && pool_room() > 0 ? worker.look_at : 0;
	long wait_ms = pool_wait_ms();

	if (worker.look && settings.enabled && pool_room() > 0)
		return 0;
	if (worker.renew_at != 0 && (next == 0 || worker.renew_at < next))
		next = worker.renew_at;
	if (worker.deadline_at != 0 && (next == 0 || worker.deadline_at < next))
		next = worker.deadline_at;
	if (next != 0)
	{
		long next_ms = TimestampDifferenceMilliseconds(now, next);

		/* Rounded down it would be a moment too early, again and again. */
		next_ms = Min(next_ms, 3600 * 1000L) + 1;
		wait_ms = wait_ms < 0 ? next_ms : Min(wait_ms, next_ms);
	}
	return wait_ms;
}

/* The set of sockets changes when helpers come and go; it is then made anew. */
static WaitEventSet *
wait_set(void)
{
	static WaitEventSet *set = NULL;
	int sockets[300 + EVALUATORS_MAX];
	int count;

	if (set != NULL && !pool_sockets_changed())
		return set;
	if (set != NULL)
		FreeWaitEventSet(set);
	count = pool_sockets(sockets, lengthof(sockets));
	set = compat_create_wait_event_set(TopMemoryContext, count + 2);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
		AddWaitEventToSet(set, WL_SOCKET_READABLE, sockets[i], NULL, NULL);
	return set;
}

static void
worker_open(void)
{
	snprintf(worker.name, sizeof worker.name, UINT64_FORMAT "/%d/" INT64_FORMAT,
			 GetSystemIdentifier(), MyProcPid, (int64) MyStartTimestamp);
	worker.jobs =
		AllocSetContextCreate(TopMemoryContext, "imgexport jobs", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&worker.tasks);
	worker.look = true;
	worker.pass_milestones = true;
	codecs_open();
	transfers_open();
	filework_open();
	hosts_forget_running();
	services_forget_running();
}

static void
run(void)
{
	for (;;)
	{
		WaitEvent event;
		long wait_ms;

		MemoryContextSwitchTo(worker.tick);
		MemoryContextReset(worker.tick);
		CHECK_FOR_INTERRUPTS();
		reload_if_asked();
		read_slot();
		pool_advance();
		leases_end_overdue();
		/* Before a failure is written down that the stop has caused. */
		if (retire_is_requested())
		{
			retire();
			proc_exit(0);
		}
		complete_done();
		deliver_finished();
		remove_finished();
		publish_counters();
		look_for_work();
		calls_advance();
		prepare_ready();
		objects_send();
		usage_write_down();
		pool_advance();
		leases_renew();
		publish_counters();
		wait_ms = sleep_ms();
		if (wait_ms == 0)
			continue;
		WaitEventSetWait(wait_set(), wait_ms, &event, 1, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* Entry point of the process; argument is the database's OID. */
void
imgexport_worker_main(Datum argument)
{
	Oid database = DatumGetObjectId(argument);

	background_start();
	pqsignal(SIGTERM, retire_on_signal);
	before_shmem_exit(worker_leave, ObjectIdGetDatum(database));
	if (!enter(database))
		proc_exit(0);
	background_connect(database, "imgexport worker");
	worker.tick =
		AllocSetContextCreate(TopMemoryContext, "imgexport tick", ALLOCSET_DEFAULT_SIZES);
	worker_begin("look for the extension");
	worker_commit();
	worker_open();
	run();
}
