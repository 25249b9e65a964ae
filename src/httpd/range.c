/*
 * range.c
 *		Which parts of a body a Range header asks for (RFC 9110, section 14).
 *
 * A part is from and end within the size of the body, whatever the client wrote: numbers stop
 * at their limit, and nothing is added to one before it is compared.
 */
#include <stdbool.h>
#include <string.h>

#include "httpd/grammar.h"
#include "httpd/range.h"

typedef enum SpecFound
{
	SPEC_BAD,
	SPEC_GOOD,
	SPEC_OUTSIDE /* well-formed, but not of this body */
} SpecFound;

/* FIRST-, FIRST-LAST, or -COUNT of the last bytes. */
static SpecFound
read_spec(const char *item, size_t length, uint64_t size, Range *range)
{
	const char *at = item;
	uint64_t first = 0;
	uint64_t last = 0;
	bool has_first = number_read(&at, 10, UINT64_MAX, &first) != NUMBER_NONE;
	bool has_last;

	if (*at++ != '-')
		return SPEC_BAD;
	has_last = number_read(&at, 10, UINT64_MAX, &last) != NUMBER_NONE;
	if (at != item + length || (!has_first && !has_last))
		return SPEC_BAD;
	if (!has_first)
	{
		range->from = last < size ? size - last : 0;
		range->end = size;
		return last > 0 && size > 0 ? SPEC_GOOD : SPEC_OUTSIDE;
	}
	if (has_last && last < first)
		return SPEC_BAD;
	range->from = first;
	range->end = has_last && last < size ? last + 1 : size;
	return first < size ? SPEC_GOOD : SPEC_OUTSIDE;
}

/* Add a part to those that there are: what touches another is one with it. */
static int
merge(Range *ranges, int count, Range range)
{
	for (int i = 0; i < count; i++)
	{
		if (range.from > ranges[i].end || ranges[i].from > range.end)
			continue;
		if (ranges[i].from < range.from)
			range.from = ranges[i].from;
		if (ranges[i].end > range.end)
			range.end = ranges[i].end;
		memmove(&ranges[i], &ranges[i + 1], (size_t) (count - i - 1) * sizeof *ranges);
		return merge(ranges, count - 1, range);
	}
	ranges[count] = range;
	return count + 1;
}

/*
 * Read a Range header.
 *
 * ranges	MAX_RANGES
 * Returns	how many parts it names; RANGES_IGNORED: it is as if there were no header;
 *			RANGES_NONE: it names parts, and the body has none of them (416)
 */
int
ranges_read(const char *header, uint64_t size, Range *ranges)
{
	const char *list = header + token_length(header);
	const char *item;
	size_t length;
	int specs = 0;
	int count = 0;

	if (!same_word(header, (size_t) (list - header), "bytes") || *list != '=')
		return RANGES_IGNORED;
	list++;
	while (list_next(&list, &item, &length))
	{
		Range range;
		SpecFound found = read_spec(item, length, size, &range);

		if (found == SPEC_BAD || ++specs > MAX_RANGES)
			return RANGES_IGNORED;
		if (found == SPEC_GOOD)
			count = merge(ranges, count, range);
	}
	return count > 0 ? count : specs > 0 ? RANGES_NONE : RANGES_IGNORED;
}
