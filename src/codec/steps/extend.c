/*
 * extend.c
 *		More room around the image.
 */
#include "codec/steps.h"

/* north, east, south, west: in pixels; background, or mode: copy, repeat, mirror */
int
step_extend(Canvas *canvas, Arguments *arguments)
{
	static const char *const modes[] = {"background", "copy", "repeat", "mirror", NULL};
	static const VipsExtend extends[] = {VIPS_EXTEND_BACKGROUND, VIPS_EXTEND_COPY,
										 VIPS_EXTEND_REPEAT, VIPS_EXTEND_MIRROR};
	static const char *const sides[] = {"north", "east", "south", "west"};
	int widths[4];
	double background[4];
	VipsRect place;
	int mode;

	for (int i = 0; i < 4; i++)
		if (argument_int(arguments, sides[i], 0, 100000, 0, &widths[i]) != 0)
			return -1;
	if (argument_choice(arguments, "mode", modes, 0, &mode) != 0 ||
		argument_color(arguments, "background", "white", background) != 0)
		return -1;
	place = (VipsRect){.left = widths[3],
					   .top = widths[0],
					   .width = canvas->image->Xsize + widths[1] + widths[3],
					   .height = canvas->image->Ysize + widths[0] + widths[2]};
	if (place.width == canvas->image->Xsize && place.height == canvas->image->Ysize)
		return 0;
	/* Repeated and mirrored, rows are needed again. */
	if (mode != 0 && canvas_to_memory(canvas) != 0)
		return -1;
	return canvas_embed(canvas, &place, extends[mode], background);
}
