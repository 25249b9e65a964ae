/*
 * sharpen.c
 *		Sharper: mildly and fast, or by sigma in Lab as libvips does.
 */
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
	failed = vips_conv(canvas->image, &made, mask, NULL);
	g_object_unref(mask);
	return canvas_replace(canvas, &made, failed, "sharpen");
}

/* sigma: in pixels; m1, m2: flat and jagged; x1: where jagged begins; y2, y3: limits */
int
step_sharpen(Canvas *canvas, Arguments *arguments)
{
	bool mildly = argument_find(arguments, "sigma") == NULL;
	VipsImage *made = NULL;
	double sigma;
	double m1;
	double m2;
	double x1;
	double y2;
	double y3;
	int premultiplied;

	if (argument_float(arguments, "sigma", 0.01, 10, 1, &sigma) != 0 ||
		argument_float(arguments, "m1", 0, 1000000, 1, &m1) != 0 ||
		argument_float(arguments, "m2", 0, 1000000, 2, &m2) != 0 ||
		argument_float(arguments, "x1", 0, 1000000, 2, &x1) != 0 ||
		argument_float(arguments, "y2", 0, 1000000, 10, &y2) != 0 ||
		argument_float(arguments, "y3", 0, 1000000, 20, &y3) != 0 ||
		canvas_premultiply(canvas, &premultiplied) != 0)
		return -1;
	if (mildly ? mild(canvas) != 0
			   : canvas_replace(canvas, &made,
								vips_sharpen(canvas->image, &made, "sigma", sigma, "m1", m1,
											 "m2", m2, "x1", x1, "y2", y2, "y3", y3, NULL),
								"sharpen") != 0)
		return -1;
	return canvas_settle(canvas, premultiplied);
}
