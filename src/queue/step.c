/*
 * step.c
 *		What the worker does in transactions of its own, and puts off where it cannot be done now.
 *
 * An error ends its transaction and nothing else: what the worker holds in memory, rendered
 * images above all, outlives it.  So whoever runs a step changes what is in memory only once
 * the step has said that it was done.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "helper/guarded.h"
#include "queue/step.h"
#include "queue/worker.h"

/* A lock is held for a moment mostly; a disk may be full for hours. */
#define FIRST_MS 20
#define MAX_MS 10000

/* It failed once more. */
void
backoff_begin(Backoff *backoff)
{
	long wait_ms = Min((long) FIRST_MS << Min(backoff->failures, 20), MAX_MS);

	backoff->failures++;
	backoff->again_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait_ms);
}

/* How long until it is due, in ms; 0: it is. */
long
backoff_wait_ms(const Backoff *backoff)
{
	TimestampTz now;

	if (backoff->again_at == 0)
		return 0;
	now = GetCurrentTimestamp();
	return backoff->again_at <= now
			   ? 0
			   : TimestampDifferenceMilliseconds(now, backoff->again_at) + 1;
}

/* The later of that and of when there is something to do; -1: there never is. */
long
backoff_or(const Backoff *backoff, long wait_ms)
{
	return wait_ms < 0 ? wait_ms : Max(wait_ms, backoff_wait_ms(backoff));
}

/* The first of several failures in a row, and then one now and then. */
static void
complain(const WorkerStep *step, const HelperError *error)
{
	int failures = step->backoff.failures;

	if ((failures & (failures - 1)) == 0)
		ereport(LOG, (errmsg("imgexport puts off to %s: %s", step->activity, error->message),
					  errdetail("SQLSTATE %s, %d failures in a row.",
								unpack_sql_state(error->sqlstate), failures)));
}

/* It was done, or it is put off because of an error; whether it was done. */
bool
step_settle(WorkerStep *step, const HelperError *error)
{
	if (error == NULL)
	{
		step->backoff = (Backoff){0};
		return true;
	}
	backoff_begin(&step->backoff);
	complain(step, error);
	return false;
}

/* In a transaction that is over with it, whatever happens; the error is in the tick's memory. */
static HelperError *
run_in_transaction(const WorkerStep *step, void (*run)(void *argument), void *argument)
{
	MemoryContext before = CurrentMemoryContext;
	HelperError *volatile error = NULL;

	PG_TRY();
	{
		if (step->for_tasks)
			worker_begin_for_tasks(step->activity);
		else
			worker_begin(step->activity);
		run(argument);
		worker_commit();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(worker.tick);
		error = guarded_error();
		AbortOutOfAnyTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	return error;
}

/*
 * Run a step in a transaction of its own, if it is not put off.
 *
 * Returns	whether it was committed
 */
bool
step_run(WorkerStep *step, void (*run)(void *argument), void *argument)
{
	if (backoff_wait_ms(&step->backoff) > 0)
		return false;
	return step_settle(step, run_in_transaction(step, run, argument));
}

/* The same as a part of the open transaction, which goes on without it if need be. */
bool
step_run_part(WorkerStep *step, void (*run)(void *argument), void *argument)
{
	if (backoff_wait_ms(&step->backoff) > 0)
		return false;
	return step_settle(step, run_guarded(run, argument, worker.tick));
}

/* How long until a step that was put off is due; -1: it is not put off. */
long
step_wait_ms(const WorkerStep *step)
{
	return step->backoff.again_at == 0 ? -1 : backoff_wait_ms(&step->backoff);
}
