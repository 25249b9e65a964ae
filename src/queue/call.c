/*
 * call.c
 *		One call of a service: its request, its answer, and what fails.
 *
 * A call is under way like a fetch is: no codec and no transaction waits for it.  What is
 * sent, and what the answer means, is said in SQL (schema/39_asking.sql), in short
 * transactions.
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "queue/calls.h"
#include "queue/servicerequest.h"
#include "queue/worker.h"

static WorkerStatement request_statement = {
	"SELECT request_hash, known_image, known_result, url, headers, body, timeout_ms, retries,"
	" remembered, price_micros, day_limit_micros, month_limit_micros, day_micros, month_micros"
	" FROM imgexport.service_request($1, $2, $3)",
	3,
	{TEXTOID, JSONBOID, BYTEAOID},
	NULL};

static WorkerStatement answer_statement = {
	"SELECT image, result, url, own_host FROM imgexport.read_answer($1, $2, $3)",
	3,
	{TEXTOID, BYTEAOID, BYTEAOID},
	NULL};

static WorkerStatement keep_statement = {
	"SELECT imgexport.keep_answer($1, $2, $3, NULL)", 3, {TEXTOID, BYTEAOID, BYTEAOID}, NULL};

static WorkerStatement metadata_statement = {
	"SELECT coalesce($1, '{}') || jsonb_build_object($2, $3)",
	3,
	{JSONBOID, TEXTOID, JSONBOID},
	NULL};

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Close what a call has open. */
void
call_close(ServiceCall *call)
{
	close_fd(&call->body);
	close_fd(&call->result);
}

/* A failed call is done without where its step says so; else the job has failed. */
void
call_fail(ServiceCall *call, HelperError *error)
{
	Task *task = call->task;

	call->state = CALL_DONE;
	close_fd(&call->body);
	if (call->fallback != NULL || call->may_skip)
		task_warn(task, "step service was %s: %s",
				  call->fallback != NULL ? "replaced" : "skipped", error->message);
	else if (task->state == TASK_CALLING)
	{
		calls_drop(task);
		task_fail(task, error);
	}
}

/* A call's transfer is over. */
static void
call_done(void *owner, const Fetched *fetched, int fd, HelperError *error)
{
	ServiceCall *call = owner;
	bool of_service = call->answer_url == NULL;
	long took_ms = TimestampDifferenceMilliseconds(call->sent_at, GetCurrentTimestamp());
	long wait_ms;

	call->transfer = NULL;
	if (error == NULL)
	{
		if (of_service)
			service_succeeded(call->service, took_ms);
		call->answer = bulk_read_in(call->task->context, fd, fetched->length);
		close(fd);
		call->state = CALL_ANSWERED;
		return;
	}
	if (of_service)
		service_failed(call->service, &call->price, error, took_ms);
	if (service_may_retry(error, call->attempt, call->retries, &wait_ms))
	{
		call->attempt++;
		call->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait_ms);
		call->state = CALL_FAILED;
		return;
	}
	call_fail(call, service_error(call->service, error));
	calls_settle(call->task);
}

static void
send(ServiceCall *call)
{
	FetchRequest request;
	HelperError *error;
	Upload upload = UPLOAD_NOTHING;

	if (call->answer_url != NULL)
		request = service_fetch_answer(call->answer_url, call->own_host, call->timeout_ms);
	else
	{
		if (!service_begin(call->service, call->concurrency, &call->price, &error))
		{
			if (error != NULL)
				call_fail(call, error);
			else
				call->state = CALL_FAILED;
			return;
		}
		request = service_fetch(call->url, call->headers, call->timeout_ms);
		upload = (Upload){.fd = call->body, .length = call->body_length};
	}
	call->sent_at = GetCurrentTimestamp();
	PG_TRY();
	{
		call->transfer = transfer_start(&request, upload, call_done, call);
		if (call->transfer == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("URL of service \"%s\" is too long", call->service)));
	}
	PG_CATCH();
	{
		/* Nothing was sent, so nothing is paid. */
		if (call->answer_url == NULL)
			service_unsent(call->service, &call->price);
		PG_RE_THROW();
	}
	PG_END_TRY();
	call->state = CALL_SENT;
}

static Datum
column(int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, is_null);
}

static int64
int8_column(int number, int64 fallback)
{
	bool is_null;
	Datum value = column(number, &is_null);

	return is_null ? fallback : DatumGetInt64(value);
}

static int
int4_column(int number)
{
	bool is_null;

	return DatumGetInt32(column(number, &is_null));
}

/* What a call has come to is an image ... */
static void
take_image(ServiceCall *call, bytea *image)
{
	call->result = bulk_of(VARDATA_ANY(image), VARSIZE_ANY_EXHDR(image));
	call->result_length = VARSIZE_ANY_EXHDR(image);
	call->state = CALL_DONE;
	close_fd(&call->body);
}

/* ... or something to be written into the job's metadata. */
static void
take_result(ServiceCall *call, Jsonb *result)
{
	Task *task = call->task;
	Datum values[] = {JsonbPGetDatum(task->metadata), CStringGetTextDatum(call->metadata_key),
					  JsonbPGetDatum(result)};

	worker_execute(&metadata_statement, values, task->metadata == NULL ? "n  " : NULL);
	task->metadata = worker_varlena_in(task->context, 0, 1);
	task->metadata_changed = true;
	call->state = CALL_DONE;
	close_fd(&call->body);
}

/* Take what columns first and first + 1 hold, an image or a result; false: neither. */
static bool
take_columns(ServiceCall *call, int first)
{
	bool is_null;
	Datum value = column(first, &is_null);

	if (!is_null)
	{
		take_image(call, DatumGetByteaPP(value));
		return true;
	}
	value = column(first + 1, &is_null);
	if (!is_null)
		take_result(call, DatumGetJsonbPCopy(value));
	return !is_null;
}

static void
forget_sent(ServiceCall *call)
{
	pfree(call->sent);
	call->sent = NULL;
}

/* Make the request and send it, unless its answer is known, or soon will be. */
static void
make_request(ServiceCall *call)
{
	Datum values[] = {CStringGetTextDatum(call->service), JsonbPGetDatum(call->parameters),
					  PointerGetDatum(call->sent)};
	MemoryContext owner = call->task->context;
	bool is_null;
	bytea *body;

	worker_execute(&request_statement, values, NULL);
	call->request_hash = worker_varlena_in(owner, 0, 1);
	call->url = worker_text_in(owner, 0, 4);
	if (call->url != NULL && DatumGetBool(column(9, &is_null)) && calls_has_twin(call))
		return;
	if (call->url == NULL)
	{
		take_columns(call, 2);
		service_cached(call->service);
		forget_sent(call);
		return;
	}
	call->headers = worker_text_in(owner, 0, 5);
	body = DatumGetByteaPP(column(6, &is_null));
	call->body = bulk_of(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	call->body_length = VARSIZE_ANY_EXHDR(body);
	call->timeout_ms = int4_column(7);
	call->retries = int4_column(8);
	call->price = (ServicePrice){.price = int8_column(10, 0),
								 .day_limit = int8_column(11, -1),
								 .month_limit = int8_column(12, -1),
								 .day_spent = int8_column(13, 0),
								 .month_spent = int8_column(14, 0)};
	forget_sent(call);
	/* Whatever happens now, its request is made. */
	call->state = CALL_FAILED;
	send(call);
}

static void
read_answer(ServiceCall *call)
{
	Datum values[] = {CStringGetTextDatum(call->service), PointerGetDatum(call->request_hash),
					  PointerGetDatum(call->answer)};
	bytea *answer = call->answer;
	bool is_null;

	if (call->answer_url != NULL)
	{
		worker_execute(&keep_statement, values, NULL);
		take_image(call, answer);
	}
	else
	{
		worker_execute(&answer_statement, values, NULL);
		if (!take_columns(call, 1))
		{
			call->answer_url = worker_text_in(call->task->context, 0, 3);
			call->own_host = DatumGetBool(column(4, &is_null));
			call->attempt = 0;
			call->state = CALL_FAILED;
			send(call);
		}
	}
	if (call->answer == answer)
		call->answer = NULL;
	pfree(answer);
}

/*
 * Do what can be done about a call, in a subtransaction and the task's context.  Where it raises
 * nothing has changed, so that it can be tried once more.
 */
void
call_advance(void *argument)
{
	ServiceCall *call = argument;

	if (call->state == CALL_RENDERED)
		make_request(call);
	else if (call->state == CALL_ANSWERED)
		read_answer(call);
	else
		send(call);
}
