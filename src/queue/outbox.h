/*
 * outbox.h
 *		Rows of an outbox that the worker has in work: webhooks to be told, objects to be removed.
 */
#ifndef IMGEXPORT_QUEUE_OUTBOX_H
#define IMGEXPORT_QUEUE_OUTBOX_H

#include "lib/ilist.h"
#include "utils/uuid.h"

#include "helper/errors.h"

/* What every row in work has; the first member of what an outbox knows of its own. */
typedef struct OutboxItem
{
	dlist_node link;
	MemoryContext context; /* owns all of it */
	pg_uuid_t batch_id;
	pg_uuid_t id;
	int attempts;
	bool done;
	const HelperError *error; /* NULL: it went well; a copy of its own */
} OutboxItem;

typedef struct Outbox
{
	dlist_head items;
	int count;
} Outbox;

#define OUTBOX_INIT(name)                                                                      \
	{                                                                                          \
		DLIST_STATIC_INIT((name).items), 0                                                     \
	}

/* Columns that a claim returns first. */
enum
{
	OUTBOX_BATCH_ID = 1,
	OUTBOX_ID,
	OUTBOX_ATTEMPTS,
	OUTBOX_OWN_COLUMNS
};

void *outbox_add(Outbox *outbox, uint64 row, Size size);
void outbox_done(OutboxItem *item, const HelperError *error);
void outbox_begin(OutboxItem *item, void (*begin)(void *));
bool outbox_is_waiting(const Outbox *outbox);
void outbox_finish(Outbox *outbox, const char *activity, void (*write_down)(void *));

#endif
