/*
 * shmem.h
 *		What launcher, workers and sessions tell each other: a slot a database.
 */
#ifndef IMGEXPORT_QUEUE_SHMEM_H
#define IMGEXPORT_QUEUE_SHMEM_H

#include "datatype/timestamp.h"
#include "storage/latch.h"

/* Databases with jobs on one server; each needs a worker process besides. */
#define QUEUE_MAX_DATABASES 128

/* All fields are protected by the lock of queue_lock(). */
typedef struct WorkerSlot
{
	Oid database; /* InvalidOid: free */
	bool wanted;  /* a worker should run */
	bool leave;	  /* the one that runs should go: its database is about to change */
	pid_t pid;	  /* 0: none runs */
	Latch *latch; /* in shared memory, as all latches of PGPROCs are; NULL: none runs */
	uint64 wakes; /* goes up with each wake-up */
	bool recheck; /* what it was woken for may become visible a little later */
	int failures; /* in a row, of workers that ended by an error */
	TimestampTz held_until; /* none may be started before */
	TimestampTz started_at;
	int running; /* jobs in work */
} WorkerSlot;

typedef struct QueueState
{
	Latch *launcher; /* NULL: it does not run */
	WorkerSlot slots[QUEUE_MAX_DATABASES];
} QueueState;

void queue_request_memory(void);
void queue_attach_memory(void);
QueueState *queue_lock(void);
void queue_unlock(void);
WorkerSlot *queue_slot(QueueState *state, Oid database, bool create);
void queue_wake_launcher(QueueState *state);

#endif
