/*
 * crop.c
 *		A part of the image: a rectangle, or as much as fits a ratio.
 */
#include <stdlib.h>

#include "codec/layer.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* x, y, width, height: in pixels, inside the image */
int
step_crop(Canvas *canvas, Arguments *arguments)
{
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
	return canvas_extract(canvas, x, y, width, height);
}

/* "16:9", "16/9" or "1.78"; false for anything else. */
static bool
parse_ratio(const char *text, double *ratio)
{
	char *end;
	double width = g_ascii_strtod(text, &end);
	double height = 1;

	if (*end == ':' || *end == '/')
		height = g_ascii_strtod(end + 1, &end);
	*ratio = width / height;
	return *text != '\0' && *end == '\0' && width > 0 && height > 0 && *ratio >= 0.001 &&
		   *ratio <= 1000;
}

/* aspect: width to height; gravity: what is kept */
int
step_crop_to(Canvas *canvas, Arguments *arguments)
{
	const char *text;
	double ratio;
	int gravity;
	int width = canvas->image->Xsize;
	int height = canvas->image->Ysize;

	if (argument_text(arguments, "aspect", "", &text) != 0 ||
		argument_choice(arguments, "gravity", gravity_names, 0, &gravity) != 0)
		return -1;
	if (!parse_ratio(text, &ratio))
	{
		problem_set(canvas->problem, FAILURE_ARGUMENT, "aspect must not be \"%.100s\"", text);
		problem_hint(canvas->problem,
					 "It is written as 16:9, 16/9 or 1.78, between 0.001 and 1000.");
		return -1;
	}
	if (width > height * ratio)
		width = (int) VIPS_MAX(1, height * ratio + 0.5);
	else
		height = (int) VIPS_MAX(1, width / ratio + 0.5);
	return resize_cut(canvas, width, height, gravity);
}
