/*
 * worker.h
 *		What the parts of the worker share.
 */
#ifndef IMGEXPORT_QUEUE_WORKER_H
#define IMGEXPORT_QUEUE_WORKER_H

#include "executor/spi.h"

#include "queue/task.h"

typedef struct Worker
{
	char name[64];		/* system identifier/process id/start time: the owner of claims */
	MemoryContext tick; /* emptied in each round */
	MemoryContext jobs; /* parent of all tasks */
	dlist_head tasks;
	int task_count;
	bool look;			  /* there may be something to claim */
	TimestampTz look_at;  /* there will be then, or something to tidy up; 0: nothing known */
	TimestampTz renew_at; /* leases of tasks in work */
} Worker;

/* A statement of the worker, and its plan once it was used. */
typedef struct WorkerStatement
{
	const char *text;
	int argument_count;
	Oid types[12];
	SPIPlanPtr plan;
} WorkerStatement;

/* A claim lasts so long without being renewed; others' claims are taken back after it. */
#define LEASE_MS 60000

extern Worker worker;

/* One short transaction with SPI connected. */
void worker_begin(const char *activity);
void worker_commit(void);
uint64 worker_execute(WorkerStatement *statement, Datum *values, const char *nulls);

/* claim.c */
void claim_jobs(void);

/* prepare.c */
void prepare_ready(void);

/* pool.c */
void pool_open(void);
void pool_advance(void);
int pool_room(void);
long pool_wait_ms(void);
bool pool_sockets_changed(void);
int pool_sockets(int *sockets, int room);

/* complete.c */
void complete_done(void);

/* upkeep.c */
void upkeep_recover(void);
void upkeep_run(void);
void upkeep_renew(void);

PGDLLEXPORT void imgexport_worker_main(Datum argument);

#endif
