/*
 * fetch.c
 *		img_fetch: the bytes behind a URL, now; and requests to stores.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/session.h"
#include "image/fetch.h"
#include "settings.h"

PG_FUNCTION_INFO_V1(img_fetch);
PG_FUNCTION_INFO_V1(imgexport_call_http);

/* The network process reports its own time limit; ours is for when it does not. */
#define REPORT_TIME_MS 2000

/* A GET under the settings in force, which a job's transfers obey as well. */
FetchRequest
fetch_request(const char *url, int timeout_ms)
{
	return (FetchRequest){.url = url,
						  .method = "GET",
						  .headers = "",
						  .connect_timeout_ms = settings.fetch_connect_timeout_ms,
						  .timeout_ms = timeout_ms,
						  .max_bytes = (uint64) settings.fetch_max_kb * 1024,
						  .max_redirects = settings.fetch_max_redirects,
						  .allowed_hosts = settings.fetch_allowed_hosts,
						  .allowed_networks = settings.fetch_allowed_networks};
}

/*
 * A request to a store.  Only an administrator says where stores are, so that hosts need not
 * be listed, and private networks are listed apart from those that jobs may fetch from.
 */
FetchRequest
store_request(const char *method, const char *url, const char *headers)
{
	FetchRequest request = fetch_request(url, settings.store_timeout_ms);

	request.method = method;
	request.headers = headers;
	request.max_redirects = 0;
	request.allowed_hosts = "";
	request.allowed_networks = settings.store_allowed_networks;
	return request;
}

/*
 * Read the answer to a request, in the current memory context.
 *
 * max_bytes	FetchRequest.max_bytes
 * fetched		texts point into the frame, whose first descriptor is a sealed memfd of the body
 * error		NULL where something came
 * Returns		false for what no honest network process sends
 */
bool
fetch_take_answer(const Frame *frame, uint64 max_bytes, Fetched *fetched, HelperError **error)
{
	Failure failure;

	*error = NULL;
	switch (frame->type)
	{
		case FRAME_FETCHED:
			return unpack_fetched(frame->body, frame->size, fetched) && frame->fd_count == 1 &&
				   fetched->length <= max_bytes &&
				   bulk_is_valid(frame->fds[0], fetched->length);
		case FRAME_ERROR:
			if (!unpack_failure(frame->body, frame->size, &failure) || frame->fd_count != 0 ||
				failure.output >= 0 || failure.step >= 0)
				return false;
			*error = helper_error_of_failure(&failure);
			return true;
		default:
			return false;
	}
}

typedef struct SessionAnswer
{
	uint64 max_bytes;
	FetchAnswer answer;
} SessionAnswer;

static void
take_answer(const Frame *frame, void *state, bool *finished)
{
	SessionAnswer *session = state;
	FetchAnswer *answer = &session->answer;
	Fetched fetched;

	*finished = true;
	if (!fetch_take_answer(frame, session->max_bytes, &fetched, &answer->error))
		session_broken("an answer that is no transfer");
	if (answer->error != NULL)
		return;
	answer->http_status = fetched.http_status;
	answer->body = bulk_read(frame->fds[0], fetched.length);
}

/* A call may be more impatient than the setting, not less. */
static int
timeout_in_ms(const Interval *timeout)
{
	double seconds = timeout->time / 1e6 + timeout->day * 86400.0 + timeout->month * 2592000.0;

	if (seconds <= 0 || seconds * 1000 > settings.fetch_timeout_ms)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("timeout must be between 1 and %d ms, not %.0f",
							   settings.fetch_timeout_ms, seconds * 1000),
						errhint("imgexport.fetch_timeout sets the limit.")));
	return Max(1, (int) (seconds * 1000));
}

/*
 * Send a request through this session's network process, and wait for what comes of it.
 *
 * upload	a sealed memfd of what is sent, the caller's to close; -1: nothing
 * Returns	the answer in the current memory context, or the error that it was
 * Errors	22023 the request is too long, and what ends the network process
 */
FetchAnswer
fetch_send(const FetchRequest *request, int upload)
{
	static uint8 body[FRAME_MAX_BYTES];
	SessionAnswer session = {.max_bytes = request->max_bytes};
	Packer packer;

	packer_init(&packer, body, sizeof body);
	pack_fetch_request(&packer, request);
	if (packer.overflow)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("url is longer than %d bytes", FRAME_MAX_BYTES)));
	session_request(HELPER_NET, FRAME_FETCH, body, packer.used, &upload, upload < 0 ? 0 : 1,
					(int64) request->timeout_ms + REPORT_TIME_MS, take_answer, &session);
	return session.answer;
}

/* Likewise, with nothing to send; an error is raised. */
FetchAnswer
fetch_get(const FetchRequest *request)
{
	FetchAnswer answer = fetch_send(request, -1);

	if (answer.error != NULL)
		helper_error_raise(answer.error);
	return answer;
}

/* img_fetch(url text, timeout interval) returns bytea */
Datum
img_fetch(PG_FUNCTION_ARGS)
{
	int timeout_ms = settings.fetch_timeout_ms;
	char *url;
	FetchRequest request;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	url = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		timeout_ms = timeout_in_ms(PG_GETARG_INTERVAL_P(1));
	request = fetch_request(pg_server_to_any(url, strlen(url), PG_UTF8), timeout_ms);
	PG_RETURN_BYTEA_P(fetch_get(&request).body);
}

/* imgexport.call_http(method text, url text, headers text, OUT status int, OUT body bytea) */
Datum
imgexport_call_http(PG_FUNCTION_ARGS)
{
	FetchRequest request = store_request(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										 text_to_cstring(PG_GETARG_TEXT_PP(1)),
										 text_to_cstring(PG_GETARG_TEXT_PP(2)));
	FetchAnswer answer = fetch_get(&request);
	Datum values[2] = {Int32GetDatum(answer.http_status), PointerGetDatum(answer.body)};
	bool nulls[2] = {false, false};
	TupleDesc columns;

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "call_http returns no row");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
}
