/*
 * request.c
 *		The head of a request, read as strictly as RFC 9112 allows.
 *
 * A proxy before this server has read the same bytes.  Where the two could read them in
 * different ways somebody could hide a request in another's (request smuggling), so nothing is
 * repaired: what is not exactly as the grammar has it is refused with 400, and the connection
 * with it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "httpd/grammar.h"
#include "httpd/request.h"

#define MAX_TARGET_BYTES 8000
#define MAX_FIELDS_SENT 100
#define MAX_METHOD_BYTES 32

/* No body is as large as that, and a sum of two such does not wrap. */
#define MOST_BYTES (UINT64_C(1) << 60)

/* What may come in several lines, which are then one list; all else comes once. */
static const struct
{
	const char *name;
	bool is_list;
} known[FIELD_COUNT] = {
	[FIELD_ACCEPT] = {"Accept", true},
	[FIELD_API_KEY] = {"X-API-Key", false},
	[FIELD_AUTHORIZATION] = {"Authorization", false},
	[FIELD_CONNECTION] = {"Connection", true},
	[FIELD_CONTENT_ENCODING] = {"Content-Encoding", true},
	[FIELD_CONTENT_LENGTH] = {"Content-Length", false},
	[FIELD_CONTENT_TYPE] = {"Content-Type", false},
	[FIELD_EXPECT] = {"Expect", true},
	[FIELD_HOST] = {"Host", false},
	[FIELD_IF_MATCH] = {"If-Match", true},
	[FIELD_IF_MODIFIED_SINCE] = {"If-Modified-Since", false},
	[FIELD_IF_NONE_MATCH] = {"If-None-Match", true},
	[FIELD_IF_RANGE] = {"If-Range", false},
	[FIELD_IF_UNMODIFIED_SINCE] = {"If-Unmodified-Since", false},
	[FIELD_ORIGIN] = {"Origin", false},
	[FIELD_RANGE] = {"Range", false},
	[FIELD_SEC_FETCH_SITE] = {"Sec-Fetch-Site", false},
	[FIELD_TRANSFER_ENCODING] = {"Transfer-Encoding", false},
	[FIELD_USER_AGENT] = {"User-Agent", false},
};

/*
 * How long the head is, with the empty line at its end.
 *
 * from		where to begin looking: what comes before was looked at already
 * Returns	0: it is not complete; -1: it has a byte that no head has, so that waiting for
 *			its end would be in vain
 */
ssize_t
request_head_length(const char *bytes, size_t size, size_t from)
{
	for (size_t i = from; i < size; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		if (c == '\r'	? i + 1 < size && bytes[i + 1] != '\n'
			: c == '\n' ? i == 0 || bytes[i - 1] != '\r'
						: !is_field_char(c))
			return -1;
		if (c == '\n' && i >= 3 && bytes[i - 2] == '\n')
			return (ssize_t) i + 1;
	}
	return 0;
}

/* Cut off the next line; the text ends with a CR LF, and has no other control bytes. */
static char *
cut_line(char **text)
{
	char *line = *text;
	char *end = strstr(line, "\r\n");

	*end = '\0';
	*text = end + 2;
	return line;
}

/* A host and perhaps a port (RFC 9110, section 7.2); no names that only a parser would love. */
static bool
is_host(const char *text)
{
	size_t length;
	uint64_t port;

	if (*text == '[')
	{
		length = strspn(text + 1, "0123456789abcdefABCDEF:.");
		if (length < 2 || text[length + 1] != ']')
			return false;
		text += length + 2;
	}
	else
	{
		length =
			strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
		if (length == 0 || length > 255)
			return false;
		text += length;
	}
	return *text == '\0' ||
		   (*text == ':' && (text[1] == '\0' || number_is(text + 1, 0, 65535, &port)));
}

static int
refuse(int status, const char **reason, const char *why)
{
	*reason = why;
	return status;
}

/* All of a URL: it says the host as well, whatever Host says (RFC 9112, section 3.2.2). */
static void
parse_absolute(Request *request, char *target)
{
	char *host = strstr(target, "//") + 2;
	size_t length = strcspn(host, "/?");

	if (length == 0 || host[length] == '?')
		return;
	request->path = host[length] == '/' ? host + length : "/";
	/* There is room before the host for moving it, so that its end can be written. */
	memmove(host - 1, host, length);
	host[length - 1] = '\0';
	request->host = host - 1;
}

/* "*", a path, or all of a URL (section 3.2). */
static int
parse_target(Request *request, char *target, const char **reason)
{
	char *query;

	if (strlen(target) > MAX_TARGET_BYTES)
		return refuse(414, reason, "the URL is too long");
	for (const char *c = target; *c != '\0'; c++)
		if (*c < '!' || *c > '~' || *c == '#')
			return refuse(400, reason, "the URL has characters that must be encoded");
	if (strcmp(request->method, "CONNECT") == 0)
		request->path = is_host(target) ? "*" : NULL;
	else if (target[0] == '/' ||
			 (strcmp(target, "*") == 0 && strcmp(request->method, "OPTIONS") == 0))
		request->path = target;
	else if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0)
		parse_absolute(request, target);
	if (request->path == NULL || (request->host != NULL && !is_host(request->host)))
		return refuse(400, reason, "the target of the request is malformed");
	/* A path with a "?" in it is a part of target. */
	query = (char *) strchr(request->path, '?');
	request->query = query != NULL ? query + 1 : "";
	if (query != NULL)
		*query = '\0';
	return 0;
}

static int
parse_first_line(Request *request, char *line, const char **reason)
{
	size_t method = token_length(line);
	char *target = line + method + 1;
	size_t length;
	char *version;

	if (method == 0 || method > MAX_METHOD_BYTES || line[method] != ' ')
		return refuse(400, reason, "the first line of the request is malformed");
	length = strcspn(target, " ");
	version = target + length;
	if (length == 0 || strncmp(version, " HTTP/", 6) != 0 || version[6] < '0' ||
		version[6] > '9' || version[7] != '.' || version[8] < '0' || version[8] > '9' ||
		version[9] != '\0')
		return refuse(400, reason, "the first line of the request is malformed");
	if (version[6] != '1')
		return refuse(505, reason, "the versions are HTTP/1.0 and 1.1");
	request->minor = version[8] - '0';
	line[method] = *version = '\0';
	request->method = line;
	return parse_target(request, target, reason);
}

/* Keep a header that means something; a second one joins the first where it is a list. */
static int
keep_field(Request *request, const char *name, size_t length, const char *value,
		   const char **reason)
{
	for (int i = 0; i < FIELD_COUNT; i++)
	{
		size_t size;
		char *joined;

		if (!same_word(name, length, known[i].name))
			continue;
		if (request->fields[i] == NULL)
		{
			request->fields[i] = value;
			return 0;
		}
		if (!known[i].is_list)
			return refuse(400, reason, "a header that may come once comes twice");
		size = strlen(request->fields[i]) + strlen(value) + 3;
		joined = malloc(size);
		if (joined == NULL)
			return refuse(503, reason, "there is no memory");
		strcpy(joined, request->fields[i]);
		strcat(joined, ", ");
		strcat(joined, value);
		free(request->joined[i]);
		request->fields[i] = request->joined[i] = joined;
		return 0;
	}
	return 0;
}

static int
parse_fields(Request *request, char *text, const char **reason)
{
	for (int count = 0;; count++)
	{
		char *line = cut_line(&text);
		size_t name = token_length(line);
		char *value;
		char *end;
		int status;

		if (line[0] == '\0')
			return 0;
		if (count == MAX_FIELDS_SENT)
			return refuse(431, reason, "there are too many headers");
		/* Neither a blank before the colon nor a line that goes on with the next one. */
		if (name == 0 || line[name] != ':')
			return refuse(400, reason, "a header is malformed");
		value = (char *) skip_blanks(line + name + 1);
		for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');)
			*--end = '\0';
		status = keep_field(request, line, name, value, reason);
		if (status != 0)
			return status;
	}
}

/* Where the body ends, which must not be readable in two ways (RFC 9112, section 6.3). */
static int
find_body(Request *request, const char **reason)
{
	const char *length = request->fields[FIELD_CONTENT_LENGTH];
	const char *coding = request->fields[FIELD_TRANSFER_ENCODING];

	if (coding != NULL)
	{
		if (length != NULL)
			return refuse(400, reason,
						  "Content-Length and Transfer-Encoding exclude each other");
		if (request->minor == 0 || !same_word(coding, strlen(coding), "chunked"))
			return refuse(400, reason, "Transfer-Encoding must be chunked, in HTTP/1.1");
		request->body = BODY_CHUNKED;
	}
	else if (length != NULL)
	{
		const char *end = length;
		NumberFound found = number_read(&end, 10, MOST_BYTES, &request->content_length);

		if (found == NUMBER_NONE || *end != '\0')
			return refuse(400, reason, "Content-Length must be a number");
		if (found == NUMBER_LARGE)
			return refuse(413, reason, "the body is larger than this server takes");
		request->body = request->content_length > 0 ? BODY_LENGTH : BODY_NONE;
	}
	return 0;
}

static int
check_host(Request *request, const char **reason)
{
	const char *host = request->fields[FIELD_HOST];

	if (host == NULL && request->minor > 0)
		return refuse(400, reason, "Host is missing");
	if (host != NULL && !is_host(host))
		return refuse(400, reason, "Host is malformed");
	/* That of the target, where it has one, is the one that counts. */
	if (request->host == NULL)
		request->host = host != NULL ? host : "";
	return 0;
}

static int
check_expectation(Request *request, const char **reason)
{
	const char *expect = request->fields[FIELD_EXPECT];

	if (expect == NULL || request->minor == 0)
		return 0;
	if (!same_word(expect, strlen(expect), "100-continue"))
		return refuse(417, reason, "nothing but 100-continue can be expected");
	request->expects_continue = request->body != BODY_NONE;
	return 0;
}

/*
 * Read the head of a request.
 *
 * request	zeroed; to be freed whatever is returned
 * bytes	that request_head_length has found to be a head
 * Returns	0, or the status to refuse it with; the connection cannot go on then, as nobody
 *			knows where the next request begins
 */
int
request_parse(Request *request, const char *bytes, size_t size, const char **reason)
{
	char *text = request->text = malloc(size + 1);
	char *line;
	int status;

	request->method = "-";
	request->path = NULL;
	request->query = "";
	if (text == NULL)
		return refuse(503, reason, "there is no memory");
	memcpy(text, bytes, size);
	text[size] = '\0';
	line = cut_line(&text);
	status = parse_first_line(request, line, reason);
	if (status == 0)
		status = parse_fields(request, text, reason);
	if (status == 0)
		status = check_host(request, reason);
	if (status == 0)
		status = find_body(request, reason);
	if (status == 0)
		status = check_expectation(request, reason);
	request->keep_alive =
		status == 0 && !list_has(request->fields[FIELD_CONNECTION], "close") &&
		(request->minor > 0 || list_has(request->fields[FIELD_CONNECTION], "keep-alive"));
	return status;
}

void
request_free(Request *request)
{
	for (int i = 0; i < FIELD_COUNT; i++)
		free(request->joined[i]);
	free(request->text);
	memset(request, 0, sizeof *request);
}
