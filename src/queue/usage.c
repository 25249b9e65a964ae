/*
 * usage.c
 *		What was asked of services, written into imgexport.service_usage.
 *
 * Sessions and the worker count in shared memory; only the worker writes, and no more often
 * than once a second.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/services.h"
#include "queue/worker.h"

#define WRITE_MS 1000

static WorkerStatement usage_statement = {
	"WITH known AS MATERIALIZED (SELECT FROM imgexport.service_usage WHERE service = $1"
	"  AND day = (statement_timestamp() AT TIME ZONE 'UTC')::date FOR UPDATE NOWAIT)"
	" INSERT INTO imgexport.service_usage AS u"
	" (service, day, calls, successes, failures, cached, ms, cost)"
	" SELECT $1, (statement_timestamp() AT TIME ZONE 'UTC')::date, $2, $3, $4, $5, $6,"
	"  trim_scale($7 / 1000000.0) FROM (SELECT count(*) FROM known) k"
	" ON CONFLICT (service, day) DO UPDATE SET calls = u.calls + excluded.calls,"
	" successes = u.successes + excluded.successes, failures = u.failures + excluded.failures,"
	" cached = u.cached + excluded.cached, ms = u.ms + excluded.ms,"
	" cost = u.cost + excluded.cost",
	7,
	{TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID},
	NULL};

static ServiceUsage usage[QUEUE_MAX_SERVICES];
static int usage_count;
static TimestampTz written_at;

static WorkerStep write_step = {.activity = "write down what services were asked"};

static void
write_all(void *argument)
{
	for (int i = 0; i < usage_count; i++)
	{
		const ServiceCounters *counters = &usage[i].counters;
		Datum values[] = {
			CStringGetTextDatum(usage[i].name),	 Int64GetDatum(counters->calls),
			Int64GetDatum(counters->successes),	 Int64GetDatum(counters->failures),
			Int64GetDatum(counters->cached),	 Int64GetDatum(counters->ms),
			Int64GetDatum(counters->cost_micros)};

		worker_execute(&usage_statement, values, NULL);
	}
}

/* Write down what was counted, if the last time is a while ago. */
void
usage_write_down(void)
{
	if (usage_wait_ms() != 0)
		return;
	written_at = GetCurrentTimestamp();
	usage_count = services_take_unwritten(usage, lengthof(usage));
	if (!step_run(&write_step, write_all, NULL))
		services_put_back(usage, usage_count);
}

/* How long may the loop sleep for us?  -1: there is nothing to write. */
long
usage_wait_ms(void)
{
	long wait_ms;

	if (!services_have_unwritten())
		return -1;
	wait_ms = TimestampDifferenceMilliseconds(
		GetCurrentTimestamp(), TimestampTzPlusMilliseconds(written_at, WRITE_MS));
	return backoff_or(&write_step.backoff, wait_ms);
}
