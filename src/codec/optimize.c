/*
 * optimize.c
 *		A file as small as asked, or as small as it may be and still look the same.
 *
 * The quality is found by halving: size and likeness both grow with it, near enough.
 */
#include <string.h>

#include "codec/optimize.h"
#include "codec/request.h"
#include "codec/ssim.h"

typedef struct Search
{
	Canvas *canvas;
	const Format *format;
	int64_t smallest_bytes; /* of the files seen */
} Search;

static int
out_of_time(Canvas *canvas)
{
	problem_set(canvas->problem, FAILURE_TIMEOUT, "image was not optimized in time");
	problem_hint(canvas->problem, "imgexport.codec_timeout sets the limit.");
	return -1;
}

static int
try_quality(Search *search, int quality, VipsBlob **blob)
{
	int64_t bytes;

	if (request_is_late(search->canvas->request))
		return out_of_time(search->canvas);
	if (encode_save(search->canvas, search->format, quality, blob) != 0)
		return -1;
	bytes = (int64_t) VIPS_AREA(*blob)->length;
	if (search->smallest_bytes == 0 || bytes < search->smallest_bytes)
		search->smallest_bytes = bytes;
	return 0;
}

static int
likeness(Search *search, VipsBlob *blob, double *similarity)
{
	size_t size;
	const void *data = vips_blob_get(blob, &size);
	VipsImage *decoded = NULL;
	int failed = search->format->load((void *) data, size, &decoded, NULL) != 0 ||
				 ssim(search->canvas->image, decoded, similarity) != 0;

	VIPS_UNREF(decoded);
	if (failed)
		return problem_of_vips(search->canvas->problem, FAILURE_INTERNAL,
							   "could not compare the image with what was written");
	return 0;
}

/* Is this file what was asked for, as far as bytes (or likeness) go? */
static int
is_good(Search *search, VipsBlob *blob, bool by_bytes, bool *good)
{
	double similarity;

	if (by_bytes)
	{
		*good = (int64_t) VIPS_AREA(blob)->length <= search->canvas->encode.max_bytes;
		return 0;
	}
	if (likeness(search, blob, &similarity) != 0)
		return -1;
	*good = similarity >= search->canvas->encode.min_ssim;
	return 0;
}

/*
 * Halve the range of qualities.
 *
 * by_bytes		look for the highest quality that is small enough; else for the lowest
 *				that is alike enough
 * quality		what was found; 0: none is good
 */
static int
halve(Search *search, int low, int high, bool by_bytes, int *quality)
{
	*quality = 0;
	while (low <= high)
	{
		int middle = (low + high) / 2;
		VipsBlob *blob = NULL;
		bool good;
		int failed = try_quality(search, middle, &blob) != 0 ||
					 is_good(search, blob, by_bytes, &good) != 0;

		if (blob != NULL)
			vips_area_unref(VIPS_AREA(blob));
		if (failed)
			return -1;
		if (good)
			*quality = middle;
		if (good == by_bytes)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return 0;
}

static int
too_small(Search *search)
{
	problem_set(search->canvas->problem, FAILURE_LIMIT,
				"%s image cannot be written in %lld bytes", search->format->name,
				(long long) search->canvas->encode.max_bytes);
	problem_detail(search->canvas->problem, "The smallest file has %lld bytes.",
				   (long long) search->smallest_bytes);
	problem_hint(search->canvas->problem, "Make it smaller with img_resize.");
	return -1;
}

/* PNG has no quality of its own: without loss where that is small enough. */
static int
try_lossless(Search *search, VipsBlob **blob, bool *done)
{
	int64_t limit = search->canvas->encode.max_bytes;

	*done = false;
	if (strcmp(search->format->name, "png") != 0)
		return 0;
	if (try_quality(search, 0, blob) != 0)
		return -1;
	*done = limit == 0 || (int64_t) VIPS_AREA(*blob)->length <= limit;
	if (!*done)
	{
		vips_area_unref(VIPS_AREA(*blob));
		*blob = NULL;
	}
	return 0;
}

static int
search_quality(Search *search, int *quality)
{
	const EncodeOptions *wanted = &search->canvas->encode;
	int highest = strcmp(search->format->name, "png") == 0 ? 99 : 100;

	*quality = highest;
	if (wanted->min_ssim > 0 && halve(search, 1, highest, false, quality) != 0)
		return -1;
	/* Nothing is alike enough: then the best there is. */
	if (*quality == 0)
		*quality = highest;
	if (wanted->max_bytes > 0 && halve(search, 1, *quality, true, quality) != 0)
		return -1;
	return *quality == 0 ? too_small(search) : 0;
}

/*
 * Write a canvas at the lowest quality that is like it by encode.min_ssim, and in no more
 * than encode.max_bytes.
 *
 * blob		the file, the caller's to unref
 * Errors	IX003 no quality is small enough, 0A000 the format has no quality
 */
int
optimize(Canvas *canvas, const Format *format, VipsBlob **blob)
{
	Search search = {.canvas = canvas, .format = format};
	int quality;
	bool done;

	if (strcmp(format->name, "gif") == 0 || strcmp(format->name, "tiff") == 0)
	{
		problem_set(canvas->problem, FAILURE_FEATURE, "%s has no quality to look for",
					format->name);
		problem_hint(canvas->problem, "Convert it with img_convert first.");
		return -1;
	}
	if (canvas->pages > 1 && canvas->encode.min_ssim > 0)
		return problem_set(canvas->problem, FAILURE_FEATURE,
						   "an animation is optimized by max_bytes alone");
	if (canvas_to_memory(canvas) != 0 || try_lossless(&search, blob, &done) != 0)
		return -1;
	if (done)
		return 0;
	if (search_quality(&search, &quality) != 0)
		return -1;
	return encode_save(canvas, format, quality, blob);
}
