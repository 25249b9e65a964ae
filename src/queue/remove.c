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
#include "common/sha2.h"
#include "lib/ilist.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "helper/guarded.h"
#include "image/fetch.h"
#include "queue/files.h"
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
	" RETURNING r.batch_id, r.removal_id, r.store, r.key, r.attempts, r.upload_id",
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
	dlist_node link;
	MemoryContext context; /* owns all of this */
	pg_uuid_t batch_id;
	pg_uuid_t removal_id;
	char *store;
	char *key;
	char *
		upload_id; /* of an upload in parts that is given up; NULL: it is the object that goes */
	int attempts;
	bool busy; /* a job has the object in work */
	bool done;
	HelperError *error; /* NULL: it is gone */
} Removal;

static dlist_head removals = DLIST_STATIC_INIT(removals);
static int removal_count;

/* Is that object being removed? */
bool
remove_is_busy_with(const char *store, const char *key)
{
	dlist_iter iter;

	dlist_foreach(iter, &removals)
	{
		Removal *removal = dlist_container(Removal, link, iter.cur);

		if (!removal->busy && strcmp(removal->key, key) == 0 &&
			strcmp(removal->store, store) == 0)
			return true;
	}
	return false;
}

static char *
text_column(uint64 row, int column)
{
	bool is_null;
	Datum value =
		SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

static Removal *
read_row(uint64 row)
{
	MemoryContext context =
		AllocSetContextCreate(worker.jobs, "imgexport removal", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Removal *removal = palloc0(sizeof *removal);
	TupleDesc columns = SPI_tuptable->tupdesc;
	HeapTuple tuple = SPI_tuptable->vals[row];
	bool is_null;

	removal->context = context;
	removal->batch_id = *DatumGetUUIDP(SPI_getbinval(tuple, columns, 1, &is_null));
	removal->removal_id = *DatumGetUUIDP(SPI_getbinval(tuple, columns, 2, &is_null));
	removal->store = text_column(row, 3);
	removal->key = text_column(row, 4);
	removal->attempts = DatumGetInt32(SPI_getbinval(tuple, columns, 5, &is_null));
	removal->upload_id = text_column(row, 6);
	MemoryContextSwitchTo(before);
	return removal;
}

static void
removal_done(void *owner, const Fetched *fetched, int fd, HelperError *error)
{
	Removal *removal = owner;

	if (fd >= 0)
		close(fd);
	removal->error = error != NULL && error->http_status == HTTP_NOT_FOUND ? NULL : error;
	removal->done = true;
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
	kind = text_column(0, 1);
	if (strcmp(kind, "file") == 0)
	{
		file_remove(text_column(0, 2), removal->key);
		removal->done = true;
		return;
	}
	request = store_request(text_column(0, 3), text_column(0, 4), text_column(0, 5));
	request.max_bytes = 0;
	if (transfer_start(&request, -1, removal_done, removal) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("URL is too long")));
}

static void
begin(Removal *removal)
{
	removal->busy = objects_has(removal->store, removal->key);
	if (!removal->busy)
		removal->error = run_guarded(start, removal, removal->context);
	removal->done |= removal->busy || removal->error != NULL;
}

/* Claim what is due, in the open transaction, and delete it. */
void
remove_claim(TimestampTz now)
{
	Datum values[] = {
		CStringGetTextDatum(worker.name),
		TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS * INT64CONST(10))),
		TimestampTzGetDatum(now), Int32GetDatum(REMOVALS_MAX - removal_count)};
	Removal *claimed[REMOVALS_MAX];
	uint64 rows;

	if (removal_count >= REMOVALS_MAX)
		return;
	worker_execute(&keep_statement, &values[2], NULL);
	rows = worker_execute(&claim_statement, values, NULL);
	for (uint64 row = 0; row < rows; row++)
	{
		claimed[row] = read_row(row);
		dlist_push_tail(&removals, &claimed[row]->link);
		removal_count++;
	}
	for (uint64 row = 0; row < rows; row++)
		begin(claimed[row]);
}

static void
write_down(Removal *removal)
{
	HelperError *error = removal->error;
	bool again = removal->busy || removal->attempts <= lengthof(delays_s);
	int64 delay_ms = removal->busy ? BUSY_DELAY_MS
					 : again	   ? delays_s[removal->attempts - 1] * INT64CONST(1000)
								   : 0;
	char nulls[] = "      ";
	Datum values[] = {
		UUIDPGetDatum(&removal->batch_id),
		UUIDPGetDatum(&removal->removal_id),
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
						removal->store, removal->attempts, error->message)));
}

/* Is there something for remove_finished to write down? */
bool
remove_is_waiting(void)
{
	dlist_iter iter;

	dlist_foreach(iter,
				  &removals) if (dlist_container(Removal, link, iter.cur)->done) return true;
	return false;
}

/* Write down what was removed and what was not. */
void
remove_finished(void)
{
	dlist_mutable_iter iter;

	if (!remove_is_waiting())
		return;
	worker_begin("write down removals");
	dlist_foreach_modify(iter, &removals)
	{
		Removal *removal = dlist_container(Removal, link, iter.cur);

		if (!removal->done)
			continue;
		write_down(removal);
		dlist_delete(&removal->link);
		removal_count--;
		MemoryContextDelete(removal->context);
	}
	worker_commit();
	worker.look = true;
}
