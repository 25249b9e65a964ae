/*
 * accept.c
 *		What a client accepts (RFC 9110, section 12.5.1), reduced to what this server can choose
 *		between.
 *
 * A client may send any text as Accept.  What the database and the cache get to see is one of
 * a few thousand short lists: the formats in the order that the client likes them, "*" for all
 * that are not named, "-png" for one that it does not take.
 */
#include <stdio.h>
#include <string.h>

#include "httpd/accept.h"
#include "httpd/grammar.h"

/* Formats that images are served in; the last row stands for all that are not named. */
static const char *const formats[] = {"avif", "webp", "jpeg", "png", "gif", "*"};
#define FORMAT_COUNT (sizeof formats / sizeof formats[0])
#define ANY (FORMAT_COUNT - 1)

typedef struct Wish
{
	int quality; /* in thousandths; -1: it was not named */
	int place;	 /* in the header */
	bool exact;	 /* for "*": by image/... rather than by ...  */
} Wish;

/* The weight of an element, in thousandths: 0 to 1 with three digits (section 12.4.2). */
static int
read_quality(const char *text)
{
	int quality = 0;
	int digit = 100;

	if (text[0] != '0' && text[0] != '1')
		return 0;
	quality = (text[0] - '0') * 1000;
	if (text[1] != '\0' && text[1] != '.')
		return 0;
	for (const char *c = text + 1 + (text[1] == '.'); *c != '\0' && digit > 0; c++, digit /= 10)
	{
		if (*c < '0' || *c > '9')
			return 0;
		quality += (*c - '0') * digit;
	}
	return quality > 1000 ? 1000 : quality;
}

/* The weight of "type; parameters", up to the end of the element. */
static int
quality_of(const char *item, size_t length, size_t type)
{
	char text[200];
	char value[32];
	const char *at = text;
	Parameter parameter;
	ParameterFound found;
	int quality = 1000;

	if (length - type >= sizeof text)
		return 0;
	memcpy(text, item + type, length - type);
	text[length - type] = '\0';
	while ((found = parameter_next(&at, value, sizeof value, &parameter)) == PARAMETER_GOOD)
		if (same_word(parameter.name, parameter.name_length, "q"))
			quality = read_quality(parameter.value);
	return found == PARAMETER_BAD ? 0 : quality;
}

static size_t
type_length(const char *item, size_t length)
{
	size_t type = 0;

	while (type < length && (is_token_char((unsigned char) item[type]) || item[type] == '/'))
		type++;
	return type;
}

/* Which of the formats a type is of; -1: none of them. */
static int
format_of(const char *type, size_t length)
{
	if (same_word(type, length, "*/*") || same_word(type, length, "image/*"))
		return ANY;
	if (length < 6 || !same_word(type, 6, "image/"))
		return -1;
	if (same_word(type + 6, length - 6, "jpg"))
		return 2;
	for (size_t i = 0; i < ANY; i++)
		if (same_word(type + 6, length - 6, formats[i]))
			return (int) i;
	return -1;
}

static void
note_wish(Wish *wish, const char *type, size_t length, int quality, int place)
{
	bool exact = !same_word(type, length, "*/*");

	/* The more specific one counts; of two that are alike, the first. */
	if (wish->quality >= 0 && (wish->exact || !exact))
		return;
	*wish = (Wish){.quality = quality, .place = place, .exact = exact};
}

static void
append(char *reduced, const char *sign, const char *format)
{
	size_t length = strlen(reduced);

	snprintf(reduced + length, ACCEPT_BYTES - length, "%s%s%s", length > 0 ? "," : "", sign,
			 format);
}

/*
 * Reduce an Accept header.
 *
 * header	NULL: it was not sent, and everything is accepted
 * reduced	ACCEPT_BYTES; "" where nothing that can be served is accepted
 */
void
accept_reduce(const char *header, char *reduced)
{
	Wish wishes[FORMAT_COUNT];
	const char *item;
	size_t length;
	int place = 0;

	reduced[0] = '\0';
	for (size_t i = 0; i < FORMAT_COUNT; i++)
		wishes[i] = (Wish){.quality = -1};
	if (header == NULL || *skip_blanks(header) == '\0')
		wishes[ANY].quality = 1000;
	while (header != NULL && list_next(&header, &item, &length))
	{
		size_t type = type_length(item, length);
		int format = format_of(item, type);

		if (format >= 0)
			note_wish(&wishes[format], item, type, quality_of(item, length, type), place++);
	}
	for (;;)
	{
		Wish *best = NULL;

		/* By weight, then what is named before what is not, then as the client wrote them. */
		for (size_t i = 0; i < FORMAT_COUNT; i++)
			if (wishes[i].quality > 0 && (best == NULL || wishes[i].quality > best->quality ||
										  (wishes[i].quality == best->quality && i != ANY &&
										   wishes[i].place < best->place)))
				best = &wishes[i];
		if (best == NULL)
			break;
		append(reduced, "", formats[best - wishes]);
		best->quality = -2;
	}
	for (size_t i = 0; i < ANY; i++)
		if (wishes[i].quality == 0 && wishes[ANY].quality == -2)
			append(reduced, "-", formats[i]);
}

/* Which form of /metrics is wanted: JSON where it is liked better than text. */
const char *
accept_metrics(const char *header)
{
	const char *item;
	size_t length;
	int json = 0;
	int text = 0;

	while (header != NULL && list_next(&header, &item, &length))
	{
		size_t type = type_length(item, length);
		int quality = quality_of(item, length, type);

		if (same_word(item, type, "application/json"))
			json = quality;
		else if ((same_word(item, type, "text/plain") || same_word(item, type, "*/*")) &&
				 quality > text)
			text = quality;
	}
	return json > 0 && json >= text ? "application/json" : "";
}
