/*
 * wake.c
 *		Have a database's worker look for work, when the work can be seen.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "queue/shmem.h"
#include "queue/wake.h"

PG_FUNCTION_INFO_V1(imgexport_wake);
PG_FUNCTION_INFO_V1(imgexport_wake_on_change);
PG_FUNCTION_INFO_V1(imgexport_recheck_claims);

/* This transaction has made work. */
static bool pending = false;

/* And it may have ended what kept the database dormant. */
static bool revived = false;

/* And it has made this database, perhaps from a template with jobs in it. */
static Oid created = InvalidOid;

/* And it has cancelled some that may have begun. */
static bool cancelled = false;

/*
 * Wake a database's worker, or have the launcher start one.
 *
 * recheck	what it is woken for may become visible a little later (PREPARE TRANSACTION)
 */
void
wake_database(Oid database, bool recheck)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot;

	if (state == NULL)
		return;
	slot = queue_slot(state, database, true);
	if (slot != NULL)
	{
		slot->wakes++;
		slot->recheck |= recheck;
		slot->wanted = !slot->dormant;
		if (slot->latch != NULL)
			SetLatch(slot->latch);
		else if (slot->wanted)
			queue_wake_launcher(state);
	}
	queue_unlock();
}

/* The next worker of the database finds out whether it is dormant. */
static void
end_dormancy(Oid database)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot;

	if (state == NULL)
		return;
	slot = queue_slot(state, database, false);
	if (slot != NULL)
		slot->dormant = false;
	queue_unlock();
}

/* Have the worker look whether it still has its claims. */
static void
note_cancel(Oid database)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot;

	if (state == NULL)
		return;
	slot = queue_slot(state, database, false);
	if (slot != NULL)
		slot->cancels++;
	queue_unlock();
}

static void
on_transaction_end(XactEvent event, void *argument)
{
	if (!pending)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (cancelled)
				note_cancel(MyDatabaseId);
			if (revived)
				end_dormancy(MyDatabaseId);
			wake_database(MyDatabaseId, event == XACT_EVENT_PREPARE);
			if (OidIsValid(created))
				wake_database(created, false);
			break;
		case XACT_EVENT_ABORT:
			break;
		default:
			return;
	}
	pending = false;
	cancelled = false;
	revived = false;
	created = InvalidOid;
}

/* Called once, from _PG_init. */
void
wake_define(void)
{
	RegisterXactCallback(on_transaction_end, NULL);
}

/* Wake this database's worker when this transaction commits. */
void
wake_at_commit(void)
{
	pending = true;
}

/* Wake a database's worker when the transaction that makes it commits: nobody finds it before. */
void
wake_created_at_commit(Oid database)
{
	pending = true;
	created = database;
}

/* The same, and though it was dormant: what made it so may have changed. */
void
wake_dormant_at_commit(void)
{
	pending = true;
	revived = true;
}

/* imgexport.wake() returns void */
Datum
imgexport_wake(PG_FUNCTION_ARGS)
{
	wake_at_commit();
	PG_RETURN_VOID();
}

/* Trigger, of statements or rows: nothing but a note, so that a lost one costs time and no job. */
Datum
imgexport_wake_on_change(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("imgexport.wake_on_change must be called as a trigger")));
	wake_at_commit();
	return PointerGetDatum(NULL);
}

/* imgexport.recheck_claims() returns void */
Datum
imgexport_recheck_claims(PG_FUNCTION_ARGS)
{
	wake_at_commit();
	cancelled = true;
	PG_RETURN_VOID();
}
