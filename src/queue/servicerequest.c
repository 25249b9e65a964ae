/*
 * servicerequest.c
 *		Requests to services, whoever sends them.
 */
#include "postgres.h"

#include "image/fetch.h"
#include "queue/servicerequest.h"
#include "settings.h"

/* A request is sent again after half a second, one, two ..., but not after more than a minute. */
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 60000

/* A POST to a service; where services may be is said by the administrator. */
FetchRequest
service_fetch(const char *url, const char *headers, int timeout_ms)
{
	FetchRequest request = fetch_request(url, timeout_ms);

	request.method = "POST";
	request.headers = headers;
	request.max_redirects = 0;
	request.allowed_hosts = "";
	request.allowed_networks = settings.service_allowed_networks;
	return request;
}

/*
 * A GET of the image whose URL a service has answered.  On the service's own host it may be
 * where services may be; anywhere else a stranger has named it.
 */
FetchRequest
service_fetch_answer(const char *url, bool own_host, int timeout_ms)
{
	FetchRequest request = fetch_request(url, timeout_ms);

	if (own_host)
	{
		request.max_redirects = 0;
		request.allowed_hosts = "";
		request.allowed_networks = settings.service_allowed_networks;
	}
	return request;
}

/*
 * May a request be sent again, and when?
 *
 * attempt	that failed, from 0
 * wait_ms	where to put how long to wait
 */
bool
service_may_retry(const HelperError *error, int attempt, int retries, long *wait_ms)
{
	*wait_ms =
		Max((long) RETRY_FIRST_MS << Min(attempt, 16), (long) error->retry_after_s * 1000);
	return error->retryable && attempt < retries && *wait_ms <= RETRY_MAX_MS;
}

/* An error of a transfer, as one of the service that it was for; in the current memory context. */
HelperError *
service_error(const char *name, const HelperError *error)
{
	HelperError *copy = palloc(sizeof *copy);

	*copy = *error;
	copy->message = psprintf("service \"%s\" failed: %s", name, error->message);
	return copy;
}
