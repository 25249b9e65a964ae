/*
 * outbox.c
 *		Rows of an outbox that the worker has in work: claimed, begun, done, written down.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "helper/guarded.h"
#include "queue/outbox.h"
#include "queue/worker.h"

/*
 * Take a claimed row.
 *
 * row		of SPI_tuptable, with the columns of outbox.h first
 * size		of what is made, which begins with an OutboxItem; the rest is zero
 * Returns	it, in a context of its own
 */
void *
outbox_add(Outbox *outbox, uint64 row, Size size)
{
	MemoryContext context =
		AllocSetContextCreate(worker.jobs, "imgexport outbox item", ALLOCSET_SMALL_SIZES);
	OutboxItem *item = MemoryContextAllocZero(context, size);
	TupleDesc columns = SPI_tuptable->tupdesc;
	HeapTuple tuple = SPI_tuptable->vals[row];
	bool is_null;

	item->context = context;
	item->batch_id = *DatumGetUUIDP(SPI_getbinval(tuple, columns, OUTBOX_BATCH_ID, &is_null));
	item->id = *DatumGetUUIDP(SPI_getbinval(tuple, columns, OUTBOX_ID, &is_null));
	item->attempts = DatumGetInt32(SPI_getbinval(tuple, columns, OUTBOX_ATTEMPTS, &is_null));
	dlist_push_tail(&outbox->items, &item->link);
	outbox->count++;
	return item;
}

/* It is over.  error is copied, wherever it is; NULL: it went well. */
void
outbox_done(OutboxItem *item, const HelperError *error)
{
	item->error = error == NULL ? NULL : helper_error_copy(error, item->context);
	item->done = true;
}

/* Begin what is to be done, in a subtransaction and the item's context; an error ends it. */
void
outbox_begin(OutboxItem *item, void (*begin)(void *))
{
	HelperError *error = run_guarded(begin, item, item->context);

	if (error != NULL)
		outbox_done(item, error);
}

/* Is there something for outbox_finish to write down? */
bool
outbox_is_waiting(const Outbox *outbox)
{
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &outbox->items)
	{
		if (dlist_container(OutboxItem, link, iter.cur)->done)
			return true;
	}
	return false;
}

/* Write down all that is done, in a transaction of its own, and be done with it. */
void
outbox_finish(Outbox *outbox, const char *activity, void (*write_down)(void *))
{
	dlist_mutable_iter iter;

	if (!outbox_is_waiting(outbox))
		return;
	worker_begin(activity);
	dlist_foreach_modify(iter, &outbox->items)
	{
		OutboxItem *item = dlist_container(OutboxItem, link, iter.cur);

		/* What fails at a planned stop may have failed by it (see retire.c). */
		if (!item->done || (item->error != NULL && retire_is_requested()))
			continue;
		write_down(item);
		dlist_delete(&item->link);
		outbox->count--;
		MemoryContextDelete(item->context);
	}
	worker_commit();
	worker.look = true;
}
