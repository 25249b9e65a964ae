/*
 * verdicts.c
 *		Jobs that have failed before they began: found, and claimed with the reason.
 *
 * Rows that somebody else has locked are left for the next time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/dependencies.h"
#include "queue/verdicts.h"

/* Of each kind, so many at a time. */
#define VERDICTS_MAX "1000"

/* Jobs of so many rows are looked at for dependencies that end nowhere, with all of their batches. */
#define CYCLE_ROWS "500"

/* A round over all blocked jobs goes on after so long, and begins anew after so long. */
#define CYCLE_PART_MS 1000
#define CYCLE_ROUND_MS 10000

/* Parameters: $1 worker, $2 claim, $3 lease, $4 now. */

static WorkerStatement deadline_statement = {
	VERDICT("SELECT ctid AS row, 'IX004' AS error_code,"
			" concat_ws('; ', 'deadline passed before it was done', error) AS error"
			" FROM imgexport.job WHERE state = 'pending' AND deadline <= $4"
			" ORDER BY deadline LIMIT " VERDICTS_MAX " FOR UPDATE SKIP LOCKED",
			"", "1", "2", "3"),
	4,
	{TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
	NULL};

/*
 * The queues that pending jobs name are found by skipping through the index.  Here and below a
 * range of one value, with its column first in the order, leaves the planner one index to use.
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
	" SELECT queue FROM (SELECT queue FROM named WHERE queue <> '' LIMIT " VERDICTS_MAX ") n"
	" WHERE NOT EXISTS (SELECT FROM imgexport.queue q WHERE q.name = n.queue)),"
	" doomed AS MATERIALIZED ("
	" SELECT o.row, format('queue \"%s\" does not exist', lost.queue) AS error,"
	"  '22023' AS error_code FROM lost, LATERAL ("
	"  SELECT a.row FROM (SELECT j.ctid AS row FROM imgexport.job j"
	"   WHERE j.state = 'pending' AND NOT j.blocked AND j.milestone"
	"   AND j.queue BETWEEN lost.queue AND lost.queue ORDER BY j.queue, j.run_at"
	"   LIMIT " VERDICTS_MAX " FOR UPDATE SKIP LOCKED) a"
	"  UNION ALL"
	"  SELECT b.row FROM (SELECT j.ctid AS row FROM imgexport.job j"
	"   WHERE j.state = 'pending' AND NOT j.blocked AND NOT j.milestone"
	"   AND j.queue BETWEEN lost.queue AND lost.queue"
	"   ORDER BY j.queue, j.priority DESC, j.run_at"
	"   LIMIT " VERDICTS_MAX " FOR UPDATE SKIP LOCKED) b) o LIMIT " VERDICTS_MAX ")"
	" UPDATE imgexport.job j SET " CLAIM_SETS(
		"1", "2", "3") " FROM doomed d WHERE j.ctid = d.row" CLAIM_RETURNS("d.error",
																		   "d.error_code"),
	3,
	{TEXTOID, UUIDOID, TIMESTAMPTZOID},
	NULL};

/*
 * Some jobs of each owner that have not been settled: those that wait for nothing any more can
 * start, and with a dependency that was not completed they have failed.  The number of those
 * that were settled is a column of its own, and a row though none has failed.
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
	" SELECT u.batch_id, u.job_id, n.done, n.waits_for,"
	"  'job ' || n.broken || ', which it depends on, was not completed' AS error,"
	"  CASE WHEN n.broken IS NOT NULL THEN '55000' END AS error_code FROM unsettled u,"
	"  LATERAL imgexport.next_dependency(u.batch_id, u.depends_on, u.dependencies_done) n),"
	" waiting AS ("
	" UPDATE imgexport.job j SET dependencies_done = s.done, waits_for = s.waits_for"
	" FROM settled s WHERE s.error IS NULL"
	" AND (j.batch_id, j.job_id) = (s.batch_id, s.job_id)),"
	" failed AS ("
	" UPDATE imgexport.job j SET dependencies_done = d.done, " CLAIM_SETS(
		"1", "2", "3") " FROM settled d WHERE d.error IS NOT NULL"
					   " AND (j.batch_id, j.job_id) = (d.batch_id, d.job_id)" CLAIM_RETURNS(
						   "d.error", "d.error_code") ")"
													  " SELECT f.*, n.settled FROM (SELECT "
													  "count(*) AS settled FROM settled) n"
													  " LEFT JOIN failed f ON true",
	3,
	{TEXTOID, UUIDOID, TIMESTAMPTZOID},
	NULL};

/*
 * Of the next batches with blocked jobs, after $4: in each, the jobs of a ring that wait for each
 * other.  Stuck are those that no job can free which is not blocked itself; from one of them as
 * many steps as there are jobs to be reached lead into the ring, and from there all around it.
 * What waits for the ring is settled when that has ended.  The last batch that was looked at is a
 * column of its own, and a row though none has failed.
 */
#define NEXT_OF(from)                                                                          \
	" SELECT j.batch_id, j.waits_for FROM " from " f JOIN imgexport.job j"                     \
	" ON (j.batch_id, j.job_id) = (f.batch_id, f.job_id)"                                      \
	" WHERE j.state = 'pending' AND j.blocked AND j.waits_for IS NOT NULL"

static WorkerStatement cycle_statement = {
	"WITH RECURSIVE part AS MATERIALIZED ("
	" SELECT batch_id FROM imgexport.job WHERE state = 'pending' AND blocked AND batch_id > $4"
	" ORDER BY batch_id, job_id LIMIT " CYCLE_ROWS "),"
	" blocked AS MATERIALIZED ("
	" SELECT j.batch_id, j.job_id, j.waits_for FROM (SELECT DISTINCT batch_id FROM part) b"
	" JOIN imgexport.job j ON j.batch_id = b.batch_id WHERE j.state = 'pending' AND j.blocked),"
	" free (batch_id, job_id) AS ("
	" SELECT b.batch_id, b.job_id FROM blocked b WHERE b.waits_for IS NULL OR NOT EXISTS ("
	"  SELECT FROM imgexport.job o WHERE (o.batch_id, o.job_id) = (b.batch_id, b.waits_for)"
	"  AND o.state = 'pending' AND o.blocked)"
	" UNION ALL"
	" SELECT w.batch_id, w.job_id FROM free f JOIN imgexport.job w"
	"  ON w.batch_id = f.batch_id AND w.waits_for = f.job_id"
	"  WHERE w.state = 'pending' AND w.waits_for IS NOT NULL),"
	" stuck AS MATERIALIZED ("
	" SELECT batch_id, min(job_id::text)::uuid AS job_id FROM blocked"
	"  WHERE (batch_id, job_id) NOT IN (SELECT batch_id, job_id FROM free) GROUP BY batch_id),"
	" reached (batch_id, job_id) AS ("
	" SELECT batch_id, job_id FROM stuck UNION" NEXT_OF(
		"reached") "),"
				   " walk (batch_id, job_id, steps) AS ("
				   " SELECT s.batch_id, s.job_id, (SELECT count(*) FROM reached r"
				   "  WHERE r.batch_id = s.batch_id) FROM stuck s"
				   " UNION ALL"
				   " SELECT j.batch_id, j.waits_for, w.steps - 1 FROM walk w JOIN "
				   "imgexport.job j"
				   "  ON (j.batch_id, j.job_id) = (w.batch_id, w.job_id)"
				   "  WHERE w.steps > 0 AND j.state = 'pending' AND j.blocked AND j.waits_for "
				   "IS NOT NULL),"
				   " ring (batch_id, job_id) AS ("
				   " SELECT batch_id, job_id FROM walk WHERE steps = 0 UNION" NEXT_OF(
					   "ring") "),"
							   " doomed AS MATERIALIZED ("
							   " SELECT j.ctid AS row, '55000' AS error_code,"
							   "  CASE WHEN j.waits_for = j.job_id THEN 'job depends on itself'"
							   "   ELSE 'job depends on others that depend on it' END AS error"
							   "  FROM ring r JOIN imgexport.job j ON (j.batch_id, j.job_id) = "
							   "(r.batch_id, r.job_id)"
							   "  WHERE j.state = 'pending' AND j.blocked LIMIT " VERDICTS_MAX
							   "  FOR UPDATE OF j SKIP LOCKED),"
							   " failed AS ("
							   " UPDATE imgexport.job j SET " CLAIM_SETS(
								   "1", "2", "3") " FROM doomed d WHERE j.ctid = "
												  "d.row" CLAIM_RETURNS(
													  "d.error", "d.error_code") ")"
																				 " SELECT "
																				 "f.*, "
																				 "l.batch_id "
																				 "FROM"
																				 " (SELECT "
																				 "batch_id "
																				 "FROM part "
																				 "ORDER BY "
																				 "batch_id "
																				 "DESC LIMIT "
																				 "1) l LEFT "
																				 "JOIN "
																				 "failed f "
																				 "ON true",
	4,
	{TEXTOID, UUIDOID, TIMESTAMPTZOID, UUIDOID},
	NULL};

static WorkerStep deadline_step = {.activity = "end jobs past their deadline"};
static WorkerStep orphan_step = {.activity = "end jobs without a queue"};
static WorkerStep dependency_step = {.activity = "settle what jobs wait for"};
static WorkerStep cycle_step = {.activity = "end jobs that wait for each other"};

/* Where the next part of a round begins, and when it is due. */
static pg_uuid_t cycle_cursor;
static TimestampTz cycle_at;

typedef struct Verdicts
{
	Claimed claimed;
	WorkerStatement *statement;
	Datum *values;
	int count;	   /* of values that the caller has filled in; two more are ours */
	int64 settled; /* a column after those of a claim, of the first row: of a number ... */
	pg_uuid_t last_batch; /* ... or of a batch */
	bool any;			  /* there was a row */
} Verdicts;

static void
read_extra(Verdicts *verdicts)
{
	TupleDesc columns = SPI_tuptable->tupdesc;
	bool is_null;
	Datum value;

	if (columns->natts <= CLAIM_COLUMNS)
		return;
	value = SPI_getbinval(SPI_tuptable->vals[0], columns, CLAIM_COLUMNS + 1, &is_null);
	if (SPI_gettypeid(columns, CLAIM_COLUMNS + 1) == UUIDOID)
		verdicts->last_batch = *DatumGetUUIDP(value);
	else
		verdicts->settled = DatumGetInt64(value);
}

static void
claim(void *argument)
{
	Verdicts *verdicts = argument;
	uint64 rows;
	bool is_null;

	verdicts->values[verdicts->count] = UUIDPGetDatum(&verdicts->claimed.claim);
	verdicts->values[verdicts->count + 1] =
		TimestampTzGetDatum(claimed_lease(&verdicts->claimed));
	rows = worker_execute(verdicts->statement, verdicts->values, NULL);
	verdicts->any = rows > 0;
	if (rows == 0)
		return;
	read_extra(verdicts);
	SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	if (!is_null)
		claimed_read(&verdicts->claimed, rows);
}

static bool
run(WorkerStep *step, Verdicts *verdicts)
{
	bool done = step_run(step, claim, verdicts);

	if (done)
		claimed_keep(&verdicts->claimed);
	else
	{
		claimed_drop(&verdicts->claimed);
		worker_look_at(step->backoff.again_at);
	}
	return done;
}

/*
 * Claim what a statement finds.
 *
 * values	with room for claim and lease after the count that are filled in
 * Returns	whether it could be looked for
 */
bool
verdicts_claim(WorkerStep *step, WorkerStatement *statement, Datum *values, int count,
			   TimestampTz now)
{
	Verdicts verdicts = {.statement = statement, .values = values, .count = count};

	claimed_begin(&verdicts.claimed, now);
	return run(step, &verdicts);
}

/* Pending jobs whose deadline has passed. */
bool
verdicts_of_deadlines(TimestampTz now)
{
	Datum values[] = {CStringGetTextDatum(worker.name), 0, 0, TimestampTzGetDatum(now)};

	return verdicts_claim(&deadline_step, &deadline_statement, values, 1, now);
}

/* Pending jobs of queues that do not exist. */
bool
verdicts_of_orphans(TimestampTz now)
{
	Datum values[] = {CStringGetTextDatum(worker.name), 0, 0};

	return verdicts_claim(&orphan_step, &orphan_statement, values, 1, now);
}

/* Settle what jobs wait for; those whose dependency was not completed have failed. */
bool
verdicts_of_dependencies(TimestampTz now)
{
	Datum values[] = {CStringGetTextDatum(worker.name), 0, 0};
	Verdicts verdicts = {.statement = &dependency_statement, .values = values, .count = 1};
	bool done;

	claimed_begin(&verdicts.claimed, now);
	done = run(&dependency_step, &verdicts);
	/* Some can start, or have more to be settled. */
	if (done && verdicts.settled > 0)
		worker.look = worker.pass_milestones = true;
	return done;
}

/* Jobs that wait for each other, of the next batches. */
bool
verdicts_of_cycles(TimestampTz now)
{
	Datum values[] = {CStringGetTextDatum(worker.name), 0, 0, UUIDPGetDatum(&cycle_cursor)};
	Verdicts verdicts = {.statement = &cycle_statement, .values = values, .count = 1};
	bool done;

	if (now < cycle_at)
		return true;
	claimed_begin(&verdicts.claimed, now);
	done = run(&cycle_step, &verdicts);
	if (!done)
		return false;
	if (verdicts.any)
		cycle_cursor = verdicts.last_batch;
	else
		memset(&cycle_cursor, 0, sizeof cycle_cursor);
	cycle_at = TimestampTzPlusMilliseconds(now, verdicts.any ? CYCLE_PART_MS : CYCLE_ROUND_MS);
	return true;
}

/* When the next part of a round is due. */
TimestampTz
verdicts_next_cycles(void)
{
	return cycle_at;
}
