/*
 * workers.c
 *		imgexport.workers(): the workers that live.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
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
	char *name = get_database_name(slot->database);
	NameData database;
	Datum values[4];
	bool nulls[4] = {false};

	if (name == NULL)
		return;
	namestrcpy(&database, name);
	values[0] = NameGetDatum(&database);
	values[1] = Int32GetDatum(slot->pid);
	values[2] = TimestampTzGetDatum(slot->started_at);
	values[3] = Int32GetDatum(slot->running);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* imgexport.workers() returns setof record */
Datum
imgexport_workers(PG_FUNCTION_ARGS)
{
	QueueState *state;
	QueueState *copy = palloc(sizeof *copy);

	InitMaterializedSRF(fcinfo, 0);
	state = queue_lock();
	if (state == NULL)
		return (Datum) 0;
	*copy = *state;
	queue_unlock();
	for (int i = 0; i < QUEUE_MAX_DATABASES; i++)
		if (copy->slots[i].database != InvalidOid && copy->slots[i].pid != 0)
			put_worker((ReturnSetInfo *) fcinfo->resultinfo, &copy->slots[i]);
	return (Datum) 0;
}

/* imgexport.is_preloaded() returns boolean */
Datum
imgexport_is_preloaded(PG_FUNCTION_ARGS)
{
	QueueState *state = queue_lock();

	if (state != NULL)
		queue_unlock();
	PG_RETURN_BOOL(state != NULL);
}
