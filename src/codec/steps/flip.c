/*
 * flip.c
 *		Mirrored: flip upside down, flop left to right.
 */
#include "codec/steps.h"

int
step_flip(Canvas *canvas, Arguments *arguments)
{
	VipsImage *made = NULL;

	(void) arguments;
	if (canvas_to_memory(canvas) != 0)
		return -1;
	return canvas_replace(
		canvas, &made, vips_flip(canvas->image, &made, VIPS_DIRECTION_VERTICAL, NULL), "flip");
}

int
step_flop(Canvas *canvas, Arguments *arguments)
{
	VipsImage *made = NULL;

	(void) arguments;
	return canvas_replace(canvas, &made,
						  vips_flip(canvas->image, &made, VIPS_DIRECTION_HORIZONTAL, NULL),
						  "flop");
}
