/*
 * shadow.c
 *		A drop shadow, on a canvas that is larger for it.
 */
#include <string.h>

#include "codec/filter.h"
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
	VipsRect place = {shadow->margin + shadow->dx, shadow->margin + shadow->dy, width, height};
	int failed =
		shape_of(canvas, shadow->box, &shape) != 0 || layer_spread(shape, &placed, &place) != 0;

	if (!failed)
		failed = shadow->blur >= 0.3 ? filter_blur(placed, &soft, shadow->blur) != 0
									 : vips_copy(placed, &soft, NULL) != 0;
	if (!failed)
		failed = vips_linear1(soft, alpha, shadow->color[3] / 255, 0.5, "uchar", TRUE, NULL);
	VIPS_UNREF(shape);
	VIPS_UNREF(placed);
	VIPS_UNREF(soft);
	return failed;
}

static const VipsPel nothing[4];

/* A pixel over the shadow's colour, which is as opaque as alpha says. */
static void
lay_pixel(const VipsPel *pixel, const VipsPel colour[3], int alpha, VipsPel *to)
{
	int over = pixel[3];
	/* In 255ths of 255ths. */
	int under = alpha * (255 - over);
	int both = over * 255 + under;

	/* Most pixels are of one thing alone. */
	if (under == 0)
	{
		memcpy(to, over > 0 ? pixel : nothing, 4);
		return;
	}
	for (int band = 0; band < 3; band++)
		to[band] =
			(VipsPel) ((pixel[band] * over * 255 + colour[band] * under + both / 2) / both);
	to[3] = (VipsPel) ((both + 127) / 255);
}

/* The picture over its shadow, whose opacity is known everywhere. */
static VipsImage *
lay(Canvas *canvas, const Shadow *shadow, VipsImage *alpha)
{
	VipsImage *picture = canvas->image;
	VipsImage *made = canvas_new_rgba(canvas, alpha->Xsize, alpha->Ysize);
	VipsPel colour[3];

	if (made == NULL)
		return NULL;
	for (int band = 0; band < 3; band++)
		colour[band] = (VipsPel) shadow->color[band];
	for (int y = 0; y < made->Ysize; y++)
	{
		const VipsPel *opacity = VIPS_IMAGE_ADDR(alpha, 0, y);
		VipsPel *to = VIPS_IMAGE_ADDR(made, 0, y);
		int row = y - shadow->margin;
		bool beside = row < 0 || row >= picture->Ysize;
		const VipsPel *from = beside ? NULL : VIPS_IMAGE_ADDR(picture, 0, row);

		for (int x = 0; x < made->Xsize; x++, to += 4)
		{
			int column = x - shadow->margin;
			bool inside = from != NULL && column >= 0 && column < picture->Xsize;

			lay_pixel(inside ? from + 4 * column : nothing, colour, opacity[x], to);
		}
	}
	return made;
}

/*
 * blur: sigma; dx, dy: of the shadow from the image; color; margin: left of and above the
 * image; extra: how much wider and higher the canvas is; shape: alpha or box
 */
int
step_shadow(Canvas *canvas, Arguments *arguments)
{
	VipsImage *alpha = NULL;
	VipsImage *memory = NULL;
	VipsImage *made = NULL;
	Shadow shadow;
	int width;
	int height;

	if (read_shadow(arguments, &shadow) != 0 ||
		canvas_check_size(canvas, canvas->image->Xsize + shadow.extra,
						  canvas->image->Ysize + shadow.extra) != 0 ||
		canvas_to_rgb(canvas) != 0 || canvas_add_alpha(canvas) != 0 ||
		canvas_to_pixels(canvas) != 0)
		return -1;
	width = canvas->image->Xsize + shadow.extra;
	height = canvas->image->Ysize + shadow.extra;
	if (cast_shadow(canvas, &shadow, width, height, &alpha) == 0)
		memory = vips_image_copy_memory(alpha);
	VIPS_UNREF(alpha);
	if (memory != NULL)
		made = lay(canvas, &shadow, memory);
	VIPS_UNREF(memory);
	if (made == NULL)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not make a shadow");
	return canvas_replace(canvas, &made, 0, "shadow");
}
