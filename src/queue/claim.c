/*
 * claim.c
 *		Take the jobs that are due, as many as there is room for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "helper/bulk.h"
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
	" UPDATE imgexport.job SET state = 'processing', attempts = attempts + 1, worker = $9,"
	" lease_until = $10, started_at = $7"
	" FROM chosen WHERE job.batch_id = chosen.batch_id AND job.job_id = chosen.job_id"
	" RETURNING job.batch_id, job.job_id, queue, owner::text, attempts, max_attempts, notify,"
	" expires_in, preset, recipe, outputs, metadata, source_url, source, base_url, base, host,"
	" deadline, on_error, run_at, store",
	12,
	{TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID,
	 TIMESTAMPTZOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID},
	NULL};

/* After a start, which may have followed a crash. */
#define SUSPICIOUS_MS 60000

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
	COLUMN_BASE,
	COLUMN_HOST,
	COLUMN_DEADLINE,
	COLUMN_ON_ERROR,
	COLUMN_RUN_AT,
	COLUMN_STORE
};

static Datum
row_value(int row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

/* What an on_error begins with that names a preset. */
#define FALLBACK_MARK "preset:"

/* Bytes in the row become a memfd, so that they are in this process' memory for a moment only. */
static void
read_input(TaskInput *input, int row, int url_column, int bytes_column)
{
	bool is_null;
	Datum value = row_value(row, bytes_column, &is_null);
	bytea *bytes;

	input->url = worker_text_in(input->task->context, row, url_column);
	if (is_null)
		return;
	bytes = DatumGetByteaPP(value);
	input->length = VARSIZE_ANY_EXHDR(bytes);
	input->fd = bulk_of(VARDATA_ANY(bytes), input->length);
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

static void
read_on_error(Task *task, int row)
{
	char *name = worker_text_in(task->context, row, COLUMN_ON_ERROR);

	if (strcmp(name, "skip") == 0)
		task->on_error = ON_ERROR_SKIP;
	else if (strcmp(name, "keep_original") == 0)
		task->on_error = ON_ERROR_KEEP_ORIGINAL;
	else if (strcmp(name, "store_url") == 0)
		task->on_error = ON_ERROR_STORE_URL;
	else if (strncmp(name, FALLBACK_MARK, strlen(FALLBACK_MARK)) == 0)
	{
		task->on_error = ON_ERROR_PRESET;
		task->fallback_preset = name + strlen(FALLBACK_MARK);
	}
}

/* A task of a claimed row; its memory is its own. */
static Task *
read_task(int row, TimestampTz now)
{
	Task *task = task_new(worker.jobs);
	MemoryContext owner = task->context;
	bool is_null;
	Datum deadline;

	task->batch_id = *DatumGetUUIDP(row_value(row, COLUMN_BATCH_ID, &is_null));
	task->job_id = *DatumGetUUIDP(row_value(row, COLUMN_JOB_ID, &is_null));
	task->queue = worker_text_in(owner, row, COLUMN_QUEUE);
	task->owner = worker_text_in(owner, row, COLUMN_OWNER);
	task->attempts = DatumGetInt32(row_value(row, COLUMN_ATTEMPTS, &is_null));
	task->max_attempts = DatumGetInt32(row_value(row, COLUMN_MAX_ATTEMPTS, &is_null));
	task->notify = DatumGetBool(row_value(row, COLUMN_NOTIFY, &is_null));
	task->own_expires_in = worker_interval_in(owner, row, COLUMN_EXPIRES_IN);
	task->preset = worker_text_in(owner, row, COLUMN_PRESET);
	task->own_store = worker_text_in(owner, row, COLUMN_STORE);
	task->expires_in = task->own_expires_in;
	task->store = task->own_store;
	task->recipe = worker_varlena_in(owner, row, COLUMN_RECIPE);
	task->outputs = worker_varlena_in(owner, row, COLUMN_OUTPUTS);
	task->metadata = worker_varlena_in(owner, row, COLUMN_METADATA);
	read_input(&task->source, row, COLUMN_SOURCE_URL, COLUMN_SOURCE);
	read_input(&task->base, row, COLUMN_BASE_URL, COLUMN_BASE);
	task->host = worker_text_in(owner, row, COLUMN_HOST);
	deadline = row_value(row, COLUMN_DEADLINE, &is_null);
	task->deadline = is_null ? 0 : DatumGetTimestampTz(deadline);
	read_on_error(task, row);
	task->wants_base = task->base.url != NULL || task->base.fd >= 0;
	task->claimed_at = now;
	task->state = task->source.url || task->base.url ? TASK_FETCHING : TASK_READY;
	return task;
}

static void
take_rows(uint64 rows, TimestampTz now)
{
	for (uint64 row = 0; row < rows; row++)
	{
		Task *task = read_task((int) row, now);
		bool is_null;

		dlist_push_tail(&worker.tasks, &task->link);
		worker.task_count++;
		queues_started(task->queue,
					   DatumGetTimestampTz(row_value((int) row, COLUMN_RUN_AT, &is_null)), now);
		inputs_start(task);
	}
}

static uint64
claim(TimestampTz now, int room)
{
	QueueRoom queues;
	TimestampTz next = queues_room(room, now, &queues);
	Datum values[12] = {queues.names, queues.slots, queues.host_limits};

	if (next != 0)
		worker_look_at(next);
	if (queues.count == 0)
		return 0;
	queues_hosts(now, &values[3], &values[4], &values[5]);
	values[6] = TimestampTzGetDatum(now);
	values[7] = Int32GetDatum(room);
	values[8] = CStringGetTextDatum(worker.name);
	values[9] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS));
	values[10] = queues.floors;
	values[11] = turns_crowded_owners();
	return worker_execute(&claim_statement, values, NULL);
}

static void
pass_milestones(TimestampTz now)
{
	worker_begin("pass milestones");
	/* There may be more of them, and jobs that are due. */
	worker.pass_milestones = milestones_pass(now) > 0;
	worker.look |= worker.pass_milestones;
	worker_commit();
}

/*
 * Claim due jobs, in one short transaction.  It need not be on disk before the work starts:
 * a claim that is lost in a crash is a job that is still pending.  But the crash would count for
 * no job then, and a job that has the server crash would do so for ever; so soon after a start
 * claims are brought to disk.  Jobs that have had crashes are due again within that time.
 */
static void
claim_due(TimestampTz now)
{
	int room = pool_room();
	uint64 taken;

	worker_begin("claim jobs");
	if (TimestampDifferenceExceeds(MyStartTimestamp, now, SUSPICIOUS_MS))
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	taken = claim(now, room);
	installation_require();
	take_rows(taken, now);
	if (worker.task_count > 0 && worker.renew_at == 0)
		worker.renew_at = TimestampTzPlusMilliseconds(now, LEASE_MS / 3);
	/* Where there was something there may be more, as soon as there is room again. */
	worker.look |= queues_claimed(taken > 0) || taken > 0;
	worker_commit();
}

/* Start what is due: milestones, which are done at once, and jobs. */
void
claim_jobs(void)
{
	if (worker.pass_milestones)
		pass_milestones(GetCurrentTimestamp());
	claim_due(GetCurrentTimestamp());
}
