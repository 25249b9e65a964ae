/*
 * presets.c
 *		Jobs counted by their preset, since the server started.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/presets.h"
#include "queue/shmem.h"

PG_FUNCTION_INFO_V1(imgexport_presets);

/* The slot of a preset of this database; the one that was used longest ago is taken over. */
static PresetSlot *
find(QueueState *state, const char *name)
{
	PresetSlot *oldest = &state->presets[0];

	for (int i = 0; i < QUEUE_MAX_PRESETS; i++)
	{
		PresetSlot *slot = &state->presets[i];

		if (slot->database == MyDatabaseId && strcmp(slot->name, name) == 0)
			return slot;
		if (slot->last_used < oldest->last_used)
			oldest = slot;
	}
	memset(oldest, 0, sizeof *oldest);
	oldest->database = MyDatabaseId;
	strlcpy(oldest->name, name, sizeof oldest->name);
	return oldest;
}

/* A job of a preset that exists has ended. */
void
preset_count(const char *preset, bool completed, long ms)
{
	QueueState *state = queue_lock();
	char name[NAMEDATALEN];
	PresetSlot *slot;

	strlcpy(name, preset, sizeof name);
	slot = find(state, name);
	slot->completed += completed;
	slot->failed += !completed;
	slot->ms += ms;
	slot->last_used = GetCurrentTimestamp();
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
