/*
 * preview.c
 *		For the terminal: small, and written as text.
 */
#include "codec/resize.h"
#include "codec/steps.h"

/* columns: of the terminal; each is one pixel wide and two high */
int
step_preview(Canvas *canvas, Arguments *arguments)
{
	static const double ground[4] = {24, 24, 24, 255};
	ResizeTarget target = {.fit = FIT_INSIDE, .kernel = VIPS_KERNEL_LANCZOS3, .enlarge = false};

	if (argument_int(arguments, "columns", 1, 500, 80, &canvas->encode.columns) != 0)
		return -1;
	target.width = canvas->encode.columns;
	canvas->encode.format = format_ansi;
	if (resize_to(canvas, &target) != 0 || canvas_to_rgb(canvas) != 0)
		return -1;
	return canvas_flatten(canvas, ground);
}
