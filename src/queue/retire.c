/*
 * retire.c
 *		The planned end of a worker: what it has finished is written down, and its claims go back.
 *
 * A planned end costs nobody an attempt.  It is SIGTERM (a fast or smart shutdown, a restart,
 * pg_terminate_backend) or another session's need of the database (see utility.c).  A worker
 * that does not get here has crashed: the next one takes its claims back (see upkeep.c) and
 * counts a crash for each.
 */
#include "postgres.h"

#include <signal.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"

#include "queue/worker.h"

static volatile sig_atomic_t retirement_requested = false;

/* What somebody has locked is taken back from us later, as from a worker that died. */
#define GIVE_BACK(table)                                                                       \
	{                                                                                          \
		"UPDATE imgexport." table " r SET state = 'pending', worker = NULL, claim = NULL,"     \
		" lease_until = NULL, attempts = greatest(attempts - 1, 0)"                            \
		" FROM (SELECT ctid AS row FROM imgexport." table                                      \
		"  WHERE state = 'processing' AND worker = $1 FOR UPDATE SKIP LOCKED) d"               \
		" WHERE r.ctid = d.row",                                                               \
			1, {TEXTOID}, NULL                                                                 \
	}

static WorkerStatement give_back_jobs = GIVE_BACK("job");
static WorkerStatement give_back_deliveries = GIVE_BACK("delivery");
static WorkerStatement give_back_removals = GIVE_BACK("removal");

static WorkerStep jobs_step = {.activity = "give back jobs"};
static WorkerStep deliveries_step = {.activity = "give back webhooks"};
static WorkerStep removals_step = {.activity = "give back removals"};

/*
 * Handler of SIGTERM: the loop retires when it next comes round.  Its statements are short;
 * whoever does not want to wait for one sends the signal again, which ends it at once.
 */
void
retire_on_signal(SIGNAL_ARGS)
{
	if (retirement_requested)
	{
		die(postgres_signal_arg);
		return;
	}
	retirement_requested = true;
	SetLatch(MyLatch);
}

/* Was this worker asked to end? */
bool
retire_is_requested(void)
{
	return retirement_requested;
}

static void
give_back(void *argument)
{
	Datum values[] = {CStringGetTextDatum(worker.name)};
	uint64 rows = worker_execute(argument, values, NULL);

	if (argument == &give_back_jobs && rows > 0)
		ereport(LOG,
				(errmsg("imgexport gave back " UINT64_FORMAT " jobs at a planned stop", rows)));
}

/*
 * The postmaster signals our process group, in which a helper is until it has a session of its
 * own: what has failed may have failed by that.
 */
static void
forget_failures(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state == TASK_DONE && task->error != NULL)
			worker_forget(task);
	}
}

/* Write down what is done and give back what is not; the caller ends the process. */
void
retire(void)
{
	forget_failures();
	complete_done();
	deliver_finished();
	remove_finished();
	usage_write_down();
	(void) step_run(&jobs_step, give_back, &give_back_jobs);
	(void) step_run(&deliveries_step, give_back, &give_back_deliveries);
	(void) step_run(&removals_step, give_back, &give_back_removals);
}
