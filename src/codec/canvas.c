/*
 * canvas.c
 *		The image that the steps of a pipeline change.
 */
#include <math.h>

#include "codec/canvas.h"
#include "codec/request.h"

/*
 * Take an operation's result as the new image.
 *
 * made		where the operation puts it: not the image itself, which is there only after the
 *			call that stands beside it among the arguments; owned from here on
 * failed	what the operation returned
 * what		what could not be done, for the message
 * Returns	0, or -1 with the problem noted
 */
int
canvas_replace(Canvas *canvas, VipsImage **made, int failed, const char *what)
{
	if (failed)
	{
		char message[128];

		g_snprintf(message, sizeof message, "could not %s the image", what);
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, message);
	}
	g_object_unref(canvas->image);
	canvas->image = *made;
	*made = NULL;
	return canvas_check_size(canvas, canvas->image->Xsize, canvas->image->Ysize);
}

/* A step must not make an image larger than one that may be read. */
int
canvas_check_size(Canvas *canvas, double width, double height)
{
	uint64_t limit = canvas->request->message->limits.max_pixels;

	if (width * height <= (double) limit)
		return 0;
	problem_set(canvas->problem, FAILURE_LIMIT,
				"image would have %.0f x %.0f = %.0f pixels, more than %.0f", width, height,
				width * height, (double) limit);
	problem_hint(canvas->problem, "imgexport.max_pixels sets the limit.");
	return -1;
}

/*
 * Make every row available at any time.  Here is where damage in the body shows.
 */
int
canvas_to_memory(Canvas *canvas)
{
	return canvas->sequential ? canvas_to_pixels(canvas) : 0;
}

/* Have the pixels computed and in memory, for code that reads them by VIPS_IMAGE_ADDR. */
int
canvas_to_pixels(Canvas *canvas)
{
	VipsImage *memory;

	if (!canvas_is_picture(canvas))
		return problem_set(canvas->problem, FAILURE_INTERNAL,
						   "pixels of %d bands were to be read as a picture's",
						   canvas->image->Bands);
	memory = request_copy_memory(canvas->request, canvas->image);
	if (memory == NULL)
		return problem_of_vips(canvas->problem, FAILURE_MALFORMED, "image is damaged");
	canvas->sequential = false;
	return canvas_replace(canvas, &memory, 0, "copy");
}

/* Before pixels are mixed: colours weighed by their opacity.  Without alpha nothing happens. */
int
canvas_premultiply(Canvas *canvas, int *premultiplied)
{
	VipsImage *made = NULL;

	*premultiplied = vips_image_hasalpha(canvas->image);
	if (!*premultiplied)
		return 0;
	return canvas_replace(canvas, &made, vips_premultiply(canvas->image, &made, NULL),
						  "premultiply");
}

/* After a step: back to 8 bits, rounded, and colours by themselves again. */
int
canvas_settle(Canvas *canvas, int alpha_premultiplied)
{
	VipsImage *made = NULL;

	if (alpha_premultiplied &&
		canvas_replace(canvas, &made, vips_unpremultiply(canvas->image, &made, NULL),
					   "unpremultiply") != 0)
		return -1;
	if (canvas->image->BandFmt == VIPS_FORMAT_UCHAR)
		return 0;
	if (vips_band_format_isfloat(canvas->image->BandFmt) &&
		canvas_replace(canvas, &made, vips_rint(canvas->image, &made, NULL), "round") != 0)
		return -1;
	return canvas_replace(canvas, &made, vips_cast_uchar(canvas->image, &made, NULL), "cast");
}

/* Three bands of colour, alpha kept. */
int
canvas_to_rgb(Canvas *canvas)
{
	VipsImage *made = NULL;

	if (canvas->image->Type == VIPS_INTERPRETATION_sRGB && canvas->image->Bands >= 3)
		return 0;
	return canvas_replace(
		canvas, &made, vips_colourspace(canvas->image, &made, VIPS_INTERPRETATION_sRGB, NULL),
		"colour");
}

/* An opaque alpha band where there is none. */
int
canvas_add_alpha(Canvas *canvas)
{
	VipsImage *made = NULL;

	if (vips_image_hasalpha(canvas->image))
		return 0;
	return canvas_replace(canvas, &made, vips_bandjoin_const1(canvas->image, &made, 255, NULL),
						  "extend");
}

/* Put the image on a ground of one colour; its alpha is gone afterwards. */
int
canvas_flatten(Canvas *canvas, const double rgba[4])
{
	VipsImage *made = NULL;
	bool grey = rgba[0] == rgba[1] && rgba[1] == rgba[2];
	VipsArrayDouble *ground;
	int failed;

	if (!vips_image_hasalpha(canvas->image))
		return 0;
	if (!grey && canvas_to_rgb(canvas) != 0)
		return -1;
	ground = vips_array_double_new(rgba, canvas->image->Bands - 1);
	failed = vips_flatten(canvas->image, &made, "background", ground, NULL);
	vips_area_unref(VIPS_AREA(ground));
	return canvas_replace(canvas, &made, failed, "flatten") != 0 ? -1
																 : canvas_settle(canvas, 0);
}

/*
 * Take the alpha band off, so that a step works on colours alone.
 *
 * alpha	where to put it; NULL: there was none.  canvas_attach_alpha takes it back.
 */
int
canvas_detach_alpha(Canvas *canvas, VipsImage **alpha)
{
	VipsImage *made = NULL;
	int colours = canvas->image->Bands - 1;

	*alpha = NULL;
	if (!vips_image_hasalpha(canvas->image))
		return 0;
	if (vips_extract_band(canvas->image, alpha, colours, NULL) != 0)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not read the alpha");
	if (canvas_replace(canvas, &made,
					   vips_extract_band(canvas->image, &made, 0, "n", colours, NULL),
					   "split") == 0)
		return 0;
	VIPS_UNREF(*alpha);
	return -1;
}

/* Put an alpha band back on an image that has none; alpha is given up, NULL: nothing to do. */
int
canvas_attach_alpha(Canvas *canvas, VipsImage *alpha)
{
	VipsImage *made = NULL;
	int failed;

	if (alpha == NULL)
		return 0;
	failed = canvas_settle(canvas, 0);
	if (failed == 0)
		failed = canvas_replace(canvas, &made,
								vips_bandjoin2(canvas->image, alpha, &made, NULL), "join");
	g_object_unref(alpha);
	return failed;
}

/* Make the image as transparent as a mask says: one band of 8 bits, of the image's size. */
int
canvas_multiply_alpha(Canvas *canvas, VipsImage *mask)
{
	VipsImage *alpha;
	VipsImage *product = NULL;
	VipsImage *scaled = NULL;
	VipsImage *made = NULL;
	int failed;

	if (canvas_add_alpha(canvas) != 0 || canvas_detach_alpha(canvas, &alpha) != 0)
		return -1;
	failed = vips_multiply(alpha, mask, &product, NULL) != 0 ||
			 vips_linear1(product, &scaled, 1.0 / 255, 0.5, "uchar", TRUE, NULL) != 0;
	g_object_unref(alpha);
	VIPS_UNREF(product);
	if (!failed)
		failed = vips_bandjoin2(canvas->image, scaled, &made, NULL) != 0;
	VIPS_UNREF(scaled);
	return canvas_replace(canvas, &made, failed, "mask");
}

/* An image of 8 bits, RGB and alpha, in memory that is to be written to; NULL: there is none. */
VipsImage *
canvas_new_rgba(const Canvas *canvas, int width, int height)
{
	VipsImage *made = vips_image_new_memory();

	vips_image_init_fields(made, width, height, 4, VIPS_FORMAT_UCHAR, VIPS_CODING_NONE,
						   VIPS_INTERPRETATION_sRGB, canvas->image->Xres, canvas->image->Yres);
	if (vips_image_write_prepare(made) == 0)
		return made;
	g_object_unref(made);
	return NULL;
}

/*
 * Lay the image on a larger ground.
 *
 * place		where its upper left corner goes, and the size of the ground
 * background	its colour, where extend is by colour; alpha appears where it has some
 */
int
canvas_embed(Canvas *canvas, const VipsRect *place, VipsExtend extend,
			 const double background[4])
{
	bool grey = background[0] == background[1] && background[1] == background[2];
	double colour[4] = {background[0], background[1], background[2], background[3]};
	VipsImage *made = NULL;
	VipsArrayDouble *ground;
	int failed;

	if (canvas_check_size(canvas, place->width, place->height) != 0)
		return -1;
	if (extend == VIPS_EXTEND_BACKGROUND &&
		((!grey && canvas_to_rgb(canvas) != 0) ||
		 (background[3] < 255 && canvas_add_alpha(canvas) != 0)))
		return -1;
	if (canvas->image->Bands == 2)
		colour[1] = background[3];
	ground = vips_array_double_new(colour, canvas->image->Bands);
	failed = vips_embed(canvas->image, &made, place->left, place->top, place->width,
						place->height, "extend", extend, "background", ground, NULL);
	vips_area_unref(VIPS_AREA(ground));
	return canvas_replace(canvas, &made, failed, "extend");
}

/*
 * An image of one colour.
 *
 * bands	1, 2 of grey or 3, 4 of sRGB, a colour each
 * Returns	the image, the caller's to unref; NULL with the problem noted
 */
VipsImage *
canvas_plain(Canvas *canvas, int width, int height, const double *colours, int bands)
{
	static const double ones[4] = {1, 1, 1, 1};
	VipsImage *black = NULL;
	VipsImage *plain = NULL;
	VipsImage *named = NULL;

	if (vips_black(&black, width, height, "bands", bands, NULL) != 0 ||
		vips_linear(black, &plain, ones, colours, bands, "uchar", TRUE, NULL) != 0 ||
		vips_copy(plain, &named, "interpretation",
				  bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL) != 0)
		problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not make an image");
	VIPS_UNREF(black);
	VIPS_UNREF(plain);
	return named;
}

/* Keep a rectangle that lies inside. */
int
canvas_extract(Canvas *canvas, int x, int y, int width, int height)
{
	VipsImage *made = NULL;

	return canvas_replace(canvas, &made,
						  vips_extract_area(canvas->image, &made, x, y, width, height, NULL),
						  "crop");
}

/* A canvas that starts where another one is; to be cleared as that one is. */
Canvas
canvas_branch(const Canvas *trunk)
{
	Canvas canvas = *trunk;

	g_object_ref(canvas.image);
	if (canvas.origin != NULL)
		g_object_ref(canvas.origin);
	if (canvas.report != NULL)
		canvas.report = (VipsBlob *) vips_area_copy(VIPS_AREA(canvas.report));
	return canvas;
}

/* Each takes the other's image. */
void
canvas_swap_images(Canvas *a, Canvas *b)
{
	VipsImage *image = a->image;

	a->image = b->image;
	b->image = image;
}

void
canvas_clear(Canvas *canvas)
{
	VIPS_UNREF(canvas->image);
	VIPS_UNREF(canvas->origin);
	if (canvas->report != NULL)
		vips_area_unref(VIPS_AREA(canvas->report));
	canvas->report = NULL;
}
