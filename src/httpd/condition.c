/*
 * condition.c
 *		Conditional requests, in the order that RFC 9110, section 13.2.2, gives.
 */
#include <stdlib.h>
#include <string.h>

#include "httpd/condition.h"
#include "httpd/date.h"
#include "httpd/grammar.h"

/* An entity tag, at the beginning of an element of a list; false: it is none. */
static bool
read_etag(const char *item, size_t length, const char **tag, size_t *tag_length, bool *weak)
{
	*weak = length > 2 && item[0] == 'W' && item[1] == '/';
	*tag = item + (*weak ? 2 : 0);
	*tag_length = length - (*weak ? 2 : 0);
	return *tag_length >= 2 && (*tag)[0] == '"' && (*tag)[*tag_length - 1] == '"' &&
		   memchr(*tag + 1, '"', *tag_length - 2) == NULL;
}

static bool
is_any(const char *list)
{
	return strcmp(list, "*") == 0;
}

/* Does a list name a tag?  A strong comparison takes no weak one of the client (section 8.8.3.2). */
static bool
names_etag(const char *list, const char *etag, bool strong)
{
	const char *item;
	const char *tag;
	size_t length;
	bool weak;

	if (is_any(list))
		return true;
	while (list_next(&list, &item, &length))
		if (read_etag(item, length, &tag, &length, &weak) && !(weak && strong) &&
			etag[0] != '\0' && strlen(etag) == length && memcmp(tag, etag, length) == 0)
			return true;
	return false;
}

/*
 * The entity tags of an If-None-Match and one that is known here, as a list for the database,
 * which looks for its own in it: nothing else of what the client wrote is in it.
 *
 * list		NULL: it was not sent
 * Returns	the caller's to free; NULL: no memory
 */
char *
etags_of(const char *list, const char *known)
{
	size_t size = (list ? strlen(list) : 0) + strlen(known) + 4;
	char *made = calloc(1, size);
	const char *item;
	const char *tag;
	size_t length;
	bool weak;

	if (made == NULL)
		return NULL;
	if (list != NULL && is_any(list))
	{
		made[0] = '*';
		return made;
	}
	while (list != NULL && list_next(&list, &item, &length))
	{
		if (!read_etag(item, length, &tag, &length, &weak))
			continue;
		if (made[0] != '\0')
			strcat(made, ",");
		strncat(made, tag, length);
	}
	if (made[0] != '\0' && known[0] != '\0')
		strcat(made, ",");
	return strcat(made, known);
}

/*
 * What becomes of a request whose answer would be 200: 200, 304 or 412.
 *
 * is_get	it is GET or HEAD
 */
int
condition_status(const Request *request, bool is_get, const Validators *now)
{
	const char *match = request->fields[FIELD_IF_MATCH];
	const char *unmodified = request->fields[FIELD_IF_UNMODIFIED_SINCE];
	const char *none_match = request->fields[FIELD_IF_NONE_MATCH];
	const char *modified = request->fields[FIELD_IF_MODIFIED_SINCE];
	int64_t since;

	if (match != NULL)
	{
		if (!names_etag(match, now->etag, true))
			return 412;
	}
	else if (unmodified != NULL && now->last_modified != 0 && date_read(unmodified, &since) &&
			 now->last_modified > since)
		return 412;
	if (none_match != NULL)
	{
		if (names_etag(none_match, now->etag, false))
			return is_get ? 304 : 412;
	}
	else if (is_get && modified != NULL && now->last_modified != 0 &&
			 date_read(modified, &since) && now->last_modified <= since)
		return 304;
	return 200;
}

/* If-Range: is what the client has a part of still the same, to the byte (section 13.1.5)? */
bool
condition_allows_range(const Request *request, const Validators *now)
{
	const char *validator = request->fields[FIELD_IF_RANGE];
	int64_t since;

	if (validator == NULL)
		return true;
	if (validator[0] == '"')
		return now->etag[0] == '"' && strcmp(validator, now->etag) == 0;
	/* A time that is now's, not only before it; images are never changed in place. */
	return now->last_modified != 0 && date_read(validator, &since) &&
		   since == now->last_modified;
}
