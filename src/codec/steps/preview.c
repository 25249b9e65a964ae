/*
 * preview.c
 *		A picture as text: each character is two pixels, one above the other.
 *
 * Source	ECMA-48, section 8.3.117 (SGR), with 24-bit colour as of ISO 8613-6
 */
#include "codec/report.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* U+2580, the upper half block: its own colour above, the ground's below */
#define HALF_BLOCK "\xe2\x96\x80"

static void
write_row(GString *text, const VipsPel *upper, const VipsPel *lower, int width)
{
	for (int x = 0; x < width; x++)
	{
		const VipsPel *above = upper + 3 * x;

		g_string_append_printf(text, "\033[38;2;%d;%d;%dm", above[0], above[1], above[2]);
		if (lower != NULL)
		{
			const VipsPel *below = lower + 3 * x;

			g_string_append_printf(text, "\033[48;2;%d;%d;%dm", below[0], below[1], below[2]);
		}
		g_string_append(text, HALF_BLOCK);
	}
	g_string_append(text, "\033[0m\n");
}

/* columns: of the terminal; each is one pixel wide and two high */
int
step_preview(Canvas *canvas, Arguments *arguments)
{
	static const double ground[4] = {24, 24, 24, 255};
	ResizeTarget target = {.fit = FIT_INSIDE, .kernel = VIPS_KERNEL_LANCZOS3, .enlarge = false};
	VipsImage *image;
	GString *text;

	if (argument_int(arguments, "columns", 1, 500, 80, &target.width) != 0 ||
		resize_to(canvas, &target) != 0 || canvas_to_rgb(canvas) != 0 ||
		canvas_flatten(canvas, ground) != 0 || report_pixels(canvas, 0, 3, &image) != 0)
		return -1;
	text = g_string_new(NULL);
	for (int y = 0; y < image->Ysize; y += 2)
		write_row(text, VIPS_IMAGE_ADDR(image, 0, y),
				  y + 1 < image->Ysize ? VIPS_IMAGE_ADDR(image, 0, y + 1) : NULL, image->Xsize);
	report_text(canvas, text);
	return 0;
}
