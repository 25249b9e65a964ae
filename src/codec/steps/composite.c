/*
 * composite.c
 *		The image over a base: 70 % of it and 30 % of the base, unless told otherwise.
 *
 * The base is brought to the image's size.  With x or y it keeps its own, and the image
 * is put there.
 */
#include "codec/render.h"
#include "codec/resize.h"
#include "codec/steps.h"

#define POSITION_MAX 10000000

typedef struct Placement
{
	double opacity;
	VipsBlendMode mode;
	ResizeTarget fit; /* of the base */
	bool placed;	  /* at x, y on a base that keeps its size */
	int x;
	int y;
} Placement;

static int
read_mode(Arguments *arguments, VipsBlendMode *mode)
{
	const char *name;
	int value;

	if (argument_text(arguments, "blend", "over", &name) != 0)
		return -1;
	value = vips_enum_from_nick("composite", VIPS_TYPE_BLEND_MODE, name);
	if (value < 0)
	{
		vips_error_clear();
		problem_set(arguments->problem, FAILURE_ARGUMENT, "blend must not be \"%.100s\"", name);
		problem_hint(arguments->problem,
					 "It is one of libvips' blend modes: over, multiply, screen, overlay, "
					 "darken, lighten, dest-over and so on.");
		return -1;
	}
	*mode = (VipsBlendMode) value;
	return 0;
}

static int
read_placement(Arguments *arguments, Placement *placement)
{
	static const char *const fits[] = {"cover", "contain", "fill", NULL};
	int fit;

	*placement = (Placement){0};
	placement->fit = (ResizeTarget){.kernel = VIPS_KERNEL_LANCZOS3, .enlarge = true};
	placement->placed =
		argument_find(arguments, "x") != NULL || argument_find(arguments, "y") != NULL;
	if (argument_float(arguments, "opacity", 0, 1, 0.7, &placement->opacity) != 0 ||
		read_mode(arguments, &placement->mode) != 0 ||
		argument_choice(arguments, "gravity", gravity_names, 0, &placement->fit.gravity) != 0 ||
		argument_choice(arguments, "fit", fits, 0, &fit) != 0 ||
		argument_int(arguments, "x", -POSITION_MAX, POSITION_MAX, 0, &placement->x) != 0 ||
		argument_int(arguments, "y", -POSITION_MAX, POSITION_MAX, 0, &placement->y) != 0)
		return -1;
	placement->fit.fit = (Fit) fit;
	return 0;
}

/* In floating point, with an alpha band; what it was is rounded at the end, once. */
static int
prepare_layer(Canvas *layer, double opacity)
{
	double factors[4] = {1, 1, 1, opacity};
	double zeros[4] = {0, 0, 0, 0};
	VipsImage *made = NULL;

	if (canvas_to_rgb(layer) != 0 || canvas_add_alpha(layer) != 0)
		return -1;
	return canvas_replace(layer, made,
						  vips_linear(layer->image, &made, factors, zeros, 4, NULL), "fade");
}

static int
blend(Canvas *canvas, Canvas *base, const Placement *placement)
{
	bool opaque = !vips_image_hasalpha(base->image);
	VipsImage *made = NULL;

	if (prepare_layer(canvas, placement->opacity) != 0 || prepare_layer(base, 1) != 0 ||
		canvas_replace(canvas, made,
					   vips_composite2(base->image, canvas->image, &made, placement->mode, "x",
									   placement->x, "y", placement->y, "compositing_space",
									   VIPS_INTERPRETATION_sRGB, NULL),
					   "composite") != 0 ||
		canvas_settle(canvas, 0) != 0)
		return -1;
	if (!opaque)
		return 0;
	/* Nothing can be seen through what has an opaque ground. */
	made = NULL;
	return canvas_replace(canvas, made,
						  vips_extract_band(canvas->image, &made, 0, "n", 3, NULL), "reduce");
}

/* base: an image; opacity: of the image, 0 to 1; blend, gravity, fit, x, y */
int
step_composite(Canvas *canvas, Arguments *arguments)
{
	const Pipeline *pipeline = argument_image(arguments, "base");
	Placement placement;
	Canvas base = {.request = canvas->request, .problem = canvas->problem};
	int result = -1;

	if (read_placement(arguments, &placement) != 0)
		return -1;
	if (pipeline == NULL)
		return problem_set(canvas->problem, FAILURE_ARGUMENT, "base must be an image");
	placement.fit.width = canvas->image->Xsize;
	placement.fit.height = canvas->image->Ysize;
	/* Two images that wait for each other's rows: both have to have them all. */
	if (render_pipeline(&base, pipeline) == 0 && canvas_to_memory(canvas) == 0 &&
		(placement.placed || resize_to(&base, &placement.fit) == 0) &&
		canvas_to_memory(&base) == 0)
		result = blend(canvas, &base, &placement);
	canvas_clear(&base);
	return result;
}
