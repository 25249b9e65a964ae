/*
 * outbox.h
 *		Rows of an outbox that the worker has in work: webhooks to be told, objects to be removed.
 *
 * claimed, prepared (in that transaction), sent (after it), done, written down.  A row is the
 * worker's while it has its claim; what the server itself could not do costs it no attempt.
 */
#ifndef IMGEXPORT_QUEUE_OUTBOX_H
#define IMGEXPORT_QUEUE_OUTBOX_H

#include "lib/ilist.h"
#include "utils/uuid.h"

#include "helper/errors.h"
#include "queue/step.h"
#include "queue/transfers.h"
#include "queue/worker.h"

/* What every row in work has; the first member of what an outbox knows of its own. */
typedef struct OutboxItem
{
	dlist_node link;
	MemoryContext context; /* owns all of it */
	pg_uuid_t batch_id;
	pg_uuid_t id;
	pg_uuid_t claim;
	int attempts;
	Transfer *transfer; /* under way; NULL: none is */
	bool done;
	const HelperError *error; /* NULL: it went well; a copy of its own */
	Backoff backoff;		  /* of writing it down */
} OutboxItem;

typedef struct Outbox
{
	const char *noun;
	WorkerStatement *claim; /* $1 worker, $2 claim, $3 lease, $4 now, $5 how many */
	Size size;				/* of an item */
	int most;				/* under way at once */
	void (*read)(void *item, uint64 row);
	void (*prepare)(void *item);	/* in a subtransaction; what is to be sent */
	void (*send)(OutboxItem *item); /* after it */
	void (*drop)(OutboxItem *item); /* nobody waits for what was sent; may be NULL */
	void (*write_down)(void *item); /* in a subtransaction; waits for no lock */
	dlist_head items;
	int count;
	WorkerStep claim_step;
	WorkerStep write_step;
} Outbox;

/* Columns that a claim returns first. */
#define OUTBOX_RETURNS(id) " RETURNING o.batch_id, o." id ", o.claim, o.attempts"

enum
{
	OUTBOX_BATCH_ID = 1,
	OUTBOX_ID,
	OUTBOX_CLAIM,
	OUTBOX_ATTEMPTS,
	OUTBOX_OWN_COLUMNS
};

bool outbox_claim_due(Outbox *outbox, TimestampTz now);
void outbox_done(OutboxItem *item, const HelperError *error);
bool outbox_was_put_off(const OutboxItem *item);
long outbox_wait_ms(const Outbox *outbox);
void outbox_finish(Outbox *outbox);
Datum outbox_ids(const Outbox *outbox);

#endif
