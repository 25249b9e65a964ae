/*
 * schedule.c
 *		Run the housekeeping tasks that are due.
 *
 * A run goes on over as many short transactions as it takes, each with a limited number of
 * rows.  What it has freed so far stands in the schedule's row, so that a crash in the
 * middle costs nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/guarded.h"
#include "queue/worker.h"

/* Rows of one transaction. */
#define STEP_ROWS 1000

static WorkerStatement take_statement = {
	"SELECT name, task FROM imgexport.schedule WHERE enabled AND next_run <= $1"
	" ORDER BY next_run LIMIT 1 FOR UPDATE SKIP LOCKED",
	1,
	{TIMESTAMPTZOID},
	NULL};

/* Everything that was missed is made up for by one run: the next one is after now. */
static WorkerStatement step_statement = {
	"UPDATE imgexport.schedule s SET"
	" progress = CASE WHEN (r.result->>'more')::boolean"
	"  THEN imgexport.add_counts(s.progress, r.result) END,"
	" last_result = CASE WHEN (r.result->>'more')::boolean THEN s.last_result"
	"  ELSE imgexport.add_counts(s.progress, r.result) END,"
	" next_run = CASE WHEN (r.result->>'more')::boolean THEN s.next_run"
	"  ELSE imgexport.next_run(s.cron, $2, s.time_zone) END,"
	" last_run = $2, last_error = NULL"
	" FROM (SELECT imgexport.run_task(task, options, $3) AS result"
	"  FROM imgexport.schedule WHERE name = $1 OFFSET 0) r"
	" WHERE s.name = $1",
	3,
	{TEXTOID, TIMESTAMPTZOID, INT4OID},
	NULL};

static WorkerStatement failed_statement = {
	"UPDATE imgexport.schedule SET last_run = $2, last_error = $3, progress = NULL,"
	" next_run = greatest(imgexport.next_run(cron, $2, time_zone), $2 + interval '1 minute')"
	" WHERE name = $1",
	3,
	{TEXTOID, TIMESTAMPTZOID, TEXTOID},
	NULL};

static WorkerStatement put_off_statement = {
	"UPDATE imgexport.schedule SET next_run = $2 + interval '5 seconds' WHERE name = $1",
	2,
	{TEXTOID, TIMESTAMPTZOID},
	NULL};

static WorkerStep schedule_step = {.activity = "run a schedule", .for_tasks = true};

typedef struct ScheduleStep
{
	char *schedule;
	char *task;
	TimestampTz now;
} ScheduleStep;

static void
run_step(void *argument)
{
	ScheduleStep *step = argument;
	Datum values[] = {CStringGetTextDatum(step->schedule), TimestampTzGetDatum(step->now),
					  Int32GetDatum(STEP_ROWS)};

	worker_execute(&step_statement, values, NULL);
}

/* A task that fails is told of, and is due again by its expression, not before a minute. */
static void
write_failed(const ScheduleStep *step, const HelperError *error)
{
	Datum values[] = {CStringGetTextDatum(step->schedule), TimestampTzGetDatum(step->now),
					  CStringGetTextDatum(error->message)};

	ereport(LOG, (errmsg("imgexport schedule \"%s\", task %s: %s", step->schedule, step->task,
						 error->message),
				  errdetail("SQLSTATE %s.", unpack_sql_state(error->sqlstate))));
	worker_execute(&failed_statement, values, NULL);
}

/* What the server itself could not do now is due again soon, and is no failure of the task. */
static void
put_off(const ScheduleStep *step)
{
	Datum values[] = {CStringGetTextDatum(step->schedule), TimestampTzGetDatum(step->now)};

	worker_execute(&put_off_statement, values, NULL);
}

static void
run_schedule(void *argument)
{
	bool *any = argument;
	TimestampTz now = GetCurrentTimestamp();
	Datum values[] = {TimestampTzGetDatum(now)};
	ScheduleStep step = {.now = now};
	HelperError *error;

	*any = worker_execute(&take_statement, values, NULL) > 0;
	if (!*any)
		return;
	step.schedule = worker_text(0, 1);
	step.task = worker_text(0, 2);
	error = run_guarded(run_step, &step, worker.tick);
	if (error != NULL && error->of_server)
		put_off(&step);
	else if (error != NULL)
		write_failed(&step, error);
}

/* One step of the schedule that is most overdue; the loop comes back for the others. */
bool
schedule_run(TimestampTz now)
{
	bool any = false;
	bool done = step_run(&schedule_step, run_schedule, &any);

	worker.look |= done && any;
	if (!done)
		worker_look_at(schedule_step.backoff.again_at);
	return done;
}
