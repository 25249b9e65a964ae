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
	"  SELECT o.ctid FROM " ended " e JOIN imgexport.job o"                                    \
	"  ON o.batch_id = e.batch_id AND o.waits_for = e.job_id"                                  \
	"  WHERE o.state = 'pending' AND o.waits_for IS NOT NULL AND " which                       \
	" FOR UPDATE OF o SKIP LOCKED) f"                                                          \
	" WHERE w.ctid = f.ctid)"

void dependencies_recheck(void);
uint64 dependencies_sweep(TimestampTz now);
TimestampTz dependencies_next_sweep(void);

#endif
