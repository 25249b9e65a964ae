/*
 * strip.c
 *		Metadata taken out of a file without touching its pixels.
 *
 * What says how the pixels are shown stays: the colour profile, the orientation, an
 * animation's timing.  What the format does not need is left out unless it is kept by
 * name; so is what hides behind the picture's end.
 *
 * Source	JPEG: ITU T.81, annex B; PNG: W3C PNG (third edition), section 5; WebP:
 *			RFC 9649, section 2.3; GIF: GIF89a, sections 17 to 27
 */
#include <string.h>

#include <libdeflate.h>

#include "codec/bytes.h"
#include "codec/exif.h"
#include "codec/metadata.h"
#include "codec/strip.h"

#define PNG_XMP_KEYWORD "XML:com.adobe.xmp"
#define PNG_XMP_MAX_BYTES (1 << 20)
#define XMP_HEADER "http://ns.adobe.com/xap/1.0/"

typedef struct Stripper
{
	const unsigned char *bytes;
	size_t size;
	unsigned keep;
	GByteArray *out;
} Stripper;

static void
put(Stripper *stripper, const void *bytes, size_t size)
{
	g_byte_array_append(stripper->out, bytes, (guint) size);
}

static void
put_number(Stripper *stripper, size_t value, int count, bool big)
{
	for (int i = 0; i < count; i++)
	{
		guint8 byte = (guint8) (value >> 8 * (big ? count - 1 - i : i));

		put(stripper, &byte, 1);
	}
}

static bool
starts_with(const unsigned char *bytes, size_t size, const char *text, size_t length)
{
	return size >= length && memcmp(bytes, text, length) == 0;
}

/* JPEG ----------------------------------------------------------------------- */

static void
put_jpeg_exif(Stripper *stripper, const unsigned char *block, size_t size)
{
	GByteArray *exif = metadata_reduce_exif(block, size, stripper->keep, true);

	if (exif->len > 0 && exif->len + 2 <= 0xffff)
	{
		put(stripper, "\xff\xe1", 2);
		put_number(stripper, exif->len + 2, 2, true);
		put(stripper, exif->data, exif->len);
	}
	g_byte_array_free(exif, TRUE);
}

/* One segment between the start and the pixels: marker, length and all. */
static void
jpeg_segment(Stripper *stripper, const unsigned char *segment, size_t size)
{
	const unsigned char *body = segment + 4;
	size_t length = size - 4;
	int marker = segment[1];
	bool kept = (marker < 0xe0 || marker > 0xef) && marker != 0xfe;

	if (marker == 0xe0)
		kept = starts_with(body, length, "JFIF", 5);
	else if (marker == 0xe1 && starts_with(body, length, EXIF_HEADER, EXIF_HEADER_BYTES))
		put_jpeg_exif(stripper, body, length);
	else if (marker == 0xe1)
		kept = starts_with(body, length, XMP_HEADER, strlen(XMP_HEADER)) &&
			   metadata_keeps_xmp(stripper->keep, body, length);
	else if (marker == 0xe2)
		kept = starts_with(body, length, "ICC_PROFILE", 12);
	else if (marker == 0xed)
		kept = (stripper->keep & KEEP_IPTC) != 0;
	else if (marker == 0xee)
		kept = starts_with(body, length, "Adobe", 5);
	if (kept)
		put(stripper, segment, size);
}

/* The bytes of a scan, up to the next marker that is not part of it. */
static size_t
jpeg_scan(const Stripper *stripper, size_t at)
{
	while (at + 1 < stripper->size)
	{
		int next = stripper->bytes[at + 1];

		if (stripper->bytes[at] == 0xff && next != 0 && next != 0xff &&
			(next < 0xd0 || next > 0xd7))
			return at;
		at++;
	}
	return stripper->size;
}

static bool
strip_jpeg(Stripper *stripper)
{
	const unsigned char *bytes = stripper->bytes;
	size_t at = 2;

	put(stripper, bytes, 2);
	while (at + 4 <= stripper->size && bytes[at] == 0xff)
	{
		size_t end;

		if (bytes[at + 1] == 0xff)
		{
			at++;
			continue;
		}
		end = at + 2 + big_endian(bytes + at + 2, 2);
		if (end > stripper->size || end < at + 4)
			return false;
		jpeg_segment(stripper, bytes + at, end - at);
		if (bytes[at + 1] == 0xda)
		{
			size_t next = jpeg_scan(stripper, end);

			put(stripper, bytes + end, next - end);
			end = next;
		}
		at = end;
		if (at + 2 <= stripper->size && bytes[at] == 0xff && bytes[at + 1] == 0xd9)
		{
			put(stripper, "\xff\xd9", 2);
			return true;
		}
	}
	return false;
}

/* PNG ------------------------------------------------------------------------ */

static void
put_png_chunk(Stripper *stripper, const char *type, const unsigned char *data, size_t size)
{
	size_t start;

	put_number(stripper, size, 4, true);
	start = stripper->out->len;
	put(stripper, type, 4);
	put(stripper, data, size);
	put_number(stripper, libdeflate_crc32(0, stripper->out->data + start, size + 4), 4, true);
}

static void
put_png_exif(Stripper *stripper, const unsigned char *data, size_t size)
{
	GByteArray *exif = metadata_reduce_exif(data, size, stripper->keep, true);

	/* Here it has no header of its own. */
	if (exif->len > EXIF_HEADER_BYTES)
		put_png_chunk(stripper, "eXIf", exif->data + EXIF_HEADER_BYTES,
					  exif->len - EXIF_HEADER_BYTES);
	g_byte_array_free(exif, TRUE);
}

/* XMP is in iTXt by the book, but some write it compressed; what cannot be read may name one. */
static bool
png_names_a_place(const unsigned char *type, const unsigned char *data, size_t size)
{
	size_t start = sizeof PNG_XMP_KEYWORD + 1;
	struct libdeflate_decompressor *decompressor;
	unsigned char *text;
	size_t length;
	bool found;

	if (size < start)
		return true;
	if (memcmp(type, "iTXt", 4) == 0)
		return data[start - 1] != 0 || metadata_names_a_place(data, size);
	if (memcmp(type, "zTXt", 4) != 0)
		return metadata_names_a_place(data, size);
	decompressor = libdeflate_alloc_decompressor();
	if (decompressor == NULL)
		return true;
	text = g_malloc(PNG_XMP_MAX_BYTES);
	found = libdeflate_zlib_decompress(decompressor, data + start, size - start, text,
									   PNG_XMP_MAX_BYTES, &length) != LIBDEFLATE_SUCCESS ||
			metadata_names_a_place(text, length);
	g_free(text);
	libdeflate_free_decompressor(decompressor);
	return found;
}

static bool
png_chunk_is_kept(const Stripper *stripper, const unsigned char *type,
				  const unsigned char *data, size_t size)
{
	static const char *const shown[] = {"tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "cICP",
										"sBIT", "bKGD", "hIST", "pHYs", "sPLT", "mDCV",
										"cLLI", "acTL", "fcTL", "fdAT"};

	/* A capital first letter: nothing can be shown without it. */
	if ((type[0] & 0x20) == 0)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
		if (memcmp(type, shown[i], 4) == 0)
			return true;
	return (stripper->keep & KEEP_XMP) != 0 &&
		   starts_with(data, size, PNG_XMP_KEYWORD, sizeof PNG_XMP_KEYWORD) &&
		   ((stripper->keep & KEEP_GPS) != 0 || !png_names_a_place(type, data, size));
}

static bool
strip_png(Stripper *stripper)
{
	size_t at = 8;

	put(stripper, stripper->bytes, 8);
	while (at + 12 <= stripper->size)
	{
		const unsigned char *chunk = stripper->bytes + at;
		size_t size = big_endian(chunk, 4);

		if (size > stripper->size - at - 12)
			return false;
		if (memcmp(chunk + 4, "eXIf", 4) == 0)
			put_png_exif(stripper, chunk + 8, size);
		else if (png_chunk_is_kept(stripper, chunk + 4, chunk + 8, size))
			put(stripper, chunk, size + 12);
		if (memcmp(chunk + 4, "IEND", 4) == 0)
			return true;
		at += size + 12;
	}
	return false;
}

/* WebP ----------------------------------------------------------------------- */

static void
put_riff_chunk(Stripper *stripper, const char *type, const unsigned char *data, size_t size)
{
	put(stripper, type, 4);
	put_number(stripper, size, 4, false);
	put(stripper, data, size);
	if (size % 2 != 0)
		put(stripper, "", 1);
}

/* Returns whether a block was written. */
static bool
put_webp_exif(Stripper *stripper, const unsigned char *data, size_t size)
{
	GByteArray *exif = metadata_reduce_exif(data, size, stripper->keep, true);
	bool written = exif->len > EXIF_HEADER_BYTES;

	if (written)
		put_riff_chunk(stripper, "EXIF", exif->data + EXIF_HEADER_BYTES,
					   exif->len - EXIF_HEADER_BYTES);
	g_byte_array_free(exif, TRUE);
	return written;
}

/* Returns the flag that a chunk of metadata has in the header, where it was kept. */
static int
webp_chunk(Stripper *stripper, const unsigned char *type, const unsigned char *data,
		   size_t size)
{
	static const char *const shown[] = {"VP8X", "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF", "ICCP"};

	if (memcmp(type, "EXIF", 4) == 0)
		return put_webp_exif(stripper, data, size) ? 0x08 : 0;
	if (memcmp(type, "XMP ", 4) == 0 && metadata_keeps_xmp(stripper->keep, data, size))
	{
		put_riff_chunk(stripper, "XMP ", data, size);
		return 0x04;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
		if (memcmp(type, shown[i], 4) == 0)
			put_riff_chunk(stripper, shown[i], data, size);
	return 0;
}

static bool
strip_webp(Stripper *stripper)
{
	size_t at = 12;
	size_t flags_at = 0;
	int kept = 0;
	guint length;

	put(stripper, stripper->bytes, 12);
	while (at + 8 <= stripper->size)
	{
		const unsigned char *chunk = stripper->bytes + at;
		size_t size = little_endian(chunk + 4, 4);

		if (size > stripper->size - at - 8)
			return false;
		if (memcmp(chunk, "VP8X", 4) == 0 && size >= 10)
			flags_at = stripper->out->len + 8;
		kept |= webp_chunk(stripper, chunk, chunk + 8, size);
		at += 8 + size + size % 2;
	}
	if (flags_at != 0)
		stripper->out->data[flags_at] =
			(guint8) ((stripper->out->data[flags_at] & ~0x0c) | kept);
	length = stripper->out->len - 8;
	for (int i = 0; i < 4; i++)
		stripper->out->data[4 + i] = (guint8) (length >> 8 * i);
	return stripper->out->len > 12;
}

/* GIF ------------------------------------------------------------------------ */

/* Behind a chain of sub-blocks; 0: it does not end. */
static size_t
gif_blocks_end(const Stripper *stripper, size_t at)
{
	while (at < stripper->size && stripper->bytes[at] != 0)
		at += 1 + (size_t) stripper->bytes[at];
	return at < stripper->size ? at + 1 : 0;
}

static size_t
gif_color_table(int flags)
{
	return (flags & 0x80) != 0 ? (size_t) 3 << ((flags & 7) + 1) : 0;
}

static bool
gif_extension_is_kept(const Stripper *stripper, size_t at)
{
	const unsigned char *block = stripper->bytes + at;

	if (block[1] == 0xff)
		return at + 14 <= stripper->size && (memcmp(block + 3, "NETSCAPE2.0", 11) == 0 ||
											 memcmp(block + 3, "ANIMEXTS1.0", 11) == 0);
	return block[1] != 0xfe;
}

/* One block from at on; its end, or 0 where there is none. */
static size_t
gif_block_end(const Stripper *stripper, size_t at)
{
	if (stripper->bytes[at] == 0x21 && at + 2 < stripper->size)
		return gif_blocks_end(stripper, at + 2);
	if (stripper->bytes[at] == 0x2c && at + 10 < stripper->size)
		return gif_blocks_end(stripper, at + 11 + gif_color_table(stripper->bytes[at + 9]));
	return 0;
}

static bool
strip_gif(Stripper *stripper)
{
	size_t at = 13;

	if (stripper->size < 13)
		return false;
	at += gif_color_table(stripper->bytes[10]);
	if (at > stripper->size)
		return false;
	put(stripper, stripper->bytes, at);
	while (at < stripper->size && stripper->bytes[at] != 0x3b)
	{
		size_t end = gif_block_end(stripper, at);

		if (end == 0)
			return false;
		if (stripper->bytes[at] == 0x2c || gif_extension_is_kept(stripper, at))
			put(stripper, stripper->bytes + at, end - at);
		at = end;
	}
	put(stripper, "\x3b", 1);
	return at < stripper->size;
}

static const struct
{
	const char *format;
	bool (*strip)(Stripper *stripper);
} strippers[] = {
	{"jpeg", strip_jpeg}, {"png", strip_png}, {"webp", strip_webp}, {"gif", strip_gif}};

/*
 * Copy a file without its metadata.
 *
 * keep		bits of KEEP_* that stay
 * result	gets the file
 * Errors	IX001 the file ends where it must not, 0A000 a format that is not taken apart
 */
int
strip_file(const Format *format, const SourceBytes *source, unsigned keep, Problem *problem,
		   GByteArray *result)
{
	Stripper stripper = {
		.bytes = source->bytes, .size = source->length, .keep = keep, .out = result};

	for (size_t i = 0; i < G_N_ELEMENTS(strippers); i++)
		if (strcmp(strippers[i].format, format->name) == 0)
		{
			if (strippers[i].strip(&stripper))
				return 0;
			return problem_set(problem, FAILURE_MALFORMED, "%s image is damaged", format->name);
		}
	problem_set(problem, FAILURE_FEATURE, "metadata of %s images is not taken out alone",
				format->name);
	problem_hint(problem, "img_convert writes the image anew, without metadata.");
	return -1;
}
