/*
 * exif_fuzz.c
 *		What cameras and editors write into an image: EXIF, IPTC, XMP, colour profiles.
 */
#include "codec/blocks.h"
#include "codec/exif.h"
#include "codec/metadata.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Json json = {.text = g_string_new(NULL)};
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);

	/* libvips gives a block as memory of its own, and no empty one. */
	if (size > 1)
	{
		json_open(&json, NULL);
		switch (data[0] % 5)
		{
			case 0:
				exif_describe(&json, data + 1, size - 1, warnings);
				break;
			case 1:
				g_byte_array_free(
					metadata_reduce_exif(data + 1, size - 1, data[0] / 5, data[0] > 127), TRUE);
				break;
			case 2:
				iptc_describe(&json, data + 1, size - 1);
				break;
			case 3:
				xmp_describe(&json, (const char *) data + 1, size - 1);
				break;
			default:
				icc_describe(&json, data + 1, size - 1);
		}
		json_close(&json);
	}
	g_ptr_array_free(warnings, TRUE);
	g_string_free(json.text, TRUE);
	return 0;
}
