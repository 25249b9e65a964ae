/*
 * presets.c
 *		Jobs counted by their preset, since the server started.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "queue/presets.h"
#include "queue/shmem.h"

PG_FUNCTION_INFO_V1(imgexport_presets);

/* A job of a preset has ended; it is not counted when there are too many presets. */
void
preset_count(const char *preset, bool completed, long ms)
{
	QueueState *state = queue_lock();
	char name[NAMEDATALEN];

	strlcpy(name, preset, sizeof name);
	for (int i = 0; i < QUEUE_MAX_PRESETS; i++)
	{
		PresetSlot *slot = &state->presets[i];

		if (slot->database == InvalidOid)
		{
			slot->database = MyDatabaseId;
			strlcpy(slot->name, name, sizeof slot->name);
		}
		if (slot->database != MyDatabaseId || strcmp(slot->name, name) != 0)
			continue;
		slot->completed += completed;
		slot->failed += !completed;
		slot->ms += ms;
		break;
	}
	queue_unlock();
}

static void
put_preset(ReturnSetInfo *result, const PresetSlot *slot)
{
	Name database = queue_database_name(slot->database);
	Datum values[5];
	bool nulls[5] = {false};

	if (database == NULL)
		return;
	values[0] = NameGetDatum(database);
	values[1] = CStringGetTextDatum(slot->name);
	values[2] = Int64GetDatum(slot->completed);
	values[3] = Int64GetDatum(slot->failed);
	values[4] = Int64GetDatum(slot->ms);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* imgexport.presets() returns setof record */
Datum
imgexport_presets(PG_FUNCTION_ARGS)
{
	QueueState *state = queue_copy();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; state != NULL && i < QUEUE_MAX_PRESETS; i++)
		if (state->presets[i].database != InvalidOid)
			put_preset((ReturnSetInfo *) fcinfo->resultinfo, &state->presets[i]);
	return (Datum) 0;
}
