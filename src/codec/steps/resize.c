/*
 * resize.c
 *		The steps that bring an image to a size: resize, thumbnail, normalize.
 */
#include "codec/resize.h"
#include "codec/pages.h"
#include "codec/steps.h"

int
step_resize(Canvas *canvas, Arguments *arguments)
{
	ResizeTarget target;

	if (resize_read_target(arguments, arguments->step, &target) != 0)
		return -1;
	return resize_to(canvas, &target);
}

/* Inside width x height, never larger than it is; in a format where one is named. */
int
step_thumbnail(Canvas *canvas, Arguments *arguments)
{
	if (pages_each(canvas, arguments, step_resize) != 0)
		return -1;
	return step_convert(canvas, arguments);
}

/* To RGB without alpha and to a size: what an export starts with. */
int
step_normalize(Canvas *canvas, Arguments *arguments)
{
	ResizeTarget target;

	if (resize_read_target(arguments, arguments->step, &target) != 0 ||
		canvas_to_rgb(canvas) != 0 || canvas_flatten(canvas, target.background) != 0)
		return -1;
	target.background[3] = 255;
	return resize_to(canvas, &target);
}
