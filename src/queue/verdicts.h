/*
 * verdicts.h
 *		Jobs that have failed before they began.
 *
 * Their deadline passed, their queue is gone, what they depend on was not completed, their worker
 * died once too often.  They are claimed with the reason, and come to their end like any job that
 * fails: by what their on_error says, counted in their batch, and told of.
 */
#ifndef IMGEXPORT_QUEUE_VERDICTS_H
#define IMGEXPORT_QUEUE_VERDICTS_H

#include "queue/claimed.h"
#include "queue/worker.h"

/*
 * A statement that claims them, without counting an attempt.
 *
 * select	of row (a ctid), error and error_code; it locks the rows and waits for none
 * sets		what it sets besides, with a comma after it
 * worker, claim, lease	numbers of parameters; verdicts_claim adds the last two
 */
#define VERDICT(select, sets, worker, claim, lease)                                            \
	"WITH doomed AS MATERIALIZED (" select ") UPDATE imgexport.job j SET " sets CLAIM_SETS(    \
		worker, claim,                                                                         \
		lease) " FROM doomed d WHERE j.ctid = d.row" CLAIM_RETURNS("d.error", "d.error_code")

bool verdicts_claim(WorkerStep *step, WorkerStatement *statement, Datum *values, int count,
					TimestampTz now);
bool verdicts_of_deadlines(TimestampTz now);
bool verdicts_of_orphans(TimestampTz now);
bool verdicts_of_dependencies(TimestampTz now);
bool verdicts_of_cycles(TimestampTz now);
TimestampTz verdicts_next_cycles(void);

#endif
