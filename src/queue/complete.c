/*
 * complete.c
 *		Write down what is done: outputs, state and counts of a job together.
 *
 * Everything that finished since the last round is one transaction, each job in a
 * subtransaction of its own.  A job is only ours while its row says so: otherwise it
 * was cancelled or taken back, and what we made of it is thrown away.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/pg_prng.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "queue/guarded.h"
#include "queue/worker.h"

#define COMPLETE_MAX 32

/* Backoff: 1 s, 2 s, 4 s ... an hour at most, give or take a fifth. */
#define BACKOFF_FIRST_MS 1000.0
#define BACKOFF_MAX_MS 3600000.0
#define BACKOFF_JITTER 0.2

#define CLAIM_HOLDS                                                                            \
	" WHERE batch_id = $1 AND job_id = $2 AND state = 'processing'"                            \
	" AND worker = $3 AND attempts = $4"

static WorkerStatement complete_statement = {
	"UPDATE imgexport.job SET state = 'completed', worker = NULL, lease_until = NULL,"
	" finished_at = $5, error = NULL, error_code = NULL, warnings = $6, timings = "
	"$7" CLAIM_HOLDS,
	7,
	{UUIDOID, UUIDOID, TEXTOID, INT4OID, TIMESTAMPTZOID, JSONBOID, JSONBOID},
	NULL};

static WorkerStatement fail_statement = {
	"UPDATE imgexport.job SET state = 'failed', worker = NULL, lease_until = NULL,"
	" finished_at = $5, error = $6, error_code = $7, warnings = $8, timings = $9" CLAIM_HOLDS,
	9,
	{UUIDOID, UUIDOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID},
	NULL};

static WorkerStatement retry_statement = {
	"UPDATE imgexport.job SET state = 'pending', worker = NULL, lease_until = NULL,"
	" run_at = $5, error = $6, error_code = $7, warnings = $8, timings = $9" CLAIM_HOLDS,
	9,
	{UUIDOID, UUIDOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID},
	NULL};

static WorkerStatement image_statement = {
	"INSERT INTO imgexport.image (batch_id, job_id, owner, name, format, width, height, bytes,"
	" sha256, data, metadata, created_at, expires_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, sha256($9), $9, $10, $11, $11 + $12)",
	12,
	{UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT8OID, BYTEAOID, JSONBOID,
	 TIMESTAMPTZOID, INTERVALOID},
	NULL};

static WorkerStatement batch_statement = {
	"UPDATE imgexport.batch SET completed = completed + $2, failed = failed + $3,"
	" finished_at = CASE WHEN completed + failed + 1 >= total THEN $4 END WHERE batch_id = $1",
	4,
	{UUIDOID, INT4OID, INT4OID, TIMESTAMPTZOID},
	NULL};

static long
ms_between(TimestampTz from, TimestampTz to)
{
	return from == 0 || to == 0 ? 0 : TimestampDifferenceMilliseconds(from, to);
}

/* Where the time went, as jsonb. */
static Datum
timings(const Task *task)
{
	char *json = psprintf(
		"{\"fetch\": %ld, \"decode\": %d, \"process\": %d, \"encode\": %d, \"total\": %ld}",
		ms_between(task->claimed_at, task->fetched_at), task->answer.decode_us / 1000,
		task->answer.process_us / 1000, task->answer.encode_us / 1000,
		ms_between(task->claimed_at, task->done_at));

	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

/* The warnings as a jsonb array; *is_null when there are none. */
static Datum
warnings(const Task *task, bool *is_null)
{
	StringInfoData json;
	ListCell *cell;

	*is_null = task->warnings == NIL;
	if (*is_null)
		return (Datum) 0;
	initStringInfo(&json);
	foreach (cell, task->warnings)
	{
		appendStringInfoChar(&json, json.len == 0 ? '[' : ',');
		escape_json(&json, lfirst(cell));
	}
	appendStringInfoChar(&json, ']');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* The four values that every guarded statement starts with. */
static void
claim_values(Task *task, Datum *values)
{
	values[0] = UUIDPGetDatum(&task->batch_id);
	values[1] = UUIDPGetDatum(&task->job_id);
	values[2] = CStringGetTextDatum(worker.name);
	values[3] = Int32GetDatum(task->attempts);
}

static void
count_in_batch(Task *task, int completed, int failed)
{
	Datum values[] = {UUIDPGetDatum(&task->batch_id), Int32GetDatum(completed),
					  Int32GetDatum(failed), TimestampTzGetDatum(GetCurrentTimestamp())};

	worker_execute(&batch_statement, values, NULL);
}

static void
notify(const Task *task, const char *state)
{
	if (!task->notify)
		return;
	Async_Notify(
		"imgexport",
		psprintf("{\"batch\": \"%s\", \"job\": \"%s\", \"state\": \"%s\"}",
				 DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&task->batch_id))),
				 DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&task->job_id))),
				 state));
}

static void
insert_image(Task *task, int index)
{
	const Rendering *rendering = &task->answer.renderings[index];
	char nulls[] = "            ";
	Datum values[] = {UUIDPGetDatum(&task->batch_id),
					  UUIDPGetDatum(&task->job_id),
					  CStringGetTextDatum(task->owner),
					  CStringGetTextDatum(task->images[index].name),
					  CStringGetTextDatum(rendering->format),
					  Int32GetDatum(rendering->width),
					  Int32GetDatum(rendering->height),
					  Int64GetDatum(VARSIZE(rendering->data) - VARHDRSZ),
					  PointerGetDatum(rendering->data),
					  JsonbPGetDatum(task->metadata),
					  TimestampTzGetDatum(task->done_at),
					  IntervalPGetDatum(task->expires_in)};

	if (task->metadata == NULL)
		nulls[9] = 'n';
	if (task->expires_in == NULL)
		nulls[11] = 'n';
	worker_execute(&image_statement, values, nulls);
}

static void
write_completed(Task *task)
{
	Datum values[7];
	char nulls[] = "       ";
	bool is_null;

	claim_values(task, values);
	values[4] = TimestampTzGetDatum(task->done_at);
	values[5] = warnings(task, &is_null);
	nulls[5] = is_null ? 'n' : ' ';
	values[6] = timings(task);
	if (worker_execute(&complete_statement, values, nulls) == 0)
		return;
	for (int i = 0; i < task->output_count; i++)
		if (task->answer.renderings[i].data != NULL)
			insert_image(task, i);
	count_in_batch(task, 1, 0);
	notify(task, "completed");
}

/* When to try again: later each time, never all at once, not before the server asked us to. */
static TimestampTz
retry_at(const Task *task)
{
	double wait_ms = BACKOFF_FIRST_MS * exp2(Min(task->attempts - 1, 30));

	wait_ms = Min(wait_ms, BACKOFF_MAX_MS);
	wait_ms *= 1 - BACKOFF_JITTER + 2 * BACKOFF_JITTER * pg_prng_double(&pg_global_prng_state);
	wait_ms = Max(wait_ms, task->error->retry_after_s * 1000.0);
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) wait_ms);
}

static void
write_failed(Task *task)
{
	bool again = task->error->retryable && task->attempts < task->max_attempts;
	Datum values[9];
	char nulls[] = "         ";
	bool is_null;

	claim_values(task, values);
	values[4] = TimestampTzGetDatum(again ? retry_at(task) : task->done_at);
	values[5] = CStringGetTextDatum(task->error->message);
	values[6] = CStringGetTextDatum(unpack_sql_state(task->error->sqlstate));
	values[7] = warnings(task, &is_null);
	nulls[7] = is_null ? 'n' : ' ';
	values[8] = timings(task);
	if (worker_execute(again ? &retry_statement : &fail_statement, values, nulls) == 0 || again)
		return;
	count_in_batch(task, 0, 1);
	notify(task, "failed");
}

/* Outputs that failed among others that did not are warnings. */
static void
warn_of_outputs(Task *task)
{
	for (int i = 0; i < task->output_count; i++)
		if (task->answer.renderings[i].error != NULL)
			task_warn(task, "output \"%s\" was skipped: %s", task->images[i].name,
					  task->answer.renderings[i].error->message);
	for (int i = 0; i < list_length(task->answer.warnings); i++)
		task_warn(task, "%s", (char *) list_nth(task->answer.warnings, i));
}

static void
log_failure(const Task *task)
{
	char *job = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&task->job_id)));

	ereport(LOG, (errmsg("imgexport job %s failed in attempt %d of %d after %ld ms: %s", job,
						 task->attempts, task->max_attempts,
						 ms_between(task->claimed_at, task->done_at), task->error->message),
				  errdetail("SQLSTATE %s.", unpack_sql_state(task->error->sqlstate))));
}

static void
complete(Task *task)
{
	HelperError *error;

	if (task->error == NULL)
	{
		warn_of_outputs(task);
		error = run_guarded(write_completed, task);
		if (error == NULL)
			return;
		task->error = error;
	}
	log_failure(task);
	error = run_guarded(write_failed, task);
	if (error != NULL)
		ereport(WARNING, (errmsg("could not write down a failed job: %s", error->message)));
}

/* Write down all jobs that are done, in one transaction. */
void
complete_done(void)
{
	dlist_mutable_iter iter;
	int written = 0;

	dlist_foreach_modify(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state != TASK_DONE || written == COMPLETE_MAX)
			continue;
		if (written++ == 0)
			worker_begin("write down finished jobs");
		complete(task);
	}
	if (written == 0)
		return;
	worker_commit();
	dlist_foreach_modify(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->state != TASK_DONE || written == 0)
			continue;
		written--;
		dlist_delete(&task->link);
		worker.task_count--;
		task_free(task);
	}
	/* There is room now, and a retry may be the next thing that is due. */
	worker.look = true;
}
