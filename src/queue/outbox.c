/*
 * outbox.c
 *		Rows of an outbox that the worker has in work: claimed, prepared, sent, done, written down.
 *
 * Nothing is sent before the claim is committed, and an item stays in memory until what came of
 * it is written down, so that neither an error nor a lock of somebody else's loses one or has it
 * sent twice.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/guarded.h"
#include "queue/newid.h"
#include "queue/outbox.h"

/* Deliveries and removals are not renewed: transfers end by themselves long before. */
#define OUTBOX_LEASE_MS 600000

/* A claim in the open transaction. */
typedef struct OutboxClaim
{
	Outbox *outbox;
	dlist_head items;
	TimestampTz now;
} OutboxClaim;

static pg_uuid_t
uuid_column(uint64 row, int column)
{
	bool is_null;

	return *DatumGetUUIDP(
		SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null));
}

/* An item of a claimed row of SPI_tuptable, in a context of its own. */
static void
read_row(OutboxClaim *claim, uint64 row)
{
	Outbox *outbox = claim->outbox;
	MemoryContext context =
		AllocSetContextCreate(worker.jobs, "imgexport outbox item", ALLOCSET_SMALL_SIZES);
	OutboxItem *item = MemoryContextAllocZero(context, outbox->size);
	MemoryContext before = MemoryContextSwitchTo(context);
	bool is_null;

	item->context = context;
	dlist_push_tail(&claim->items, &item->link);
	item->batch_id = uuid_column(row, OUTBOX_BATCH_ID);
	item->id = uuid_column(row, OUTBOX_ID);
	item->claim = uuid_column(row, OUTBOX_CLAIM);
	item->attempts = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
												 OUTBOX_ATTEMPTS, &is_null));
	outbox->read(item, row);
	MemoryContextSwitchTo(before);
}

static void
claim_rows(void *argument)
{
	OutboxClaim *claim = argument;
	Outbox *outbox = claim->outbox;
	pg_uuid_t token;
	Datum values[5];
	uint64 rows;
	dlist_iter iter;

	new_id(&token);
	values[0] = CStringGetTextDatum(worker.name);
	values[1] = UUIDPGetDatum(&token);
	values[2] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(claim->now, OUTBOX_LEASE_MS));
	values[3] = TimestampTzGetDatum(claim->now);
	values[4] = Int32GetDatum(outbox->most - outbox->count);
	rows = worker_execute(outbox->claim, values, NULL);
	for (uint64 row = 0; row < rows; row++)
		read_row(claim, row);
	dlist_foreach(iter, &claim->items)
	{
		OutboxItem *item = dlist_container(OutboxItem, link, iter.cur);
		HelperError *error = run_guarded(outbox->prepare, item, item->context);

		if (error != NULL)
			outbox_done(item, error);
	}
}

static void
free_item(const Outbox *outbox, OutboxItem *item)
{
	if (outbox->drop != NULL)
		outbox->drop(item);
	if (item->transfer != NULL)
		transfer_drop(item->transfer);
	MemoryContextDelete(item->context);
}

static void
send_item(Outbox *outbox, OutboxItem *item)
{
	MemoryContext before = MemoryContextSwitchTo(item->context);

	dlist_push_tail(&outbox->items, &item->link);
	outbox->count++;
	if (!item->done)
		outbox->send(item);
	MemoryContextSwitchTo(before);
}

/* Claim what is due and send it; false: that was put off. */
bool
outbox_claim_due(Outbox *outbox, TimestampTz now)
{
	OutboxClaim claim = {.outbox = outbox, .now = now};
	bool committed;

	if (outbox->count >= outbox->most)
		return true;
	dlist_init(&claim.items);
	committed = step_run(&outbox->claim_step, claim_rows, &claim);
	while (!dlist_is_empty(&claim.items))
	{
		OutboxItem *item = dlist_container(OutboxItem, link, dlist_pop_head_node(&claim.items));

		if (committed)
			send_item(outbox, item);
		else
			free_item(outbox, item);
	}
	if (!committed)
		worker_look_at(outbox->claim_step.backoff.again_at);
	return committed;
}

/* It is over.  error is copied, wherever it is; NULL: it went well. */
void
outbox_done(OutboxItem *item, const HelperError *error)
{
	item->error = error == NULL ? NULL : helper_error_copy(error, item->context);
	item->done = true;
	item->transfer = NULL;
}

/* Was it the server itself that could not do it?  Then it costs no attempt. */
bool
outbox_was_put_off(const OutboxItem *item)
{
	return item->error != NULL && item->error->of_server;
}

/* How long until something can be written down; -1: nothing is done. */
long
outbox_wait_ms(const Outbox *outbox)
{
	long shortest = -1;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &outbox->items)
	{
		const OutboxItem *item = dlist_container(OutboxItem, link, iter.cur);
		long wait_ms;

		if (!item->done)
			continue;
		wait_ms = backoff_wait_ms(&item->backoff);
		shortest = shortest < 0 ? wait_ms : Min(shortest, wait_ms);
	}
	return backoff_or(&outbox->write_step.backoff, shortest);
}

/* What fails at a planned stop may have failed by it (see retire.c). */
static bool
is_due(const OutboxItem *item)
{
	return item->done && backoff_wait_ms(&item->backoff) == 0 &&
		   (item->error == NULL || !retire_is_requested());
}

/* Each by itself: what is wrong with one, or locked, costs no other. */
static void
write_all(void *argument)
{
	Outbox *outbox = argument;
	dlist_iter iter;

	dlist_foreach(iter, &outbox->items)
	{
		OutboxItem *item = dlist_container(OutboxItem, link, iter.cur);
		HelperError *error;

		if (!is_due(item))
			continue;
		error = run_guarded(outbox->write_down, item, worker.tick);
		if (error == NULL)
			item->backoff = (Backoff){.again_at = DT_NOEND};
		else
			backoff_begin(&item->backoff);
		if (error != NULL && !error->of_server)
			ereport(WARNING, (errmsg("could not write down an imgexport %s: %s", outbox->noun,
									 error->message)));
	}
}

/* Those that are written down are over; where the transaction failed, none of them is. */
static void
settle(Outbox *outbox, bool committed)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &outbox->items)
	{
		OutboxItem *item = dlist_container(OutboxItem, link, iter.cur);

		if (item->backoff.again_at != DT_NOEND)
			continue;
		if (!committed)
		{
			item->backoff = (Backoff){0};
			continue;
		}
		dlist_delete(&item->link);
		outbox->count--;
		free_item(outbox, item);
	}
}

/* Write down all that is done, in a transaction of its own, and be done with it. */
void
outbox_finish(Outbox *outbox)
{
	if (outbox_wait_ms(outbox) != 0)
		return;
	settle(outbox, step_run(&outbox->write_step, write_all, outbox));
	worker.look = true;
}

/* The rows that are in work here, as uuid[]. */
Datum
outbox_ids(const Outbox *outbox)
{
	Datum *ids = palloc((outbox->count + 1) * sizeof *ids);
	int count = 0;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &outbox->items) ids[count++] =
		UUIDPGetDatum(&dlist_container(OutboxItem, link, iter.cur)->id);
	return PointerGetDatum(
		construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}
