/*
 * remove.c
 *		Objects that have to go: take what is due from the outbox, delete it from its store,
 *		and write down what came of it.
 *
 * An object that an image names by then stays.  One that a job in work is about to write
 * is looked at again later, and none is written while it is removed (see objects.c), so
 * that a key that comes back is never deleted after it was written.
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "image/fetch.h"
#include "queue/filework.h"
#include "queue/outbox.h"
#include "queue/worker.h"

/* Under way at once. */
#define REMOVALS_MAX 20

/* While a job has the object in work. */
#define BUSY_DELAY_MS 5000

#define HTTP_NOT_FOUND 404

/* SHA-256 of nothing, which is what a DELETE sends. */
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* After each failed attempt, in seconds. */
static const int delays_s[] = {5, 60, 600, 3600, 6 * 3600, 24 * 3600, 48 * 3600};

static WorkerStatement keep_statement = {
	"DELETE FROM imgexport.removal WHERE (batch_id, removal_id) IN ("
	" SELECT r.batch_id, r.removal_id FROM imgexport.removal r"
	" WHERE r.state = 'pending' AND r.run_at <= $1 AND r.upload_id IS NULL"
	" AND EXISTS (SELECT FROM imgexport.image i WHERE (i.store, i.key) = (r.store, r.key))"
	" ORDER BY r.run_at LIMIT 1000 FOR UPDATE SKIP LOCKED)",
	1,
	{TIMESTAMPTZOID},
	NULL};

static WorkerStatement claim_statement = {
	"UPDATE imgexport.removal o SET state = 'processing', worker = $1, claim = $2,"
	" lease_until = $3, attempts = o.attempts + 1"
	" FROM (SELECT batch_id, removal_id FROM imgexport.removal"
	"  WHERE state = 'pending' AND run_at <= $4 ORDER BY run_at LIMIT $5"
	"  FOR UPDATE SKIP LOCKED) due"
	" WHERE (o.batch_id, o.removal_id) = (due.batch_id, due.removal_id)"
	" AND (o.upload_id IS NOT NULL OR NOT EXISTS ("
	"  SELECT FROM imgexport.image i WHERE (i.store, i.key) = (o.store, "
	"o.key)))" OUTBOX_RETURNS("removal_id") ", o.store, o.key, o.upload_id",
	5,
	{TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID},
	NULL};

static WorkerStatement request_statement = {
	"SELECT kind, root, method, url, headers"
	" FROM imgexport.object_request($1, 'DELETE', $2, $4, '" EMPTY_HASH "', NULL, $3)",
	4,
	{TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID},
	NULL};

/* Whoever has locked the row has it written later. */
#define MINE                                                                                   \
	"(SELECT batch_id, removal_id FROM imgexport.removal"                                      \
	" WHERE batch_id = $1 AND removal_id = $2 AND claim = $3 FOR UPDATE NOWAIT) mine"

static WorkerStatement removed_statement = {
	"DELETE FROM imgexport.removal r USING " MINE
	" WHERE (r.batch_id, r.removal_id) = (mine.batch_id, mine.removal_id)",
	3,
	{UUIDOID, UUIDOID, UUIDOID},
	NULL};

static WorkerStatement failed_statement = {
	"UPDATE imgexport.removal r SET state = $4, run_at = $5, worker = NULL, claim = NULL,"
	" lease_until = NULL, error = $6, attempts = r.attempts - $7 FROM " MINE
	" WHERE (r.batch_id, r.removal_id) = (mine.batch_id, mine.removal_id)",
	7,
	{UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID},
	NULL};

typedef struct Removal
{
	OutboxItem item;
	char *store;
	char *key;
	char *
		upload_id; /* of an upload in parts that is given up; NULL: it is the object that goes */
	bool busy;	   /* a job has the object in work */
	char *root;	   /* of a file; NULL: it is a request */
	FileJob *file_job;
	char *method;
	char *url;
	char *headers;
} Removal;

static Outbox removals;

/* Is that object being removed? */
bool
remove_is_busy_with(const char *store, const char *key)
{
	dlist_iter iter;

	dlist_foreach(iter, &removals.items)
	{
		Removal *removal = (Removal *) dlist_container(OutboxItem, link, iter.cur);

		if (!removal->busy && !removal->item.done && strcmp(removal->key, key) == 0 &&
			strcmp(removal->store, store) == 0)
			return true;
	}
	return false;
}

static void
read_row(void *item, uint64 row)
{
	Removal *removal = item;
	MemoryContext owner = removal->item.context;

	removal->store = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS);
	removal->key = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS + 1);
	removal->upload_id = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS + 2);
}

static void
removal_done(void *owner, const Fetched *fetched, int fd, HelperError *error)
{
	Removal *removal = owner;

	if (fd >= 0)
		close(fd);
	outbox_done(&removal->item,
				error != NULL && error->http_status == HTTP_NOT_FOUND ? NULL : error);
}

static void
file_done(void *owner, HelperError *error)
{
	Removal *removal = owner;

	removal->file_job = NULL;
	outbox_done(&removal->item, error);
}

static void
drop(OutboxItem *item)
{
	Removal *removal = (Removal *) item;

	if (removal->file_job != NULL)
		filework_drop(removal->file_job);
}

/* What is to be sent; in a subtransaction, in the removal's context. */
static void
prepare_removal(void *argument)
{
	Removal *removal = argument;
	MemoryContext owner = removal->item.context;
	Datum values[] = {CStringGetTextDatum(removal->store), CStringGetTextDatum(removal->key),
					  TimestampTzGetDatum(GetCurrentTimestamp()),
					  CStringGetTextDatum(removal->upload_id
											  ? psprintf("uploadId=%s", removal->upload_id)
											  : "")};

	removal->busy = objects_has(removal->store, removal->key);
	if (removal->busy)
		return;
	worker_execute(&request_statement, values, NULL);
	if (strcmp(worker_text(0, 1), "file") == 0)
	{
		removal->root = worker_text_in(owner, 0, 2);
		return;
	}
	removal->method = worker_text_in(owner, 0, 3);
	removal->url = worker_text_in(owner, 0, 4);
	removal->headers = worker_text_in(owner, 0, 5);
}

/* Off it goes, in the removal's context. */
static void
send_removal(OutboxItem *item)
{
	Removal *removal = (Removal *) item;
	FetchRequest request;

	if (removal->busy)
	{
		outbox_done(item, NULL);
		return;
	}
	if (removal->root != NULL)
	{
		removal->file_job = filework_remove(removal->root, removal->key, file_done, removal);
		return;
	}
	request = store_request(removal->method, removal->url, removal->headers);
	request.max_bytes = 0;
	item->transfer = transfer_start(&request, UPLOAD_NOTHING, removal_done, removal);
	if (item->transfer == NULL)
		outbox_done(item, helper_error(ERRCODE_INVALID_PARAMETER_VALUE, false,
									   "URL is too long", NULL, NULL));
}

/* What becomes of a row that stays, and when it is due again. */
static void
write_again(const Removal *removal)
{
	const HelperError *error = removal->item.error;
	bool free = removal->busy || outbox_was_put_off(&removal->item);
	int nth = Max(1, Min(removal->item.attempts, (int) lengthof(delays_s)));
	bool again = free || removal->item.attempts <= (int) lengthof(delays_s);
	int64 delay_ms = free ? BUSY_DELAY_MS : delays_s[nth - 1] * INT64CONST(1000);
	char nulls[] = "       ";
	Datum values[] = {
		UUIDPGetDatum(&removal->item.batch_id),
		UUIDPGetDatum(&removal->item.id),
		UUIDPGetDatum(&removal->item.claim),
		CStringGetTextDatum(again ? "pending" : "failed"),
		TimestampTzGetDatum(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay_ms)),
		error ? CStringGetTextDatum(error->message) : (Datum) 0,
		Int32GetDatum(free ? 1 : 0)};

	nulls[5] = error ? ' ' : 'n';
	worker_execute(&failed_statement, values, nulls);
}

/* In a subtransaction; where the row is locked it is done later. */
static void
write_down(void *argument)
{
	Removal *removal = argument;
	const HelperError *error = removal->item.error;
	Datum values[] = {UUIDPGetDatum(&removal->item.batch_id), UUIDPGetDatum(&removal->item.id),
					  UUIDPGetDatum(&removal->item.claim)};

	if (!removal->busy && error == NULL)
		worker_execute(&removed_statement, values, NULL);
	else
		write_again(removal);
	if (error != NULL)
		ereport(LOG,
				(errmsg("imgexport could not remove an object of store \"%s\", attempt %d: %s",
						removal->store, removal->item.attempts, error->message)));
}

static Outbox removals = {.noun = "removal",
						  .claim = &claim_statement,
						  .size = sizeof(Removal),
						  .most = REMOVALS_MAX,
						  .read = read_row,
						  .prepare = prepare_removal,
						  .send = send_removal,
						  .drop = drop,
						  .write_down = write_down,
						  .items = DLIST_STATIC_INIT(removals.items),
						  .claim_step = {.activity = "claim removals"},
						  .write_step = {.activity = "write down removals"}};

static WorkerStep keep_step = {.activity = "keep objects that images name"};

static void
keep_used(void *argument)
{
	Datum values[] = {TimestampTzGetDatum(*(TimestampTz *) argument)};

	worker_execute(&keep_statement, values, NULL);
}

/* Claim removals that are due and delete their objects. */
bool
remove_due(TimestampTz now)
{
	if (removals.count >= removals.most)
		return true;
	if (step_run(&keep_step, keep_used, &now))
		return outbox_claim_due(&removals, now);
	worker_look_at(keep_step.backoff.again_at);
	return false;
}

/* How long until something can be written down; -1: nothing is done. */
long
remove_wait_ms(void)
{
	return outbox_wait_ms(&removals);
}

/* Write down what was removed and what was not. */
void
remove_finished(void)
{
	outbox_finish(&removals);
}

/* The removals that are in work here, as uuid[]. */
Datum
remove_ids(void)
{
	return outbox_ids(&removals);
}
