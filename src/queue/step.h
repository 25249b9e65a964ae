/*
 * step.h
 *		What the worker does in transactions of its own, and puts off where it cannot be done now.
 *
 * A lock that somebody holds, a full disk, memory that is not to be had: what the server itself
 * could not do is nobody's failure.  The transaction is undone, and the step is due again a
 * little later each time, while everything else goes on.
 */
#ifndef IMGEXPORT_QUEUE_STEP_H
#define IMGEXPORT_QUEUE_STEP_H

#include "datatype/timestamp.h"

#include "helper/errors.h"

/* A delay that doubles with each failure in a row. */
typedef struct Backoff
{
	int failures;
	TimestampTz again_at; /* 0: now */
} Backoff;

typedef struct WorkerStep
{
	const char *activity; /* for pg_stat_activity and the log */
	bool for_tasks;		  /* tasks of schedules, for which the planner chooses */
	Backoff backoff;
} WorkerStep;

void backoff_begin(Backoff *backoff);
long backoff_wait_ms(const Backoff *backoff);
long backoff_or(const Backoff *backoff, long wait_ms);

bool step_settle(WorkerStep *step, const HelperError *error);
bool step_run(WorkerStep *step, void (*run)(void *argument), void *argument);
bool step_run_part(WorkerStep *step, void (*run)(void *argument), void *argument);
long step_wait_ms(const WorkerStep *step);

#endif
