/*
 * form.c
 *		The body of a request, kept until it is complete, and then read as what it says it is.
 */
#include <stdlib.h>
#include <string.h>

#include "httpd/form.h"
#include "httpd/grammar.h"
#include "httpd/memory.h"

/* Of a boundary (RFC 2046, section 5.1.1). */
#define MAX_BOUNDARY_BYTES 70

/*
 * Append to the body.
 *
 * expected		how long it will be, where that is known; else 0
 * Returns		false: there is no memory for it
 */
bool
form_append(Form *form, const char *data, size_t size, size_t expected)
{
	if (form->length + size > form->room)
	{
		size_t room = form->room * 2;
		char *grown;

		if (room < expected)
			room = expected;
		if (room < form->length + size)
			room = form->length + size;
		if (!memory_take(room - form->room))
			return false;
		grown = realloc(form->body, room);
		if (grown == NULL)
		{
			memory_give(room - form->room);
			return false;
		}
		form->body = grown;
		form->room = room;
	}
	memcpy(form->body + form->length, data, size);
	form->length += size;
	return true;
}

/* Another field, zeroed; NULL, with a reason: there are too many. */
Field *
form_add(Form *form, const char **reason)
{
	if (form->fields == NULL)
		form->fields = calloc(MAX_FIELDS, sizeof *form->fields);
	if (form->fields == NULL || form->count == MAX_FIELDS)
	{
		*reason = "the form has too many fields";
		return NULL;
	}
	return &form->fields[form->count++];
}

static int
parse_plain(Form *form, const char **reason)
{
	Field *field = form_add(form, reason);

	if (field == NULL || (field->name = strdup("body")) == NULL)
		return 413;
	field->data = form->body;
	field->length = form->length;
	return 0;
}

/* name=value&name=value, decoded in place (WHATWG URL, section 5.1). */
static int
parse_urlencoded(Form *form, const char **reason)
{
	char *end = form->body + form->length;
	char *next;

	for (char *at = form->body; at != NULL && at < end; at = next)
	{
		char *stop = memchr(at, '&', (size_t) (end - at));
		size_t length = (size_t) ((stop ? stop : end) - at);
		char *equals = memchr(at, '=', length);
		size_t name = equals ? (size_t) (equals - at) : length;
		Field *field;

		next = stop ? stop + 1 : end;
		if (length == 0)
			continue;
		field = form_add(form, reason);
		if (field == NULL)
			return 413;
		if (equals != NULL)
		{
			field->data = equals + 1;
			field->length = percent_decode(equals + 1, length - name - 1, true);
		}
		name = percent_decode(at, name, true);
		field->name = strndup(at, name);
		if (field->name == NULL || strlen(field->name) != name || !is_utf8(field->name))
		{
			*reason = "a field of the form has a name that is none";
			return 400;
		}
	}
	return 0;
}

/* The boundary of a multipart form; false: there is none. */
static bool
find_boundary(const char *parameters, char *boundary)
{
	char room[MAX_BOUNDARY_BYTES + 1];
	Parameter parameter;
	int found = 0;
	ParameterFound next;

	while ((next = parameter_next(&parameters, room, sizeof room, &parameter)) ==
		   PARAMETER_GOOD)
		if (same_word(parameter.name, parameter.name_length, "boundary"))
		{
			strcpy(boundary, parameter.value);
			found++;
		}
	if (next == PARAMETER_BAD || found != 1 || boundary[0] == '\0')
		return false;
	for (const char *c = boundary; *c != '\0'; c++)
		if (!is_field_char((unsigned char) *c) || *c == '\t')
			return false;
	return boundary[strlen(boundary) - 1] != ' ';
}

/*
 * Read the fields of a body that is complete: a form of either kind, or else the body as a
 * field of that name.
 *
 * type		Content-Type; NULL: it was not sent
 * Returns	0, or the status to refuse it with
 */
int
form_parse(Form *form, const char *type, const char **reason)
{
	char boundary[MAX_BOUNDARY_BYTES + 1];
	size_t length = type ? strcspn(type, "; \t") : 0;

	if (type != NULL && same_word(type, length, "application/x-www-form-urlencoded"))
		return parse_urlencoded(form, reason);
	if (type == NULL || !same_word(type, length, "multipart/form-data"))
		return parse_plain(form, reason);
	if (!find_boundary(type + length, boundary))
	{
		*reason = "the form has no boundary";
		return 400;
	}
	return multipart_parse(form, boundary, reason);
}

/* Give back what the body took. */
void
form_free(Form *form)
{
	for (int i = 0; i < form->count; i++)
	{
		free(form->fields[i].name);
		free(form->fields[i].file);
	}
	free(form->fields);
	free(form->body);
	memory_give(form->room);
	memset(form, 0, sizeof *form);
}
