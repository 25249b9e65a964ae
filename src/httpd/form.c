/*
 * form.c
 *		What a client posts: the fields of a form, by libmicrohttpd's parser, or else the body as
 *		a field named "body".
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "httpd/form.h"
#include "httpd/options.h"

/* That the parser works in; a part's headers have to fit. */
#define FORM_BUFFER_BYTES 65536

static size_t form_memory; /* atomic */

static void
refuse(Exchange *exchange, int status, const char *reason)
{
	if (exchange->refusal == 0)
	{
		exchange->refusal = status;
		exchange->refusal_reason = reason;
	}
}

static Field *
add_field(Exchange *exchange, const char *name, const char *file)
{
	Field *field;

	if (exchange->fields == NULL)
		exchange->fields = calloc(MAX_FIELDS, sizeof *exchange->fields);
	if (exchange->fields == NULL || exchange->field_count == MAX_FIELDS)
	{
		refuse(exchange, 413, "the form has too many fields");
		return NULL;
	}
	field = &exchange->fields[exchange->field_count++];
	field->name = strdup(name);
	field->file = file ? strdup(file) : NULL;
	return field;
}

/* Bodies of all clients together may take this much memory. */
static size_t
memory_limit(void)
{
	return 8 * options.max_body_bytes;
}

static bool
append(Field *field, const char *data, size_t size)
{
	if (field->length + size > field->room)
	{
		size_t room = field->room * 2 > field->length + size ? field->room * 2
															 : field->length + size + 1024;
		size_t before = field->room;
		char *grown;

		if (__atomic_add_fetch(&form_memory, room - before, __ATOMIC_RELAXED) >
				memory_limit() ||
			(grown = realloc(field->data, room)) == NULL)
		{
			__atomic_sub_fetch(&form_memory, room - before, __ATOMIC_RELAXED);
			return false;
		}
		field->data = grown;
		field->room = room;
	}
	if (size > 0)
		memcpy(field->data + field->length, data, size);
	field->length += size;
	return true;
}

/* libmicrohttpd's MHD_PostDataIterator: some bytes of a field, from its beginning on. */
static enum MHD_Result
on_field(void *argument, enum MHD_ValueKind kind, const char *key, const char *file,
		 const char *type, const char *encoding, const char *data, uint64_t offset, size_t size)
{
	Exchange *exchange = argument;
	Field *field =
		exchange->field_count > 0 ? &exchange->fields[exchange->field_count - 1] : NULL;

	(void) kind;
	(void) type;
	(void) encoding;
	if (offset == 0 || field == NULL)
		field = add_field(exchange, key ? key : "", file);
	if (field == NULL || !append(field, data, size))
	{
		refuse(exchange, 503, "there are too many bodies at once");
		return MHD_NO;
	}
	return MHD_YES;
}

/* The headers are here: what will come, and may it? */
void
form_begin(Exchange *exchange)
{
	const char *length =
		MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Content-Length");
	const char *type = exchange->type ? exchange->type : "";

	if (length != NULL && strtoull(length, NULL, 10) > options.max_body_bytes)
		refuse(exchange, 413, "the body is larger than this server takes");
	else if (strncasecmp(type, "multipart/form-data", 19) == 0 ||
			 strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0)
	{
		exchange->form = MHD_create_post_processor(exchange->connection, FORM_BUFFER_BYTES,
												   on_field, exchange);
		if (exchange->form == NULL)
			refuse(exchange, 400, "the form has no boundary");
	}
	else
		(void) add_field(exchange, "body", NULL);
}

/* Some bytes of the body. */
void
form_take(Exchange *exchange, const char *data, size_t size)
{
	exchange->received += size;
	if (exchange->received > options.max_body_bytes)
		refuse(exchange, 413, "the body is larger than this server takes");
	if (exchange->refusal != 0)
		return;
	if (exchange->form == NULL)
	{
		if (!append(&exchange->fields[0], data, size))
			refuse(exchange, 503, "there are too many bodies at once");
	}
	else if (MHD_post_process(exchange->form, data, size) != MHD_YES)
		refuse(exchange, 400, "the form is malformed");
}

/* Give back what the body took. */
void
form_free(Exchange *exchange)
{
	if (exchange->form != NULL)
		MHD_destroy_post_processor(exchange->form);
	for (int i = 0; i < exchange->field_count; i++)
	{
		__atomic_sub_fetch(&form_memory, exchange->fields[i].room, __ATOMIC_RELAXED);
		free(exchange->fields[i].name);
		free(exchange->fields[i].file);
		free(exchange->fields[i].data);
	}
	free(exchange->fields);
	exchange->form = NULL;
	exchange->fields = NULL;
	exchange->field_count = 0;
}
