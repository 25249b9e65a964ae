/*
 * decode.c
 *		From the bytes of a file to a canvas, upright.
 */
#include <string.h>

#include <vips/vips.h>

#include "codec/decode.h"
#include "codec/pages.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* Below this many pixels, threads cost more than they save. */
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

/* By how much an image of this size, upright, is decoded smaller for a pipeline: 1, 2, 4 or 8. */
static int
shrink_for(const Pipeline *pipeline, int width, int height)
{
	int possible = pipeline->step_count == 0
					   ? 1
					   : resize_possible_shrink(&pipeline->steps[0], width, height);
	int shrink = 1;

	while (shrink < 8 && shrink * 2 <= possible)
		shrink *= 2;
	return shrink;
}

static bool
can_shrink(const Format *format)
{
	return strcmp(format->name, "jpeg") == 0;
}

/* The size of the whole image, upright. */
static void
upright_size(const VipsImage *image, int *width, int *height)
{
	bool sideways = vips_image_get_orientation((VipsImage *) image) >= 5;

	*width = sideways ? image->Ysize : image->Xsize;
	*height = sideways ? image->Xsize : image->Ysize;
}

/*
 * By how much a source is decoded smaller for a pipeline.  Pixels depend on it, so it is
 * that pipeline's alone, and pipelines share a decoded image only where it is the same.
 *
 * Returns	1, also where the source cannot be read: decoding it will say why
 */
int
decode_shrink(const SourceBytes *source, const Pipeline *pipeline)
{
	Problem ignored = {0};
	const Format *format;
	VipsImage *header;
	int width;
	int height;

	/* No header is read for a pipeline that wants every pixel of any image. */
	if (shrink_for(pipeline, INT_MAX / 2, INT_MAX / 2) == 1)
		return 1;
	format = decode_format(source, &ignored);
	if (format == NULL || !can_shrink(format))
		return 1;
	if (decode_header(format, source, &ignored, &header) != 0)
		return 1;
	upright_size(header, &width, &height);
	g_object_unref(header);
	return shrink_for(pipeline, width, height);
}

/* Open the image again, smaller, where its format can and the first step wants it so. */
static int
shrink_on_load(Canvas *canvas, const SourceBytes *source, const Pipeline *pipeline)
{
	VipsImage *made;
	int shrink;

	if (!can_shrink(canvas->source))
		return 0;
	shrink = shrink_for(pipeline, canvas->full_width, canvas->full_height);
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
	return canvas_to_picture(canvas);
}

/* A TIFF may bring more bands than a picture has. */
static int
drop_extra_bands(Canvas *canvas)
{
	VipsImage *made = NULL;
	int bands = canvas_picture_bands(canvas->image);

	if (canvas->image->Bands <= bands || canvas->image->Coding != VIPS_CODING_NONE)
		return 0;
	return canvas_replace(
		canvas, &made, vips_extract_band(canvas->image, &made, 0, "n", bands, NULL), "reduce");
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

/* How many threads compute an image changes no pixel of it. */
static void
choose_effort(const VipsImage *image, Request *request)
{
	gint64 pixels = (gint64) image->Xsize * image->Ysize;

	g_mutex_lock(&request->lock);
	request->largest_pixels = VIPS_MAX(request->largest_pixels, pixels);
	vips_concurrency_set(request->largest_pixels >= LARGE_PIXELS ? 0 : 1);
	g_mutex_unlock(&request->lock);
}

/*
 * Decode a source.
 *
 * canvas	with request and problem set, else empty
 * pipelines	count of them, of one decode_shrink()
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
	upright_size(canvas->image, &canvas->full_width, &canvas->full_height);
	canvas->sequential = true;
	canvas->pages = 1;
	if (open_pages(canvas, source, pipelines, count) != 0 ||
		shrink_on_load(canvas, source, pipelines[0]) != 0)
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
	if (canvas_attach_alpha(canvas, alpha) != 0 || turn_upright(canvas, orientation) != 0 ||
		canvas_admit(canvas) != 0)
		return -1;
	return canvas->pages > 1 ? canvas_to_memory(canvas) : 0;
}
