/*
 * complete.c
 *		Write down what is done: outputs, state and counts of jobs together.
 *
 * Everything that finished since the last round is one transaction and a statement or two
 * for all of it.  Where that fails, each job is tried by itself, so that what is wrong with
 * one costs no other.  A job is only ours while its row has our claim: otherwise it was cancelled
 * or taken back, and what we made of it is thrown away.
 *
 * Nothing here waits for a lock.  What somebody else has locked, a job or its batch, and what the
 * server itself cannot do now, is written down later; until then all of it stays in memory.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "helper/guarded.h"
#include "queue/dependencies.h"
#include "queue/outcome.h"
#include "queue/presets.h"
#include "queue/worker.h"

/* Jobs of one transaction, and the bytes of their outputs, beyond which the next ones wait. */
#define COMPLETE_MAX 1000
#define COMPLETE_MAX_BYTES ((uint64) 64 << 20)

/* So many that are done are written down, or when one has waited for so long. */
#define COMPLETE_AT_ONCE 32
#define COMPLETE_DELAY_MS 5

/*
 * Which of these jobs are still ours, and which of them can be written without waiting for
 * anybody?  The latter and their batches stay locked until the end.
 *
 * The state is compared by LIKE, here and below, so that the planner does not start from the
 * index of jobs in work, which holds few of them only by the statistics of another moment.
 */
static WorkerStatement lock_statement = {
	"WITH d AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1) AS d(batch_id uuid,"
	" job_id uuid, claim uuid)),"
	" ours AS MATERIALIZED ("
	" SELECT j.batch_id, j.job_id FROM d JOIN imgexport.job j"
	" ON (j.batch_id, j.job_id) = (d.batch_id, d.job_id)"
	" WHERE j.claim = d.claim AND j.state LIKE 'processing' FOR NO KEY UPDATE OF j SKIP "
	"LOCKED),"
	" batches AS MATERIALIZED ("
	" SELECT b.batch_id FROM imgexport.batch b"
	" WHERE b.batch_id IN (SELECT batch_id FROM ours) FOR NO KEY UPDATE SKIP LOCKED)"
	" SELECT j.batch_id, j.job_id, j.claim,"
	" (j.batch_id, j.job_id) IN (SELECT batch_id, job_id FROM ours)"
	" AND (j.batch_id IN (SELECT batch_id FROM batches)"
	"  OR NOT EXISTS (SELECT FROM imgexport.batch b WHERE b.batch_id = j.batch_id))"
	" FROM d JOIN imgexport.job j ON (j.batch_id, j.job_id) = (d.batch_id, d.job_id)"
	" WHERE j.claim = d.claim AND j.state LIKE 'processing'",
	1,
	{JSONBOID},
	NULL};

/* Jobs, the counts of their batches, and the outbox of webhooks. */
static WorkerStatement complete_statement = {
	"WITH d AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1) AS d(batch_id uuid,"
	" job_id uuid, claim uuid, state text, run_at timestamptz, error text, error_code text,"
	" warnings jsonb, timings jsonb, source_bytes int8, metadata jsonb)),"
	" done AS ("
	" UPDATE imgexport.job j SET state = d.state, worker = NULL, claim = NULL, lease_until = "
	"NULL,"
	" run_at = coalesce(d.run_at, j.run_at), error = d.error, error_code = d.error_code,"
	" warnings = d.warnings, timings = d.timings, source_bytes = d.source_bytes,"
	" metadata = coalesce(d.metadata, j.metadata),"
	" finished_at = CASE WHEN d.state <> 'pending' THEN $2 END"
	" FROM d WHERE (j.batch_id, j.job_id) = (d.batch_id, d.job_id)"
	" AND j.claim = d.claim AND j.state LIKE 'processing'"
	" RETURNING j.batch_id, j.job_id, j.owner, j.state, j.webhook_url, j.warnings),"
	" counted AS ("
	" UPDATE imgexport.batch b SET completed = b.completed + c.completed,"
	" failed = b.failed + c.failed, warned = b.warned + c.warned,"
	" finished_at = CASE WHEN b.completed + b.failed + c.completed + c.failed >= b.total"
	"  THEN $2 END"
	" FROM (SELECT batch_id, owner, count(*) FILTER (WHERE state = 'completed') AS completed,"
	"  count(*) FILTER (WHERE state = 'failed') AS failed,"
	"  count(*) FILTER (WHERE state = 'completed' AND warnings IS NOT NULL) AS warned"
	"  FROM done WHERE state <> 'pending' GROUP BY batch_id, owner) c"
	" WHERE b.batch_id = c.batch_id AND b.owner = c.owner"
	" RETURNING b.batch_id, b.owner, b.webhook_url, b.finished_at),"
	" told AS ("
	" INSERT INTO imgexport.delivery (batch_id, job_id, owner, url, event)"
	" SELECT batch_id, NULL, owner, webhook_url, 'batch.completed' FROM counted"
	" WHERE finished_at IS NOT NULL AND webhook_url IS NOT NULL"
	" UNION ALL SELECT batch_id, job_id, owner, webhook_url, 'job.' || state FROM done"
	" WHERE state <> 'pending' AND webhook_url IS NOT NULL"
	" RETURNING delivery_id)" FREE_DEPENDENTS(
		"done", "e.state <> 'pending'") " SELECT batch_id, job_id, (SELECT count(*) FROM told) "
										"FROM done",
	2,
	{JSONBOID, TIMESTAMPTZOID},
	NULL};

/* The jobs that are written down together. */
typedef struct Finished
{
	Task *tasks[COMPLETE_MAX];
	int count;
	const HelperError *put_off; /* why the server could not write some of them */
} Finished;

static Finished finished;

static WorkerStep write_step = {.activity = "write down finished jobs"};
static WorkerStep alone_step = {.activity = "write down a finished job"};

static char *
uuid_text(const pg_uuid_t *id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

static long
ms_between(TimestampTz from, TimestampTz to)
{
	return from == 0 || to == 0 ? 0 : TimestampDifferenceMilliseconds(from, to);
}

static void
append_text(StringInfo json, const char *key, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(json, ", \"%s\": ", key);
	escape_json(json, value);
}

static void
append_warnings(StringInfo json, const Task *task)
{
	ListCell *cell;

	if (task->warnings == NIL)
		return;
	appendStringInfoString(json, ", \"warnings\": [");
	foreach (cell, task->warnings)
	{
		if (foreach_current_index(cell) > 0)
			appendStringInfoChar(json, ',');
		escape_json(json, lfirst(cell));
	}
	appendStringInfoChar(json, ']');
}

/* Where the time went, in milliseconds. */
static void
append_timings(StringInfo json, const Task *task)
{
	appendStringInfo(json,
					 ", \"timings\": {\"fetch\": %ld, \"service\": %ld, \"decode\": %d,"
					 " \"process\": %d, \"encode\": %d, \"store\": %ld, \"total\": %ld}",
					 ms_between(task->claimed_at, task->fetched_at), task->service_ms,
					 task->answer.decode_us / 1000, task->answer.process_us / 1000,
					 task->answer.encode_us / 1000, task->store_us / 1000,
					 ms_between(task->claimed_at, task->done_at) + task->store_us / 1000);
}

static void
append_task(StringInfo json, const Task *task)
{
	appendStringInfo(json, "%s{\"batch_id\": \"%s\", \"job_id\": \"%s\", \"claim\": \"%s\"",
					 json->len > 1 ? "," : "", uuid_text(&task->batch_id),
					 uuid_text(&task->job_id), uuid_text(&task->claim));
	append_text(json, "state",
				task->outcome == OUTCOME_COMPLETED ? "completed"
				: task->outcome == OUTCOME_RETRIED ? "pending"
												   : "failed");
	if (task->outcome == OUTCOME_RETRIED)
		append_text(json, "run_at", timestamptz_to_str(task->retry_at));
	if (task->outcome != OUTCOME_COMPLETED)
	{
		append_text(json, "error", task->error->message);
		append_text(json, "error_code", unpack_sql_state(task->error->sqlstate));
	}
	if (task->source_bytes > 0)
		appendStringInfo(json, ", \"source_bytes\": " UINT64_FORMAT, task->source_bytes);
	if (task->metadata_changed)
		appendStringInfo(json, ", \"metadata\": %s",
						 JsonbToCString(NULL, &task->metadata->root, VARSIZE(task->metadata)));
	append_warnings(json, task);
	append_timings(json, task);
	appendStringInfoChar(json, '}');
}

/* A job that is still ours, and can be written now. */
static bool
is_writable(const Task *task)
{
	return !task->lost && !task->busy;
}

/* The jobs that can be written, as the jsonb array that the statements take. */
static Datum
tasks_json(const Finished *batch)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (int i = 0; i < batch->count; i++)
		if (is_writable(batch->tasks[i]))
			append_task(&json, batch->tasks[i]);
	appendStringInfoChar(&json, ']');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static const pg_uuid_t *
uuid_column(uint64 row, int column)
{
	bool is_null;

	return DatumGetUUIDP(
		SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null));
}

static bool
is_row_of(uint64 row, const Task *task)
{
	return memcmp(uuid_column(row, 2), &task->job_id, UUID_LEN) == 0 &&
		   memcmp(uuid_column(row, 1), &task->batch_id, UUID_LEN) == 0 &&
		   memcmp(uuid_column(row, 3), &task->claim, UUID_LEN) == 0;
}

/* What the lock statement says of a task. */
static void
mark(Task *task, uint64 rows)
{
	uint64 row = 0;
	bool is_null;

	while (row < rows && !is_row_of(row, task))
		row++;
	task->lost = row == rows;
	task->busy =
		!task->lost && !DatumGetBool(SPI_getbinval(SPI_tuptable->vals[row],
												   SPI_tuptable->tupdesc, 4, &is_null));
}

/* Lock those that are still ours and that nobody else has locked; mark the others. */
static void
lock_tasks(Finished *batch)
{
	Datum values[1];
	uint64 rows;

	for (int i = 0; i < batch->count; i++)
		batch->tasks[i]->lost = batch->tasks[i]->busy = false;
	values[0] = tasks_json(batch);
	rows = worker_execute(&lock_statement, values, NULL);
	for (int i = 0; i < batch->count; i++)
		mark(batch->tasks[i], rows);
}

static WorkerStatement notify_statement = {
	"SELECT imgexport.notify_owner($1::name, $2)", 2, {TEXTOID, TEXTOID}, NULL};

/* Notify the owner of a job of its end. */
void
job_notify(const char *owner, const char *batch_id, const char *job_id, const char *state)
{
	char *payload = psprintf("{\"batch\": \"%s\", \"job\": \"%s\", \"state\": \"%s\"}",
							 batch_id, job_id, state);
	Datum values[] = {CStringGetTextDatum(owner), CStringGetTextDatum(payload)};

	worker_execute(&notify_statement, values, NULL);
}

static void
notify(const Task *task)
{
	if (task->notify && task->outcome != OUTCOME_RETRIED)
		job_notify(task->owner, uuid_text(&task->batch_id), uuid_text(&task->job_id),
				   task->outcome == OUTCOME_COMPLETED ? "completed" : "failed");
}

/* Images first, of jobs that are locked as ours; then everything else at once. */
static void
write_down(void *argument)
{
	Finished *batch = argument;
	Datum values[2];

	lock_tasks(batch);
	for (int i = 0; i < batch->count; i++)
		if (is_writable(batch->tasks[i]) && images_any(batch->tasks[i]))
			images_insert(batch->tasks[i]);
	values[0] = tasks_json(batch);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	worker_execute(&complete_statement, values, NULL);
	for (int i = 0; i < batch->count; i++)
	{
		if (!batch->tasks[i]->busy)
			calls_forget_answers(batch->tasks[i]);
		if (is_writable(batch->tasks[i]))
			notify(batch->tasks[i]);
	}
}

/* What cannot be written down is the job's failure. */
static HelperError *
write_failure(Finished *alone, const HelperError *error)
{
	Task *task = alone->tasks[0];

	task_fail(task, error);
	task->on_error = ON_ERROR_FAIL;
	outcome_decide(task);
	return run_guarded(write_down, alone, worker.tick);
}

/*
 * One job by itself.  Unless it was the server itself that could not do it: then all that was
 * made waits in memory, and is written down later.
 */
static HelperError *
write_down_alone(Task *task)
{
	Finished *alone = palloc0(sizeof *alone);
	HelperError *error;

	alone->tasks[alone->count++] = task;
	error = run_guarded(write_down, alone, worker.tick);
	if (error != NULL && !error->of_server)
		error = write_failure(alone, error);
	task->busy |= error != NULL;
	pfree(alone);
	return error;
}

static void
write_down_all(void *argument)
{
	Finished *batch = argument;

	batch->put_off = NULL;
	/* It is counted by its preset; where that cannot be read, it is not. */
	for (int i = 0; i < batch->count; i++)
		if (batch->tasks[i]->preset != NULL && !batch->tasks[i]->preset_exists)
			(void) run_guarded(prepare_look_for_preset, batch->tasks[i], worker.tick);
	if (run_guarded(write_down, batch, worker.tick) == NULL)
		return;
	for (int i = 0; i < batch->count; i++)
	{
		const HelperError *error = write_down_alone(batch->tasks[i]);

		if (error != NULL)
			batch->put_off = error;
	}
}

static void
collect(Finished *batch)
{
	uint64 bytes = 0;
	dlist_iter iter;

	batch->count = 0;
	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state != TASK_DONE || !task_is_due(task))
			continue;
		bytes += task_output_bytes(task);
		if (batch->count == COMPLETE_MAX || (batch->count > 0 && bytes > COMPLETE_MAX_BYTES))
			break;
		batch->tasks[batch->count++] = task;
	}
}

static void
count_preset(const Task *task)
{
	if (task->preset_exists && task->outcome != OUTCOME_RETRIED)
		preset_count(task->preset, task->outcome == OUTCOME_COMPLETED,
					 ms_between(task->claimed_at, task->done_at));
}

static void
count(const Task *task)
{
	WorkerCounters *counters = &worker.counters;

	if (task->lost)
		return;
	counters->completed += task->outcome == OUTCOME_COMPLETED;
	counters->failed += task->outcome == OUTCOME_FAILED;
	if (task->outcome == OUTCOME_FAILED)
		dependencies_recheck();
	counters->retried += task->outcome == OUTCOME_RETRIED;
	counters->images += task->stored_images;
	counters->image_bytes += task->stored_bytes;
	counters->warned += task->outcome == OUTCOME_COMPLETED && task->warnings != NIL;
	counters->fetch_ms += ms_between(task->claimed_at, task->fetched_at);
	counters->decode_ms += task->answer.decode_us / 1000;
	counters->process_ms += task->answer.process_us / 1000;
	counters->encode_ms += task->answer.encode_us / 1000;
	counters->store_ms += task->store_us / 1000;
	count_preset(task);
}

/*
 * How long may what is done wait to be written down, in ms?  While codecs have work before
 * them a transaction of many jobs costs little more than one of a single job.
 *
 * Returns	-1 when nothing is done
 */
long
complete_wait_ms(void)
{
	TimestampTz oldest = 0;
	long put_off_ms = -1;
	int done = 0;
	int ahead = 0;
	long wait_ms;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		ahead += task->state == TASK_WAITING || task->state == TASK_RENDERING;
		if (task->state != TASK_DONE)
			continue;
		wait_ms = backoff_wait_ms(&task->backoff);
		if (wait_ms > 0)
		{
			put_off_ms = put_off_ms < 0 ? wait_ms : Min(put_off_ms, wait_ms);
			continue;
		}
		done++;
		if (oldest == 0 || task->done_at < oldest)
			oldest = task->done_at;
	}
	if (done == 0)
		return backoff_or(&write_step.backoff, put_off_ms);
	if (done >= COMPLETE_AT_ONCE || ahead < 2 * codecs_count())
		return backoff_wait_ms(&write_step.backoff);
	wait_ms = TimestampDifferenceMilliseconds(
		GetCurrentTimestamp(), TimestampTzPlusMilliseconds(oldest, COMPLETE_DELAY_MS));
	if (put_off_ms >= 0)
		wait_ms = Min(wait_ms, put_off_ms);
	return backoff_or(&write_step.backoff, wait_ms);
}

/* Those that fall back on another preset begin again, and are not finished. */
static void
decide_all(Finished *batch)
{
	int count = batch->count;

	batch->count = 0;
	for (int i = 0; i < count; i++)
	{
		Task *task = batch->tasks[i];

		if (!task->decided)
			outcome_decide(task);
		if (task->outcome != OUTCOME_FALLS_BACK)
			batch->tasks[batch->count++] = task;
		else
		{
			count_preset(task);
			fallback_begin(task);
		}
	}
}

/* What was written, or is not ours, is over; the others wait, each for a time of its own. */
static void
forget_written(Finished *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		Task *task = batch->tasks[i];

		if (task->busy)
		{
			backoff_begin(&task->backoff);
			continue;
		}
		count(task);
		worker_forget(task);
	}
}

/* Write down all jobs that are done, in one transaction. */
void
complete_done(void)
{
	if (complete_wait_ms() != 0)
		return;
	collect(&finished);
	decide_all(&finished);
	if (finished.count == 0)
		return;
	if (!step_run(&write_step, write_down_all, &finished))
		return;
	forget_written(&finished);
	(void) step_settle(&alone_step, finished.put_off);
	/* There is room now, and a retry or a delivery may be the next thing that is due. */
	worker.look = true;
}
