/*
 * claim.c
 *		Take the jobs that are due, as many as there is room for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "helper/bulk.h"
#include "queue/worker.h"

/* By queue: those with room, each as many as it has room for; the most urgent first. */
static WorkerStatement claim_statement = {
	"WITH room AS ("
	" SELECT q.name, least(q.concurrency - coalesce(r.running, 0), $3) AS slots"
	" FROM imgexport.queue q LEFT JOIN unnest($1::text[], $2::int[]) AS r(name, running)"
	" ON r.name = q.name WHERE NOT q.paused),"
	" due AS MATERIALIZED ("
	" SELECT j.batch_id, j.job_id FROM room, LATERAL ("
	"  SELECT batch_id, job_id FROM imgexport.job"
	"  WHERE state = 'pending' AND queue = room.name AND run_at <= $4"
	"  ORDER BY priority DESC, run_at LIMIT greatest(room.slots, 0)"
	"  FOR UPDATE SKIP LOCKED) j LIMIT $3)"
	" UPDATE imgexport.job SET state = 'processing', attempts = attempts + 1, worker = $5,"
	" lease_until = $6, started_at = $4"
	" FROM due WHERE job.batch_id = due.batch_id AND job.job_id = due.job_id"
	" RETURNING job.batch_id, job.job_id, queue, owner::text, attempts, max_attempts, notify,"
	" expires_in, preset, recipe, outputs, metadata, source_url, source, base_url, base",
	6,
	{TEXTARRAYOID, INT4ARRAYOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID},
	NULL};

enum
{
	COLUMN_BATCH_ID = 1,
	COLUMN_JOB_ID,
	COLUMN_QUEUE,
	COLUMN_OWNER,
	COLUMN_ATTEMPTS,
	COLUMN_MAX_ATTEMPTS,
	COLUMN_NOTIFY,
	COLUMN_EXPIRES_IN,
	COLUMN_PRESET,
	COLUMN_RECIPE,
	COLUMN_OUTPUTS,
	COLUMN_METADATA,
	COLUMN_SOURCE_URL,
	COLUMN_SOURCE,
	COLUMN_BASE_URL,
	COLUMN_BASE
};

static Datum
row_value(int row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

static char *
text_value(int row, int number)
{
	bool is_null;
	Datum value = row_value(row, number, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

static Jsonb *
json_value(int row, int number)
{
	bool is_null;
	Datum value = row_value(row, number, &is_null);

	return is_null ? NULL : DatumGetJsonbPCopy(value);
}

/* Bytes in the row become a memfd, so that they are in this process' memory for a moment only. */
static void
read_input(TaskInput *input, int row, int url_column, int bytes_column)
{
	bool is_null;
	Datum value = row_value(row, bytes_column, &is_null);
	bytea *bytes;

	input->url = text_value(row, url_column);
	if (is_null)
		return;
	bytes = DatumGetByteaPP(value);
	input->fd = bulk_new();
	input->length = VARSIZE_ANY_EXHDR(bytes);
	bulk_append(input->fd, VARDATA_ANY(bytes), input->length);
	bulk_seal(input->fd);
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

/* A task of a claimed row; its memory is its own. */
static Task *
read_task(int row, TimestampTz now)
{
	Task *task = task_new(worker.jobs);
	MemoryContext before = MemoryContextSwitchTo(task->context);
	bool is_null;
	Datum expires_in;

	task->batch_id = *DatumGetUUIDP(row_value(row, COLUMN_BATCH_ID, &is_null));
	task->job_id = *DatumGetUUIDP(row_value(row, COLUMN_JOB_ID, &is_null));
	task->queue = text_value(row, COLUMN_QUEUE);
	task->owner = text_value(row, COLUMN_OWNER);
	task->attempts = DatumGetInt32(row_value(row, COLUMN_ATTEMPTS, &is_null));
	task->max_attempts = DatumGetInt32(row_value(row, COLUMN_MAX_ATTEMPTS, &is_null));
	task->notify = DatumGetBool(row_value(row, COLUMN_NOTIFY, &is_null));
	expires_in = row_value(row, COLUMN_EXPIRES_IN, &is_null);
	if (!is_null)
	{
		task->expires_in = palloc(sizeof(Interval));
		*task->expires_in = *DatumGetIntervalP(expires_in);
	}
	task->preset = text_value(row, COLUMN_PRESET);
	task->recipe = json_value(row, COLUMN_RECIPE);
	task->outputs = json_value(row, COLUMN_OUTPUTS);
	task->metadata = json_value(row, COLUMN_METADATA);
	read_input(&task->source, row, COLUMN_SOURCE_URL, COLUMN_SOURCE);
	read_input(&task->base, row, COLUMN_BASE_URL, COLUMN_BASE);
	task->claimed_at = now;
	task->state = task->source.url || task->base.url ? TASK_FETCHING : TASK_READY;
	MemoryContextSwitchTo(before);
	return task;
}

/* How many jobs of each queue are in work, as two arrays. */
static void
running_arrays(Datum *names, Datum *counts)
{
	Datum *name_values = palloc((worker.task_count + 1) * sizeof(Datum));
	Datum *count_values = palloc((worker.task_count + 1) * sizeof(Datum));
	int used = 0;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		int i = 0;

		if (task->state == TASK_DONE)
			continue;
		while (i < used && strcmp(TextDatumGetCString(name_values[i]), task->queue) != 0)
			i++;
		if (i == used)
		{
			name_values[used] = CStringGetTextDatum(task->queue);
			count_values[used++] = Int32GetDatum(0);
		}
		count_values[i] = Int32GetDatum(DatumGetInt32(count_values[i]) + 1);
	}
	*names =
		PointerGetDatum(construct_array(name_values, used, TEXTOID, -1, false, TYPALIGN_INT));
	*counts = PointerGetDatum(
		construct_array(count_values, used, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static void
take_rows(uint64 rows, TimestampTz now)
{
	for (uint64 row = 0; row < rows; row++)
	{
		Task *task = read_task((int) row, now);

		dlist_push_tail(&worker.tasks, &task->link);
		worker.task_count++;
	}
	/* Where all the room was filled there may be more, as soon as there is room again. */
	worker.look = rows > 0;
}

/*
 * Claim due jobs in one short transaction.  It need not be on disk before the work
 * starts: a claim that is lost in a crash is a job that is still pending.
 */
void
claim_jobs(void)
{
	TimestampTz now;
	Datum values[6];
	int room = pool_room();

	worker_begin("claim jobs");
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	now = GetCurrentTimestamp();
	running_arrays(&values[0], &values[1]);
	values[2] = Int32GetDatum(room);
	values[3] = TimestampTzGetDatum(now);
	values[4] = CStringGetTextDatum(worker.name);
	values[5] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS));
	take_rows(worker_execute(&claim_statement, values, NULL), now);
	if (worker.task_count > 0 && worker.renew_at == 0)
		worker.renew_at = TimestampTzPlusMilliseconds(now, LEASE_MS / 3);
	worker_commit();
}
