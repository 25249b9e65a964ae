/*
 * json.c
 *		Writing JSON (RFC 8259), valid whatever the file says.
 */
#include <math.h>

#include "codec/json.h"

/* A string in quotes; bytes that are no UTF-8 become U+FFFD. */
static void
append_string(GString *text, const char *value)
{
	char *valid = g_utf8_make_valid(value, -1);

	g_string_append_c(text, '"');
	for (const char *c = valid; *c != '\0'; c++)
	{
		if (*c == '"' || *c == '\\')
			g_string_append_printf(text, "\\%c", *c);
		else if ((unsigned char) *c < ' ')
			g_string_append_printf(text, "\\u%04x", *c);
		else
			g_string_append_c(text, *c);
	}
	g_string_append_c(text, '"');
	g_free(valid);
}

static void
start_member(Json *json, const char *key)
{
	if (json->comma)
		g_string_append_c(json->text, ',');
	if (key != NULL)
	{
		append_string(json->text, key);
		g_string_append_c(json->text, ':');
	}
	json->comma = true;
}

/* Open an object, as a member where it has a key. */
void
json_open(Json *json, const char *key)
{
	start_member(json, key);
	g_string_append_c(json->text, '{');
	json->comma = false;
}

void
json_close(Json *json)
{
	g_string_append_c(json->text, '}');
	json->comma = true;
}

/* Open an array; its members have no key. */
void
json_array(Json *json, const char *key)
{
	start_member(json, key);
	g_string_append_c(json->text, '[');
	json->comma = false;
}

void
json_array_close(Json *json)
{
	g_string_append_c(json->text, ']');
	json->comma = true;
}

void
json_text(Json *json, const char *key, const char *value)
{
	start_member(json, key);
	append_string(json->text, value);
}

/* As many digits as it takes to read the same number; JSON has no infinity, so null. */
void
json_number(Json *json, const char *key, double value)
{
	char digits[G_ASCII_DTOSTR_BUF_SIZE];

	start_member(json, key);
	if (!isfinite(value))
		g_string_append(json->text, "null");
	else
	{
		g_ascii_formatd(digits, sizeof digits, "%.15g", value);
		g_string_append(json->text, digits);
	}
}

void
json_bool(Json *json, const char *key, bool value)
{
	start_member(json, key);
	g_string_append(json->text, value ? "true" : "false");
}
