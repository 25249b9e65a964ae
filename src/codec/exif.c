/*
 * exif.c
 *		What a camera wrote into an image: camera, place, time, and every tag by its name.
 *
 * Source	CIPA DC-008 (Exif 2.32), sections 4.6.5 and 4.6.6; read by libexif
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "codec/exif.h"

/* A tag's value as text, trimmed; NULL: absent or empty.  The caller frees it. */
static char *
text_of(ExifData *data, ExifIfd ifd, ExifTag tag)
{
	ExifEntry *entry = exif_content_get_entry(data->ifd[ifd], tag);
	char *text;

	if (entry == NULL || entry->format != EXIF_FORMAT_ASCII || entry->data == NULL)
		return NULL;
	text = g_strstrip(g_strndup((const char *) entry->data, entry->size));
	if (text[0] == '\0')
		g_clear_pointer(&text, g_free);
	return text;
}

static int
element_size(const ExifEntry *entry)
{
	return exif_format_get_size(entry->format);
}

/* The fraction at an index of a tag; false where there is none. */
static bool
fraction_of(ExifData *data, const ExifEntry *entry, int index, double *numerator,
			double *denominator)
{
	ExifByteOrder order = exif_data_get_byte_order(data);
	const unsigned char *at;

	if (entry == NULL || entry->data == NULL ||
		(unsigned int) ((index + 1) * element_size(entry)) > entry->size)
		return false;
	at = entry->data + index * element_size(entry);
	*denominator = 1;
	switch (entry->format)
	{
		case EXIF_FORMAT_RATIONAL:
			*numerator = exif_get_rational(at, order).numerator;
			*denominator = exif_get_rational(at, order).denominator;
			return true;
		case EXIF_FORMAT_SRATIONAL:
			*numerator = exif_get_srational(at, order).numerator;
			*denominator = exif_get_srational(at, order).denominator;
			return true;
		case EXIF_FORMAT_SHORT:
			*numerator = exif_get_short(at, order);
			return true;
		case EXIF_FORMAT_LONG:
			*numerator = exif_get_long(at, order);
			return true;
		case EXIF_FORMAT_BYTE:
			*numerator = *at;
			return true;
		default:
			return false;
	}
}

/* A number at an index of a tag; false where there is none, or it divides by zero. */
static bool
number_of(ExifData *data, ExifIfd ifd, ExifTag tag, int index, double *value)
{
	double numerator;
	double denominator;

	if (!fraction_of(data, exif_content_get_entry(data->ifd[ifd], tag), index, &numerator,
					 &denominator) ||
		denominator == 0)
		return false;
	*value = numerator / denominator;
	return true;
}

typedef enum FieldKind
{
	FIELD_TEXT,
	FIELD_NUMBER
} FieldKind;

static const struct
{
	const char *key;
	ExifIfd ifd;
	ExifTag tag;
	FieldKind kind;
} camera_fields[] = {
	{"make", EXIF_IFD_0, EXIF_TAG_MAKE, FIELD_TEXT},
	{"model", EXIF_IFD_0, EXIF_TAG_MODEL, FIELD_TEXT},
	{"lens", EXIF_IFD_EXIF, (ExifTag) 0xa434, FIELD_TEXT},
	{"software", EXIF_IFD_0, EXIF_TAG_SOFTWARE, FIELD_TEXT},
	{"focal_length", EXIF_IFD_EXIF, EXIF_TAG_FOCAL_LENGTH, FIELD_NUMBER},
	{"focal_length_35mm", EXIF_IFD_EXIF, EXIF_TAG_FOCAL_LENGTH_IN_35MM_FILM, FIELD_NUMBER},
	{"f_number", EXIF_IFD_EXIF, EXIF_TAG_FNUMBER, FIELD_NUMBER},
	{"iso", EXIF_IFD_EXIF, EXIF_TAG_ISO_SPEED_RATINGS, FIELD_NUMBER},
	{"flash", EXIF_IFD_EXIF, EXIF_TAG_FLASH, FIELD_NUMBER},
};

/* As photographers write it: 1/250 below a second, else seconds. */
static void
describe_exposure(Json *json, ExifData *data)
{
	ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_EXIF], EXIF_TAG_EXPOSURE_TIME);
	double numerator;
	double denominator;
	double seconds;
	char text[64];

	if (!fraction_of(data, entry, 0, &numerator, &denominator) || denominator == 0)
		return;
	seconds = numerator / denominator;
	if (seconds > 0 && seconds < 1 &&
		fabs(denominator / numerator - rint(denominator / numerator)) <
			1e-6 * denominator / numerator)
		g_snprintf(text, sizeof text, "1/%.0f", denominator / numerator);
	else if (seconds > 0 && seconds < 1)
		g_snprintf(text, sizeof text, "%.0f/%.0f", numerator, denominator);
	else
		g_snprintf(text, sizeof text, "%g", seconds);
	json_text(json, "exposure_time", text);
	json_number(json, "exposure_seconds", seconds);
}

static void
describe_camera(Json *json, ExifData *data)
{
	json_open(json, "camera");
	for (size_t i = 0; i < G_N_ELEMENTS(camera_fields); i++)
	{
		double value;

		if (camera_fields[i].kind == FIELD_NUMBER)
		{
			if (number_of(data, camera_fields[i].ifd, camera_fields[i].tag, 0, &value))
				json_number(json, camera_fields[i].key, value);
		}
		else
		{
			char *text = text_of(data, camera_fields[i].ifd, camera_fields[i].tag);

			if (text != NULL)
				json_text(json, camera_fields[i].key, text);
			g_free(text);
		}
	}
	describe_exposure(json, data);
	json_close(json);
}

/* Degrees, minutes, seconds and a letter as signed decimals, to a tenth of a millimetre. */
static bool
coordinate(ExifData *data, int tag, int letter_tag, const char *negative, double *value)
{
	double degrees;
	double minutes = 0;
	double seconds = 0;
	char *letter;

	if (!number_of(data, EXIF_IFD_GPS, (ExifTag) tag, 0, &degrees))
		return false;
	number_of(data, EXIF_IFD_GPS, (ExifTag) tag, 1, &minutes);
	number_of(data, EXIF_IFD_GPS, (ExifTag) tag, 2, &seconds);
	letter = text_of(data, EXIF_IFD_GPS, (ExifTag) letter_tag);
	*value = rint((degrees + minutes / 60 + seconds / 3600) * 1e9) / 1e9;
	if (letter != NULL && g_ascii_strcasecmp(letter, negative) == 0)
		*value = -*value;
	g_free(letter);
	return true;
}

static void
describe_altitude(Json *json, ExifData *data)
{
	double altitude;
	double below = 0;

	if (!number_of(data, EXIF_IFD_GPS, (ExifTag) EXIF_TAG_GPS_ALTITUDE, 0, &altitude))
		return;
	number_of(data, EXIF_IFD_GPS, (ExifTag) EXIF_TAG_GPS_ALTITUDE_REF, 0, &below);
	json_number(json, "altitude", below == 1 ? -altitude : altitude);
}

/* The tags of the GPS directory have numbers that mean something else in others. */
static void
describe_gps(Json *json, ExifData *data)
{
	double latitude;
	double longitude;
	double direction;

	if (!coordinate(data, EXIF_TAG_GPS_LATITUDE, EXIF_TAG_GPS_LATITUDE_REF, "S", &latitude) ||
		!coordinate(data, EXIF_TAG_GPS_LONGITUDE, EXIF_TAG_GPS_LONGITUDE_REF, "W", &longitude))
		return;
	json_open(json, "gps");
	json_number(json, "latitude", latitude);
	json_number(json, "longitude", longitude);
	describe_altitude(json, data);
	if (number_of(data, EXIF_IFD_GPS, (ExifTag) EXIF_TAG_GPS_IMG_DIRECTION, 0, &direction))
		json_number(json, "direction", direction);
	json_close(json);
}

/* "2024:05:17 14:03:21" with sub-seconds and offset as ISO 8601; what is no date is left out. */
static void
describe_time(Json *json, ExifData *data)
{
	char *time = text_of(data, EXIF_IFD_EXIF, EXIF_TAG_DATE_TIME_ORIGINAL);
	char *fraction = text_of(data, EXIF_IFD_EXIF, EXIF_TAG_SUB_SEC_TIME_ORIGINAL);
	char *offset = text_of(data, EXIF_IFD_EXIF, (ExifTag) 0x9011);
	int y, m, d, h, min, s, used = 0;

	if (time == NULL)
		time = text_of(data, EXIF_IFD_0, EXIF_TAG_DATE_TIME);
	if (time != NULL &&
		sscanf(time, "%4d:%2d:%2d %2d:%2d:%2d%n", &y, &m, &d, &h, &min, &s, &used) == 6 &&
		used == 19 && y > 0 && m >= 1 && m <= 12 && d >= 1 && d <= 31 && h <= 24 && min <= 59 &&
		s <= 60)
	{
		bool has_fraction =
			fraction != NULL && strspn(fraction, "0123456789") == strlen(fraction);
		bool has_offset = offset != NULL && strlen(offset) == 6 && offset[3] == ':' &&
						  (offset[0] == '+' || offset[0] == '-') &&
						  strspn(offset + 1, "0123456789:") == 5;
		char *text = g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02d%s%s%s", y, m, d, h, min, s,
									 has_fraction ? "." : "", has_fraction ? fraction : "",
									 has_offset ? offset : "");

		json_text(json, "taken_at", text);
		g_free(text);
	}
	g_free(time);
	g_free(fraction);
	g_free(offset);
}

typedef struct TagList
{
	Json *json;
	ExifIfd ifd;
	GHashTable *seen; /* a name may stand in two directories; the first one holds */
} TagList;

static void
describe_entry(ExifEntry *entry, void *user)
{
	TagList *list = user;
	const char *name = exif_tag_get_name_in_ifd(entry->tag, list->ifd);
	char value[1024];

	if (name == NULL || !g_hash_table_add(list->seen, (gpointer) name))
		return;
	exif_entry_get_value(entry, value, sizeof value);
	json_text(list->json, name, g_strstrip(value));
}

static void
describe_directory(ExifContent *content, void *user)
{
	TagList *list = user;

	list->ifd = exif_content_get_ifd(content);
	/* Of the thumbnail, not of the picture. */
	if (list->ifd != EXIF_IFD_1)
		exif_content_foreach_entry(content, describe_entry, list);
}

static void
describe_tags(Json *json, ExifData *data)
{
	TagList list = {.json = json, .seen = g_hash_table_new(g_str_hash, g_str_equal)};

	json_open(json, "exif");
	exif_data_foreach_content(data, describe_directory, &list);
	json_close(json);
	g_hash_table_destroy(list.seen);
}

static void
on_exif_log(ExifLog *log, ExifLogCode code, const char *domain, const char *format,
			va_list arguments, void *warnings)
{
	(void) log;
	(void) domain;
	if (code != EXIF_LOG_CODE_DEBUG && ((GPtrArray *) warnings)->len < 20)
		g_ptr_array_add(warnings, g_strdup_vprintf(format, arguments));
}

static bool
is_empty(const ExifData *exif)
{
	for (int i = 0; i < EXIF_IFD_COUNT; i++)
		if (exif->ifd[i]->count > 0)
			return false;
	return true;
}

/*
 * Read an EXIF block, as JPEG has it with a header of its own, or as PNG and WebP
 * without.
 *
 * log		gets what is wrong with it; may be NULL
 * Returns	what could be read, the caller's to unref
 */
ExifData *
exif_read(const void *data, size_t size, ExifLog *log)
{
	ExifData *exif = exif_data_new();
	GByteArray *block = g_byte_array_new();

	if (log != NULL)
		exif_data_log(exif, log);
	exif_data_unset_option(exif, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
	if (size < EXIF_HEADER_BYTES || memcmp(data, EXIF_HEADER, EXIF_HEADER_BYTES) != 0)
		g_byte_array_append(block, (const guint8 *) EXIF_HEADER, EXIF_HEADER_BYTES);
	g_byte_array_append(block, data, (guint) size);
	exif_data_load_data(exif, block->data, block->len);
	g_byte_array_free(block, TRUE);
	return exif;
}

/*
 * Describe an EXIF block: members taken_at, camera, gps, exif of the object that is open.
 *
 * warnings		gets what is wrong with the block, as strings to g_free; it is never fatal
 */
void
exif_describe(Json *json, const void *data, size_t size, GPtrArray *warnings)
{
	ExifLog *log = exif_log_new();
	ExifData *exif;

	exif_log_set_func(log, on_exif_log, warnings);
	exif = exif_read(data, size, log);
	if (is_empty(exif))
		g_ptr_array_add(warnings, g_strdup("EXIF block holds nothing that can be read"));
	describe_time(json, exif);
	describe_camera(json, exif);
	describe_gps(json, exif);
	describe_tags(json, exif);
	exif_data_unref(exif);
	exif_log_unref(log);
}
