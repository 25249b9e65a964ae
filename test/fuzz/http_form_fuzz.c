/*
 * http_form_fuzz.c
 *		Forms of either kind: fields lie in the body, names are text, files name no place.
 */
#include <stdlib.h>
#include <string.h>

#include "httpd/form.h"
#include "httpd/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_fields(const Form *form)
{
	for (int i = 0; i < form->count; i++)
	{
		const Field *field = &form->fields[i];

		if (field->name == NULL || !is_utf8(field->name))
			abort();
		if (field->length > 0 && (field->data < form->body || field->length > form->length ||
								  field->data > form->body + form->length - field->length))
			abort();
		if (field->file != NULL &&
			(!is_utf8(field->file) || strpbrk(field->file, "/\\\r\n") != NULL ||
			 strcmp(field->file, "..") == 0))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"multipart/form-data; boundary=x",
										"multipart/form-data; boundary=\"a b\"; charset=utf-8",
										"application/x-www-form-urlencoded", "image/jpeg"};
	char type[128] = "multipart/form-data;";
	const char *reason = NULL;
	Form form = {0};
	int status;

	if (size < 2)
		return 0;
	/* The type is of the input too, up to its first line's end. */
	if (data[0] % 8 == 7)
	{
		const uint8_t *end = memchr(data, '\n', size);
		size_t length = end ? (size_t) (end - data) - 1 : 0;

		if (end == NULL || length > 100 || length < 1 || memchr(data, '\0', length + 1) != NULL)
			return 0;
		memcpy(type + 20, data + 1, length);
		size -= length;
		data += length;
	}
	else
		strcpy(type, types[data[0] % 4]);
	if (!form_append(&form, (const char *) data + 1, size - 1, 0))
		abort();
	status = form_parse(&form, type, &reason);
	if (status == 0)
		check_fields(&form);
	else if (reason == NULL)
		abort();
	form_free(&form);
	return 0;
}
