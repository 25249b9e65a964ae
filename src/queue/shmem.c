/*
 * shmem.c
 *		What launcher, workers and sessions tell each other.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/shmem.h"

#define NAME "imgexport"

/* A worker that ended is followed by another one after so long, doubled each time in a row. */
#define RESTART_FIRST_MS 1000
#define RESTART_MAX_MS 60000

static QueueState *shared; /* NULL: imgexport is not preloaded */
static LWLock *lock;

/* In shmem_request_hook. */
void
queue_request_memory(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(QueueState)));
	RequestNamedLWLockTranche(NAME, 1);
}

/* In shmem_startup_hook. */
void
queue_attach_memory(void)
{
	bool found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(NAME, sizeof(QueueState), &found);
	if (!found)
		memset(shared, 0, sizeof *shared);
	lock = &GetNamedLWLockTranche(NAME)->lock;
	LWLockRelease(AddinShmemInitLock);
}

/* Is there any: is imgexport preloaded? */
bool
queue_is_shared(void)
{
	return shared != NULL;
}

/* The shared state, locked; NULL, and nothing locked, where imgexport is not preloaded. */
QueueState *
queue_lock(void)
{
	if (shared == NULL)
		return NULL;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	return shared;
}

void
queue_unlock(void)
{
	LWLockRelease(lock);
}

/* A database was dropped, or has no extension: its slots are free for others. */
void
queue_forget(Oid database)
{
	QueueState *state = queue_lock();

	if (state == NULL)
		return;
	for (int i = 0; i < QUEUE_MAX_DATABASES; i++)
		if (state->slots[i].database == database)
			memset(&state->slots[i], 0, sizeof state->slots[i]);
	for (int i = 0; i < QUEUE_MAX_HOSTS; i++)
		if (state->hosts[i].database == database)
			memset(&state->hosts[i], 0, sizeof state->hosts[i]);
	for (int i = 0; i < QUEUE_MAX_SERVICES; i++)
		if (state->services[i].database == database)
			memset(&state->services[i], 0, sizeof state->services[i]);
	for (int i = 0; i < QUEUE_MAX_PRESETS; i++)
		if (state->presets[i].database == database)
			memset(&state->presets[i], 0, sizeof state->presets[i]);
	queue_unlock();
}

/* A copy of the shared state, in the current memory context; NULL where there is none. */
QueueState *
queue_copy(void)
{
	QueueState *copy;

	if (shared == NULL)
		return NULL;
	copy = palloc(sizeof *copy);
	LWLockAcquire(lock, LW_SHARED);
	*copy = *shared;
	LWLockRelease(lock);
	return copy;
}

/* The name of a slot's database, palloc'd; NULL: it was dropped. */
Name
queue_database_name(Oid database)
{
	char *name = get_database_name(database);
	Name copy;

	if (name == NULL)
		return NULL;
	copy = palloc(sizeof *copy);
	namestrcpy(copy, name);
	return copy;
}

/* A database's slot; NULL when it has none, or none is free to create it in. */
WorkerSlot *
queue_slot(QueueState *state, Oid database, bool create)
{
	WorkerSlot *free = NULL;

	for (int i = 0; i < QUEUE_MAX_DATABASES; i++)
	{
		if (state->slots[i].database == database)
			return &state->slots[i];
		if (free == NULL && state->slots[i].database == InvalidOid)
			free = &state->slots[i];
	}
	if (!create || free == NULL)
		return NULL;
	memset(free, 0, sizeof *free);
	free->database = database;
	return free;
}

/*
 * The worker of a slot has ended: by its own decision (then it is not wanted), because it was asked
 * to leave (then one comes back when the database is free), or another one may be started after a
 * while, longer each time.
 */
void
queue_note_end(WorkerSlot *slot)
{
	TimestampTz now = GetCurrentTimestamp();

	slot->pid = 0;
	slot->latch = NULL;
	slot->running = 0;
	if (!slot->wanted || slot->leave)
		return;
	if (TimestampDifferenceExceeds(slot->started_at, now, RESTART_MAX_MS))
		slot->failures = 0;
	slot->held_until =
		Max(slot->held_until,
			TimestampTzPlusMilliseconds(
				now, Min(RESTART_MAX_MS, RESTART_FIRST_MS << Min(slot->failures, 10))));
	slot->failures++;
}

void
queue_wake_launcher(QueueState *state)
{
	if (state->launcher != NULL)
		SetLatch(state->launcher);
}
