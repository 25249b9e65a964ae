/*
 * alpha.c
 *		Transparency: flatten, mask, round_corners.
 */
#include <math.h>

#include "codec/pages.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* background: what shows through */
int
step_flatten(Canvas *canvas, Arguments *arguments)
{
	double background[4];

	if (argument_color(arguments, "background", "white", background) != 0)
		return -1;
	return canvas_flatten(canvas, background);
}

/* A mask's luminance times its own opacity, as one band. */
static int
read_mask(Canvas *mask, bool invert, VipsImage **band)
{
	static const double black[4] = {0, 0, 0, 255};
	VipsImage *made = NULL;

	if (canvas_flatten(mask, black) != 0 ||
		canvas_replace(mask, &made,
					   vips_colourspace(mask->image, &made, VIPS_INTERPRETATION_B_W, NULL),
					   "colour") != 0)
		return -1;
	if (invert ? vips_invert(mask->image, band, NULL) != 0
			   : vips_copy(mask->image, band, NULL) != 0)
		return problem_of_vips(mask->problem, FAILURE_INTERNAL, "could not read the mask");
	return 0;
}

/* mask: an image, brought to this one's size: white stays, black goes; invert: the other way */
int
step_mask(Canvas *canvas, Arguments *arguments)
{
	ResizeTarget same = {.width = canvas->image->Xsize,
						 .height = canvas->image->Ysize,
						 .fit = FIT_FILL,
						 .kernel = VIPS_KERNEL_LANCZOS3,
						 .enlarge = true};
	VipsImage *band = NULL;
	Canvas mask;
	bool invert;
	int failed;

	if (argument_bool(arguments, "invert", false, &invert) != 0)
		return -1;
	failed = layer_get(canvas, arguments, "mask", &mask) != 0 || resize_to(&mask, &same) != 0 ||
			 read_mask(&mask, invert, &band) != 0 || canvas_to_memory(canvas) != 0 ||
			 canvas_multiply_alpha(canvas, band) != 0;
	VIPS_UNREF(band);
	canvas_clear(&mask);
	return failed ? -1 : 0;
}

/* How much of a pixel lies inside a quarter circle, by the distance of its centre. */
static VipsPel
coverage(double radius, int x, int y)
{
	double distance = hypot(radius - x - 0.5, radius - y - 0.5);

	return (VipsPel) (255 * VIPS_CLIP(0, radius - distance + 0.5, 1) + 0.5);
}

/* An opaque mask with four round corners, in memory of its own; NULL: there is none left. */
static VipsImage *
corner_mask(int width, int height, double radius)
{
	VipsPel *pixels = g_try_malloc((gsize) width * (gsize) height);
	int reach = (int) ceil(radius);
	VipsImage *mask;

	if (pixels == NULL)
		return NULL;
	memset(pixels, 255, (gsize) width * (gsize) height);
	for (int y = 0; y < reach && y < height; y++)
		for (int x = 0; x < reach && x < width; x++)
		{
			VipsPel value = coverage(radius, x, y);
			VipsPel *upper = pixels + (gsize) y * (gsize) width;
			VipsPel *lower = pixels + (gsize) (height - 1 - y) * (gsize) width;

			upper[x] = VIPS_MIN(upper[x], value);
			upper[width - 1 - x] = VIPS_MIN(upper[width - 1 - x], value);
			lower[x] = VIPS_MIN(lower[x], value);
			lower[width - 1 - x] = VIPS_MIN(lower[width - 1 - x], value);
		}
	mask = vips_image_new_from_memory_copy(pixels, (gsize) width * (gsize) height, width,
										   height, 1, VIPS_FORMAT_UCHAR);
	g_free(pixels);
	return mask;
}

/* radius: in pixels; without one half of the shorter side, which makes a square a disc */
int
step_round_corners(Canvas *canvas, Arguments *arguments)
{
	double half = VIPS_MIN(canvas->image->Xsize, canvas->image->Ysize) / 2.0;
	VipsImage *mask;
	double radius;
	int failed;

	if (argument_float(arguments, "radius", 0, 100000, half, &radius) != 0)
		return -1;
	mask = corner_mask(canvas->image->Xsize, canvas->image->Ysize, VIPS_MIN(radius, half));
	if (mask == NULL)
		return problem_out_of_memory(canvas->problem);
	failed = canvas_multiply_alpha(canvas, mask);
	g_object_unref(mask);
	return failed;
}
