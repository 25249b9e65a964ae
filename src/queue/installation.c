/*
 * installation.c
 *		Does this database live where it was created?  Where it does not, nothing runs.
 *
 * imgexport.why_dormant() decides.  The worker asks it before each transaction of its own is
 * committed, and before anything leaves the process on behalf of what the transaction has
 * claimed; a worker that must not be here takes back what it did and ends.  A restore commits
 * rows and their mark in one transaction, so whoever has seen the rows finds the mark.
 *
 * The slot then says that the database is dormant: wake-ups start no further worker, until
 * imgexport.adopt() or a reload of the configuration, which may have changed
 * imgexport.installation.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/rls.h"

#include "queue/wake.h"
#include "queue/worker.h"
#include "settings.h"

PG_FUNCTION_INFO_V1(imgexport_this_place);
PG_FUNCTION_INFO_V1(imgexport_is_restoring);
PG_FUNCTION_INFO_V1(imgexport_mute_triggers);
PG_FUNCTION_INFO_V1(imgexport_is_dormant);
PG_FUNCTION_INFO_V1(imgexport_end_dormancy);

/* What is so nearly always, and costs little to ask. */
static WorkerStatement at_home_statement = {
	"SELECT FROM imgexport.installation i WHERE i.system_identifier = $1 AND i.database = $2"
	" AND NOT EXISTS (SELECT FROM imgexport.restore_mark)",
	2,
	{INT8OID, OIDOID},
	NULL};

static WorkerStatement why_statement = {
	"SELECT imgexport.why_dormant()", 0, {InvalidOid}, NULL};

static bool
is_at_home(void)
{
	Datum values[] = {Int64GetDatum((int64) GetSystemIdentifier()),
					  ObjectIdGetDatum(MyDatabaseId)};
	bool found;

	if (settings.installation[0] != '\0')
		return false;
	found = worker_execute(&at_home_statement, values, NULL) > 0;
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* NULL: nothing speaks against it. */
static char *
why_dormant(void)
{
	char *reason;

	worker_execute(&why_statement, NULL, NULL);
	reason = worker_text(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return reason;
}

/* How often this database was woken so far: a decision that is older does not stand. */
static uint64
wakes_now(void)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, MyDatabaseId, false);
	uint64 wakes = slot != NULL ? slot->wakes : 0;

	queue_unlock();
	return wakes;
}

static void
become_dormant(uint64 wakes_before)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, MyDatabaseId, false);

	if (slot != NULL && slot->wakes == wakes_before)
	{
		slot->wanted = false;
		slot->dormant = true;
	}
	queue_unlock();
}

/*
 * In a transaction of the worker: end the process, and undo the transaction, where nothing may
 * run here.  SPI_tuptable is left as it is.
 */
void
installation_require(void)
{
	SPITupleTable *rows = SPI_tuptable;
	uint64 processed = SPI_processed;
	uint64 wakes = wakes_now();
	char *reason;

	reason = is_at_home() ? NULL : why_dormant();
	SPI_tuptable = rows;
	SPI_processed = processed;
	if (reason == NULL)
		return;
	ereport(LOG, (errmsg("imgexport is dormant in database \"%s\": %s",
						 get_database_name(MyDatabaseId), reason),
				  errhint("CALL imgexport.adopt() in it declares it the original.")));
	AbortCurrentTransaction();
	become_dormant(wakes);
	proc_exit(0);
}

/* imgexport.this_place(OUT system_identifier int8, OUT database oid) */
Datum
imgexport_this_place(PG_FUNCTION_ARGS)
{
	Datum values[] = {Int64GetDatum((int64) GetSystemIdentifier()),
					  ObjectIdGetDatum(MyDatabaseId)};
	bool nulls[lengthof(values)] = {false};
	TupleDesc columns;

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "this_place returns no row");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
}

/*
 * imgexport.is_restoring() returns boolean
 *
 * An extension's script runs without function bodies being checked, whoever runs it.
 */
Datum
imgexport_is_restoring(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!row_security && !check_function_bodies && !creating_extension);
}

static void
set_replication_role(const char *role)
{
	(void) set_config_option("session_replication_role", role, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * imgexport.mute_triggers(mute boolean) returns void
 *
 * Called before and after one statement that restores rows.  An error in between ends the
 * transaction, and the setting with it; a session that has muted triggers itself keeps that.
 */
Datum
imgexport_mute_triggers(PG_FUNCTION_ARGS)
{
	static bool muted = false;
	bool mute = PG_GETARG_BOOL(0);

	if (mute)
	{
		muted = SessionReplicationRole == SESSION_REPLICATION_ROLE_ORIGIN && superuser();
		if (muted)
			set_replication_role("replica");
	}
	else if (muted)
	{
		muted = false;
		set_replication_role("origin");
	}
	PG_RETURN_VOID();
}

/* imgexport.is_dormant() returns boolean */
Datum
imgexport_is_dormant(PG_FUNCTION_ARGS)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot;
	bool dormant;

	if (state == NULL)
		PG_RETURN_BOOL(false);
	slot = queue_slot(state, MyDatabaseId, false);
	dormant = slot != NULL && slot->dormant;
	queue_unlock();
	PG_RETURN_BOOL(dormant);
}

/* imgexport.end_dormancy() returns void */
Datum
imgexport_end_dormancy(PG_FUNCTION_ARGS)
{
	wake_dormant_at_commit();
	PG_RETURN_VOID();
}
