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

/* One step of the schedule that is most overdue; the loop comes back for the others. */
void
schedule_run(TimestampTz now)
{
	Datum values[] = {TimestampTzGetDatum(now)};
	MemoryContext context = CurrentMemoryContext;

	worker_begin_for_tasks("run a schedule");
	if (worker_execute(&take_statement, values, NULL) > 0)
	{
		ScheduleStep step = {
			.schedule = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
			.task = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2),
			.now = now};
		HelperError *error = run_guarded(run_step, &step, context);

		if (error != NULL)
			write_failed(&step, error);
		worker.look = true;
	}
	worker_commit();
}
