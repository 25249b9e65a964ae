/*
 * milestones.c
 *		Jobs without an image: done as soon as they are due, in one statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "queue/dependencies.h"
#include "queue/worker.h"

/* At a time. */
#define MILESTONES_MAX "2000"

/* Of a queue q; a range of one value leaves the planner one index. */
#define MILESTONE_IS_DUE                                                                       \
	" j.state = 'pending' AND NOT j.blocked AND j.milestone"                                   \
	" AND j.queue BETWEEN q.name AND q.name"                                                   \
	" AND j.run_at <= $1 AND (j.deadline IS NULL OR j.deadline > $1)"

/*
 * They take no time, so of their queue's limits only its pause is theirs.  Those whose row, or
 * whose batch's, somebody else has locked are passed over.
 */
static WorkerStatement pass_statement = {
	"WITH in_batch AS MATERIALIZED ("
	" SELECT m.* FROM imgexport.queue q, LATERAL ("
	"  SELECT j.batch_id, j.job_id FROM imgexport.job j"
	"  JOIN imgexport.batch b ON b.batch_id = j.batch_id WHERE " MILESTONE_IS_DUE
	"  ORDER BY j.queue, j.run_at LIMIT " MILESTONES_MAX
	"  FOR NO KEY UPDATE OF j, b SKIP LOCKED) m WHERE NOT q.paused LIMIT " MILESTONES_MAX "),"
	" alone AS MATERIALIZED ("
	" SELECT m.* FROM imgexport.queue q, LATERAL ("
	"  SELECT j.batch_id, j.job_id FROM imgexport.job j WHERE " MILESTONE_IS_DUE
	"  AND NOT EXISTS (SELECT FROM imgexport.batch b WHERE b.batch_id = j.batch_id)"
	"  ORDER BY j.queue, j.run_at LIMIT " MILESTONES_MAX
	"  FOR NO KEY UPDATE SKIP LOCKED) m WHERE NOT q.paused LIMIT " MILESTONES_MAX "),"
	" due AS MATERIALIZED (SELECT * FROM in_batch UNION ALL SELECT * FROM alone),"
	" done AS ("
	" UPDATE imgexport.job j SET state = 'completed', attempts = attempts + 1,"
	" started_at = $1, finished_at = $1, error = NULL, error_code = NULL"
	" FROM due WHERE j.batch_id = due.batch_id AND j.job_id = due.job_id"
	" RETURNING j.batch_id, j.job_id, j.owner, j.webhook_url, j.notify),"
	" counted AS ("
	" UPDATE imgexport.batch b SET completed = b.completed + c.passed,"
	" finished_at = CASE WHEN b.completed + b.failed + c.passed >= b.total THEN $1 END"
	" FROM (SELECT batch_id, owner, count(*) AS passed FROM done GROUP BY batch_id, owner) c"
	" WHERE b.batch_id = c.batch_id AND b.owner = c.owner"
	" RETURNING b.batch_id, b.owner, b.webhook_url, b.finished_at),"
	" told AS ("
	" INSERT INTO imgexport.delivery (batch_id, job_id, owner, url, event)"
	" SELECT batch_id, NULL, owner, webhook_url, 'batch.completed' FROM counted"
	" WHERE finished_at IS NOT NULL AND webhook_url IS NOT NULL"
	" UNION ALL SELECT batch_id, job_id, owner, webhook_url, 'job.completed' FROM done"
	" WHERE webhook_url IS NOT NULL"
	" RETURNING delivery_id)" FREE_DEPENDENTS(
		"done", "true") " SELECT notify, batch_id::text, job_id::text, owner::text, (SELECT "
						"count(*) FROM "
						"told) FROM done",
	1,
	{TIMESTAMPTZOID},
	NULL};

/* Pass those that are due, in the open transaction; returns how many. */
uint64
milestones_pass(TimestampTz now)
{
	Datum values[] = {TimestampTzGetDatum(now)};
	uint64 passed = worker_execute(&pass_statement, values, NULL);
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 row = 0; row < passed; row++)
	{
		bool is_null;

		if (DatumGetBool(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &is_null)))
			job_notify(SPI_getvalue(rows->vals[row], rows->tupdesc, 4),
					   SPI_getvalue(rows->vals[row], rows->tupdesc, 2),
					   SPI_getvalue(rows->vals[row], rows->tupdesc, 3), "completed");
	}
	return passed;
}
