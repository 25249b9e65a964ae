/*
 * deliver.c
 *		Webhooks: take what is due from the outbox, send it, and write down what came of it.
 *
 * By Standard Webhooks 1.0: three headers, an answer of 2xx is all that counts, redirects are
 * not followed, 410 is a wish never to hear of it again, and what fails is tried again for
 * days.  The bodies and signatures are made in SQL (schema/42_webhooks.sql).
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "helper/bulk.h"
#include "helper/guarded.h"
#include "image/fetch.h"
#include "queue/transfers.h"
#include "queue/worker.h"
#include "settings.h"

/* Under way at once. */
#define DELIVERIES_MAX 20

#define HTTP_GONE 410

/* After each failed attempt, in seconds: what the specification recommends. */
static const int delays_s[] = {5,		  5 * 60,	 30 * 60,	2 * 3600, 5 * 3600,
							   10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600};

static WorkerStatement claim_statement = {
	"UPDATE imgexport.delivery d SET state = 'processing', worker = $1, lease_until = $2,"
	" attempts = d.attempts + 1"
	" FROM (SELECT batch_id, delivery_id FROM imgexport.delivery"
	"  WHERE state = 'pending' AND run_at <= $3 ORDER BY run_at LIMIT $4"
	"  FOR UPDATE SKIP LOCKED) due"
	" WHERE (d.batch_id, d.delivery_id) = (due.batch_id, due.delivery_id)"
	" RETURNING d.batch_id, d.delivery_id, d.owner::text, d.url, d.attempts",
	4,
	{TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID},
	NULL};

/* The body is made once, and sent again as it was. */
static WorkerStatement payload_statement = {
	"UPDATE imgexport.delivery d SET payload = coalesce(payload,"
	" imgexport.webhook_payload(event, batch_id, job_id, owner, created_at))"
	" WHERE batch_id = $1 AND delivery_id = $2"
	" RETURNING payload, delivery_id::text",
	2,
	{UUIDOID, UUIDOID},
	NULL};

static WorkerStatement sign_statement = {
	"SELECT imgexport.webhook_signatures($1::name, $2, $3, $4, $5)",
	5,
	{TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID},
	NULL};

static WorkerStatement finish_statement = {
	"UPDATE imgexport.delivery SET state = $4, run_at = coalesce($5, run_at), worker = NULL,"
	" lease_until = NULL, http_status = $6, error = $7,"
	" finished_at = CASE WHEN $4 <> 'pending' THEN $8 END"
	" WHERE batch_id = $1 AND delivery_id = $2 AND state = 'processing' AND worker = $3",
	8,
	{UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TIMESTAMPTZOID},
	NULL};

static WorkerStatement disable_statement = {
	"UPDATE imgexport.webhook SET disabled_at = $3, disabled_because = 'it answered 410 Gone'"
	" WHERE owner = $1::name AND url = $2",
	3,
	{TEXTOID, TEXTOID, TIMESTAMPTZOID},
	NULL};

typedef struct Delivery
{
	dlist_node link;
	MemoryContext context; /* owns all of this */
	pg_uuid_t batch_id;
	pg_uuid_t delivery_id;
	char *owner;
	char *url;
	int attempts;
	char *id;
	char *payload;	  /* in the server's encoding */
	char *signatures; /* NULL: the webhook is disabled */
	TimestampTz sent_at;
	bool done;
	int http_status;
	HelperError *error; /* NULL: it was delivered */
} Delivery;

static dlist_head deliveries = DLIST_STATIC_INIT(deliveries);
static int delivery_count;

static char *
text_column(uint64 row, int column)
{
	bool is_null;
	Datum value =
		SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

static void
read_row(uint64 row)
{
	MemoryContext context =
		AllocSetContextCreate(worker.jobs, "imgexport delivery", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Delivery *delivery = palloc0(sizeof *delivery);
	TupleDesc columns = SPI_tuptable->tupdesc;
	HeapTuple tuple = SPI_tuptable->vals[row];
	bool is_null;

	delivery->context = context;
	delivery->batch_id = *DatumGetUUIDP(SPI_getbinval(tuple, columns, 1, &is_null));
	delivery->delivery_id = *DatumGetUUIDP(SPI_getbinval(tuple, columns, 2, &is_null));
	delivery->owner = text_column(row, 3);
	delivery->url = text_column(row, 4);
	delivery->attempts = DatumGetInt32(SPI_getbinval(tuple, columns, 5, &is_null));
	dlist_push_tail(&deliveries, &delivery->link);
	delivery_count++;
	MemoryContextSwitchTo(before);
}

static void
delivery_done(void *owner, const Fetched *fetched, int fd, HelperError *error)
{
	Delivery *delivery = owner;

	if (fd >= 0)
		close(fd);
	delivery->http_status = fetched ? fetched->http_status : error->http_status;
	/* Whatever a receiver answers, it may answer otherwise later. */
	if (error != NULL)
		error->retryable = delivery->http_status != HTTP_GONE;
	delivery->error = error;
	delivery->done = true;
}

static void
start(Delivery *delivery)
{
	char *body = pg_server_to_any(delivery->payload, strlen(delivery->payload), PG_UTF8);
	FetchRequest request = fetch_request(delivery->url, settings.fetch_timeout_ms);
	int fd = bulk_new();

	bulk_append(fd, body, strlen(body));
	bulk_seal(fd);
	request.method = "POST";
	request.headers = psprintf("Content-Type: application/json\nwebhook-id: %s\n"
							   "webhook-timestamp: " INT64_FORMAT "\nwebhook-signature: %s",
							   delivery->id, (int64) timestamptz_to_time_t(delivery->sent_at),
							   delivery->signatures);
	request.upload_length = strlen(body);
	request.max_bytes = 0; /* the status is all of the answer that counts */
	request.max_redirects = 0;
	if (transfer_start(&request, fd, delivery_done, delivery) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("URL is too long")));
}

/* Body and signatures, and off it goes; in a subtransaction, in the delivery's context. */
static void
send_delivery(void *argument)
{
	Delivery *delivery = argument;
	Datum key[] = {UUIDPGetDatum(&delivery->batch_id), UUIDPGetDatum(&delivery->delivery_id)};
	Datum values[5];

	if (worker_execute(&payload_statement, key, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA), errmsg("delivery was deleted")));
	delivery->payload = text_column(0, 1);
	delivery->id = text_column(0, 2);
	if (delivery->payload == NULL)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA), errmsg("batch was deleted")));
	delivery->sent_at = GetCurrentTimestamp();
	values[0] = CStringGetTextDatum(delivery->owner);
	values[1] = CStringGetTextDatum(delivery->url);
	values[2] = CStringGetTextDatum(delivery->id);
	values[3] = TimestampTzGetDatum(delivery->sent_at);
	values[4] = CStringGetTextDatum(delivery->payload);
	worker_execute(&sign_statement, values, NULL);
	delivery->signatures = text_column(0, 1);
	if (delivery->signatures == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("webhook is disabled"),
				 errhint("imgexport.enable_webhook enables it again, imgexport.replay sends "
						 "what it missed.")));
	start(delivery);
}

/* Send it, or be done with it. */
static void
begin(Delivery *delivery)
{
	delivery->error = run_guarded(send_delivery, delivery, delivery->context);
	delivery->done = delivery->error != NULL;
}

/* Claim what is due, in the open transaction, and send it. */
void
deliver_claim(TimestampTz now)
{
	Datum values[] = {
		CStringGetTextDatum(worker.name),
		TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS * INT64CONST(10))),
		TimestampTzGetDatum(now), Int32GetDatum(DELIVERIES_MAX - delivery_count)};
	dlist_node *last = dlist_is_empty(&deliveries) ? NULL : dlist_tail_node(&deliveries);
	dlist_iter iter;
	bool fresh = last == NULL;
	uint64 rows;

	if (delivery_count >= DELIVERIES_MAX)
		return;
	rows = worker_execute(&claim_statement, values, NULL);
	for (uint64 row = 0; row < rows; row++)
		read_row(row);
	dlist_foreach(iter, &deliveries)
	{
		if (fresh)
			begin(dlist_container(Delivery, link, iter.cur));
		fresh |= iter.cur == last;
	}
}

static TimestampTz
retry_at(const Delivery *delivery)
{
	double delay_s = delays_s[delivery->attempts - 1];

	delay_s *= 0.9 + 0.2 * pg_prng_double(&pg_global_prng_state);
	delay_s = Max(delay_s, delivery->error->retry_after_s);
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) (delay_s * 1000));
}

static void
write_down(Delivery *delivery)
{
	HelperError *error = delivery->error;
	bool again = error != NULL && error->retryable && delivery->attempts <= lengthof(delays_s);
	TimestampTz now = GetCurrentTimestamp();
	const char *state = error == NULL ? "delivered" : again ? "pending" : "failed";
	char nulls[] = "        ";
	Datum values[] = {UUIDPGetDatum(&delivery->batch_id),
					  UUIDPGetDatum(&delivery->delivery_id),
					  CStringGetTextDatum(worker.name),
					  CStringGetTextDatum(state),
					  TimestampTzGetDatum(again ? retry_at(delivery) : 0),
					  Int32GetDatum(delivery->http_status),
					  error ? CStringGetTextDatum(error->message) : (Datum) 0,
					  TimestampTzGetDatum(now)};

	nulls[4] = again ? ' ' : 'n';
	nulls[5] = delivery->http_status != 0 ? ' ' : 'n';
	nulls[6] = error ? ' ' : 'n';
	worker_execute(&finish_statement, values, nulls);
	worker.counters.delivered += error == NULL;
	worker.counters.delivery_failures += error != NULL;
	if (delivery->http_status == HTTP_GONE)
	{
		Datum hook[] = {CStringGetTextDatum(delivery->owner),
						CStringGetTextDatum(delivery->url), TimestampTzGetDatum(now)};

		worker_execute(&disable_statement, hook, NULL);
	}
	if (error != NULL)
		ereport(LOG, (errmsg("imgexport webhook %s: attempt %d failed: %s",
							 delivery->id ? delivery->id : "?", delivery->attempts,
							 error->message)));
}

/* Is there something for deliver_finished to write down? */
bool
deliver_is_waiting(void)
{
	dlist_iter iter;

	dlist_foreach(iter,
				  &deliveries) if (dlist_container(Delivery, link, iter.cur)->done) return true;
	return false;
}

/* Write down what was delivered and what was not. */
void
deliver_finished(void)
{
	dlist_mutable_iter iter;

	if (!deliver_is_waiting())
		return;
	worker_begin("write down deliveries");
	dlist_foreach_modify(iter, &deliveries)
	{
		Delivery *delivery = dlist_container(Delivery, link, iter.cur);

		if (!delivery->done)
			continue;
		write_down(delivery);
		dlist_delete(&delivery->link);
		delivery_count--;
		MemoryContextDelete(delivery->context);
	}
	worker_commit();
	worker.look = true;
}
