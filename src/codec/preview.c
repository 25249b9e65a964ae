/*
 * preview.c
 *		A picture as text: each character is two pixels, one above the other.
 *
 * Source	ECMA-48, section 8.3.117 (SGR), with 24-bit colour as of ISO 8613-6
 */
#include "codec/preview.h"

/* U+2580, the upper half block: its own colour above, the ground's below */
#define HALF_BLOCK "\xe2\x96\x80"

static void
write_row(GString *text, const VipsPel *upper, const VipsPel *lower, int width)
{
	for (int x = 0; x < width; x++)
	{
		const VipsPel *above = upper + 3 * x;
		const VipsPel *below = lower + 3 * x;

		g_string_append_printf(text, "\033[38;2;%d;%d;%dm", above[0], above[1], above[2]);
		if (lower != NULL)
			g_string_append_printf(text, "\033[48;2;%d;%d;%dm", below[0], below[1], below[2]);
		g_string_append(text, HALF_BLOCK);
	}
	g_string_append(text, "\033[0m\n");
}

/* Write a canvas of three bands; the blob is the caller's. */
int
preview_write(Canvas *canvas, VipsBlob **blob)
{
	GString *text = g_string_new(NULL);
	VipsImage *image;
	size_t size;

	if (canvas_to_memory(canvas) != 0 ||
		(image = vips_image_copy_memory(canvas->image)) == NULL)
	{
		g_string_free(text, TRUE);
		return problem_of_vips(canvas->problem, FAILURE_MALFORMED, "image is damaged");
	}
	for (int y = 0; y < image->Ysize; y += 2)
		write_row(text, VIPS_IMAGE_ADDR(image, 0, y),
				  y + 1 < image->Ysize ? VIPS_IMAGE_ADDR(image, 0, y + 1) : NULL, image->Xsize);
	g_object_unref(image);
	size = text->len;
	*blob = vips_blob_new((VipsCallbackFn) vips_area_free_cb, g_string_free(text, FALSE), size);
	return 0;
}
