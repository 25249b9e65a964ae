/*
 * site.c
 *		Whose pages may use this server where no key is asked for.
 *
 * Any web page can have its visitor's browser send requests to 127.0.0.1, and with a name of
 * its own that it lets point there (DNS rebinding) read the answers as well.  Neither works
 * where the server answers to names that are its own alone, and where a page of another origin
 * is refused.
 */
#include <string.h>
#include <strings.h>

#include "httpd/grammar.h"
#include "httpd/options.h"
#include "httpd/site.h"

/* A host without its port; brackets stay. */
static size_t
name_length(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;

	return end != NULL ? (size_t) (end - host) + 1 : strcspn(host, ":");
}

/* 127.a.b.c, in digits and dots alone: nothing that only some resolvers take for an address. */
static bool
is_loopback_v4(const char *host, size_t length)
{
	int dots = 0;

	if (length < 9 || strncmp(host, "127.", 4) != 0)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (host[i] == '.')
			dots++;
		else if (host[i] < '0' || host[i] > '9')
			return false;
	}
	return dots == 3;
}

/* Is a host, with or without a port, one that this server answers to without a key? */
bool
site_is_ours(const char *host)
{
	size_t length = name_length(host);
	const char *list = options.allow_host;
	const char *item;
	size_t item_length;

	if (same_word(host, length, "localhost") || same_word(host, length, "[::1]") ||
		is_loopback_v4(host, length) || same_word(host, length, options.listen) ||
		(length > 2 && same_word(host + 1, length - 2, options.listen)))
		return true;
	while (list != NULL && list_next(&list, &item, &item_length))
		if (item_length == length && strncasecmp(item, host, length) == 0)
			return true;
	return false;
}

/* Is an origin, as a browser sends it, one that may? */
static bool
is_allowed_origin(const char *origin, const char *host)
{
	const char *name = strstr(origin, "://");

	if (options.allow_origin != NULL &&
		(strcmp(options.allow_origin, "*") == 0 || strcmp(options.allow_origin, origin) == 0))
		return true;
	return name != NULL && strcasecmp(name + 3, host) == 0;
}

/* May the page that a request comes from, if it comes from one, use what needs a key elsewhere? */
bool
site_may_ask(const Request *request)
{
	const char *origin = request->fields[FIELD_ORIGIN];
	const char *site = request->fields[FIELD_SEC_FETCH_SITE];

	if (origin != NULL)
		return is_allowed_origin(origin, request->host);
	/* Browsers say where it comes from even where they have no origin to send. */
	return site == NULL || strcasecmp(site, "same-origin") == 0 ||
		   strcasecmp(site, "none") == 0;
}
