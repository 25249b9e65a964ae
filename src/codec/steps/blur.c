/*
 * blur.c
 *		Gaussian blur.
 */
#include "codec/filter.h"
#include "codec/steps.h"

/* sigma: in pixels */
int
step_blur(Canvas *canvas, Arguments *arguments)
{
	VipsImage *made = NULL;
	double sigma;
	int premultiplied;

	if (argument_float(arguments, "sigma", 0.3, 1000, 1.5, &sigma) != 0 ||
		canvas_premultiply(canvas, &premultiplied) != 0 ||
		canvas_replace(canvas, &made, filter_blur(canvas->image, &made, sigma), "blur") != 0)
		return -1;
	return canvas_settle(canvas, premultiplied);
}
