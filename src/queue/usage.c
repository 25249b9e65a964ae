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

#include "helper/guarded.h"
#include "queue/services.h"
#include "queue/worker.h"

#define WRITE_MS 1000

static WorkerStatement usage_statement = {
	"INSERT INTO imgexport.service_usage AS u"
	" (service, day, calls, successes, failures, cached, ms, cost)"
	" VALUES ($1, (statement_timestamp() AT TIME ZONE 'UTC')::date, $2, $3, $4, $5, $6,"
	"  trim_scale($7 / 1000000.0))"
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
	TimestampTz now = GetCurrentTimestamp();
	HelperError *error;

	if (!TimestampDifferenceExceeds(written_at, now, WRITE_MS) || !services_have_unwritten())
		return;
	written_at = now;
	worker_begin("write down what services were asked");
	usage_count = services_take_unwritten(usage, lengthof(usage));
	error = run_guarded(write_all, NULL, worker.tick);
	if (error != NULL)
	{
		services_put_back(usage, usage_count);
		ereport(WARNING,
				(errmsg("could not write imgexport.service_usage: %s", error->message)));
	}
	worker_commit();
}

/* How long may the loop sleep for us?  -1: there is nothing to write. */
long
usage_wait_ms(void)
{
	return services_have_unwritten()
			   ? TimestampDifferenceMilliseconds(
					 GetCurrentTimestamp(), TimestampTzPlusMilliseconds(written_at, WRITE_MS)) +
					 1
			   : -1;
}
