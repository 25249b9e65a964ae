/*
 * grammar.c
 *		What headers are built of (RFC 9110, section 5.6).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "httpd/grammar.h"

/* Numbers ----------------------------------------------------------------------- */

/* The value of a hexadecimal digit; -1: it is not one. */
int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Read digits, all that there are, and move text past them.
 *
 * base		10 or 16
 * most		a number beyond it is NUMBER_LARGE, and value is most
 */
NumberFound
number_read(const char **text, int base, uint64_t most, uint64_t *value)
{
	NumberFound found = NUMBER_NONE;
	uint64_t number = 0;

	for (;; (*text)++)
	{
		int digit = hex_digit(**text);

		if (digit < 0 || digit >= base)
			break;
		if (found == NUMBER_LARGE)
			continue;
		found = NUMBER_GOOD;
		if ((uint64_t) digit > most || number > (most - (uint64_t) digit) / (uint64_t) base)
		{
			found = NUMBER_LARGE;
			number = most;
		}
		else
			number = number * (uint64_t) base + (uint64_t) digit;
	}
	*value = number;
	return found;
}

/* Is a text one decimal number between low and high, and nothing else? */
bool
number_is(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
	return number_read(&text, 10, high, value) == NUMBER_GOOD && *text == '\0' && *value >= low;
}

/* Words and lists ----------------------------------------------------------------- */

bool
is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		   (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* May a byte stand in the value of a header (RFC 9110, section 5.5)? */
bool
is_field_char(unsigned char c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

size_t
token_length(const char *text)
{
	size_t length = 0;

	while (is_token_char((unsigned char) text[length]))
		length++;
	return length;
}

const char *
skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

/* Is a part of a text a word, in whatever case? */
bool
same_word(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

/* The end of a quoted string that begins here; NULL: it has none. */
static const char *
quoted_end(const char *text)
{
	for (text++; *text != '"'; text++)
	{
		if (*text == '\\' && text[1] != '\0')
			text++;
		if (*text == '\0')
			return NULL;
	}
	return text + 1;
}

/*
 * The next element of a list, without blanks around it; empty ones are skipped, as section
 * 5.6.1.2 has it.  A comma between quotes does not end an element.
 */
bool
list_next(const char **list, const char **item, size_t *length)
{
	const char *at = *list;
	const char *end;

	while (*at == ',' || *at == ' ' || *at == '\t')
		at++;
	*item = at;
	while (*at != '\0' && *at != ',')
	{
		const char *after = *at == '"' ? quoted_end(at) : NULL;

		at = after != NULL ? after : at + 1;
	}
	for (end = at; end > *item && (end[-1] == ' ' || end[-1] == '\t');)
		end--;
	*length = (size_t) (end - *item);
	*list = at;
	return *length > 0;
}

/* Is a word in a list, as of Connection? */
bool
list_has(const char *list, const char *word)
{
	const char *item;
	size_t length;

	while (list != NULL && list_next(&list, &item, &length))
		if (same_word(item, length, word))
			return true;
	return false;
}

/* Parameters ------------------------------------------------------------------------ */

/*
 * The text between quotes.  A backslash escapes a quote or a backslash alone: browsers that
 * send paths of Windows do not escape (RFC 7578 and the WHATWG have no escapes at all).
 */
static const char *
read_quoted(const char *text, char *room, size_t size)
{
	size_t length = 0;

	for (text++; *text != '"'; text++)
	{
		if (*text == '\\' && (text[1] == '"' || text[1] == '\\'))
			text++;
		if (*text == '\0' || length + 1 >= size)
			return NULL;
		room[length++] = *text;
	}
	room[length] = '\0';
	return text + 1;
}

/* A value without quotes ends with the parameter: some clients leave blanks in file names. */
static const char *
read_unquoted(const char *text, char *room, size_t size)
{
	size_t length = strcspn(text, ";,\"");
	const char *end = text + length;

	if (*end == '"')
		return NULL;
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	if (length == 0 || length >= size)
		return NULL;
	memcpy(room, text, length);
	room[length] = '\0';
	return end;
}

/*
 * The next "; name=value" of a text.
 *
 * room		for the value, size bytes; a longer one is PARAMETER_BAD
 */
ParameterFound
parameter_next(const char **text, char *room, size_t size, Parameter *parameter)
{
	const char *at = skip_blanks(*text);

	if (*at == '\0' || *at == ',')
		return PARAMETER_END;
	if (*at != ';')
		return PARAMETER_BAD;
	while (*at == ';')
		at = skip_blanks(at + 1);
	if (*at == '\0' || *at == ',')
		return PARAMETER_END;
	parameter->name = at;
	parameter->name_length = token_length(at);
	at = skip_blanks(at + parameter->name_length);
	if (parameter->name_length == 0 || *at != '=')
		return PARAMETER_BAD;
	at = skip_blanks(at + 1);
	at = *at == '"' ? read_quoted(at, room, size) : read_unquoted(at, room, size);
	if (at == NULL)
		return PARAMETER_BAD;
	parameter->value = room;
	*text = at;
	return PARAMETER_GOOD;
}

/* Encodings --------------------------------------------------------------------------- */

/* Decode %XX in place; what is no such thing stays as it is.  Returns the new length. */
size_t
percent_decode(char *text, size_t length, bool plus_is_blank)
{
	size_t to = 0;

	for (size_t from = 0; from < length; from++)
	{
		int high = from + 2 < length ? hex_digit(text[from + 1]) : -1;
		int low = from + 2 < length ? hex_digit(text[from + 2]) : -1;

		if (text[from] == '%' && high >= 0 && low >= 0)
		{
			text[to++] = (char) (high << 4 | low);
			from += 2;
		}
		else
			text[to++] = plus_is_blank && text[from] == '+' ? ' ' : text[from];
	}
	return to;
}

/* Bytes that a character of UTF-8 has; 0: it is none (RFC 3629, section 4). */
static size_t
utf8_length(const unsigned char *c)
{
	size_t length = c[0] < 0x80	  ? 1
					: c[0] < 0xc2 ? 0
					: c[0] < 0xe0 ? 2
					: c[0] < 0xf0 ? 3
					: c[0] < 0xf5 ? 4
								  : 0;

	for (size_t i = 1; i < length; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
		(c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return length;
}

bool
is_utf8(const char *text)
{
	const unsigned char *c = (const unsigned char *) text;

	while (*c != '\0')
	{
		size_t length = utf8_length(c);

		if (length == 0)
			return false;
		c += length;
	}
	return true;
}

/* A text of ISO 8859-1 in UTF-8, the caller's to free; NULL: no memory. */
char *
utf8_of_latin1(const char *text)
{
	char *made = malloc(2 * strlen(text) + 1);
	char *to = made;

	if (made == NULL)
		return NULL;
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c < 0x80)
			*to++ = (char) c;
		else
		{
			*to++ = (char) (0xc0 | c >> 6);
			*to++ = (char) (0x80 | (c & 0x3f));
		}
	}
	*to = '\0';
	return made;
}

/* A text that others wrote, without what would be another line or a command of a terminal. */
void
escape_for_log(char *to, size_t size, const char *from)
{
	size_t length = 0;

	for (; *from != '\0' && length + 5 <= size; from++)
	{
		unsigned char c = (unsigned char) *from;

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			length += (size_t) snprintf(to + length, size - length, "\\x%02x", c);
		else
			to[length++] = (char) c;
	}
	to[length] = '\0';
}
