/*
 * outcome.c
 *		What becomes of a job that is done.
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "queue/outcome.h"

/* Backoff: 1 s, 2 s, 4 s ... an hour at most, give or take a fifth. */
#define BACKOFF_FIRST_MS 1000.0
#define BACKOFF_MAX_MS 3600000.0
#define BACKOFF_JITTER 0.2

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

/* Is there something that is kept instead of its outputs? */
static bool
has_substitute(const Task *task)
{
	switch (task->on_error)
	{
		case ON_ERROR_SKIP:
			return true;
		case ON_ERROR_KEEP_ORIGINAL:
			return task->source.fd >= 0;
		case ON_ERROR_STORE_URL:
			return task->source.url != NULL;
		default:
			return false;
	}
}

static bool
may_fall_back(const Task *task)
{
	return task->on_error == ON_ERROR_PRESET && task->source.fd >= 0 &&
		   (task->deadline == 0 || GetCurrentTimestamp() < task->deadline);
}

/* No secrets: URLs in messages have no query, and nothing else of the job is told. */
static void
log_failure(const Task *task)
{
	static const char *const outcomes[] = {
		[OUTCOME_COMPLETED] = "done without",
		[OUTCOME_RETRIED] = "to be tried again",
		[OUTCOME_FALLS_BACK] = "goes on by another preset",
		[OUTCOME_FAILED] = "failed",
	};
	char *job = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&task->job_id)));

	ereport(LOG,
			(errmsg("imgexport job %s: attempt %d of %d failed after %ld ms: %s", job,
					task->attempts, task->max_attempts,
					TimestampDifferenceMilliseconds(task->claimed_at, task->done_at),
					task->error->message),
			 errdetail("SQLSTATE %s, phase %s, host %s, %s.",
					   unpack_sql_state(task->error->sqlstate), task_phase(task->failed_in),
					   task->host ? task->host : "none", outcomes[task->outcome])));
}

/*
 * Decide what becomes of a task that is done: sets its outcome, retry_at, and warnings.
 *
 * It is completed where nothing failed, or where it says what to do without; tried again
 * where the error may pass and there is an attempt, and time, left; or it falls back on
 * another preset (fallback.c); otherwise failed.
 */
void
outcome_decide(Task *task)
{
	MemoryContext before = MemoryContextSwitchTo(task->context);

	task->decided = true;
	task->outcome = OUTCOME_COMPLETED;
	if (task->error == NULL)
		warn_of_outputs(task);
	else
	{
		task->retry_at = retry_at(task);
		if (task->error->retryable && task->attempts < task->max_attempts &&
			(task->deadline == 0 || task->retry_at < task->deadline))
			task->outcome = OUTCOME_RETRIED;
		else if (may_fall_back(task))
			task->outcome = OUTCOME_FALLS_BACK;
		else if (has_substitute(task))
			task_warn(task, "%s", task->error->message);
		else
			task->outcome = OUTCOME_FAILED;
		log_failure(task);
	}
	MemoryContextSwitchTo(before);
}
