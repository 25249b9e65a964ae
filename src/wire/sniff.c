/*
 * sniff.c
 *		What the first bytes say.
 */
#include <stdbool.h>
#include <string.h>

#include "wire/sniff.h"

typedef struct Magic
{
	const char *format;
	int offset;
	const char *bytes; /* '?' stands for any byte */
	int size;
} Magic;

#define MAGIC(format, offset, bytes)                                                           \
	{                                                                                          \
		format, offset, bytes, sizeof(bytes) - 1                                               \
	}

static const Magic magics[] = {
	MAGIC("jpeg", 0, "\xff\xd8\xff"),
	MAGIC("png", 0, "\x89PNG\r\n\x1a\n"),
	MAGIC("gif", 0, "GIF87a"),
	MAGIC("gif", 0, "GIF89a"),
	MAGIC("webp", 0, "RIFF????WEBP"),
	MAGIC("tiff", 0, "II*\0"),
	MAGIC("tiff", 0, "MM\0*"),
	MAGIC("tiff", 0, "II+\0"),
	MAGIC("tiff", 0, "MM\0+"),
	MAGIC("avif", 4, "ftypavif"),
	MAGIC("avif", 4, "ftypavis"),
	MAGIC("heif", 4, "ftyp"),
	MAGIC("svg", 0, "<svg"),
	MAGIC("svg", 0, "<?xml"),
	MAGIC("pdf", 0, "%PDF-"),
	MAGIC("jxl", 0, "\xff\x0a"),
	MAGIC("jxl", 0, "\0\0\0\x0cJXL "),
	MAGIC("jp2", 0, "\0\0\0\x0cjP  "),
	MAGIC("jp2", 0, "\xff\x4f\xff\x51"),
	MAGIC("bmp", 0, "BM"),
	MAGIC("psd", 0, "8BPS"),
	MAGIC("ico", 0, "\0\0\1\0"),
	MAGIC("exr", 0, "v/1\1"),
};

static bool
matches(const Magic *magic, const uint8_t *bytes, size_t size)
{
	if (size < (size_t) (magic->offset + magic->size))
		return false;
	for (int i = 0; i < magic->size; i++)
		if (magic->bytes[i] != '?' && (uint8_t) magic->bytes[i] != bytes[magic->offset + i])
			return false;
	return true;
}

/*
 * The format of an image by its first bytes, whether or not it is read here.
 *
 * bytes	size of them; SNIFF_BYTES are enough
 * Returns	its name, a literal; NULL: none that is known
 */
const char *
sniff_format(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
		if (matches(&magics[i], bytes, size))
			return magics[i].format;
	return NULL;
}

/* The media type of a format by its name; NULL: none that is known. */
const char *
sniff_mime(const char *format)
{
	static const struct
	{
		const char *format;
		const char *mime;
	} types[] = {{"jpeg", "image/jpeg"},
				 {"png", "image/png"},
				 {"webp", "image/webp"},
				 {"gif", "image/gif"},
				 {"tiff", "image/tiff"},
				 {"avif", "image/avif"},
				 {"heif", "image/heif"},
				 {"svg", "image/svg+xml"},
				 {"pdf", "application/pdf"},
				 {"jxl", "image/jxl"},
				 {"jp2", "image/jp2"},
				 {"bmp", "image/bmp"},
				 {"psd", "image/vnd.adobe.photoshop"},
				 {"ico", "image/x-icon"},
				 {"exr", "image/x-exr"}};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(types[i].format, format) == 0)
			return types[i].mime;
	return NULL;
}
