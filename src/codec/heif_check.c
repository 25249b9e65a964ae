/*
 * heif_check.c
 *		Did the HEIF writer really write an image?
 *
 * Short of memory, the encoders behind libheif 1.15 report success and leave a file with a
 * header and no picture, or a picture that lost its alpha.
 */
#include "codec/heif_check.h"

#include <string.h>

typedef struct Box
{
	const uint8_t *data; /* behind size and type */
	size_t size;
} Box;

static uint32_t
number_at(const uint8_t *data)
{
	return (uint32_t) data[0] << 24 | (uint32_t) data[1] << 16 | (uint32_t) data[2] << 8 |
		   data[3];
}

/* The first box of a type among these.  Source: ISO/IEC 14496-12, section 4.2 */
static bool
find_box(const uint8_t *data, size_t size, const char *type, Box *box)
{
	size_t at = 0;

	while (at + 8 <= size)
	{
		size_t length = number_at(data + at);

		if (length < 8 || length > size - at)
			return false;
		if (memcmp(data + at + 4, type, 4) == 0)
		{
			*box = (Box){data + at + 8, length - 8};
			return true;
		}
		at += length;
	}
	return false;
}

/*
 * Is there data, and an item for each plane?  Source: ISO/IEC 14496-12, section 8.11.6
 *
 * alpha	the image has transparency, which is an item of its own
 */
bool
heif_check(const uint8_t *data, size_t size, bool alpha)
{
	Box media;
	Box meta;
	Box items;

	if (!find_box(data, size, "mdat", &media) || media.size == 0 ||
		!find_box(data, size, "meta", &meta) || meta.size < 4 ||
		!find_box(meta.data + 4, meta.size - 4, "iinf", &items) || items.size < 6)
		return false;
	return ((items.data[4] << 8) | items.data[5]) >= (alpha ? 2 : 1);
}
