/*
 * iptc.c
 *		The colour profile's name, and what picture editors wrote in IPTC fields.
 *
 * Source	ICC.1:2010, sections 7.2 and 10; IPTC-NAA Information Interchange Model 4.2,
 *			chapters 3 and 6; Photoshop's image resource blocks ("8BIM") around it
 */
#include <stdbool.h>
#include <string.h>

#include "codec/blocks.h"
#include "codec/bytes.h"

#define IPTC_RESOURCE 0x0404
#define ICC_HEADER_BYTES 128

/* ASCII, or UTF-16 of the first record, whose upper bytes are left out. */
static char *
icc_text(const unsigned char *tag, size_t size)
{
	GString *text = g_string_new(NULL);

	if (size >= 12 && memcmp(tag, "desc", 4) == 0)
	{
		size_t length = MIN(big_endian(tag + 8, 4), size - 12);

		g_string_append_len(text, (const char *) tag + 12, (gssize) length);
	}
	else if (size >= 28 && memcmp(tag, "mluc", 4) == 0)
	{
		size_t length = big_endian(tag + 20, 4);
		size_t at = big_endian(tag + 24, 4);

		for (size_t i = 0; at < size && i + 1 < length && at + i + 1 < size && i < 400; i += 2)
			g_string_append_c(text, tag[at + i] == 0 ? (char) tag[at + i + 1] : '?');
	}
	return g_string_free(text, FALSE);
}

/* Member icc: bytes, and the name that the profile gives itself. */
void
icc_describe(Json *json, const unsigned char *data, size_t size)
{
	json_open(json, "icc");
	json_number(json, "bytes", (double) size);
	if (size >= ICC_HEADER_BYTES + 4)
	{
		size_t count = MIN(big_endian(data + ICC_HEADER_BYTES, 4), 100);

		for (size_t i = 0; i < count && ICC_HEADER_BYTES + 16 + 12 * i <= size; i++)
		{
			const unsigned char *entry = data + ICC_HEADER_BYTES + 4 + 12 * i;
			size_t at = big_endian(entry + 4, 4);
			size_t length = big_endian(entry + 8, 4);
			char *text;

			if (memcmp(entry, "desc", 4) != 0 || at > size || length > size - at)
				continue;
			text = g_strstrip(icc_text(data + at, length));
			if (*text != '\0')
				json_text(json, "description", text);
			g_free(text);
			break;
		}
	}
	json_close(json);
}

static const struct
{
	int dataset;
	const char *name;
	bool list;
} fields[] = {
	{5, "title", false},
	{10, "urgency", false},
	{25, "keywords", true},
	{40, "instructions", false},
	{55, "date_created", false},
	{60, "time_created", false},
	{80, "creator", true},
	{85, "creator_title", false},
	{90, "city", false},
	{92, "sublocation", false},
	{95, "state", false},
	{101, "country", false},
	{103, "reference", false},
	{105, "headline", false},
	{110, "credit", false},
	{115, "source", false},
	{116, "copyright", false},
	{120, "caption", false},
	{122, "caption_writer", false},
};

/* One dataset of record 2 at a time; false at the end, or where it is damaged. */
static bool
next_dataset(const unsigned char *data, size_t size, size_t *at, int *dataset,
			 const unsigned char **value, size_t *length)
{
	while (*at + 5 <= size && data[*at] == 0x1c)
	{
		int record = data[*at + 1];

		*dataset = data[*at + 2];
		*length = big_endian(data + *at + 3, 2);
		*value = data + *at + 5;
		/* Longer than 32767 bytes is not read: no field is. */
		if (*length > 0x7fff || *length > size - *at - 5)
			return false;
		*at += 5 + *length;
		if (record == 2)
			return true;
	}
	return false;
}

/* All values of one field. */
static void
describe_field(Json *json, const unsigned char *data, size_t size, int field)
{
	const unsigned char *value;
	size_t length;
	size_t at = 0;
	int dataset;
	bool open = false;

	while (next_dataset(data, size, &at, &dataset, &value, &length))
	{
		char *text;

		if (dataset != fields[field].dataset)
			continue;
		if (fields[field].list && !open)
			json_array(json, fields[field].name);
		text = g_strstrip(g_strndup((const char *) value, length));
		json_text(json, fields[field].list ? NULL : fields[field].name, text);
		g_free(text);
		open = fields[field].list;
		if (!open)
			return;
	}
	if (open)
		json_array_close(json);
}

/* The IIM inside Photoshop's resources; false where there is none. */
static bool
find_iim(const unsigned char **data, size_t *size)
{
	const unsigned char *bytes = *data;
	size_t at = 0;

	if (*size > 14 && memcmp(bytes, "Photoshop 3.0", 14) == 0)
		at = 14;
	while (at + 12 <= *size && memcmp(bytes + at, "8BIM", 4) == 0)
	{
		size_t id = big_endian(bytes + at + 4, 2);
		size_t name = 1 + (size_t) bytes[at + 6];
		size_t start = at + 6 + name + name % 2;
		size_t length;

		if (start + 4 > *size)
			return false;
		length = big_endian(bytes + start, 4);
		start += 4;
		if (length > *size - start)
			return false;
		if (id == IPTC_RESOURCE)
		{
			*data = bytes + start;
			*size = length;
			return true;
		}
		at = start + length + length % 2;
	}
	return *size > 0 && bytes[0] == 0x1c;
}

/* Member iptc: the fields by name, keywords and creators as arrays. */
void
iptc_describe(Json *json, const unsigned char *data, size_t size)
{
	if (!find_iim(&data, &size))
		return;
	json_open(json, "iptc");
	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		describe_field(json, data, size, (int) i);
	json_close(json);
}
