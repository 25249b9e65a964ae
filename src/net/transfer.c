/*
 * transfer.c
 *		One URL on its way into a memfd.
 *
 * Redirects are followed here and not by libcurl, so that each hop passes the same
 * checks as the first.  A callback of libcurl does nothing but note why it stops.
 *
 * The status decides: what it says holds whatever becomes of the body after it, unless it
 * is a success of which the body is wanted.
 *
 * A request whose method is not idempotent (RFC 9110, 9.2.2) is sent once.  libcurl would
 * send it again by itself where a kept connection ends without an answer, where HTTP/2
 * refuses a stream, and after a 417: so it has a connection of its own, HTTP/1.1, and does
 * not ask first.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/transfer.h"
#include "wire/memfd.h"

#define MAX_HEADER_BYTES (256 * 1024)

/* Of a body that nobody wants so much is read, so that its connection can be kept. */
#define MAX_UNWANTED_BYTES (64 * 1024)

/* How libcurl's errors count; what is not listed may pass by itself. */
static const struct
{
	CURLcode code;
	FailureKind kind;
	const char *message;
} failures[] = {
	{CURLE_COULDNT_RESOLVE_HOST, FAILURE_TRANSFER, "could not resolve host"},
	{CURLE_COULDNT_CONNECT, FAILURE_TRANSFER, "could not connect to"},
	{CURLE_PARTIAL_FILE, FAILURE_TRANSFER, "transfer was cut off from"},
	{CURLE_GOT_NOTHING, FAILURE_TRANSFER, "nothing came from"},
	{CURLE_RECV_ERROR, FAILURE_TRANSFER, "transfer broke off from"},
	{CURLE_SEND_ERROR, FAILURE_TRANSFER, "transfer broke off to"},
	{CURLE_SSL_CONNECT_ERROR, FAILURE_TRANSFER, "could not set up TLS with"},
	{CURLE_PEER_FAILED_VERIFICATION, FAILURE_TRANSFER_FINAL, "certificate is not trusted of"},
	{CURLE_SSL_CACERT_BADFILE, FAILURE_TRANSFER_FINAL, "certificates could not be read for"},
	{CURLE_OUT_OF_MEMORY, FAILURE_MEMORY, "network process ran out of memory for"},
	{CURLE_BAD_CONTENT_ENCODING, FAILURE_TRANSFER_FINAL, "compressed body is damaged from"},
	{CURLE_WEIRD_SERVER_REPLY, FAILURE_TRANSFER_FINAL, "answer is no HTTP from"},
	{CURLE_UNSUPPORTED_PROTOCOL, FAILURE_ARGUMENT, "protocol is not http or https of"},
	{CURLE_URL_MALFORMAT, FAILURE_ARGUMENT, "URL is malformed:"},
};

static long long
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The URL as it may be shown: without user, password, query and fragment. */
static void
show_url(CURLU *url, char *text, size_t size)
{
	CURLU *copy = curl_url_dup(url);
	char *whole = NULL;

	if (copy != NULL)
	{
		curl_url_set(copy, CURLUPART_USER, NULL, 0);
		curl_url_set(copy, CURLUPART_PASSWORD, NULL, 0);
		curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
		curl_url_set(copy, CURLUPART_FRAGMENT, NULL, 0);
		curl_url_get(copy, CURLUPART_URL, &whole, 0);
	}
	snprintf(text, size, "%s", whole ? whole : "?");
	curl_free(whole);
	curl_url_cleanup(copy);
}

static void __attribute__((format(printf, 3, 4)))
fail(TransferResult *result, FailureKind kind, const char *format, ...)
{
	va_list arguments;

	result->failed = true;
	result->failure = (Failure){.kind = kind, .output = -1, .step = -1, .step_name = ""};
	result->failure.message = result->message;
	result->failure.detail = result->detail;
	result->failure.hint = result->hint;
	result->detail[0] = '\0';
	result->hint[0] = '\0';
	va_start(arguments, format);
	vsnprintf(result->message, sizeof result->message, format, arguments);
	va_end(arguments);
}

static void
hint_setting(TransferResult *result, const char *setting)
{
	snprintf(result->hint, sizeof result->hint, "imgexport.%s sets the limit.", setting);
}

/* Every address that a connection is about to be made to comes by here. */
static curl_socket_t
on_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	Transfer *transfer = user;

	(void) purpose;
	if (!guard_allows(&transfer->guard, &address->addr))
	{
		const void *bytes =
			address->family == AF_INET6
				? (const void *) &((struct sockaddr_in6 *) &address->addr)->sin6_addr
				: (const void *) &((struct sockaddr_in *) &address->addr)->sin_addr;

		inet_ntop(address->family, bytes, transfer->address, sizeof transfer->address);
		transfer->refusal = FAILURE_REFUSED;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* And a connection that was made before, under rules that may have been others. */
static int
on_request(void *user, char *remote, char *local, int remote_port, int local_port)
{
	Transfer *transfer = user;

	(void) local;
	(void) remote_port;
	(void) local_port;
	if (guard_allows_text(&transfer->guard, remote))
	{
		/* Of a host's addresses one was refused and this one is not. */
		transfer->refusal = 0;
		if (transfer->once && transfer->sent)
			return CURL_PREREQFUNC_ABORT;
		transfer->connected = true;
		transfer->sent = true;
		return CURL_PREREQFUNC_OK;
	}
	snprintf(transfer->address, sizeof transfer->address, "%s", remote);
	transfer->refusal = FAILURE_REFUSED;
	return CURL_PREREQFUNC_ABORT;
}

static long
status_of(const Transfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static bool
is_success(long status)
{
	return status >= 200 && status <= 299;
}

/* Is the body wanted whole?  Of an error only the beginning is, to be quoted. */
static bool
wants_body(const Transfer *transfer)
{
	return transfer->keeps_body && is_success(status_of(transfer));
}

/* Bytes as they are after decompression: that is where a bomb shows its size. */
static size_t
on_body(char *data, size_t unit, size_t count, void *user)
{
	Transfer *transfer = user;
	size_t size = unit * count;
	bool wanted = wants_body(transfer);
	uint64_t room = (wanted ? transfer->max_bytes : MAX_UNWANTED_BYTES) - transfer->received;

	if (size > room)
	{
		transfer->enough = !wanted;
		transfer->refusal = wanted ? FAILURE_LIMIT : 0;
		return 0;
	}
	transfer->received += size;
	if (!memfd_append(transfer->body, data, size))
	{
		transfer->refusal = FAILURE_MEMORY;
		return 0;
	}
	return size;
}

/* The size that a line of headers announces; UINT64_MAX: more than fits, 0: it is another line. */
static uint64_t
announced_size(const char *line, size_t size)
{
	static const char name[] = "content-length:";
	size_t at = sizeof name - 1;
	uint64_t length = 0;

	if (size < at || strncasecmp(line, name, at) != 0)
		return 0;
	while (at < size && (line[at] == ' ' || line[at] == '\t'))
		at++;
	for (; at < size && line[at] >= '0' && line[at] <= '9'; at++)
	{
		uint64_t digit = (uint64_t) (line[at] - '0');

		if (length > (UINT64_MAX - digit) / 10)
			return UINT64_MAX;
		length = length * 10 + digit;
	}
	return length;
}

/* Headers: not without end, and what they announce has to fit before any of it comes. */
static size_t
on_header(char *data, size_t unit, size_t count, void *user)
{
	Transfer *transfer = user;
	size_t size = unit * count;

	transfer->header_bytes += size;
	if (transfer->header_bytes > MAX_HEADER_BYTES)
	{
		transfer->refusal = FAILURE_TRANSFER_FINAL;
		return 0;
	}
	if (wants_body(transfer) && announced_size(data, size) > transfer->max_bytes)
	{
		transfer->refusal = FAILURE_LIMIT;
		return 0;
	}
	return size;
}

static size_t
on_upload(char *data, size_t unit, size_t count, void *user)
{
	Transfer *transfer = user;
	uint64_t left = transfer->upload_length - transfer->uploaded;
	size_t size = unit * count < left ? unit * count : (size_t) left;
	ssize_t got = pread(transfer->upload, data, size, (off_t) transfer->uploaded);

	if (got < 0)
		return CURL_READFUNC_ABORT;
	transfer->uploaded += (uint64_t) got;
	return (size_t) got;
}

/* A connection that was kept may turn out to be dead when some of it is sent. */
static int
on_rewind(void *user, curl_off_t offset, int origin)
{
	Transfer *transfer = user;

	if (origin != SEEK_SET || transfer->once)
		return CURL_SEEKFUNC_FAIL;
	transfer->uploaded = (uint64_t) offset;
	return CURL_SEEKFUNC_OK;
}

/* Scheme, host and user of the URL at hand. */
static bool
check_url(Transfer *transfer, TransferResult *result)
{
	char *scheme = NULL;
	char *host = NULL;
	char *user = NULL;
	char *password = NULL;
	bool good = false;

	if (curl_url_get(transfer->url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(transfer->url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		fail(result, FAILURE_ARGUMENT, "URL has no host");
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		fail(result, FAILURE_ARGUMENT, "URL must be http or https, not %.20s", scheme);
	else if (curl_url_get(transfer->url, CURLUPART_USER, &user, 0) == CURLUE_OK ||
			 curl_url_get(transfer->url, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK)
		fail(result, FAILURE_ARGUMENT, "URL must not have a user or password");
	else if (!guard_host_matches(host, transfer->allowed_hosts))
	{
		fail(result, FAILURE_REFUSED, "host %.200s is refused", host);
		snprintf(result->hint, sizeof result->hint,
				 "Add the host to imgexport.fetch_allowed_hosts to allow it.");
	}
	else
		good = true;
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_free(password);
	return good;
}

/* Options that hold for every hop. */
static void
set_options(Transfer *transfer, const char *ca_file)
{
	CURL *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_message);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* One name server that is silent must not hold up the transfers of all. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "imgexport/" IMGEXPORT_VERSION);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(easy, CURLOPT_CURLU, transfer->url);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	if (ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
}

static bool
add_header(Transfer *transfer, const char *line)
{
	struct curl_slist *longer = curl_slist_append(transfer->headers, line);

	if (longer != NULL)
		transfer->headers = longer;
	return longer != NULL;
}

/* Those of the request; and what is sent goes without asking first whether it may. */
static bool
set_headers(Transfer *transfer, const char *headers)
{
	char *lines = strdup(headers);
	char *rest = lines;
	char *line;
	bool good = lines != NULL && add_header(transfer, "Expect:");

	while (good && (line = strsep(&rest, "\n")) != NULL)
		if (line[0] != '\0')
			good = add_header(transfer, line);
	free(lines);
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	return good;
}

static void
set_upload(Transfer *transfer, const char *method)
{
	CURL *easy = transfer->easy;

	transfer->once = !fetch_is_idempotent(method);
	if (transfer->once)
	{
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	}

	if (transfer->upload >= 0)
	{
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
						 (curl_off_t) transfer->upload_length);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
		curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
		curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
		curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
	}
	if (strcmp(method, "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

/* The time that is left of the whole, for the hop that starts now. */
static void
set_times(Transfer *transfer)
{
	long long left = transfer->timeout_ms - (now_ms() - transfer->started_ms);

	curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long) (left > 1 ? left : 1));
	curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS,
					 (long) transfer->connect_timeout_ms);
	transfer->connected = false;
}

static bool
start(Transfer *transfer, const FetchRequest *request, const char *ca_file,
	  TransferResult *result)
{
	transfer->easy = curl_easy_init();
	transfer->url = curl_url();
	transfer->allowed_hosts = strdup(request->allowed_hosts);
	transfer->body = memfd_new("body");
	if (transfer->easy == NULL || transfer->url == NULL || transfer->allowed_hosts == NULL ||
		transfer->body < 0)
	{
		fail(result, FAILURE_MEMORY, "network process is out of memory or descriptors");
		return false;
	}
	if (!guard_parse(&transfer->guard, request->allowed_networks))
	{
		fail(result, FAILURE_ARGUMENT,
			 "imgexport.fetch_allowed_networks is not a list of networks");
		snprintf(result->hint, sizeof result->hint,
				 "A network is written like 10.0.0.0/8 or fd00::/8.");
		return false;
	}
	if (curl_url_set(transfer->url, CURLUPART_URL, request->url, 0) != CURLUE_OK)
	{
		fail(result, FAILURE_ARGUMENT, "URL is malformed");
		return false;
	}
	set_options(transfer, ca_file);
	if (!set_headers(transfer, request->headers))
	{
		fail(result, FAILURE_MEMORY, "network process is out of memory");
		return false;
	}
	set_upload(transfer, request->method);
	set_times(transfer);
	return check_url(transfer, result);
}

/*
 * A transfer ready to be added to a multi handle.
 *
 * upload	memfd of what is to be sent, which becomes the transfer's; -1: nothing is
 * Returns	it, to be freed with transfer_free; NULL when there is nothing to try: the
 *			result says why
 */
Transfer *
transfer_new(uint32_t id, const FetchRequest *request, int upload, const char *ca_file,
			 TransferResult *result)
{
	Transfer *transfer = calloc(1, sizeof *transfer);

	if (transfer == NULL)
	{
		if (upload >= 0)
			close(upload);
		fail(result, FAILURE_MEMORY, "network process is out of memory");
		return NULL;
	}
	transfer->id = id;
	transfer->body = -1;
	transfer->upload = upload;
	transfer->upload_length = request->upload_length;
	transfer->max_bytes = request->max_bytes;
	transfer->keeps_body = request->max_bytes > 0;
	transfer->max_redirects = request->max_redirects;
	transfer->timeout_ms = request->timeout_ms;
	transfer->connect_timeout_ms = request->connect_timeout_ms;
	transfer->started_ms = now_ms();
	if (start(transfer, request, ca_file, result))
		return transfer;
	transfer_free(transfer);
	return NULL;
}

/* RFC 9110, 15.4: these send a request on to the URL that they give, all others do not. */
static bool
is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Where an answer leads; relative to where it came from, and blanks encoded, as browsers do. */
static bool
follow(Transfer *transfer, const char *location, TransferResult *result)
{
	if (curl_url_set(transfer->url, CURLUPART_URL, location, CURLU_URLENCODE) != CURLUE_OK)
	{
		fail(result, FAILURE_TRANSFER_FINAL, "redirect to a malformed URL");
		return false;
	}
	if (!check_url(transfer, result))
		return false;
	if (ftruncate(transfer->body, 0) != 0 || lseek(transfer->body, 0, SEEK_SET) != 0)
	{
		fail(result, FAILURE_INTERNAL, "could not start the body again");
		return false;
	}
	transfer->received = 0;
	transfer->enough = false;
	set_times(transfer);
	return true;
}

/*
 * After a hop: does the answer send us on?  Only what has nothing to send is sent on.
 *
 * Returns	true when the transfer is to be added again; false when it is over, by its
 *			own end or, with result->failed, by a redirect that is not followed
 */
bool
transfer_next_hop(Transfer *transfer, TransferResult *result)
{
	struct curl_header *location = NULL;

	result->failed = false;
	if (!is_redirect(status_of(transfer)) || transfer->once || transfer->upload >= 0 ||
		curl_easy_header(transfer->easy, "Location", 0, CURLH_HEADER, -1, &location) !=
			CURLHE_OK ||
		location->value[0] == '\0')
		return false;
	if (transfer->redirects++ < transfer->max_redirects)
		return follow(transfer, location->value, result);
	fail(result, FAILURE_TRANSFER_FINAL, "more than %u redirects", transfer->max_redirects);
	hint_setting(result, "fetch_max_redirects");
	return false;
}

static void
fail_timeout(Transfer *transfer, TransferResult *result, const char *shown)
{
	curl_off_t dns = 0;
	curl_off_t first_byte = 0;
	long long elapsed = now_ms() - transfer->started_ms;
	const char *phase = "connect";

	curl_easy_getinfo(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T, &dns);
	curl_easy_getinfo(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte);
	if (transfer->connected)
		phase = first_byte > 0 ? "transfer" : "first byte";
	else if (dns == 0)
		phase = "name resolution";
	fail(result, FAILURE_TIMEOUT, "%s was not finished in time", shown);
	snprintf(result->detail, sizeof result->detail, "After %lld ms it was in the phase: %s.",
			 elapsed, phase);
	hint_setting(result, transfer->connected || elapsed >= transfer->timeout_ms
							 ? "fetch_timeout"
							 : "fetch_connect_timeout");
}

static void
fail_refused(Transfer *transfer, TransferResult *result, const char *shown)
{
	switch (transfer->refusal)
	{
		case FAILURE_REFUSED:
			fail(result, FAILURE_REFUSED, "address %s is refused", transfer->address);
			snprintf(result->detail, sizeof result->detail, "It is where %.150s leads.", shown);
			snprintf(result->hint, sizeof result->hint,
					 "Add the network to imgexport.fetch_allowed_networks to allow it.");
			break;
		case FAILURE_LIMIT:
			fail(result, FAILURE_LIMIT, "%s has more than %llu bytes", shown,
				 (unsigned long long) transfer->max_bytes);
			hint_setting(result, "fetch_max_bytes");
			break;
		case FAILURE_MEMORY:
			fail(result, FAILURE_MEMORY, "network process ran out of memory");
			break;
		default:
			fail(result, FAILURE_TRANSFER_FINAL, "headers of %s are larger than %d bytes",
				 shown, MAX_HEADER_BYTES);
	}
}

/* To what we send, a server says why it will not have it; a fetched page is nobody's news. */
static void
quote_answer(Transfer *transfer, TransferResult *result)
{
	char text[161];
	ssize_t got = transfer->upload < 0 ? 0 : pread(transfer->body, text, sizeof text - 1, 0);

	if (got <= 0)
		return;
	for (ssize_t i = 0; i < got; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = ' ';
	text[got] = '\0';
	snprintf(result->detail, sizeof result->detail, "It says: %s", text);
}

static void
fail_status(Transfer *transfer, TransferResult *result, const char *shown, long status)
{
	bool temporary = status == 408 || status == 425 || status == 429 || status >= 500;
	curl_off_t retry_after = 0;

	fail(result, temporary ? FAILURE_TRANSFER : FAILURE_TRANSFER_FINAL,
		 "server answered %ld for %s", status, shown);
	quote_answer(transfer, result);
	result->failure.http_status = (int) status;
	if (curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK &&
		retry_after > 0)
		result->failure.retry_after_s = retry_after > 86400 ? 86400 : (int) retry_after;
}

static void
fail_code(Transfer *transfer, TransferResult *result, const char *shown, CURLcode code)
{
	FailureKind kind = FAILURE_TRANSFER;
	const char *message = "transfer failed of";

	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
		if (failures[i].code == code)
		{
			kind = failures[i].kind;
			message = failures[i].message;
		}
	fail(result, kind, "%s %s", message, shown);
	snprintf(result->detail, sizeof result->detail, "libcurl says: %.200s",
			 transfer->curl_message[0] ? transfer->curl_message : curl_easy_strerror(code));
}

/* What a server sends goes on as ASCII on one line. */
static void
copy_printable(char *copy, size_t size, const char *text)
{
	snprintf(copy, size, "%s", text);
	for (; *copy != '\0'; copy++)
		if (*copy < ' ' || *copy > '~')
			*copy = '?';
}

static uint32_t
time_us(CURL *easy, CURLINFO info)
{
	curl_off_t value = 0;

	curl_easy_getinfo(easy, info, &value);
	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t) value;
}

static void
succeed(Transfer *transfer, TransferResult *result, const char *shown, long status)
{
	char *type = NULL;
	struct curl_header *etag = NULL;

	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
	(void) curl_easy_header(transfer->easy, "ETag", 0, CURLH_HEADER, -1, &etag);
	copy_printable(result->etag, sizeof result->etag, etag ? etag->value : "");
	copy_printable(result->url, sizeof result->url, shown);
	copy_printable(result->content_type, sizeof result->content_type, type ? type : "");
	result->fetched =
		(Fetched){.http_status = (int) status,
				  .url = result->url,
				  .content_type = result->content_type,
				  .etag = result->etag,
				  .length = transfer->keeps_body ? transfer->received : 0,
				  .redirects = transfer->redirects,
				  .dns_us = time_us(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T),
				  .connect_us = time_us(transfer->easy, CURLINFO_CONNECT_TIME_T),
				  .tls_us = time_us(transfer->easy, CURLINFO_APPCONNECT_TIME_T),
				  .first_byte_us = time_us(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T),
				  .total_us = (uint32_t) ((now_ms() - transfer->started_ms) * 1000)};
}

/* A success, as far as it is what was asked for. */
static void
finish_success(Transfer *transfer, TransferResult *result, const char *shown, long status)
{
	/* Whatever was discarded is not the body of anything. */
	if (!transfer->keeps_body && ftruncate(transfer->body, 0) != 0)
		fail(result, FAILURE_INTERNAL, "could not discard the body");
	else if (transfer->keeps_body && status == 206)
		fail(result, FAILURE_TRANSFER, "server answered with a part of %s, unasked", shown);
	else if (!memfd_seal(transfer->body))
		fail(result, FAILURE_INTERNAL, "could not seal the body");
	else
		succeed(transfer, result, shown, status);
}

/* Has the final status come, and is it all that counts? */
static bool
status_decides(const Transfer *transfer, long status)
{
	return status >= 200 && !(transfer->keeps_body && is_success(status)) &&
		   transfer->refusal != FAILURE_REFUSED;
}

/* What a transfer that is over has come to; texts live in the result. */
void
transfer_finish(Transfer *transfer, CURLcode code, TransferResult *result)
{
	char shown[300];
	long status = status_of(transfer);
	bool over = code == CURLE_OK || status_decides(transfer, status);

	result->failed = false;
	show_url(transfer->url, shown, sizeof shown);
	if (over && !is_success(status))
		fail_status(transfer, result, shown, status);
	else if (over && transfer->refusal == 0)
		finish_success(transfer, result, shown, status);
	else if (transfer->refusal != 0)
		fail_refused(transfer, result, shown);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		fail_timeout(transfer, result, shown);
	else
		fail_code(transfer, result, shown, code);
	/* It may have been done, as far as anybody knows. */
	result->failure.sent = result->failed && transfer->sent && status < 200;
}

/* What is said of a transfer that was given up. */
void
transfer_cancel(TransferResult *result)
{
	fail(result, FAILURE_TRANSFER, "transfer was canceled");
}

/* The body's memfd, the caller's from here on. */
int
transfer_take_body(Transfer *transfer)
{
	int body = transfer->body;

	transfer->body = -1;
	return body;
}

void
transfer_free(Transfer *transfer)
{
	if (transfer->body >= 0)
		close(transfer->body);
	if (transfer->upload >= 0)
		close(transfer->upload);
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	curl_url_cleanup(transfer->url);
	free(transfer->allowed_hosts);
	free(transfer);
}
