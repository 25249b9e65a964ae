/*
 * guarded.h
 *		Run something of one job so that its error is that job's.
 */
#ifndef IMGEXPORT_QUEUE_GUARDED_H
#define IMGEXPORT_QUEUE_GUARDED_H

#include "queue/task.h"

HelperError *run_guarded(void (*run)(Task *task), Task *task);

#endif
