/*
 * background.c
 *		remove_background: the ground of a studio shot, or what a mask leaves out.
 *
 * For one object on a ground that is plain, or shaded, or noisy; it is no recognition of
 * objects.
 */
#include "codec/filter.h"
#include "codec/steps.h"
#include "codec/steps/ground.h"
#include "codec/steps/matte.h"

/* Below this a blur changes nothing. */
#define FEATHER_MIN 0.3

/* The picture without its ground; NULL: there is no memory for it. */
static VipsImage *
cut_out(const Canvas *canvas, double tolerance, bool holes)
{
	VipsImage *image = canvas->image;
	VipsImage *cut = canvas_new_rgba(canvas, image->Xsize, image->Ysize);
	Ground ground;

	if (cut == NULL)
		return NULL;
	ground_find(image, tolerance, holes, &ground);
	matte_draw(image, &ground, cut);
	ground_free(&ground);
	return cut;
}

/* Soft edges, inside of those that are there: what is half gone in the blur is gone. */
static int
soften(Canvas *canvas, double feather)
{
	VipsImage *alpha = NULL;
	VipsImage *soft = NULL;
	VipsImage *inner = NULL;
	int failed;

	if (feather < FEATHER_MIN)
		return 0;
	failed = vips_extract_band(canvas->image, &alpha, 3, NULL) != 0 ||
			 filter_blur(alpha, &soft, feather) != 0 ||
			 vips_linear1(soft, &inner, 2, -255, "uchar", TRUE, NULL) != 0;
	if (failed)
		problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not soften the edges");
	else
		failed = canvas_multiply_alpha(canvas, inner);
	VIPS_UNREF(alpha);
	VIPS_UNREF(soft);
	VIPS_UNREF(inner);
	return failed;
}

/*
 * tolerance: how far from the ground's colour still is ground, default by its noise; feather:
 * sigma of edges that are to be softer than they were; holes: whether enclosed ground goes too;
 * mask: instead of all this
 */
int
step_remove_background(Canvas *canvas, Arguments *arguments)
{
	VipsImage *cut;
	double tolerance;
	double feather;
	bool holes;

	if (argument_float(arguments, "tolerance", 0, 200, -1, &tolerance) != 0 ||
		argument_float(arguments, "feather", 0, 50, 0, &feather) != 0 ||
		argument_bool(arguments, "holes", false, &holes) != 0)
		return -1;
	if (argument_find(arguments, "mask") != NULL)
		return step_mask(canvas, arguments);
	if (canvas_to_rgb(canvas) != 0 || canvas_to_pixels(canvas) != 0)
		return -1;
	cut = cut_out(canvas, tolerance, holes);
	if (cut == NULL)
		return problem_of_vips(canvas->problem, FAILURE_MEMORY, "could not cut out the object");
	return canvas_replace(canvas, &cut, 0, "cut out") != 0 ? -1 : soften(canvas, feather);
}
