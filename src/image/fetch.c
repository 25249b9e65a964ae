/*
 * fetch.c
 *		img_fetch: the bytes behind a URL, now.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/session.h"
#include "image/fetch.h"
#include "settings.h"

PG_FUNCTION_INFO_V1(img_fetch);

/* The network process reports its own time limit; ours is for when it does not. */
#define REPORT_TIME_MS 2000

typedef struct FetchAnswer
{
	bytea *body;
	HelperError *error;
} FetchAnswer;

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

static void
take_answer(const Frame *frame, void *state, bool *finished)
{
	FetchAnswer *answer = state;
	Fetched fetched;
	Failure failure;

	*finished = true;
	if (frame->type == FRAME_ERROR && unpack_failure(frame->body, frame->size, &failure))
	{
		answer->error = helper_error_of_failure(&failure);
		return;
	}
	if (frame->type != FRAME_FETCHED || !unpack_fetched(frame->body, frame->size, &fetched))
		session_broken("an answer that is no transfer");
	if (frame->fd_count != 1 || !bulk_is_valid(frame->fds[0], fetched.length))
		session_broken("a body that is not what it said");
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

/* img_fetch(url text, timeout interval) returns bytea */
Datum
img_fetch(PG_FUNCTION_ARGS)
{
	static uint8 body[FRAME_MAX_BYTES];
	int timeout_ms = settings.fetch_timeout_ms;
	char *url;
	FetchRequest request;
	Packer packer;
	FetchAnswer answer = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	url = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		timeout_ms = timeout_in_ms(PG_GETARG_INTERVAL_P(1));
	packer_init(&packer, body, sizeof body);
	request = fetch_request(pg_server_to_any(url, strlen(url), PG_UTF8), timeout_ms);
	pack_fetch_request(&packer, &request);
	if (packer.overflow)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("url is longer than %d bytes", FRAME_MAX_BYTES)));
	session_request(HELPER_NET, FRAME_FETCH, body, packer.used, NULL, 0,
					timeout_ms + REPORT_TIME_MS, take_answer, &answer);
	if (answer.error != NULL)
		helper_error_raise(answer.error);
	PG_RETURN_BYTEA_P(answer.body);
}
