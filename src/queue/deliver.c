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
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "image/fetch.h"
#include "queue/outbox.h"
#include "queue/transfers.h"
#include "queue/worker.h"
#include "settings.h"

/* Under way at once. */
#define DELIVERIES_MAX 20

#define HTTP_GONE 410

/* What the server itself could not do is tried again after so long. */
#define PUT_OFF_S 5

/* A receiver that asks for more time gets no more than this. */
#define RETRY_AFTER_MAX_S 86400

/* After each failed attempt, in seconds: what the specification recommends. */
static const int delays_s[] = {5,		  5 * 60,	 30 * 60,	2 * 3600, 5 * 3600,
							   10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600};

static WorkerStatement claim_statement = {
	"UPDATE imgexport.delivery o SET state = 'processing', worker = $1, claim = $2,"
	" lease_until = $3, attempts = o.attempts + 1"
	" FROM (SELECT batch_id, delivery_id FROM imgexport.delivery"
	"  WHERE state = 'pending' AND run_at <= $4 ORDER BY run_at LIMIT $5"
	"  FOR UPDATE SKIP LOCKED) due"
	" WHERE (o.batch_id, o.delivery_id) = (due.batch_id, due.delivery_id)" OUTBOX_RETURNS(
		"delivery_id") ", o.owner::text, o.url",
	5,
	{TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID},
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

/* Whoever has locked the row has it written later. */
static WorkerStatement finish_statement = {
	"UPDATE imgexport.delivery d SET state = $4, run_at = coalesce($5, run_at), worker = NULL,"
	" claim = NULL, lease_until = NULL, http_status = coalesce($6, http_status),"
	" error = CASE WHEN $9 = 0 THEN $7 ELSE error END, attempts = d.attempts - $9,"
	" finished_at = CASE WHEN $4 <> 'pending' THEN $8 END"
	" FROM (SELECT batch_id, delivery_id FROM imgexport.delivery"
	"  WHERE batch_id = $1 AND delivery_id = $2 AND claim = $3 FOR UPDATE NOWAIT) mine"
	" WHERE (d.batch_id, d.delivery_id) = (mine.batch_id, mine.delivery_id)",
	9,
	{UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TIMESTAMPTZOID,
	 INT4OID},
	NULL};

static WorkerStatement disable_statement = {
	"UPDATE imgexport.webhook w SET disabled_at = $3,"
	" disabled_because = 'it answered 410 Gone'"
	" FROM (SELECT owner, url FROM imgexport.webhook WHERE owner = $1::name AND url = $2"
	"  FOR UPDATE NOWAIT) gone"
	" WHERE (w.owner, w.url) = (gone.owner, gone.url)",
	3,
	{TEXTOID, TEXTOID, TIMESTAMPTZOID},
	NULL};

typedef struct Delivery
{
	OutboxItem item;
	char *owner;
	char *url;
	char *id;
	char *payload;	  /* in the server's encoding */
	char *signatures; /* NULL: the webhook is disabled */
	TimestampTz sent_at;
	int http_status;
} Delivery;

static void
read_row(void *item, uint64 row)
{
	Delivery *delivery = item;
	MemoryContext owner = delivery->item.context;

	delivery->owner = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS);
	delivery->url = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS + 1);
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
	outbox_done(&delivery->item, error);
}

/* Off it goes, in the delivery's context. */
static void
send_delivery(OutboxItem *item)
{
	Delivery *delivery = (Delivery *) item;
	char *body = pg_server_to_any(delivery->payload, strlen(delivery->payload), PG_UTF8);
	FetchRequest request = fetch_request(delivery->url, settings.fetch_timeout_ms);
	Upload upload = {.bytes = body, .fd = -1, .length = strlen(body)};

	request.method = "POST";
	request.headers = psprintf("Content-Type: application/json\nwebhook-id: %s\n"
							   "webhook-timestamp: " INT64_FORMAT "\nwebhook-signature: %s",
							   delivery->id, (int64) timestamptz_to_time_t(delivery->sent_at),
							   delivery->signatures);
	request.max_bytes = 0; /* the status is all of the answer that counts */
	request.max_redirects = 0;
	item->transfer = transfer_start(&request, upload, delivery_done, delivery);
	if (item->transfer == NULL)
		outbox_done(item, helper_error(ERRCODE_INVALID_PARAMETER_VALUE, false,
									   "URL is too long", NULL, NULL));
}

/* Body and signatures; in a subtransaction, in the delivery's context. */
static void
prepare_delivery(void *argument)
{
	Delivery *delivery = argument;
	MemoryContext owner = delivery->item.context;
	Datum key[] = {UUIDPGetDatum(&delivery->item.batch_id), UUIDPGetDatum(&delivery->item.id)};
	Datum values[5];

	if (worker_execute(&payload_statement, key, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA), errmsg("delivery was deleted")));
	delivery->payload = worker_text_in(owner, 0, 1);
	delivery->id = worker_text_in(owner, 0, 2);
	if (delivery->payload == NULL)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA), errmsg("batch was deleted")));
	delivery->sent_at = GetCurrentTimestamp();
	values[0] = CStringGetTextDatum(delivery->owner);
	values[1] = CStringGetTextDatum(delivery->url);
	values[2] = CStringGetTextDatum(delivery->id);
	values[3] = TimestampTzGetDatum(delivery->sent_at);
	values[4] = CStringGetTextDatum(delivery->payload);
	worker_execute(&sign_statement, values, NULL);
	delivery->signatures = worker_text_in(owner, 0, 1);
	if (delivery->signatures == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("webhook is disabled"),
				 errhint("imgexport.enable_webhook enables it again, imgexport.replay sends "
						 "what it missed.")));
}

/* The delays of the specification, or soon where it has cost no attempt. */
static TimestampTz
retry_at(const Delivery *delivery)
{
	int nth = Max(1, Min(delivery->item.attempts, (int) lengthof(delays_s)));
	double delay_s = outbox_was_put_off(&delivery->item) ? PUT_OFF_S : delays_s[nth - 1];

	delay_s *= 0.9 + 0.2 * pg_prng_double(&pg_global_prng_state);
	delay_s = Max(delay_s, Min(delivery->item.error->retry_after_s, RETRY_AFTER_MAX_S));
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) (delay_s * 1000));
}

static bool
is_retried(const Delivery *delivery)
{
	const HelperError *error = delivery->item.error;

	return error != NULL &&
		   (error->of_server ||
			(error->retryable && delivery->item.attempts <= (int) lengthof(delays_s)));
}

static void
finish(const Delivery *delivery, TimestampTz now)
{
	const HelperError *error = delivery->item.error;
	bool again = is_retried(delivery);
	const char *state = error == NULL ? "delivered" : again ? "pending" : "failed";
	char nulls[] = "         ";
	Datum values[] = {UUIDPGetDatum(&delivery->item.batch_id),
					  UUIDPGetDatum(&delivery->item.id),
					  UUIDPGetDatum(&delivery->item.claim),
					  CStringGetTextDatum(state),
					  TimestampTzGetDatum(again ? retry_at(delivery) : 0),
					  Int32GetDatum(delivery->http_status),
					  error ? CStringGetTextDatum(error->message) : (Datum) 0,
					  TimestampTzGetDatum(now),
					  Int32GetDatum(outbox_was_put_off(&delivery->item) ? 1 : 0)};

	nulls[4] = again ? ' ' : 'n';
	nulls[5] = delivery->http_status != 0 ? ' ' : 'n';
	nulls[6] = error ? ' ' : 'n';
	worker_execute(&finish_statement, values, nulls);
}

/* In a subtransaction; where a row is locked it is done later. */
static void
write_down(void *argument)
{
	Delivery *delivery = argument;
	const HelperError *error = delivery->item.error;
	TimestampTz now = GetCurrentTimestamp();

	if (delivery->http_status == HTTP_GONE)
	{
		Datum hook[] = {CStringGetTextDatum(delivery->owner),
						CStringGetTextDatum(delivery->url), TimestampTzGetDatum(now)};

		worker_execute(&disable_statement, hook, NULL);
	}
	finish(delivery, now);
	worker.counters.delivered += error == NULL;
	worker.counters.delivery_failures += error != NULL && !error->of_server;
	if (error != NULL)
		ereport(LOG, (errmsg("imgexport webhook %s: attempt %d failed: %s",
							 delivery->id ? delivery->id : "?", delivery->item.attempts,
							 error->message)));
}

static Outbox deliveries = {.noun = "webhook",
							.claim = &claim_statement,
							.size = sizeof(Delivery),
							.most = DELIVERIES_MAX,
							.read = read_row,
							.prepare = prepare_delivery,
							.send = send_delivery,
							.write_down = write_down,
							.items = DLIST_STATIC_INIT(deliveries.items),
							.claim_step = {.activity = "claim webhooks"},
							.write_step = {.activity = "write down webhooks"}};

/* Claim webhooks that are due and send them. */
bool
deliver_due(TimestampTz now)
{
	return outbox_claim_due(&deliveries, now);
}

/* How long until something can be written down; -1: nothing is done. */
long
deliver_wait_ms(void)
{
	return outbox_wait_ms(&deliveries);
}

/* Write down what was delivered and what was not. */
void
deliver_finished(void)
{
	outbox_finish(&deliveries);
}

/* The deliveries that are in work here, as uuid[]. */
Datum
deliver_ids(void)
{
	return outbox_ids(&deliveries);
}
