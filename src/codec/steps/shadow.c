/*
 * shadow.c
 *		A drop shadow, on a canvas that is larger for it.
 */
#include "codec/layer.h"
#include "codec/steps.h"

typedef struct Shadow
{
	double blur;
	int dx;
	int dy;
	int margin;
	int extra;
	double color[4];
	bool box;
} Shadow;

static int
read_shadow(Arguments *arguments, Shadow *shadow)
{
	static const char *const shapes[] = {"alpha", "box", NULL};
	int shape;

	if (argument_float(arguments, "blur", 0, 1000, 15, &shadow->blur) != 0 ||
		argument_int(arguments, "dx", -10000, 10000, 15, &shadow->dx) != 0 ||
		argument_int(arguments, "dy", -10000, 10000, 15, &shadow->dy) != 0 ||
		argument_color(arguments, "color", "#00000080", shadow->color) != 0 ||
		argument_int(arguments, "margin", 0, 10000, 10, &shadow->margin) != 0 ||
		argument_int(arguments, "extra", 0, 20000, 40, &shadow->extra) != 0 ||
		argument_choice(arguments, "shape", shapes, 0, &shape) != 0)
		return -1;
	shadow->box = shape == 1;
	return 0;
}

/* What throws the shadow, as one band: the image's alpha, or its whole rectangle. */
static int
shape_of(Canvas *canvas, bool box, VipsImage **shape)
{
	static const double white = 255;

	if (!box)
		return vips_extract_band(canvas->image, shape, canvas->image->Bands - 1, NULL);
	*shape = canvas_plain(canvas, canvas->image->Xsize, canvas->image->Ysize, &white, 1);
	return *shape == NULL ? -1 : 0;
}

/* The shadow's opacity on the whole ground. */
static int
cast_shadow(Canvas *canvas, const Shadow *shadow, int width, int height, VipsImage **alpha)
{
	VipsImage *shape = NULL;
	VipsImage *placed = NULL;
	VipsImage *soft = NULL;
	int failed = shape_of(canvas, shadow->box, &shape) != 0 ||
				 vips_embed(shape, &placed, shadow->margin + shadow->dx,
							shadow->margin + shadow->dy, width, height, NULL) != 0;

	if (!failed)
		failed = shadow->blur >= 0.3 ? vips_gaussblur(placed, &soft, shadow->blur, NULL) != 0
									 : vips_copy(placed, &soft, NULL) != 0;
	if (!failed)
		failed = vips_linear1(soft, alpha, shadow->color[3] / 255, 0.5, "uchar", TRUE, NULL);
	VIPS_UNREF(shape);
	VIPS_UNREF(placed);
	VIPS_UNREF(soft);
	return failed;
}

static int
make_ground(Canvas *canvas, const Shadow *shadow, Canvas *ground)
{
	int width = canvas->image->Xsize + shadow->extra;
	int height = canvas->image->Ysize + shadow->extra;
	VipsImage *plain = canvas_plain(canvas, width, height, shadow->color, 3);
	VipsImage *alpha = NULL;
	int failed;

	if (plain == NULL)
		return -1;
	failed = cast_shadow(canvas, shadow, width, height, &alpha) != 0 ||
			 vips_bandjoin2(plain, alpha, &ground->image, NULL) != 0;
	VIPS_UNREF(alpha);
	g_object_unref(plain);
	if (failed)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not make a shadow");
	return 0;
}

/*
 * blur: sigma; dx, dy: of the shadow from the image; color; margin: left of and above the
 * image; extra: how much wider and higher the canvas is; shape: alpha or box
 */
int
step_shadow(Canvas *canvas, Arguments *arguments)
{
	Canvas ground = {.request = canvas->request, .problem = canvas->problem, .pages = 1};
	Placement placement = {.mode = VIPS_BLEND_MODE_OVER, .opacity = 1};
	Shadow shadow;

	if (read_shadow(arguments, &shadow) != 0 ||
		canvas_check_size(canvas, canvas->image->Xsize + shadow.extra,
						  canvas->image->Ysize + shadow.extra) != 0 ||
		canvas_to_memory(canvas) != 0 || canvas_to_rgb(canvas) != 0 ||
		canvas_add_alpha(canvas) != 0)
		return -1;
	placement.x = placement.y = shadow.margin;
	if (make_ground(canvas, &shadow, &ground) != 0 ||
		layer_lay(&ground, canvas, &placement) != 0)
	{
		canvas_clear(&ground);
		return -1;
	}
	canvas_swap_images(canvas, &ground);
	canvas_clear(&ground);
	return 0;
}
