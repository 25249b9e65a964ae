/*
 * decode.c
 *		From the bytes of a file to a canvas: upright, 8 bits, sRGB or grey, no metadata.
 */
#include <string.h>

#include <vips/vips.h>

/* needs vips.h before it */
#include <vips/vector.h>

#include "codec/decode.h"
#include "codec/pages.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* Below this many pixels, threads and compiled loops cost more than they save. */
#define LARGE_PIXELS 300000

/* The format of a source, if it may be read. */
const Format *
decode_format(const SourceBytes *source, Problem *problem)
{
	const Format *format = format_of_bytes(source->bytes, source->length);

	if (format == NULL)
	{
		problem_set(problem, FAILURE_MALFORMED,
					source->length == 0 ? "image is empty" : "data is not an image");
		return NULL;
	}
	if (format->load == NULL || !format_is_allowed(format))
	{
		problem_set(problem, FAILURE_UNSUPPORTED, "image format \"%s\" is not read",
					format->name);
		problem_hint(problem, format->load == NULL
								  ? "Formats that are read: see imgexport.check()."
								  : "imgexport.allowed_loaders lists the formats that are.");
		return NULL;
	}
	return format;
}

/* Open an image; no pixel is decoded yet. */
int
decode_header(const Format *format, const SourceBytes *source, Problem *problem,
			  VipsImage **image)
{
	char message[64];

	if (format->load((void *) source->bytes, source->length, image, "fail_on", format->fail_on,
					 "access", VIPS_ACCESS_SEQUENTIAL, NULL) == 0)
		return 0;
	g_snprintf(message, sizeof message, "%s image is damaged", format->name);
	return problem_of_vips(problem, FAILURE_MALFORMED, message);
}

/* Refuse what is too large, by its header alone. */
int
decode_check_limits(VipsImage *image, const RenderLimits *limits, Problem *problem)
{
	double pages = vips_image_get_n_pages(image);
	double pixels = (double) image->Xsize * image->Ysize * pages;

	if (pages > limits->max_pages)
	{
		problem_set(problem, FAILURE_LIMIT, "image has %.0f pages, more than %u", pages,
					limits->max_pages);
		problem_hint(problem, "imgexport.max_pages sets the limit.");
		return -1;
	}
	if (pixels > (double) limits->max_pixels)
	{
		char shown_pages[32] = "";

		if (pages > 1)
			g_snprintf(shown_pages, sizeof shown_pages, "%.0f pages of ", pages);
		problem_set(problem, FAILURE_LIMIT, "image has %s%d x %d = %.0f pixels, more than %.0f",
					shown_pages, image->Xsize, image->Ysize, pixels,
					(double) limits->max_pixels);
		problem_hint(problem, "imgexport.max_pixels sets the limit.");
		return -1;
	}
	return 0;
}

/* How much smaller may an image be decoded that all these pipelines start from? */
static int
possible_shrink(const Canvas *canvas, Pipeline *const *pipelines, int count)
{
	int shrink = INT_MAX;

	for (int i = 0; i < count; i++)
	{
		int possible = pipelines[i]->step_count == 0
						   ? 1
						   : resize_possible_shrink(&pipelines[i]->steps[0], canvas->full_width,
													canvas->full_height);

		shrink = VIPS_MIN(shrink, possible);
	}
	return shrink;
}

/* Open the image again, smaller, where its format can and the first steps want it so. */
static int
shrink_on_load(Canvas *canvas, const SourceBytes *source, Pipeline *const *pipelines, int count)
{
	VipsImage *made;
	int wanted;
	int shrink = 1;

	if (strcmp(canvas->source->name, "jpeg") != 0)
		return 0;
	wanted = possible_shrink(canvas, pipelines, count);
	while (shrink < 8 && shrink * 2 <= wanted)
		shrink *= 2;
	if (shrink == 1)
		return 0;
	if (vips_jpegload_buffer((void *) source->bytes, source->length, &made, "shrink", shrink,
							 "fail_on", canvas->source->fail_on, "access",
							 VIPS_ACCESS_SEQUENTIAL, NULL) != 0)
		return problem_of_vips(canvas->problem, FAILURE_MALFORMED, "jpeg image is damaged");
	g_object_unref(canvas->image);
	canvas->image = made;
	return 0;
}

/* Open the image again with all its pages, where somebody looks at them. */
static int
open_pages(Canvas *canvas, const SourceBytes *source, Pipeline *const *pipelines, int count)
{
	int pages = vips_image_get_n_pages(canvas->image);
	VipsImage *made;
	bool wanted = false;

	for (int i = 0; i < count && !wanted; i++)
		wanted = steps_want_pages(pipelines[i], canvas->source);
	if (!wanted || pages <= 1)
		return 0;
	if (canvas->source->load((void *) source->bytes, source->length, &made, "n", -1, "fail_on",
							 canvas->source->fail_on, "access", VIPS_ACCESS_SEQUENTIAL,
							 NULL) != 0)
	{
		if (canvas->source->pages == PAGES_DOCUMENT)
			return problem_of_vips(canvas->problem, FAILURE_FEATURE,
								   "pages of different sizes are not read");
		return problem_of_vips(canvas->problem, FAILURE_MALFORMED, "animation is damaged");
	}
	g_object_unref(canvas->image);
	canvas->image = made;
	canvas->pages = made->Ysize / VIPS_MAX(1, vips_image_get_page_height(made));
	return 0;
}

/* 16 bits and alpha: lcms would leave the alpha as it is, so it goes its own way. */
static int
split_alpha(Canvas *canvas, VipsImage **alpha)
{
	VipsImage *made = NULL;
	int colours = canvas->image->Bands - 1;

	*alpha = NULL;
	if (canvas->image->BandFmt == VIPS_FORMAT_UCHAR || !vips_image_hasalpha(canvas->image))
		return 0;
	if (vips_extract_band(canvas->image, &made, colours, NULL) != 0 ||
		(made->BandFmt == VIPS_FORMAT_USHORT ? vips_rshift_const1(made, alpha, 8, NULL)
											 : vips_copy(made, alpha, NULL)) != 0)
	{
		VIPS_UNREF(made);
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not read the alpha");
	}
	g_object_unref(made);
	made = *alpha;
	if (vips_cast_uchar(made, alpha, NULL) != 0)
	{
		*alpha = NULL;
		g_object_unref(made);
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not read the alpha");
	}
	g_object_unref(made);
	made = NULL;
	return canvas_replace(
		canvas, &made, vips_extract_band(canvas->image, &made, 0, "n", colours, NULL), "split");
}

static bool
is_cmyk(const VipsImage *image)
{
	return image->Type == VIPS_INTERPRETATION_CMYK;
}

/* By the embedded profile where there is one (or for CMYK, which needs one), else by rule. */
static int
colours_to_srgb(Canvas *canvas)
{
	VipsImage *made = NULL;
	VipsInterpretation type = canvas->image->Type;

	if (vips_image_get_typeof(canvas->image, VIPS_META_ICC_NAME) != 0 || is_cmyk(canvas->image))
	{
		if (vips_icc_transform(canvas->image, &made, "srgb", "embedded", TRUE, "input_profile",
							   is_cmyk(canvas->image) ? "cmyk" : "srgb", "intent",
							   VIPS_INTENT_PERCEPTUAL, "black_point_compensation", TRUE,
							   "depth", 8, NULL) == 0)
			return canvas_replace(canvas, &made, 0, "colour");
		/* A profile that lcms does not take is no reason to show nothing. */
		vips_error_clear();
		made = NULL;
	}
	if (type == VIPS_INTERPRETATION_sRGB || type == VIPS_INTERPRETATION_B_W)
		return 0;
	if (canvas->image->Bands < 3)
		return canvas_replace(
			canvas, &made,
			vips_colourspace(canvas->image, &made, VIPS_INTERPRETATION_B_W, NULL), "colour");
	return canvas_to_rgb(canvas);
}

/* A TIFF may bring more bands than a picture has. */
static int
drop_extra_bands(Canvas *canvas)
{
	VipsImage *made = NULL;

	if (canvas->image->Bands <= 4)
		return 0;
	return canvas_replace(canvas, &made,
						  vips_extract_band(canvas->image, &made, 0, "n", 4, NULL), "reduce");
}

/* Nothing of the file's own description travels on: it would be wrong after the first step. */
static int
drop_metadata(Canvas *canvas)
{
	static const char *const kept[] = {
		"width",   "height", "bands", "format",	  "coding", "interpretation", "xoffset",
		"yoffset", "xres",	 "yres",  "filename", "delay",	"loop",			  NULL};
	VipsImage *made = NULL;
	char **fields;

	if (canvas_replace(canvas, &made, vips_copy(canvas->image, &made, NULL), "copy") != 0)
		return -1;
	fields = vips_image_get_fields(canvas->image);
	for (char **field = fields; *field != NULL; field++)
		if (!g_strv_contains(kept, *field) && strcmp(*field, "vips-sequential") != 0)
			vips_image_remove(canvas->image, *field);
	g_strfreev(fields);
	return 0;
}

/* As the camera was held. */
static int
turn_upright(Canvas *canvas, int orientation)
{
	VipsImage *made = NULL;

	if (orientation == 1 || canvas->pages > 1)
		return 0;
	/* Mirrored left to right needs no row twice; all else does. */
	if (orientation != 2 && canvas_to_memory(canvas) != 0)
		return -1;
	return canvas_replace(canvas, &made, vips_autorot(canvas->image, &made, NULL), "turn");
}

static void
choose_effort(const VipsImage *image, Request *request)
{
	int pixels = image->Xsize * image->Ysize;

	if (pixels > request->largest_pixels)
		request->largest_pixels = pixels;
	vips_concurrency_set(request->largest_pixels >= LARGE_PIXELS ? 0 : 1);
	vips_vector_set_enabled(request->largest_pixels >= LARGE_PIXELS);
}

/*
 * Decode a source.
 *
 * canvas	with request and problem set, else empty
 * pipelines	count of them, whose first steps may allow to decode less
 * Returns	0, or -1 with the problem noted; the canvas is to be cleared either way
 */
int
decode(Canvas *canvas, const SourceBytes *source, Pipeline *const *pipelines, int count)
{
	VipsImage *alpha;
	int orientation;

	canvas->source = decode_format(source, canvas->problem);
	if (canvas->source == NULL ||
		decode_header(canvas->source, source, canvas->problem, &canvas->image) != 0 ||
		decode_check_limits(canvas->image, &canvas->request->message->limits,
							canvas->problem) != 0)
		return -1;
	orientation = vips_image_get_orientation(canvas->image);
	canvas->full_width = orientation >= 5 ? canvas->image->Ysize : canvas->image->Xsize;
	canvas->full_height = orientation >= 5 ? canvas->image->Xsize : canvas->image->Ysize;
	canvas->sequential = true;
	canvas->pages = 1;
	if (open_pages(canvas, source, pipelines, count) != 0 ||
		shrink_on_load(canvas, source, pipelines, count) != 0)
		return -1;
	canvas->origin = canvas->image;
	g_object_ref(canvas->origin);
	choose_effort(canvas->image, canvas->request);
	if (drop_extra_bands(canvas) != 0 || split_alpha(canvas, &alpha) != 0)
		return -1;
	if (colours_to_srgb(canvas) != 0)
	{
		VIPS_UNREF(alpha);
		return -1;
	}
	if (canvas_attach_alpha(canvas, alpha) != 0 || canvas_settle(canvas, 0) != 0 ||
		turn_upright(canvas, orientation) != 0)
		return -1;
	if (drop_metadata(canvas) != 0)
		return -1;
	return canvas->pages > 1 ? canvas_to_memory(canvas) : 0;
}
