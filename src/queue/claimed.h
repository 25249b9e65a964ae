/*
 * claimed.h
 *		Tasks of rows that were claimed in the open transaction.
 *
 * They are the worker's once that has committed, and nobody's where it did not.
 */
#ifndef IMGEXPORT_QUEUE_CLAIMED_H
#define IMGEXPORT_QUEUE_CLAIMED_H

#include "lib/ilist.h"

#include "queue/task.h"

/* A claim lasts so long without being renewed; others' claims are taken back after it. */
#define LEASE_MS 60000

typedef struct Claimed
{
	dlist_head tasks;
	pg_uuid_t claim; /* no other claim has had this one */
	TimestampTz now;
} Claimed;

/* What an UPDATE of imgexport.job j sets that claims; parameters by number, as text. */
#define CLAIM_SETS(worker, claim, lease)                                                       \
	"state = 'processing', worker = $" worker ", claim = $" claim ", lease_until = $" lease

/* What it returns, for claimed_read; the last two are NULL, or why the job has failed already. */
#define CLAIM_RETURNS(error, error_code)                                                       \
	" RETURNING j.batch_id, j.job_id, j.claim, j.queue, j.owner::text, j.attempts,"            \
	" j.max_attempts, j.notify, j.expires_in, j.preset, j.recipe, j.outputs, j.metadata,"      \
	" j.source_url, j.source, j.base_url, j.base, j.host, j.deadline, j.on_error, j.run_at,"   \
	" j.store, j.crashes, EXISTS (SELECT FROM imgexport.preset p WHERE p.name = j.preset),"    \
	" " error "::text, " error_code "::text"

#define CLAIM_COLUMNS 26

void claimed_begin(Claimed *claimed, TimestampTz now);
TimestampTz claimed_lease(const Claimed *claimed);
void claimed_read(Claimed *claimed, uint64 rows);
void claimed_keep(Claimed *claimed);
void claimed_drop(Claimed *claimed);

#endif
