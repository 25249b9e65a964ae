/*
 * report.c
 *		What a step makes that is no image.
 *
 * The server reads the text by the input function of the type that the SQL function
 * returns: "#0a0b0c", "{#fff,#000}", "0.97", "\x1f2e", JSON.
 */
#include <string.h>

#include "codec/report.h"
#include "codec/resize.h"

/* Large pictures are looked at from further away: their longer side, in pixels. */
static const struct
{
	const char *step;
	int side;
} sizes[] = {{"blurhash", 128}, {"thumbhash", 100}, {"dominant_color", 256},
			 {"palette", 256},	{"phash", 256},		{"preview", 500}};

/* The longer side that a step looks at; 0: it looks at every pixel, or is no report. */
int
report_size(const char *step)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
		if (strcmp(sizes[i].step, step) == 0)
			return sizes[i].side;
	return 0;
}

/* Three bands or four. */
static int
fit_bands(Canvas *canvas, int bands)
{
	static const double white[4] = {255, 255, 255, 255};

	if (canvas_to_rgb(canvas) != 0)
		return -1;
	return bands == 4 ? canvas_add_alpha(canvas) : canvas_flatten(canvas, white);
}

/*
 * The pixels to look at, in memory.
 *
 * side		their longer side at most; 0: as it is
 * bands	3: on white; 4: with alpha
 * pixels	borrowed from the canvas
 */
int
report_pixels(Canvas *canvas, int side, int bands, VipsImage **pixels)
{
	ResizeTarget target = {.width = side,
						   .height = side,
						   .fit = FIT_INSIDE,
						   .kernel = VIPS_KERNEL_LANCZOS3,
						   .enlarge = false};

	if ((side > 0 && resize_to(canvas, &target) != 0) || fit_bands(canvas, bands) != 0 ||
		canvas_to_pixels(canvas) != 0)
		return -1;
	*pixels = canvas->image;
	return 0;
}

/* Make a text what the canvas has become; the text is given up. */
void
report_text(Canvas *canvas, GString *text)
{
	size_t size = text->len;

	canvas->report =
		vips_blob_new((VipsCallbackFn) vips_area_free_cb, g_string_free(text, FALSE), size);
}
