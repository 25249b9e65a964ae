/*
 * crop.c
 *		A rectangle of the image.
 */
#include "codec/steps.h"

#define POSITION_MAX 10000000

/* x, y, width, height: in pixels, inside the image */
int
step_crop(Canvas *canvas, Arguments *arguments)
{
	VipsImage *made = NULL;
	int x;
	int y;
	int width;
	int height;

	if (argument_int(arguments, "x", 0, POSITION_MAX, 0, &x) != 0 ||
		argument_int(arguments, "y", 0, POSITION_MAX, 0, &y) != 0 ||
		argument_int(arguments, "width", 1, POSITION_MAX, 1, &width) != 0 ||
		argument_int(arguments, "height", 1, POSITION_MAX, 1, &height) != 0)
		return -1;
	if (x + width > canvas->image->Xsize || y + height > canvas->image->Ysize)
	{
		problem_set(canvas->problem, FAILURE_ARGUMENT,
					"crop of %d x %d at (%d, %d) is not inside the image", width, height, x, y);
		problem_detail(canvas->problem, "The image has %d x %d pixels.", canvas->image->Xsize,
					   canvas->image->Ysize);
		return -1;
	}
	return canvas_replace(canvas, made,
						  vips_extract_area(canvas->image, &made, x, y, width, height, NULL),
						  "crop");
}
