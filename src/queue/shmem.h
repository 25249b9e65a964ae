/*
 * shmem.h
 *		What launcher, workers and sessions tell each other: a slot a database.
 */
#ifndef IMGEXPORT_QUEUE_SHMEM_H
#define IMGEXPORT_QUEUE_SHMEM_H

#include "datatype/timestamp.h"
#include "storage/latch.h"
#include "utils/date.h"

#include "queue/breaker.h"

/* Databases with jobs on one server; each needs a worker process besides. */
#define QUEUE_MAX_DATABASES 128

/* Hosts that are remembered, of all databases; the one that was used longest ago makes room. */
#define QUEUE_MAX_HOSTS 1024
#define QUEUE_HOST_BYTES 128
#define QUEUE_ERROR_BYTES 128

/*
 * Services and presets that are counted, of all databases; names are NAMEDATALEN at most.  Those
 * that were used longest ago make room, unless a request is in flight or not written down.
 */
#define QUEUE_MAX_SERVICES 64
#define QUEUE_MAX_PRESETS 128

/* What a database's workers have done since the server started. */
typedef struct WorkerCounters
{
	int64 completed; /* attempts, by how they ended */
	int64 failed;
	int64 retried;
	int64 warned; /* of those completed */
	int64 images;
	int64 image_bytes;
	int64 fetched_bytes;
	int64 fetch_ms;
	int64 decode_ms;
	int64 process_ms;
	int64 encode_ms;
	int64 store_ms;
	int64 helpers_lost; /* in the middle of work */
	int64 delivered;	/* webhooks */
	int64 delivery_failures;
} WorkerCounters;

/* All fields are protected by the lock of queue_lock(). */
typedef struct WorkerSlot
{
	Oid database; /* InvalidOid: free */
	bool wanted;  /* a worker should run */
	bool dormant; /* its worker has found that nothing may run there (see installation.c) */
	bool leave;	  /* the one that runs should go: its database is about to change */
	pid_t pid;	  /* 0: none runs */
	Latch *latch; /* in shared memory, as all latches of PGPROCs are; NULL: none runs */
	uint64 wakes; /* goes up with each wake-up */
	bool recheck; /* what it was woken for may become visible a little later */
	int failures; /* in a row, of workers that ended by an error */
	TimestampTz held_until; /* none may be started before */
	TimestampTz started_at;
	int running;	/* jobs in work */
	uint64 cancels; /* goes up when jobs were cancelled that may be in work */
	WorkerCounters counters;
} WorkerSlot;

/* A host that jobs fetch from, and its circuit breaker. */
typedef struct HostSlot
{
	Oid database; /* InvalidOid: free */
	char host[QUEUE_HOST_BYTES];
	int running; /* transfers under way */
	int64 fetched;
	int64 failed;
	int64 fetched_bytes;
	int64 fetch_ms;
	Breaker breaker;
	TimestampTz last_used;
	char last_error[QUEUE_ERROR_BYTES];
} HostSlot;

/* What was asked of a service; costs in millionths. */
typedef struct ServiceCounters
{
	int64 calls;
	int64 successes;
	int64 failures;
	int64 cached; /* answers that were known, of which no call was made */
	int64 ms;
	int64 cost_micros;
} ServiceCounters;

/* A service that is asked, and what it may cost. */
typedef struct ServiceSlot
{
	Oid database; /* InvalidOid: free */
	char name[NAMEDATALEN];
	int running;			   /* requests under way */
	ServiceCounters total;	   /* since the server started */
	ServiceCounters unwritten; /* of them, what is not in imgexport.service_usage yet */
	DateADT day;			   /* (UTC) that the next two are of; 0: nothing is known */
	int64 day_micros;		   /* spent on that day, and in its month */
	int64 month_micros;
	Breaker breaker;
	TimestampTz last_used;
	char last_error[QUEUE_ERROR_BYTES];
} ServiceSlot;

/* Jobs of a preset, by how they ended. */
typedef struct PresetSlot
{
	Oid database; /* InvalidOid: free */
	char name[NAMEDATALEN];
	int64 completed;
	int64 failed;
	int64 ms;
	TimestampTz last_used;
} PresetSlot;

typedef struct QueueState
{
	Latch *launcher; /* NULL: it does not run */
	WorkerSlot slots[QUEUE_MAX_DATABASES];
	HostSlot hosts[QUEUE_MAX_HOSTS];
	ServiceSlot services[QUEUE_MAX_SERVICES];
	PresetSlot presets[QUEUE_MAX_PRESETS];
} QueueState;

void queue_request_memory(void);
void queue_attach_memory(void);
bool queue_is_shared(void);
QueueState *queue_copy(void);
Name queue_database_name(Oid database);
QueueState *queue_lock(void);
void queue_unlock(void);
void queue_forget(Oid database);
WorkerSlot *queue_slot(QueueState *state, Oid database, bool create);
void queue_note_end(WorkerSlot *slot);
void queue_wake_launcher(QueueState *state);

#endif
