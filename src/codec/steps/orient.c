/*
 * orient.c
 *		Turned and mirrored as an EXIF orientation says.
 */
#include "codec/steps.h"

/* orientation: 1 to 8; without one nothing is left to do, for decoding has turned it upright */
int
step_orient(Canvas *canvas, Arguments *arguments)
{
	VipsImage *marked = NULL;
	VipsImage *made = NULL;
	int orientation;
	int failed;

	if (argument_int(arguments, "orientation", 1, 8, 1, &orientation) != 0)
		return -1;
	if (orientation == 1)
		return 0;
	if (canvas_to_memory(canvas) != 0)
		return -1;
	failed = vips_copy(canvas->image, &marked, NULL);
	if (failed == 0)
	{
		vips_image_set_int(marked, VIPS_META_ORIENTATION, orientation);
		failed = vips_autorot(marked, &made, NULL);
		g_object_unref(marked);
	}
	return canvas_replace(canvas, &made, failed, "turn");
}
