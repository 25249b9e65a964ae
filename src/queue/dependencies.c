/*
 * dependencies.c
 *		Jobs that wait for others: what nobody has told us of them.
 *
 * A sweep goes through the blocked jobs in the order of their keys, so many of depends_on at a
 * time.  It finds jobs that depend on one that failed, was cancelled or deleted, and those that
 * could not be freed because their rows were locked.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "queue/dependencies.h"
#include "queue/worker.h"

/* One sweep looks at so many rows, and at rows with so many dependencies together. */
#define SWEEP_ROWS "500"
#define SWEEP_DEPENDENCIES "10000"

/* Without news of a job that failed the next part is looked at after so long. */
#define SWEEP_MS 10000

/*
 * What is broken moves to the front of depends_on, so that it is what the job fails of.
 * Returns the key of the last row that it looked at, and how many it changed.
 */
static WorkerStatement sweep_statement = {
	"WITH part AS MATERIALIZED ("
	" SELECT * FROM (SELECT p.*, sum(cardinality(p.depends_on))"
	"   OVER (ORDER BY p.batch_id, p.job_id) - cardinality(p.depends_on) AS before"
	"  FROM (SELECT batch_id, job_id, depends_on, dependencies_done, waits_for"
	"   FROM imgexport.job WHERE state = 'pending' AND blocked"
	"   AND (batch_id, job_id) > ($1, $2)"
	"   ORDER BY batch_id, job_id LIMIT " SWEEP_ROWS ") p) q"
	" WHERE before < " SWEEP_DEPENDENCIES "),"
	" stale AS MATERIALIZED ("
	" SELECT p.batch_id, p.job_id, b.id AS broken FROM part p, LATERAL ("
	"  SELECT min(d.id::text) FILTER (WHERE o.state IS NULL"
	"    OR o.state IN ('failed', 'cancelled'))::uuid AS id,"
	"   bool_or(d.id = p.waits_for AND o.state = 'completed') AS completed"
	"  FROM unnest(p.depends_on[p.dependencies_done + 1:]) AS d(id)"
	"  LEFT JOIN imgexport.job o"
	"  ON o.batch_id = p.batch_id AND o.job_id = d.id) b"
	" WHERE b.id IS NOT NULL OR b.completed),"
	" freed AS ("
	" UPDATE imgexport.job w SET waits_for = NULL,"
	" depends_on = CASE WHEN f.broken IS NULL THEN w.depends_on"
	"  ELSE w.depends_on[:w.dependencies_done] || f.broken"
	"   || array_remove(w.depends_on[w.dependencies_done + 1:], f.broken) END"
	" FROM (SELECT j.ctid, s.broken FROM stale s JOIN imgexport.job j"
	"  ON (j.batch_id, j.job_id) = (s.batch_id, s.job_id)"
	"  WHERE j.state = 'pending' AND j.blocked FOR UPDATE OF j SKIP LOCKED) f"
	" WHERE w.ctid = f.ctid RETURNING w.job_id)"
	" SELECT batch_id, job_id, (SELECT count(*) FROM freed) FROM part"
	" ORDER BY batch_id DESC, job_id DESC LIMIT 1",
	2,
	{UUIDOID, UUIDOID},
	NULL};

/* Where the next sweep begins; after the last row it is at the beginning once more. */
static pg_uuid_t cursor_batch;
static pg_uuid_t cursor_job;

/* A whole round is wanted: this one, and if another job failed in the middle of it, one more. */
static bool rechecking = true;
static bool recheck_again = false;

static TimestampTz swept_at = 0;

/* A job has failed, or was cancelled or deleted: others may depend on it. */
void
dependencies_recheck(void)
{
	if (rechecking)
		recheck_again = true;
	rechecking = true;
}

static void
end_round(void)
{
	memset(&cursor_batch, 0, sizeof cursor_batch);
	memset(&cursor_job, 0, sizeof cursor_job);
	rechecking = recheck_again;
	recheck_again = false;
}

/*
 * Look at a part of the blocked jobs, in the open transaction, if it is time.
 *
 * Returns	how many are to be settled now
 */
uint64
dependencies_sweep(TimestampTz now)
{
	Datum values[] = {UUIDPGetDatum(&cursor_batch), UUIDPGetDatum(&cursor_job)};
	SPITupleTable *rows;
	bool is_null;

	if (!rechecking && !TimestampDifferenceExceeds(swept_at, now, SWEEP_MS))
		return 0;
	swept_at = now;
	if (worker_execute(&sweep_statement, values, NULL) == 0)
	{
		end_round();
		return 0;
	}
	rows = SPI_tuptable;
	cursor_batch = *DatumGetUUIDP(SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &is_null));
	cursor_job = *DatumGetUUIDP(SPI_getbinval(rows->vals[0], rows->tupdesc, 2, &is_null));
	return DatumGetInt64(SPI_getbinval(rows->vals[0], rows->tupdesc, 3, &is_null));
}

/* When the next part is to be looked at. */
TimestampTz
dependencies_next_sweep(void)
{
	return rechecking ? swept_at : TimestampTzPlusMilliseconds(swept_at, SWEEP_MS);
}
