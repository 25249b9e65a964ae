/*
 * canvas.c
 *		An image on its way through the steps of a pipeline.
 */
#include <math.h>

#include "codec/canvas.h"
#include "codec/request.h"

/*
 * Take an operation's result as the new image.
 *
 * image	owned from here on
 * failed	what the operation returned
 * what		what could not be done, for the message
 * Returns	0, or -1 with the problem noted
 */
int
canvas_replace(Canvas *canvas, VipsImage *image, int failed, const char *what)
{
	if (failed)
	{
		char message[128];

		g_snprintf(message, sizeof message, "could not %s the image", what);
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, message);
	}
	g_object_unref(canvas->image);
	canvas->image = image;
	return canvas_check_size(canvas, image->Xsize, image->Ysize);
}

/* A step must not make an image larger than one that may be read. */
int
canvas_check_size(Canvas *canvas, double width, double height)
{
	uint64_t limit = canvas->request->message->limits.max_pixels;

	if (width * height <= (double) limit)
		return 0;
	problem_set(canvas->problem, FAILURE_LIMIT,
				"image would have %.0f x %.0f = %.0f pixels, more than %.0f", width, height,
				width * height, (double) limit);
	problem_hint(canvas->problem, "imgexport.max_pixels sets the limit.");
	return -1;
}

/*
 * Make every row available at any time.  Here is where damage in the body shows.
 */
int
canvas_to_memory(Canvas *canvas)
{
	VipsImage *memory;

	if (!canvas->sequential)
		return 0;
	request_watch(canvas->request, canvas->image);
	memory = vips_image_copy_memory(canvas->image);
	if (memory == NULL)
		return problem_of_vips(canvas->problem, FAILURE_MALFORMED, "image is damaged");
	canvas->sequential = false;
	return canvas_replace(canvas, memory, 0, "copy");
}

/* Before pixels are mixed: colours weighed by their opacity.  Without alpha nothing happens. */
int
canvas_premultiply(Canvas *canvas, int *premultiplied)
{
	VipsImage *made = NULL;

	*premultiplied = vips_image_hasalpha(canvas->image);
	if (!*premultiplied)
		return 0;
	return canvas_replace(canvas, made, vips_premultiply(canvas->image, &made, NULL),
						  "premultiply");
}

/* After a step: back to 8 bits, rounded, and colours by themselves again. */
int
canvas_settle(Canvas *canvas, int alpha_premultiplied)
{
	VipsImage *made = NULL;

	if (alpha_premultiplied &&
		canvas_replace(canvas, made, vips_unpremultiply(canvas->image, &made, NULL),
					   "unpremultiply") != 0)
		return -1;
	if (canvas->image->BandFmt == VIPS_FORMAT_UCHAR)
		return 0;
	if (vips_band_format_isfloat(canvas->image->BandFmt) &&
		canvas_replace(canvas, made, vips_rint(canvas->image, &made, NULL), "round") != 0)
		return -1;
	return canvas_replace(canvas, made, vips_cast_uchar(canvas->image, &made, NULL), "cast");
}

/* Three bands of colour, alpha kept. */
int
canvas_to_rgb(Canvas *canvas)
{
	VipsImage *made = NULL;

	if (canvas->image->Type == VIPS_INTERPRETATION_sRGB && canvas->image->Bands >= 3)
		return 0;
	return canvas_replace(
		canvas, made, vips_colourspace(canvas->image, &made, VIPS_INTERPRETATION_sRGB, NULL),
		"colour");
}

/* An opaque alpha band where there is none. */
int
canvas_add_alpha(Canvas *canvas)
{
	VipsImage *made = NULL;

	if (vips_image_hasalpha(canvas->image))
		return 0;
	return canvas_replace(canvas, made, vips_bandjoin_const1(canvas->image, &made, 255, NULL),
						  "extend");
}

/* Put the image on a ground of one colour; its alpha is gone afterwards. */
int
canvas_flatten(Canvas *canvas, const double rgba[4])
{
	VipsImage *made = NULL;
	bool grey = rgba[0] == rgba[1] && rgba[1] == rgba[2];
	VipsArrayDouble *ground;
	int failed;

	if (!vips_image_hasalpha(canvas->image))
		return 0;
	if (!grey && canvas_to_rgb(canvas) != 0)
		return -1;
	ground = vips_array_double_new(rgba, canvas->image->Bands - 1);
	failed = vips_flatten(canvas->image, &made, "background", ground, NULL);
	vips_area_unref(VIPS_AREA(ground));
	return canvas_replace(canvas, made, failed, "flatten") != 0 ? -1 : canvas_settle(canvas, 0);
}

void
canvas_clear(Canvas *canvas)
{
	if (canvas->image != NULL)
		g_object_unref(canvas->image);
	canvas->image = NULL;
}
