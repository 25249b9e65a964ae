/*
 * http_fields_fuzz.c
 *		Each parser of a header: numbers, ranges, conditions, times, Accept, parameters.
 */
#include <stdlib.h>
#include <string.h>

#include "httpd/accept.h"
#include "httpd/condition.h"
#include "httpd/date.h"
#include "httpd/grammar.h"
#include "httpd/range.h"
#include "httpd/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t sizes[] = {0, 1, 2, 100, 1000, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};

static void
try_ranges(const char *text, uint64_t size)
{
	Range ranges[MAX_RANGES];
	int count = ranges_read(text, size, ranges);

	for (int i = 0; i < count; i++)
	{
		if (ranges[i].from >= ranges[i].end || ranges[i].end > size)
			abort();
		for (int j = 0; j < i; j++)
			if (ranges[i].from < ranges[j].end && ranges[j].from < ranges[i].end)
				abort();
	}
}

static void
try_numbers(const char *text, uint64_t most)
{
	for (int base = 10; base <= 16; base += 6)
	{
		const char *end = text;
		uint64_t value;

		if (number_read(&end, base, most, &value) == NUMBER_LARGE ? value != most
																  : value > most)
			abort();
	}
}

static void
try_conditions(char *text)
{
	static const char etag[] = "\"0123456789abcdef0123456789abcdef\"";
	Validators now = {etag, 784111777};
	Request request = {0};
	char *list = etags_of(text, etag);
	int status;

	if (list == NULL || (strcmp(list, "*") != 0 && strstr(list, etag) == NULL))
		abort();
	free(list);
	for (int i = FIELD_IF_MATCH; i <= FIELD_IF_UNMODIFIED_SINCE; i++)
	{
		request.fields[i] = text;
		status = condition_status(&request, true, &now);
		if (status != 200 && status != 304 && status != 412)
			abort();
		(void) condition_allows_range(&request, &now);
	}
}

static void
try_date(const char *text)
{
	int64_t seconds;
	int64_t again;
	char written[DATE_BYTES];

	if (!date_read(text, &seconds) || seconds < 0)
		return;
	date_write((time_t) seconds, written);
	if (!date_read(written, &again) || again != seconds)
		abort();
}

static void
try_parameters(const char *text)
{
	char room[64];
	Parameter parameter;

	while (parameter_next(&text, room, sizeof room, &parameter) == PARAMETER_GOOD)
		if (strlen(parameter.value) >= sizeof room)
			abort();
}

/* What the cache and the database see has few letters, whatever the client sent. */
static void
try_accept(const char *text)
{
	char reduced[ACCEPT_BYTES];

	accept_reduce(text, reduced);
	if (strlen(reduced) > 60 ||
		reduced[strspn(reduced, "abcdefghijklmnopqrstuvwxyz*,-")] != '\0')
		abort();
	(void) accept_metrics(text);
}

static void
try_texts(char *text)
{
	size_t length = strlen(text);
	char escaped[100];
	char *latin;

	escape_for_log(escaped, sizeof escaped, text);
	for (const char *c = escaped; *c != '\0'; c++)
		if (*c < ' ' || *c > '~' || *c == '"')
			abort();
	latin = utf8_of_latin1(text);
	if (latin == NULL || !is_utf8(latin))
		abort();
	free(latin);
	if (percent_decode(text, length, true) > length)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t limit;
	char *text;

	if (size < 1)
		return 0;
	text = malloc(size);
	limit = sizes[(data[0] >> 4) % (sizeof sizes / sizeof sizes[0])];
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 8)
	{
		case 0:
			try_ranges(text, limit);
			break;
		case 1:
			try_numbers(text, limit);
			break;
		case 2:
			try_conditions(text);
			break;
		case 3:
			try_date(text);
			break;
		case 4:
			try_parameters(text);
			break;
		case 5:
			try_accept(text);
			break;
		case 6:
			(void) site_is_ours(text);
			(void) list_has(text, "close");
			break;
		default:
			try_texts(text);
	}
	free(text);
	return 0;
}
