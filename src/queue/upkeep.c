/*
 * upkeep.c
 *		What keeps the queue in order: claims of the dead, leases, deadlines, jobs that wait for
 *		others, and when there will be something to do next.
 *
 * One statement finds out what is due; the others run only where it says so.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "queue/dependencies.h"
#include "queue/hosts.h"
#include "queue/worker.h"
#include "settings.h"

/* Of each kind, so many are put in order at a time. */
#define UPKEEP_MAX "1000"

/* Under load, what is rarely there is looked for no more often than this. */
#define RARELY_MS 10000

/* A job that ends here counts in its batch as one that the worker has ended. */
#define COUNT_ENDED                                                                            \
	", counted AS ("                                                                           \
	" UPDATE imgexport.batch b SET failed = b.failed + c.ended,"                               \
	" finished_at = CASE WHEN b.completed + b.failed + c.ended >= b.total THEN $1 END"         \
	" FROM (SELECT batch_id, owner, count(*) AS ended FROM ended WHERE state = 'failed'"       \
	"  GROUP BY batch_id, owner) c"                                                            \
	" WHERE b.batch_id = c.batch_id AND b.owner = c.owner"                                     \
	" RETURNING b.batch_id, b.owner, b.webhook_url, b.finished_at),"                           \
	" told AS ("                                                                               \
	" INSERT INTO imgexport.delivery (batch_id, job_id, owner, url, event)"                    \
	" SELECT batch_id, NULL, owner, webhook_url, 'batch.completed' FROM counted"               \
	" WHERE finished_at IS NOT NULL AND webhook_url IS NOT NULL"                               \
	" UNION ALL SELECT batch_id, job_id, owner, webhook_url, 'job.failed' FROM ended"          \
	" WHERE state = 'failed' AND webhook_url IS NOT NULL"                                      \
	" RETURNING delivery_id)" FREE_DEPENDENTS(                                                 \
		"ended", "e.state = 'failed'") " SELECT state = 'failed', (SELECT count(*) FROM "      \
									   "told) FROM ended"

/*
 * $2 is what names of this server's workers begin with, $3 our own.  A worker of this
 * server that is not us is dead: there is one a database.
 *
 * A crash costs no attempt; a job ends when it has had $4 of them.  Nobody knows which of the
 * jobs in progress caused it, so from the second crash on they are run again apart from each
 * other, by a delay that differs from job to job.
 */
static WorkerStatement recover_statement = {
	"WITH ended AS ("
	" UPDATE imgexport.job SET"
	" crashes = least(crashes, 1000000) + 1, attempts = greatest(attempts - 1, 0),"
	" state = CASE WHEN crashes + 1 < $4 THEN 'pending' ELSE 'failed' END,"
	" run_at = CASE WHEN crashes = 0 THEN run_at ELSE $1 + interval '1 second'"
	"  * (2 ^ least(crashes, 4) * (1 + (hashtext(job_id::text) & 1023) / 1024.0)) END,"
	" worker = NULL, lease_until = NULL,"
	" error = format('worker died while it had this job, for the %s. time of %s', crashes + 1,"
	"  $4),"
	" error_code = 'IX007',"
	" finished_at = CASE WHEN crashes + 1 < $4 THEN NULL ELSE $1 END"
	" WHERE state = 'processing' AND worker IS DISTINCT FROM $3"
	" AND (starts_with(worker, $2) OR lease_until < $1)"
	" RETURNING batch_id, job_id, owner, webhook_url, state)" COUNT_ENDED,
	4,
	{TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID},
	NULL};

static WorkerStatement recover_deliveries_statement = {
	"UPDATE imgexport.delivery SET state = 'pending', worker = NULL, lease_until = NULL"
	" WHERE state = 'processing' AND worker IS DISTINCT FROM $3"
	" AND (starts_with(worker, $2) OR lease_until < $1)",
	3,
	{TIMESTAMPTZOID, TEXTOID, TEXTOID},
	NULL};

static WorkerStatement renew_statement = {
	"UPDATE imgexport.job SET lease_until = $2 WHERE state = 'processing' AND worker = $1"
	" RETURNING job_id",
	2,
	{TEXTOID, TIMESTAMPTZOID},
	NULL};

/*
 * The queues that pending jobs name, found by skipping through the index.  Here and below a range
 * of one value, with its column first in the order, leaves the planner one index to use.
 */
static WorkerStatement orphan_statement = {
	"WITH RECURSIVE named AS ("
	" SELECT '' AS queue, milestone FROM (VALUES (true), (false)) AS v(milestone)"
	" UNION ALL"
	" SELECT CASE WHEN n.milestone"
	"  THEN (SELECT j.queue FROM imgexport.job j WHERE j.state = 'pending' AND NOT j.blocked"
	"   AND j.milestone AND j.queue > n.queue ORDER BY j.queue LIMIT 1)"
	"  ELSE (SELECT j.queue FROM imgexport.job j WHERE j.state = 'pending' AND NOT j.blocked"
	"   AND NOT j.milestone AND j.queue > n.queue ORDER BY j.queue LIMIT 1) END,"
	"  n.milestone FROM named n WHERE n.queue IS NOT NULL),"
	" lost AS MATERIALIZED ("
	" SELECT queue FROM (SELECT queue FROM named WHERE queue <> '' LIMIT " UPKEEP_MAX ") n"
	" WHERE NOT EXISTS (SELECT FROM imgexport.queue q WHERE q.name = n.queue)),"
	" ended AS ("
	" UPDATE imgexport.job SET state = 'failed', finished_at = $1, error_code = '22023',"
	" error = format('queue \"%s\" does not exist', queue)"
	" FROM (SELECT o.row FROM lost, LATERAL ("
	"  SELECT a.row FROM (SELECT j.ctid AS row FROM imgexport.job j"
	"   WHERE j.state = 'pending' AND NOT j.blocked AND j.milestone"
	"   AND j.queue BETWEEN lost.queue AND lost.queue ORDER BY j.queue, j.run_at "
	"LIMIT " UPKEEP_MAX " FOR UPDATE SKIP LOCKED) a"
	"  UNION ALL"
	"  SELECT b.row FROM (SELECT j.ctid AS row FROM imgexport.job j"
	"   WHERE j.state = 'pending' AND NOT j.blocked AND NOT j.milestone"
	"   AND j.queue BETWEEN lost.queue AND lost.queue"
	"   ORDER BY j.queue, j.priority DESC, j.run_at LIMIT " UPKEEP_MAX
	" FOR UPDATE SKIP LOCKED) b) o"
	"  LIMIT " UPKEEP_MAX ") l"
	" WHERE job.ctid = l.row"
	" RETURNING batch_id, job_id, owner, webhook_url, state)" COUNT_ENDED,
	1,
	{TIMESTAMPTZOID},
	NULL};

static WorkerStatement deadline_statement = {
	"WITH ended AS ("
	" UPDATE imgexport.job SET state = 'failed', finished_at = $1, error_code = 'IX004',"
	" error = concat_ws('; ', 'deadline passed before it was done', error)"
	" FROM (SELECT ctid AS row FROM imgexport.job"
	"  WHERE state = 'pending' AND deadline <= $1 ORDER BY deadline LIMIT " UPKEEP_MAX
	"  FOR UPDATE SKIP LOCKED) l WHERE job.ctid = l.row"
	" RETURNING batch_id, job_id, owner, webhook_url, state)" COUNT_ENDED,
	1,
	{TIMESTAMPTZOID},
	NULL};

/*
 * Some jobs of each owner that have not been settled: those that wait for nothing any more can
 * start, and with a dependency that was not completed they fail.
 */
static WorkerStatement dependency_statement = {
	"WITH RECURSIVE owners AS ("
	" (SELECT owner FROM imgexport.job WHERE state = 'pending' AND blocked"
	"  AND waits_for IS NULL ORDER BY owner LIMIT 1)"
	" UNION ALL"
	" SELECT (SELECT j.owner FROM imgexport.job j WHERE j.state = 'pending' AND j.blocked"
	"  AND j.waits_for IS NULL AND j.owner > owners.owner ORDER BY j.owner LIMIT 1)"
	" FROM owners WHERE owners.owner IS NOT NULL),"
	" unsettled AS MATERIALIZED ("
	" SELECT u.* FROM owners, LATERAL ("
	"  SELECT batch_id, job_id, depends_on, dependencies_done FROM imgexport.job j"
	"  WHERE j.state = 'pending' AND j.blocked AND j.waits_for IS NULL"
	"  AND j.owner BETWEEN owners.owner AND owners.owner ORDER BY j.owner LIMIT " DEPENDENTS_MAX
	" FOR UPDATE SKIP LOCKED) u),"
	" settled AS MATERIALIZED ("
	" SELECT u.batch_id, u.job_id, n.done, n.waits_for, n.broken FROM unsettled u,"
	"  LATERAL imgexport.next_dependency(u.batch_id, u.depends_on, u.dependencies_done) n),"
	" ended AS ("
	" UPDATE imgexport.job j SET dependencies_done = s.done, waits_for = s.waits_for,"
	" state = CASE WHEN s.broken IS NULL THEN j.state ELSE 'failed' END,"
	" finished_at = CASE WHEN s.broken IS NOT NULL THEN $1 END,"
	" error_code = CASE WHEN s.broken IS NOT NULL THEN '55000' END,"
	" error = 'job ' || s.broken || ', which it depends on, was not completed'"
	" FROM settled s WHERE j.batch_id = s.batch_id AND j.job_id = s.job_id"
	" AND j.state = 'pending'"
	" RETURNING j.batch_id, j.job_id, j.owner, j.webhook_url, j.state)" COUNT_ENDED,
	1,
	{TIMESTAMPTZOID},
	NULL};

static WorkerStatement recover_removals_statement = {
	"UPDATE imgexport.removal SET state = 'pending', worker = NULL, lease_until = NULL"
	" WHERE state = 'processing' AND worker IS DISTINCT FROM $3"
	" AND (starts_with(worker, $2) OR lease_until < $1)",
	3,
	{TIMESTAMPTZOID, TEXTOID, TEXTOID},
	NULL};

/* When there is something to do next, by kind; a job that is due may still wait for room. */
static WorkerStatement next_statement = {
	"SELECT (SELECT min(run_at) FROM imgexport.job"
	"  WHERE state = 'pending' AND NOT blocked AND run_at > $1),"
	" (SELECT min(deadline) FROM imgexport.job WHERE state = 'pending' AND deadline IS NOT "
	"NULL),"
	" (SELECT min(next_run) FROM imgexport.schedule WHERE enabled),"
	" (SELECT min(run_at) FROM imgexport.delivery WHERE state = 'pending'),"
	" (SELECT min(run_at) FROM imgexport.removal WHERE state = 'pending'),"
	" EXISTS (SELECT FROM imgexport.job"
	"  WHERE state = 'pending' AND blocked AND waits_for IS NULL),"
	" EXISTS (SELECT FROM imgexport.job WHERE state = 'pending' AND blocked)",
	1,
	{TIMESTAMPTZOID},
	NULL};

/* Claims of other servers, which end with their leases. */
static WorkerStatement next_lease_statement = {
	"SELECT least((SELECT lease_until FROM imgexport.job"
	"  WHERE state = 'processing' AND worker <> $1 ORDER BY lease_until LIMIT 1),"
	" (SELECT lease_until FROM imgexport.delivery"
	"  WHERE state = 'processing' AND worker <> $1 ORDER BY lease_until LIMIT 1),"
	" (SELECT lease_until FROM imgexport.removal"
	"  WHERE state = 'processing' AND worker <> $1 ORDER BY lease_until LIMIT 1))",
	1,
	{TEXTOID},
	NULL};

/* The column of a statement that ends with COUNT_ENDED. */
#define ENDED_FAILED 1

/* The columns of next_statement. */
enum
{
	NEXT_JOB = 1,
	NEXT_DEADLINE,
	NEXT_SCHEDULE,
	NEXT_DELIVERY,
	NEXT_REMOVAL,
	NEXT_DEPENDENCY,
	NEXT_BLOCKED,
	NEXT_COUNT = NEXT_BLOCKED
};

/* Returns how many jobs were changed; where some have failed, others may depend on them. */
static uint64
end_jobs(WorkerStatement *statement, Datum *values)
{
	uint64 rows = worker_execute(statement, values, NULL);

	for (uint64 row = 0; row < rows; row++)
	{
		bool is_null;

		if (DatumGetBool(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									   ENDED_FAILED, &is_null)))
		{
			dependencies_recheck();
			break;
		}
	}
	return rows;
}

static void
recover(TimestampTz now)
{
	char *slash = strchr(worker.name, '/');
	Datum values[] = {
		TimestampTzGetDatum(now),
		PointerGetDatum(cstring_to_text_with_len(worker.name, slash - worker.name + 1)),
		CStringGetTextDatum(worker.name), Int32GetDatum(settings.max_crashes)};
	uint64 taken = end_jobs(&recover_statement, values);

	if (taken > 0)
	{
		ereport(LOG, (errmsg("imgexport took back " UINT64_FORMAT " jobs of a worker that died",
							 taken)));
		worker.look = true;
	}
	worker_execute(&recover_deliveries_statement, values, NULL);
	worker_execute(&recover_removals_statement, values, NULL);
}

/* At the start: claims of the worker that was here before are nobody's. */
void
upkeep_recover(void)
{
	worker_begin("take back claims");
	recover(GetCurrentTimestamp());
	worker_commit();
}

/* What is due next, by kind; 0: nothing. */
static void
find_next(TimestampTz now, TimestampTz *next)
{
	Datum values[] = {TimestampTzGetDatum(now)};

	worker_execute(&next_statement, values, NULL);
	for (int i = NEXT_JOB; i <= NEXT_COUNT; i++)
	{
		bool is_null;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i, &is_null);

		if (i == NEXT_DEPENDENCY || i == NEXT_BLOCKED)
			next[i] = DatumGetBool(value) ? now : 0;
		else
			next[i] = is_null ? 0 : DatumGetTimestampTz(value);
	}
}

static bool
is_due(const TimestampTz *next, int kind, TimestampTz now)
{
	return next[kind] != 0 && next[kind] <= now;
}

/* Do what is due.  Returns whether that may have changed what is due next. */
static bool
tidy(const TimestampTz *next, TimestampTz now)
{
	Datum values[] = {TimestampTzGetDatum(now)};
	uint64 changed = 0;

	if (is_due(next, NEXT_DEADLINE, now))
		changed += end_jobs(&deadline_statement, values);
	if (next[NEXT_DEPENDENCY] != 0)
		changed += end_jobs(&dependency_statement, values);
	if (next[NEXT_BLOCKED] != 0)
		changed += dependencies_sweep(now);
	if (is_due(next, NEXT_DELIVERY, now))
		deliver_claim(now);
	if (is_due(next, NEXT_REMOVAL, now))
		remove_claim(now);
	return changed > 0;
}

/*
 * What is rarely there: jobs of no queue, and leases that have run out.  Under load it can
 * wait, as these statements begin with index entries of all jobs that are done, where an old
 * transaction keeps vacuum from them.
 */
static void
tidy_rarely(TimestampTz now)
{
	static TimestampTz tidied_at = 0;
	Datum values[] = {TimestampTzGetDatum(now)};
	Datum name[] = {CStringGetTextDatum(worker.name)};
	bool is_null;
	Datum lease;

	if (worker.task_count > 0 && !TimestampDifferenceExceeds(tidied_at, now, RARELY_MS))
		return;
	tidied_at = now;
	roles_note_names();
	if (end_jobs(&orphan_statement, values) > 0)
		worker.look = true;
	worker_execute(&next_lease_statement, name, NULL);
	lease = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	if (is_null)
		return;
	if (DatumGetTimestampTz(lease) <= now)
		recover(now);
	else
		worker_look_at(DatumGetTimestampTz(lease));
}

/*
 * Put the queue in order, and find out when to look again.  What is due already and stays
 * so waits for room, which makes itself known.
 */
void
upkeep_run(void)
{
	TimestampTz next[NEXT_COUNT + 1] = {0};
	TimestampTz now;
	TimestampTz host;

	worker_begin("keep the queue in order");
	now = GetCurrentTimestamp();
	find_next(now, next);
	if (tidy(next, now))
		worker.look = worker.pass_milestones = true;
	tidy_rarely(now);
	worker_commit();
	if (is_due(next, NEXT_SCHEDULE, now))
		schedule_run(now);
	for (int kind = NEXT_JOB; kind < NEXT_DEPENDENCY; kind++)
		if (next[kind] > now)
			worker_look_at(next[kind]);
	if (next[NEXT_BLOCKED] != 0)
		worker_look_at(dependencies_next_sweep());
	host = hosts_next_change(now);
	if (host != 0)
		worker_look_at(host);
}

/* Tasks whose row says that they are not ours any more are given up. */
static void
drop_lost(uint64 rows)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		bool found = false;

		for (uint64 row = 0; row < rows && !found; row++)
		{
			bool is_null;
			Datum id =
				SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &is_null);

			found = memcmp(DatumGetUUIDP(id), &task->job_id, sizeof task->job_id) == 0;
		}
		if (!found)
			worker_forget(task);
	}
	worker.look = true;
}

/*
 * Jobs in work are ours for another while.  Where some were cancelled this is done at
 * once, and tells which.
 */
void
upkeep_renew(void)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum values[2];
	uint64 rows;

	if (worker.task_count == 0)
	{
		worker.renew_at = 0;
		worker.check_claims = false;
		return;
	}
	if (now < worker.renew_at && !worker.check_claims)
		return;
	if (worker.check_claims)
		dependencies_recheck();
	worker_begin("renew claims");
	values[0] = CStringGetTextDatum(worker.name);
	values[1] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS));
	rows = worker_execute(&renew_statement, values, NULL);
	if (rows != (uint64) worker.task_count)
		drop_lost(rows);
	worker_commit();
	worker.check_claims = false;
	worker.renew_at = TimestampTzPlusMilliseconds(now, LEASE_MS / 3);
}

/* A job in work whose deadline passes is ended. */
void
upkeep_end_overdue(void)
{
	TimestampTz now = 0;
	dlist_iter iter;

	worker.deadline_at = 0;
	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		MemoryContext before;

		if (task->deadline == 0 || task->state == TASK_DONE)
			continue;
		if (now == 0)
			now = GetCurrentTimestamp();
		if (task->deadline > now)
		{
			if (worker.deadline_at == 0 || task->deadline < worker.deadline_at)
				worker.deadline_at = task->deadline;
			continue;
		}
		before = MemoryContextSwitchTo(task->context);
		inputs_drop(task);
		codecs_drop(task);
		calls_drop(task);
		objects_drop(task);
		task_fail(task,
				  helper_error(ERRCODE_IMAGE_TIMEOUT, false,
							   psprintf("deadline passed in phase %s", task_phase(task->state)),
							   NULL, NULL));
		MemoryContextSwitchTo(before);
	}
}
