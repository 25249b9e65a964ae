/*
 * leases.c
 *		The claims of jobs in work: renewed, given up where they are lost, ended at deadlines.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "queue/claimed.h"
#include "queue/dependencies.h"
#include "queue/worker.h"

/*
 * Which of these claims still stand?  Those get a new lease.  A row that somebody else has locked
 * keeps the old one: it is ours all the same (see recover.c).
 */
static WorkerStatement renew_statement = {
	"WITH held AS MATERIALIZED ("
	" SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS h(batch_id, job_id, claim)),"
	" renewed AS ("
	" UPDATE imgexport.job SET lease_until = $4 FROM ("
	"  SELECT j.ctid FROM held h JOIN imgexport.job j"
	"  ON (j.batch_id, j.job_id) = (h.batch_id, h.job_id)"
	"  WHERE j.claim = h.claim AND j.state LIKE 'processing'"
	"  FOR NO KEY UPDATE OF j SKIP LOCKED) free WHERE job.ctid = free.ctid)"
	" SELECT j.claim, j.job_id FROM held h JOIN imgexport.job j"
	" ON (j.batch_id, j.job_id) = (h.batch_id, h.job_id)"
	" WHERE j.claim = h.claim AND j.state LIKE 'processing'",
	4,
	{UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID},
	NULL};

static WorkerStep renew_step = {.activity = "renew claims"};

static Datum
uuid_array(Datum *ids, int count)
{
	return PointerGetDatum(
		construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static const pg_uuid_t *
uuid_column(uint64 row, int column)
{
	bool is_null;

	return DatumGetUUIDP(
		SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null));
}

static bool
still_stands(const Task *task, uint64 rows)
{
	for (uint64 row = 0; row < rows; row++)
		if (memcmp(uuid_column(row, 2), &task->job_id, UUID_LEN) == 0 &&
			memcmp(uuid_column(row, 1), &task->claim, UUID_LEN) == 0)
			return true;
	return false;
}

static void
renew(void *argument)
{
	TimestampTz now = *(TimestampTz *) argument;
	Datum *ids[3];
	Datum values[4];
	int count = 0;
	uint64 rows;
	dlist_iter iter;

	for (int i = 0; i < lengthof(ids); i++)
		ids[i] = palloc(worker.task_count * sizeof(Datum));
	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		ids[0][count] = UUIDPGetDatum(&task->batch_id);
		ids[1][count] = UUIDPGetDatum(&task->job_id);
		ids[2][count++] = UUIDPGetDatum(&task->claim);
	}
	for (int i = 0; i < lengthof(ids); i++)
		values[i] = uuid_array(ids[i], count);
	values[3] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS));
	rows = worker_execute(&renew_statement, values, NULL);
	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		task->lost = rows != (uint64) count && !still_stands(task, rows);
	}
}

/* Tasks whose row says that they are not ours any more are given up. */
static void
drop_lost(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (!task->lost)
			continue;
		worker_forget(task);
		worker.look = true;
	}
}

/*
 * Jobs in work are ours for another while.  Where some were cancelled this is done at
 * once, and tells which.
 */
void
leases_renew(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (worker.check_claims)
		dependencies_recheck();
	if (worker.task_count == 0)
	{
		worker.renew_at = 0;
		worker.check_claims = false;
		return;
	}
	if (now < worker.renew_at && !worker.check_claims)
		return;
	if (!step_run(&renew_step, renew, &now))
	{
		worker_look_at(renew_step.backoff.again_at);
		worker.renew_at = renew_step.backoff.again_at;
		return;
	}
	drop_lost();
	worker.check_claims = false;
	worker.renew_at = TimestampTzPlusMilliseconds(now, LEASE_MS / 3);
}

/* A job in work whose deadline passes is ended. */
void
leases_end_overdue(void)
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
		worker_stop(task);
		task_fail(task,
				  helper_error(ERRCODE_IMAGE_TIMEOUT, false,
							   psprintf("deadline passed in phase %s", task_phase(task->state)),
							   NULL, NULL));
		MemoryContextSwitchTo(before);
	}
}
