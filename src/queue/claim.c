/*
 * claim.c
 *		Take the jobs that are due, as many as there is room for.
 *
 * What a claim has taken is in the worker's hands only once its transaction is committed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "queue/claimed.h"
#include "queue/evaluation.h"
#include "queue/queues.h"
#include "queue/worker.h"

/*
 * By queue: as many as it has room for, the most urgent first.  Hosts that are at their
 * limit are passed over, and of the rest no host gets more than it has room for.  Owners whose
 * functions are slow are passed over while enough of their jobs wait for them.
 */
static WorkerStatement claim_statement = {
	"WITH room AS MATERIALIZED ("
	" SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $11::timestamptz[])"
	"  AS r(queue, slots, host_limit, floor)),"
	" busy AS MATERIALIZED ("
	" SELECT * FROM unnest($4::text[], $5::int[], $6::int[]) AS h(host, running, cap)),"
	" due AS MATERIALIZED ("
	" SELECT j.*, room.host_limit FROM room, LATERAL ("
	"  SELECT batch_id, job_id, host, priority, run_at FROM imgexport.job"
	"  WHERE state = 'pending' AND NOT blocked AND NOT milestone AND queue = room.queue "
	"AND run_at <= $7"
	"  AND (deadline IS NULL OR deadline > $7)"
	"  AND (host IS NULL OR NOT EXISTS (SELECT FROM busy WHERE busy.host = job.host"
	"   AND busy.running >= least(room.host_limit, busy.cap)))"
	"  AND owner::text <> ALL ($12)"
	"  ORDER BY priority DESC, run_at LIMIT room.slots"
	"  FOR UPDATE SKIP LOCKED) j),"
	" chosen AS MATERIALIZED ("
	" SELECT batch_id, job_id FROM ("
	"  SELECT *, row_number() OVER (PARTITION BY host ORDER BY priority DESC, run_at) AS nth"
	"  FROM due) d LEFT JOIN busy USING (host)"
	" WHERE host IS NULL OR coalesce(running, 0) + nth <= least(host_limit, cap)"
	" ORDER BY priority DESC, run_at LIMIT $8)"
	" UPDATE imgexport.job j SET attempts = j.attempts + 1, started_at = $7, " CLAIM_SETS(
		"9", "13",
		"10") " FROM chosen"
			  " WHERE j.batch_id = chosen.batch_id AND j.job_id = chosen.job_id" CLAIM_RETURNS(
				  "NULL", "NULL"),
	13,
	{TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID,
	 TIMESTAMPTZOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID,
	 UUIDOID},
	NULL};

/* After a start, which may have followed a crash. */
#define SUSPICIOUS_MS 60000

typedef struct Claim
{
	Claimed claimed;
	TimestampTz
		next; /* when there will be room that a rate does not leave now; 0: no rate does */
	uint64 taken;
} Claim;

static WorkerStep claim_step = {.activity = "claim jobs"};
static WorkerStep milestones_step = {.activity = "pass milestones"};

static uint64
claim(Claim *claim, int room)
{
	TimestampTz now = claim->claimed.now;
	QueueRoom queues;
	Datum values[13];

	claim->next = queues_room(room, now, &queues);
	if (queues.count == 0)
		return 0;
	values[0] = queues.names;
	values[1] = queues.slots;
	values[2] = queues.host_limits;
	queues_hosts(now, &values[3], &values[4], &values[5]);
	values[6] = TimestampTzGetDatum(now);
	values[7] = Int32GetDatum(room);
	values[8] = CStringGetTextDatum(worker.name);
	values[9] = TimestampTzGetDatum(claimed_lease(&claim->claimed));
	values[10] = queues.floors;
	values[11] = turns_crowded_owners();
	values[12] = UUIDPGetDatum(&claim->claimed.claim);
	return worker_execute(&claim_statement, values, NULL);
}

/*
 * Claim due jobs, in one short transaction.  It need not be on disk before the work starts:
 * a claim that is lost in a crash is a job that is still pending.  But the crash would count for
 * no job then, and a job that has the server crash would do so for ever; so soon after a start
 * claims are brought to disk.  Jobs that have had crashes are due again within that time.
 */
static void
claim_due(void *argument)
{
	Claim *due = argument;

	due->taken = claim(due, pool_room());
	claimed_read(&due->claimed, due->taken);
	/* What counts for a rate has to outlive a crash as well. */
	if (!queues_write_starts(&due->claimed.tasks, due->claimed.now) &&
		TimestampDifferenceExceeds(MyStartTimestamp, due->claimed.now, SUSPICIOUS_MS))
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
}

static void
note_starts(const Claimed *claimed)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &claimed->tasks)
	{
		const Task *task = dlist_container(Task, link, iter.cur);

		queues_started(task->queue, task->run_at, claimed->now);
	}
}

static void
claim_step_run(void)
{
	Claim due = {.next = 0};

	claimed_begin(&due.claimed, GetCurrentTimestamp());
	if (!step_run(&claim_step, claim_due, &due))
	{
		claimed_drop(&due.claimed);
		worker_look_at(claim_step.backoff.again_at);
		return;
	}
	note_starts(&due.claimed);
	claimed_keep(&due.claimed);
	if (due.next != 0)
		worker_look_at(due.next);
	/* Where there was something there may be more, as soon as there is room again. */
	worker.look |= queues_claimed(due.taken > 0) || due.taken > 0;
}

static void
pass_milestones(void *argument)
{
	uint64 *passed = argument;

	*passed = milestones_pass(GetCurrentTimestamp());
}

/* Start what is due: milestones, which are done at once, and jobs. */
void
claim_jobs(void)
{
	uint64 passed = 0;

	if (worker.pass_milestones && step_run(&milestones_step, pass_milestones, &passed))
	{
		/* There may be more of them, and jobs that are due. */
		worker.pass_milestones = passed > 0;
		worker.look |= worker.pass_milestones;
		worker.counters.completed += passed;
	}
	else if (worker.pass_milestones)
		worker_look_at(milestones_step.backoff.again_at);
	claim_step_run();
}
