/*
 * admit.c
 *		What a canvas is, and how an image becomes one.
 *
 * A canvas is a picture of 8 bits without coding: gray (B_W) of one band or two, or sRGB of
 * three or four, where the second or fourth band is alpha.  Its pages divide its height, it
 * is no larger than a request allows, and it carries no metadata but an animation's timing.
 *
 * Steps rely on all of this: they size buffers by the number of bands, and read pixels by
 * their address.  So nothing becomes a canvas but by canvas_admit(): what a loader decoded,
 * and what a step made.
 */
#include <string.h>

#include "codec/canvas.h"
#include "codec/request.h"

/* How many bands of color an interpretation has; 0: its name says nothing about them. */
static int
colors_of(VipsInterpretation type)
{
	switch (type)
	{
		case VIPS_INTERPRETATION_B_W:
		case VIPS_INTERPRETATION_GREY16:
			return 1;
		case VIPS_INTERPRETATION_sRGB:
		case VIPS_INTERPRETATION_RGB:
		case VIPS_INTERPRETATION_RGB16:
		case VIPS_INTERPRETATION_scRGB:
		case VIPS_INTERPRETATION_LAB:
		case VIPS_INTERPRETATION_LABS:
		case VIPS_INTERPRETATION_LCH:
		case VIPS_INTERPRETATION_CMC:
		case VIPS_INTERPRETATION_XYZ:
		case VIPS_INTERPRETATION_YXY:
		case VIPS_INTERPRETATION_HSV:
			return 3;
		case VIPS_INTERPRETATION_CMYK:
			return 4;
		default:
			return 0;
	}
}

/*
 * How many bands of an image make a picture: its colors and one of alpha.
 *
 * Where the interpretation does not fit the bands (two bands of sRGB, a histogram), they are
 * gray, gray and alpha, RGB, or RGB and alpha.
 */
int
canvas_picture_bands(const VipsImage *image)
{
	int colors = colors_of(image->Type);

	if (colors == 0 || image->Bands < colors)
		return VIPS_MIN(image->Bands, 4);
	return VIPS_MIN(image->Bands, colors + 1);
}

static bool
is_picture(const VipsImage *image)
{
	if (image->BandFmt != VIPS_FORMAT_UCHAR || image->Coding != VIPS_CODING_NONE)
		return false;
	return image->Type ==
			   (image->Bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB) &&
		   image->Bands <= 4;
}

static int
refuse(Canvas *canvas)
{
	const VipsImage *image = canvas->image;

	/* libvips' own words say less. */
	vips_error_clear();
	problem_set(canvas->problem, FAILURE_UNSUPPORTED, "image is not a picture");
	problem_detail(canvas->problem, "It has %d bands of %s, interpreted as %s, coded as %s.",
				   image->Bands, vips_enum_nick(VIPS_TYPE_BAND_FORMAT, image->BandFmt),
				   vips_enum_nick(VIPS_TYPE_INTERPRETATION, image->Type),
				   vips_enum_nick(VIPS_TYPE_CODING, image->Coding));
	return -1;
}

static int
decode_pixels(Canvas *canvas)
{
	VipsImage *made = NULL;
	int failed;

	if (canvas->image->Coding == VIPS_CODING_NONE)
		return 0;
	if (canvas->image->Coding == VIPS_CODING_LABQ)
		failed = vips_LabQ2Lab(canvas->image, &made, NULL);
	else if (canvas->image->Coding == VIPS_CODING_RAD)
		failed = vips_rad2float(canvas->image, &made, NULL);
	else
		return refuse(canvas);
	return failed ? refuse(canvas) : canvas_replace(canvas, &made, 0, "unpack");
}

/* From a color space that libvips knows; from any other one the values are taken as they are. */
static int
convert_colors(Canvas *canvas)
{
	VipsInterpretation from = canvas->image->Type;
	int colors = colors_of(from);
	VipsImage *made = NULL;

	if (colors == 0 || canvas->image->Bands < colors || from == VIPS_INTERPRETATION_sRGB ||
		from == VIPS_INTERPRETATION_B_W)
		return 0;
	if (vips_colourspace(canvas->image, &made,
						 colors == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
						 "source_space", from, NULL) != 0)
		return refuse(canvas);
	return canvas_replace(canvas, &made, 0, "convert");
}

/* Say what the bands are. */
static int
name_colors(Canvas *canvas)
{
	VipsInterpretation type =
		canvas->image->Bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
	VipsImage *made = NULL;

	if (canvas->image->Type == type)
		return 0;
	return canvas_replace(
		canvas, &made, vips_copy(canvas->image, &made, "interpretation", type, NULL), "copy");
}

/*
 * Bring an image to 8 bits and sRGB or gray, with alpha or without; one that is so already
 * stays what it is.
 *
 * Errors	IX002 no picture: complex numbers, more bands than colors and alpha
 */
int
canvas_to_picture(Canvas *canvas)
{
	if (is_picture(canvas->image))
		return 0;
	if (vips_band_format_iscomplex(canvas->image->BandFmt) || decode_pixels(canvas) != 0 ||
		canvas->image->Bands > canvas_picture_bands(canvas->image))
		return refuse(canvas);
	if (convert_colors(canvas) != 0 || canvas_settle(canvas, 0) != 0 ||
		name_colors(canvas) != 0)
		return -1;
	return is_picture(canvas->image) ? 0 : refuse(canvas);
}

/* Returns the name of a field that must not be there; NULL: go on. */
static void *
find_stray(VipsImage *image, const char *field, GValue *value, void *unused)
{
	static const char *const kept[] = {
		"width",   "height",		  "bands", "format", "coding",	 "interpretation",
		"xoffset", "yoffset",		  "xres",  "yres",	 "filename", "delay",
		"loop",	   "vips-sequential", NULL};

	(void) image;
	(void) value;
	(void) unused;
	return g_strv_contains(kept, field) ? NULL : (void *) field;
}

/* Nothing of a file's own description travels on: it would be wrong after the first step. */
static int
drop_metadata(Canvas *canvas)
{
	VipsImage *made = NULL;
	const char *stray = vips_image_map(canvas->image, find_stray, NULL);

	if (stray == NULL)
		return 0;
	/* Others may have the image too. */
	if (canvas_replace(canvas, &made, vips_copy(canvas->image, &made, NULL), "copy") != 0)
		return -1;
	while ((stray = vips_image_map(canvas->image, find_stray, NULL)) != NULL)
		if (!vips_image_remove(canvas->image, stray))
			return problem_set(canvas->problem, FAILURE_INTERNAL,
							   "could not remove the field %.100s of an image", stray);
	return 0;
}

/*
 * Make an image a canvas: change nothing where it is one already, bring it to 8 bits and
 * sRGB or gray where that means something, and refuse it otherwise.
 *
 * Errors	IX002 no picture; IX003 too large
 */
int
canvas_admit(Canvas *canvas)
{
	if (canvas_to_picture(canvas) != 0 || drop_metadata(canvas) != 0)
		return -1;
	if (canvas->pages < 1 || canvas->image->Ysize % canvas->pages != 0)
		return problem_set(canvas->problem, FAILURE_UNSUPPORTED,
						   "image of %d rows cannot have %d pages", canvas->image->Ysize,
						   canvas->pages);
	return canvas_check_size(canvas, canvas->image->Xsize, canvas->image->Ysize);
}

/* Is the image one that pixels may be read of by their address?  Asked before anybody does. */
bool
canvas_is_picture(const Canvas *canvas)
{
	return is_picture(canvas->image) && canvas->image->Ysize % canvas->pages == 0;
}
