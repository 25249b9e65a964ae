/*
 * outcome.h
 *		What becomes of a job that is done: completed, to be tried again, or failed.
 */
#ifndef IMGEXPORT_QUEUE_OUTCOME_H
#define IMGEXPORT_QUEUE_OUTCOME_H

#include "queue/task.h"

void outcome_decide(Task *task);

#endif
