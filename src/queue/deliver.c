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
	" RETURNING d.batch_id, d.delivery_id, d.attempts, d.owner::text, d.url",
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
	OutboxItem item;
	char *owner;
	char *url;
	char *id;
	char *payload;	  /* in the server's encoding */
	char *signatures; /* NULL: the webhook is disabled */
	TimestampTz sent_at;
	int http_status;
} Delivery;

static Outbox deliveries = OUTBOX_INIT(deliveries);

static Delivery *
read_row(uint64 row)
{
	Delivery *delivery = outbox_add(&deliveries, row, sizeof *delivery);
	MemoryContext owner = delivery->item.context;

	delivery->owner = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS);
	delivery->url = worker_text_in(owner, row, OUTBOX_OWN_COLUMNS + 1);
	return delivery;
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

static void
start(Delivery *delivery)
{
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
	if (transfer_start(&request, upload, delivery_done, delivery) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("URL is too long")));
}

/* Body and signatures, and off it goes; in a subtransaction, in the delivery's context. */
static void
send_delivery(void *argument)
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
	start(delivery);
}

/* Claim what is due, in the open transaction, and send it. */
void
deliver_claim(TimestampTz now)
{
	Datum values[] = {
		CStringGetTextDatum(worker.name),
		TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS * INT64CONST(10))),
		TimestampTzGetDatum(now), Int32GetDatum(DELIVERIES_MAX - deliveries.count)};
	Delivery *claimed[DELIVERIES_MAX];
	uint64 rows;

	if (deliveries.count >= DELIVERIES_MAX)
		return;
	rows = worker_execute(&claim_statement, values, NULL);
	installation_require();
	for (uint64 row = 0; row < rows; row++)
		claimed[row] = read_row(row);
	for (uint64 row = 0; row < rows; row++)
		outbox_begin(&claimed[row]->item, send_delivery);
}

static TimestampTz
retry_at(const Delivery *delivery)
{
	double delay_s = delays_s[delivery->item.attempts - 1];

	delay_s *= 0.9 + 0.2 * pg_prng_double(&pg_global_prng_state);
	delay_s = Max(delay_s, delivery->item.error->retry_after_s);
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) (delay_s * 1000));
}

static void
write_down(void *argument)
{
	Delivery *delivery = argument;
	const HelperError *error = delivery->item.error;
	bool again =
		error != NULL && error->retryable && delivery->item.attempts <= lengthof(delays_s);
	TimestampTz now = GetCurrentTimestamp();
	const char *state = error == NULL ? "delivered" : again ? "pending" : "failed";
	char nulls[] = "        ";
	Datum values[] = {UUIDPGetDatum(&delivery->item.batch_id),
					  UUIDPGetDatum(&delivery->item.id),
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
							 delivery->id ? delivery->id : "?", delivery->item.attempts,
							 error->message)));
}

/* Is there something for deliver_finished to write down? */
bool
deliver_is_waiting(void)
{
	return outbox_is_waiting(&deliveries);
}

/* Write down what was delivered and what was not. */
void
deliver_finished(void)
{
	outbox_finish(&deliveries, "write down deliveries", write_down);
}
