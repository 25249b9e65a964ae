/*
 * composite.c
 *		The image over a base: 70 % of it and 30 % of the base, unless told otherwise.
 *
 * The base is brought to the image's size.  With x or y it keeps its own, and the image
 * is put there.
 */
#include "codec/layer.h"
#include "codec/pages.h"
#include "codec/resize.h"
#include "codec/steps.h"

static int
read_placement(Arguments *arguments, Placement *placement, ResizeTarget *fit, bool *placed)
{
	static const char *const fits[] = {"cover", "contain", "fill", NULL};
	int chosen;

	*fit = (ResizeTarget){.kernel = VIPS_KERNEL_LANCZOS3, .enlarge = true};
	*placed = argument_find(arguments, "x") != NULL || argument_find(arguments, "y") != NULL;
	if (argument_float(arguments, "opacity", 0, 1, 0.7, &placement->opacity) != 0 ||
		layer_read_mode(arguments, &placement->mode) != 0 ||
		argument_choice(arguments, "gravity", gravity_names, 0, &fit->gravity) != 0 ||
		argument_choice(arguments, "fit", fits, 0, &chosen) != 0 ||
		argument_int(arguments, "x", INT_MIN, INT_MAX, 0, &placement->x) != 0 ||
		argument_int(arguments, "y", INT_MIN, INT_MAX, 0, &placement->y) != 0)
		return -1;
	fit->fit = (Fit) chosen;
	return 0;
}

/* base: an image; opacity: of the image, 0 to 1; blend, gravity, fit, x, y */
int
step_composite(Canvas *canvas, Arguments *arguments)
{
	Placement placement;
	ResizeTarget fit;
	Canvas base;
	bool placed;
	int result = -1;

	if (read_placement(arguments, &placement, &fit, &placed) != 0)
		return -1;
	fit.width = canvas->image->Xsize;
	fit.height = canvas->image->Ysize;
	if (layer_get(canvas, arguments, "base", &base) == 0 &&
		(placed || resize_to(&base, &fit) == 0))
		result = layer_lay(&base, canvas, &placement);
	if (result == 0)
		canvas_swap_images(canvas, &base);
	canvas_clear(&base);
	return result;
}
