/*
 * format.c
 *		What the first bytes say.
 *
 * This is no gate: the codec looks for itself and reads what
 * imgexport.allowed_loaders lists.  It is here so that "not an image" is raised
 * where the call is written and not where its result is looked at.
 */
#include "postgres.h"

#include "image/format.h"

typedef struct Signature
{
	int offset;
	const char *bytes; /* '?' stands for any byte */
	int size;
} Signature;

#define SIGNATURE(offset, bytes)                                                               \
	{                                                                                          \
		offset, bytes, sizeof(bytes) - 1                                                       \
	}

/* Every format that libvips might be allowed to read, so that only what is none fails here. */
static const Signature signatures[] = {
	SIGNATURE(0, "\xff\xd8\xff"),	   /* JPEG */
	SIGNATURE(0, "\x89PNG\r\n\x1a\n"), /* PNG */
	SIGNATURE(0, "GIF87a"),			   /* GIF */
	SIGNATURE(0, "GIF89a"),			   /* GIF */
	SIGNATURE(0, "RIFF????WEBP"),	   /* WebP */
	SIGNATURE(0, "II*\0"),			   /* TIFF, little endian */
	SIGNATURE(0, "MM\0*"),			   /* TIFF, big endian */
	SIGNATURE(0, "II+\0"),			   /* BigTIFF */
	SIGNATURE(0, "MM\0+"),			   /* BigTIFF */
	SIGNATURE(4, "ftyp"),			   /* HEIF, AVIF */
	SIGNATURE(0, "\xff\x0a"),		   /* JPEG XL */
	SIGNATURE(0, "\0\0\0\x0cJXL "),	   /* JPEG XL in a container */
	SIGNATURE(0, "\0\0\0\x0cjP  "),	   /* JPEG 2000 */
	SIGNATURE(0, "\xff\x4f\xff\x51"),  /* JPEG 2000 code stream */
	SIGNATURE(0, "%PDF-"),			   /* PDF */
	SIGNATURE(0, "<svg"),			   /* SVG */
	SIGNATURE(0, "<?xml"),			   /* SVG */
	SIGNATURE(0, "BM"),				   /* BMP */
	SIGNATURE(0, "8BPS"),			   /* Photoshop */
	SIGNATURE(0, "\0\0\1\0"),		   /* ICO */
	SIGNATURE(0, "v/1\1"),			   /* OpenEXR */
};

static bool
matches(const Signature *signature, const uint8 *head, Size size)
{
	if (size < (Size) (signature->offset + signature->size))
		return false;
	for (int i = 0; i < signature->size; i++)
		if (signature->bytes[i] != '?' &&
			(uint8) signature->bytes[i] != head[signature->offset + i])
			return false;
	return true;
}

/*
 * What is wrong with the beginning of an image.
 *
 * head		size bytes; FORMAT_HEAD_BYTES are enough
 * Returns	NULL when it may be one, else IX001
 */
HelperError *
format_error(const uint8 *head, Size size)
{
	for (size_t i = 0; i < lengthof(signatures); i++)
		if (matches(&signatures[i], head, size))
			return NULL;
	if (size == 0)
		return helper_error(ERRCODE_IMAGE_MALFORMED, false, "image is empty", NULL, NULL);
	return helper_error(ERRCODE_IMAGE_MALFORMED, false, "data is not an image",
						"Its first bytes are those of no image format that is known.", NULL);
}
