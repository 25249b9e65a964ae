/*
 * overlay.c
 *		A mark on the image: overlay as sharp's composite, watermark scaled and with a margin.
 */
#include "codec/steps/overlay.h"
#include "codec/layer.h"
#include "codec/pages.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* Put a mark where it belongs and lay it down; the mark is cleared. */
static int
finish(Canvas *canvas, Canvas *mark, const Placement *placement, bool tile, int gravity)
{
	int failed = 0;

	if (tile)
		failed = layer_tile(mark, canvas->image->Xsize, canvas->image->Ysize, gravity);
	if (failed == 0)
		failed = layer_lay(canvas, mark, placement);
	canvas_clear(mark);
	return failed;
}

/* mark: an image; blend, opacity; where: gravity, or x and y; tile: repeated */
int
step_overlay(Canvas *canvas, Arguments *arguments)
{
	bool placed =
		argument_find(arguments, "x") != NULL || argument_find(arguments, "y") != NULL;
	Placement placement;
	Canvas mark;
	int gravity;
	bool tile;

	if (layer_read_mode(arguments, &placement.mode) != 0 ||
		argument_float(arguments, "opacity", 0, 1, 1, &placement.opacity) != 0 ||
		argument_choice(arguments, "gravity", gravity_names, 0, &gravity) != 0 ||
		argument_bool(arguments, "tile", false, &tile) != 0 ||
		argument_int(arguments, "x", INT_MIN, INT_MAX, 0, &placement.x) != 0 ||
		argument_int(arguments, "y", INT_MIN, INT_MAX, 0, &placement.y) != 0)
		return -1;
	if (layer_get(canvas, arguments, "mark", &mark) != 0)
	{
		canvas_clear(&mark);
		return -1;
	}
	if (!placed && !tile)
		gravity_offset(gravity, canvas->image->Xsize - mark.image->Xsize,
					   canvas->image->Ysize - mark.image->Ysize, true, &placement.x,
					   &placement.y);
	return finish(canvas, &mark, &placement, tile, gravity);
}

/* Bring a mark to its share of the image, and put its margin around it. */
static int
fit_mark(Canvas *canvas, Canvas *mark, double scale, int margin, bool tile)
{
	static const double clear[4] = {0, 0, 0, 0};
	ResizeTarget target = {.fit = FIT_INSIDE, .kernel = VIPS_KERNEL_LANCZOS3, .enlarge = true};
	VipsRect place;

	if (scale > 0)
	{
		target.width = (int) VIPS_MAX(1, scale * canvas->image->Xsize + 0.5);
		target.height = (int) VIPS_MAX(1, scale * canvas->image->Ysize + 0.5);
		if (resize_to(mark, &target) != 0)
			return -1;
	}
	if (margin == 0)
		return 0;
	/* Tiles share their margin with their neighbours; at an edge each has its own. */
	place = (VipsRect){.left = tile ? margin / 2 : margin,
					   .top = tile ? margin / 2 : margin,
					   .width = mark->image->Xsize + (tile ? 1 : 2) * margin,
					   .height = mark->image->Ysize + (tile ? 1 : 2) * margin};
	return canvas_embed(mark, &place, VIPS_EXTEND_BACKGROUND, clear);
}

/*
 * Lay a mark on the image.
 *
 * mark		cleared
 * scale	the share of the image that it fits into; 0: as it is
 * Reads	gravity, opacity, margin, tile
 */
int
overlay_watermark(Canvas *canvas, Arguments *arguments, Canvas *mark, double scale,
				  double opacity)
{
	Placement placement = {.mode = VIPS_BLEND_MODE_OVER};
	int gravity;
	int margin;
	bool tile;

	if (argument_choice(arguments, "gravity", gravity_names, 5, &gravity) != 0 ||
		argument_float(arguments, "opacity", 0, 1, opacity, &placement.opacity) != 0 ||
		argument_int(arguments, "margin", 0, 10000, 16, &margin) != 0 ||
		argument_bool(arguments, "tile", false, &tile) != 0 ||
		fit_mark(canvas, mark, scale, margin, tile) != 0)
	{
		canvas_clear(mark);
		return -1;
	}
	gravity_offset(gravity, canvas->image->Xsize - mark->image->Xsize,
				   canvas->image->Ysize - mark->image->Ysize, true, &placement.x, &placement.y);
	if (tile)
		placement.x = placement.y = 0;
	return finish(canvas, mark, &placement, tile, gravity);
}

/* mark: an image; scale: the share of the image that it fits into */
int
step_watermark(Canvas *canvas, Arguments *arguments)
{
	Canvas mark;
	double scale;

	if (argument_float(arguments, "scale", 0, 1, 0.2, &scale) != 0)
		return -1;
	if (layer_get(canvas, arguments, "mark", &mark) != 0)
	{
		canvas_clear(&mark);
		return -1;
	}
	return overlay_watermark(canvas, arguments, &mark, scale, 1);
}
