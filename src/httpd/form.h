/*
 * form.h
 *		The body of a request, and the fields in it.
 */
#ifndef IMGEXPORT_HTTPD_FORM_H
#define IMGEXPORT_HTTPD_FORM_H

#include <stdbool.h>
#include <stddef.h>

#define MAX_FIELDS 200

/* A field of a form; its data lie in the body. */
typedef struct Field
{
	char *name;
	char *file; /* NULL: it is no file */
	const char *data;
	size_t length;
} Field;

typedef struct Form
{
	char *body;
	size_t length;
	size_t room; /* which is counted (memory.c) */
	Field *fields;
	int count;
} Form;

bool form_append(Form *form, const char *data, size_t size, size_t expected);
int form_parse(Form *form, const char *type, const char **reason);
void form_free(Form *form);

Field *form_add(Form *form, const char **reason);
int multipart_parse(Form *form, const char *boundary, const char **reason);

#endif
