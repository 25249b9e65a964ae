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
#include "queue/files.h"
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
	"UPDATE imgexport.removal r SET state = 'processing', worker = $1, lease_until = $2,"
	" attempts = r.attempts + 1"
	" FROM (SELECT batch_id, removal_id FROM imgexport.removal"
	"  WHERE state = 'pending' AND run_at <= $3 ORDER BY run_at LIMIT $4"
	"  FOR UPDATE SKIP LOCKED) due"
	" WHERE (r.batch_id, r.removal_id) = (due.batch_id, due.removal_id)"
	" AND (r.upload_id IS NOT NULL OR NOT EXISTS ("
	"  SELECT FROM imgexport.image i WHERE (i.store, i.key) = (r.store, r.key)))"
	" RETURNING r.batch_id, r.removal_id, r.attempts, r.store, r.key, r.upload_id",
	4,
	{TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID},
	NULL};

static WorkerStatement request_statement = {
	"SELECT kind, root, method, url, headers"
	" FROM imgexport.object_request($1, 'DELETE', $2, $4, '" EMPTY_HASH "', NULL, $3)",
	4,
	{TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID},
	NULL};

static WorkerStatement removed_statement = {
	"DELETE FROM imgexport.removal WHERE batch_id = $1 AND removal_id = $2",
	2,
	{UUIDOID, UUIDOID},
	NULL};

static WorkerStatement failed_statement = {
	"UPDATE imgexport.removal SET state = $3, run_at = $4, worker = NULL, lease_until = NULL,"
	" error = $5, attempts = attempts - $6"
	" WHERE batch_id = $1 AND removal_id = $2",
	6,
	{UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID},
	NULL};

typedef struct Removal
{
	OutboxItem item;
	char *store;
	char *key;
	char *
		upload_id; /* of an upload in parts that is given up; NULL: it is the object that goes */
	bool busy;	   /* a job has the object in work */
} Removal;

static Outbox removals = OUTBOX_INIT(removals);

/* Is that object being removed? */
bool
remove_is_busy_with(const char *store, const char *key)
{
	dlist_iter iter;

	dlist_foreach(iter, &removals.items)
	{
		Removal *removal = (Removal *) dlist_container(OutboxItem, link, iter.cur);

		if (!removal->busy && strcmp(removal->key, key) == 0 &&
			strcmp(removal->store, store) == 0)
			return true;
	}
	return false;
}

static Removal *
read_row(uint64 row)
{
	Removal *removal = outbox_add(&removals, row, sizeof *removal);
	MemoryContext owner = removal->item.context;

	removal->store = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS);
	removal->key = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS + 1);
	removal->upload_id = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS + 2);
	return removal;
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

/* In a subtransaction, in the removal's context. */
static void
start(void *argument)
{
	Removal *removal = argument;
	Datum values[] = {CStringGetTextDatum(removal->store), CStringGetTextDatum(removal->key),
					  TimestampTzGetDatum(GetCurrentTimestamp()),
					  CStringGetTextDatum(removal->upload_id
											  ? psprintf("uploadId=%s", removal->upload_id)
											  : "")};
	char *kind;
	FetchRequest request;

	worker_execute(&request_statement, values, NULL);
	kind = worker_text(0, 1);
	if (strcmp(kind, "file") == 0)
	{
		file_remove(worker_text(0, 2), removal->key);
		removal->item.done = true;
		return;
	}
	request = store_request(worker_text(0, 3), worker_text(0, 4), worker_text(0, 5));
	request.max_bytes = 0;
	if (transfer_start(&request, UPLOAD_NOTHING, removal_done, removal) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("URL is too long")));
}

static void
begin(Removal *removal)
{
	removal->busy = objects_has(removal->store, removal->key);
	if (removal->busy)
		removal->item.done = true;
	else
		outbox_begin(&removal->item, start);
}

/* Claim what is due, in the open transaction, and delete it. */
void
remove_claim(TimestampTz now)
{
	Datum values[] = {
		CStringGetTextDatum(worker.name),
		TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS * INT64CONST(10))),
		TimestampTzGetDatum(now), Int32GetDatum(REMOVALS_MAX - removals.count)};
	Removal *claimed[REMOVALS_MAX];
	uint64 rows;

	if (removals.count >= REMOVALS_MAX)
		return;
	worker_execute(&keep_statement, &values[2], NULL);
	rows = worker_execute(&claim_statement, values, NULL);
	installation_require();
	for (uint64 row = 0; row < rows; row++)
		claimed[row] = read_row(row);
	for (uint64 row = 0; row < rows; row++)
		begin(claimed[row]);
}

static void
write_down(void *argument)
{
	Removal *removal = argument;
	const HelperError *error = removal->item.error;
	bool again = removal->busy || removal->item.attempts <= lengthof(delays_s);
	int64 delay_ms = removal->busy ? BUSY_DELAY_MS
					 : again	   ? delays_s[removal->item.attempts - 1] * INT64CONST(1000)
								   : 0;
	char nulls[] = "      ";
	Datum values[] = {
		UUIDPGetDatum(&removal->item.batch_id),
		UUIDPGetDatum(&removal->item.id),
		CStringGetTextDatum(again ? "pending" : "failed"),
		TimestampTzGetDatum(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay_ms)),
		error ? CStringGetTextDatum(error->message) : (Datum) 0,
		Int32GetDatum(removal->busy ? 1 : 0)};

	if (!removal->busy && error == NULL)
	{
		worker_execute(&removed_statement, values, NULL);
		return;
	}
	nulls[4] = error ? ' ' : 'n';
	worker_execute(&failed_statement, values, nulls);
	if (error != NULL)
		ereport(LOG,
				(errmsg("imgexport could not remove an object of store \"%s\", attempt %d: %s",
						removal->store, removal->item.attempts, error->message)));
}

/* Is there something for remove_finished to write down? */
bool
remove_is_waiting(void)
{
	return outbox_is_waiting(&removals);
}

/* Write down what was removed and what was not. */
void
remove_finished(void)
{
	outbox_finish(&removals, "write down removals", write_down);
}
