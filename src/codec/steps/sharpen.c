/*
 * sharpen.c
 *		Sharper: mildly and fast, or by sigma in Lab as libvips does.
 */
#include "codec/filter.h"
#include "codec/steps.h"

/* Without sigma: sharp's mild 3 x 3 mask. */
static int
mild(Canvas *canvas)
{
	VipsImage *mask =
		vips_image_new_matrixv(3, 3, -1.0, -1.0, -1.0, -1.0, 32.0, -1.0, -1.0, -1.0, -1.0);
	VipsImage *made = NULL;
	int failed;

	vips_image_set_double(mask, "scale", 24);
	failed = filter_conv(canvas->image, &made, mask);
	g_object_unref(mask);
	return canvas_replace(canvas, &made, failed, "sharpen");
}

/* sigma: in pixels; m1, m2: flat and jagged; x1: where jagged begins; y2, y3: limits */
int
step_sharpen(Canvas *canvas, Arguments *arguments)
{
	bool mildly = argument_find(arguments, "sigma") == NULL;
	VipsImage *made = NULL;
	Sharpening by;
	int premultiplied;

	if (argument_float(arguments, "sigma", 0.01, 10, 1, &by.sigma) != 0 ||
		argument_float(arguments, "m1", 0, 1000000, 1, &by.m1) != 0 ||
		argument_float(arguments, "m2", 0, 1000000, 2, &by.m2) != 0 ||
		argument_float(arguments, "x1", 0, 1000000, 2, &by.x1) != 0 ||
		argument_float(arguments, "y2", 0, 1000000, 10, &by.y2) != 0 ||
		argument_float(arguments, "y3", 0, 1000000, 20, &by.y3) != 0 ||
		canvas_premultiply(canvas, &premultiplied) != 0)
		return -1;
	if (mildly ? mild(canvas) != 0
			   : canvas_replace(canvas, &made, filter_sharpen(canvas->image, &made, &by),
								"sharpen") != 0)
		return -1;
	return canvas_settle(canvas, premultiplied);
}
