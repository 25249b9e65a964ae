/*
 * ask.c
 *		Services as a session asks them: it waits.
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "helper/bulk.h"
#include "image/fetch.h"
#include "queue/background.h"
#include "queue/servicerequest.h"
#include "queue/services.h"
#include "queue/wake.h"

PG_FUNCTION_INFO_V1(imgexport_call_service);
PG_FUNCTION_INFO_V1(imgexport_fetch_answer);
PG_FUNCTION_INFO_V1(imgexport_count_cached);

/* How often a session looks whether a service has room for its request. */
#define ROOM_POLL_MS 50

/* Whoever waits in the worker keeps all others waiting, and in an evaluator its role. */
static void
refuse_in_worker(void)
{
	if (background_is_here())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a worker does not wait for a service"),
				 errhint("Give the recipe a step {\"service\": {\"name\": ...}} instead of "
						 "calling img_service in a function of your own.")));
}

/* A request that ends with its session, or is interrupted, is not under way any more. */
static void
give_up(int code, Datum name)
{
	service_dropped(DatumGetCString(name));
	wake_database(MyDatabaseId, false);
}

static void
wait_for(long ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);

	while ((ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* NULL: it failed */
static bytea *
ask_once(const char *name, const FetchRequest *request, int upload, int concurrency,
		 const ServicePrice *price, HelperError **error)
{
	TimestampTz start;
	FetchAnswer answer;
	long took_ms;

	while (!service_begin(name, concurrency, price, error))
	{
		if (*error != NULL)
			return NULL;
		wait_for(ROOM_POLL_MS);
	}
	start = GetCurrentTimestamp();
	PG_ENSURE_ERROR_CLEANUP(give_up, CStringGetDatum(name));
	{
		answer = fetch_send(request, upload);
	}
	PG_END_ENSURE_ERROR_CLEANUP(give_up, CStringGetDatum(name));
	took_ms = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());
	if (answer.error == NULL)
		service_succeeded(name, took_ms);
	else
	{
		service_failed(name, price, answer.error, took_ms);
		*error = service_error(name, answer.error);
	}
	/* It is the worker that writes the counts down. */
	wake_database(MyDatabaseId, false);
	return answer.body;
}

/* As often as the service says; what is left over is the last error. */
static bytea *
call(const char *name, const FetchRequest *request, int upload, int concurrency,
	 const ServicePrice *price, int retries)
{
	for (int attempt = 0;; attempt++)
	{
		HelperError *error;
		long wait_ms;
		bytea *answer = ask_once(name, request, upload, concurrency, price, &error);

		if (error == NULL)
			return answer;
		if (!service_may_retry(error, attempt, retries, &wait_ms))
			helper_error_raise(error);
		wait_for(wait_ms);
	}
}

static int64
int8_argument(FunctionCallInfo fcinfo, int index, int64 fallback)
{
	return PG_ARGISNULL(index) ? fallback : PG_GETARG_INT64(index);
}

/*
 * imgexport.call_service(service, url, headers, body, timeout_ms, retries, concurrency,
 * price_micros, day_limit_micros, month_limit_micros, day_micros, month_micros) returns bytea
 */
Datum
imgexport_call_service(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea *body = PG_GETARG_BYTEA_PP(3);
	FetchRequest request =
		service_fetch(text_to_cstring(PG_GETARG_TEXT_PP(1)),
					  text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_INT32(4));
	ServicePrice price = {.price = PG_GETARG_INT64(7),
						  .day_limit = int8_argument(fcinfo, 8, -1),
						  .month_limit = int8_argument(fcinfo, 9, -1),
						  .day_spent = PG_GETARG_INT64(10),
						  .month_spent = PG_GETARG_INT64(11)};
	int retries = PG_GETARG_INT32(5);
	int concurrency = PG_GETARG_INT32(6);
	bytea *answer = NULL;
	int upload;

	refuse_in_worker();
	if (!queue_is_shared())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("services can only be asked where imgexport is preloaded"),
						errdetail("What they cost is counted in shared memory."),
						errhint("Add imgexport to shared_preload_libraries and restart the "
								"server.")));
	upload = bulk_of(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	request.upload_length = VARSIZE_ANY_EXHDR(body);
	PG_TRY();
	{
		answer = call(name, &request, upload, concurrency, &price, retries);
	}
	PG_FINALLY();
	{
		close(upload);
	}
	PG_END_TRY();
	PG_RETURN_BYTEA_P(answer);
}

/* imgexport.fetch_answer(url text, own_host boolean, timeout_ms int) returns bytea */
Datum
imgexport_fetch_answer(PG_FUNCTION_ARGS)
{
	FetchRequest request = service_fetch_answer(text_to_cstring(PG_GETARG_TEXT_PP(0)),
												PG_GETARG_BOOL(1), PG_GETARG_INT32(2));

	refuse_in_worker();
	PG_RETURN_BYTEA_P(fetch_get(&request).body);
}

/* imgexport.count_cached(service text) returns void */
Datum
imgexport_count_cached(PG_FUNCTION_ARGS)
{
	service_cached(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}
