/*
 * dependencies.h
 *		Jobs that wait for others.
 *
 * A job waits for one of its depends_on at a time, the first that is not completed.  When that
 * one ends, the statement that ends it frees the jobs that wait for it, which are found by an
 * index; upkeep then settles them, some of each owner at a time: each waits for the next, can
 * start, or has failed.  So what a dependency costs does not depend on how many jobs wait.
 */
#ifndef IMGEXPORT_QUEUE_DEPENDENCIES_H
#define IMGEXPORT_QUEUE_DEPENDENCIES_H

#include "datatype/timestamp.h"

/* Of each owner, so many are settled at a time. */
#define DEPENDENTS_MAX "200"

/*
 * In a statement that ends jobs: a WITH query that frees those that wait for them.  Rows that
 * others have locked are left to the sweep.
 *
 * ended	the WITH query e of jobs with batch_id and job_id
 * which	those of them that have ended
 */
#define FREE_DEPENDENTS(ended, which)                                                          \
	", freed AS ("                                                                             \
	" UPDATE imgexport.job w SET waits_for = NULL FROM ("                                      \
	"  SELECT o.row FROM " ended " e, LATERAL (SELECT j.ctid AS row FROM imgexport.job j"      \
	"   WHERE j.state = 'pending' AND j.waits_for IS NOT NULL"                                 \
	"   AND j.batch_id BETWEEN e.batch_id AND e.batch_id"                                      \
	"   AND j.waits_for BETWEEN e.job_id AND e.job_id"                                         \
	"   ORDER BY j.batch_id, j.waits_for FOR UPDATE SKIP LOCKED) o WHERE " which ") f"         \
	" WHERE w.ctid = f.row)"

void dependencies_recheck(void);
uint64 dependencies_sweep(TimestampTz now);
TimestampTz dependencies_next_sweep(void);

#endif
