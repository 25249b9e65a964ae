/*
 * workers.c
 *		imgexport.workers(): the workers that live, and what was done.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/shmem.h"

PG_FUNCTION_INFO_V1(imgexport_is_preloaded);
PG_FUNCTION_INFO_V1(imgexport_workers);

static void
put_worker(ReturnSetInfo *result, const WorkerSlot *slot)
{
	const WorkerCounters *counters = &slot->counters;
	Name database = queue_database_name(slot->database);
	Datum values[] = {(Datum) 0,
					  Int32GetDatum(slot->pid),
					  TimestampTzGetDatum(slot->started_at),
					  Int32GetDatum(slot->running),
					  Int64GetDatum(counters->completed),
					  Int64GetDatum(counters->failed),
					  Int64GetDatum(counters->retried),
					  Int64GetDatum(counters->warned),
					  Int64GetDatum(counters->images),
					  Int64GetDatum(counters->image_bytes),
					  Int64GetDatum(counters->fetched_bytes),
					  Int64GetDatum(counters->fetch_ms),
					  Int64GetDatum(counters->decode_ms),
					  Int64GetDatum(counters->process_ms),
					  Int64GetDatum(counters->encode_ms),
					  Int64GetDatum(counters->store_ms),
					  Int64GetDatum(counters->helpers_lost),
					  Int64GetDatum(counters->delivered),
					  Int64GetDatum(counters->delivery_failures)};
	bool nulls[lengthof(values)] = {false};

	if (database == NULL)
		return;
	values[0] = NameGetDatum(database);
	nulls[1] = nulls[2] = slot->pid == 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* imgexport.workers() returns setof record */
Datum
imgexport_workers(PG_FUNCTION_ARGS)
{
	QueueState *state = queue_copy();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; state != NULL && i < QUEUE_MAX_DATABASES; i++)
		if (state->slots[i].database != InvalidOid &&
			(state->slots[i].pid != 0 || state->slots[i].started_at != 0))
			put_worker((ReturnSetInfo *) fcinfo->resultinfo, &state->slots[i]);
	return (Datum) 0;
}

/* imgexport.is_preloaded() returns boolean */
Datum
imgexport_is_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(queue_is_shared());
}
