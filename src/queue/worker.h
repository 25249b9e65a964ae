/*
 * worker.h
 *		What the parts of the worker share.
 */
#ifndef IMGEXPORT_QUEUE_WORKER_H
#define IMGEXPORT_QUEUE_WORKER_H

#include "executor/spi.h"

#include "helper/helper.h"
#include "queue/shmem.h"
#include "queue/step.h"
#include "queue/task.h"

typedef struct Worker
{
	char name[64];		/* system identifier/process id/start time: the owner of claims */
	MemoryContext tick; /* the current one, emptied in each round */
	MemoryContext jobs; /* parent of all tasks */
	dlist_head tasks;
	int task_count;
	bool look;				 /* there may be something to claim */
	TimestampTz look_at;	 /* there will be then, or something to tidy up; 0: nothing known */
	TimestampTz renew_at;	 /* leases of tasks in work */
	bool pass_milestones;	 /* there may be some that are due */
	TimestampTz deadline_at; /* of a task in work, the first; 0: none has one */
	bool check_claims;		 /* jobs were cancelled: some in work may be among them */
	WorkerCounters counters; /* since they were last added to the shared ones */
} Worker;

/* A statement of the worker, and its plan once it was used. */
typedef struct WorkerStatement
{
	const char *text;
	int argument_count;
	Oid types[16];
	SPIPlanPtr plan;
} WorkerStatement;

extern Worker worker;

/* One short transaction with SPI connected. */
void worker_begin(const char *activity);
void worker_begin_for_tasks(const char *activity);
void worker_commit(void);
uint64 worker_execute(WorkerStatement *statement, Datum *values, const char *nulls);

char *worker_text(uint64 row, int column);
char *worker_text_in(MemoryContext owner, uint64 row, int column);
void *worker_varlena_in(MemoryContext owner, uint64 row, int column);
Interval *worker_interval_in(MemoryContext owner, uint64 row, int column);

void worker_look_at(TimestampTz at);
void worker_stop(Task *task);
void worker_forget(Task *task);

/* claim.c */
void claim_jobs(void);

/* milestones.c */
uint64 milestones_pass(TimestampTz now);

/* inputs.c */
void inputs_start(Task *task);
void inputs_drop(Task *task);

/* prepare.c */
void prepare_ready(void);
void prepare_look_for_preset(void *argument);
long prepare_wait_ms(void);

/* codecs.c */
void codecs_open(void);
int codecs_count(void);
void codecs_drop(Task *task);
void codecs_advance(void);
long codecs_wait_ms(void);
int codecs_sockets(int *sockets, int room);

/* calls.c */
bool calls_are_open(const Task *task);
void calls_build_request(Task *task);
void calls_begin(Task *task);
bool calls_distrust(Task *task, HelperError *error);
void calls_forget_answers(const Task *task);
void calls_drop(Task *task);
void calls_advance(void);
long calls_wait_ms(void);

/* fallback.c */
void fallback_begin(Task *task);

/* usage.c */
void usage_write_down(void);
long usage_wait_ms(void);

/* objects.c */
void objects_begin(Task *task);
void objects_drop(Task *task);
const char *objects_key(const Task *task, int output, bytea **sha256);
bool objects_has(const char *store, const char *key);
void objects_send(void);
long objects_wait_ms(void);

/* remove.c */
bool remove_due(TimestampTz now);
void remove_finished(void);
Datum remove_ids(void);
long remove_wait_ms(void);
bool remove_is_busy_with(const char *store, const char *key);

/* pool.c */
Helper *worker_start_helper(HelperKind kind);
void worker_stop_helper(Helper **helper);
TimestampTz worker_restart_time(const Helper *ended);
void pool_note_sockets(void);
void pool_advance(void);
int pool_room(void);
long pool_wait_ms(void);
bool pool_sockets_changed(void);
int pool_sockets(int *sockets, int room);

/* images.c */
bool images_any(const Task *task);
void images_insert(Task *task);

/* roles.c */
Oid roles_owner(const char *owner);
void roles_note_names(void);

/* complete.c */
void job_notify(const char *owner, const char *batch_id, const char *job_id, const char *state);
void complete_done(void);
long complete_wait_ms(void);

/* deliver.c */
bool deliver_due(TimestampTz now);
void deliver_finished(void);
Datum deliver_ids(void);
long deliver_wait_ms(void);

/* schedule.c */
bool schedule_run(TimestampTz now);

/* installation.c */
void installation_require(void);

/* retire.c */
void retire_on_signal(SIGNAL_ARGS);
bool retire_is_requested(void);
void retire(void);

/* upkeep.c */
void upkeep_run(void);

/* leases.c */
void leases_renew(void);
void leases_end_overdue(void);

PGDLLEXPORT void imgexport_worker_main(Datum argument);

#endif
