/*
 * trim.c
 *		Without what is around it: trim as sharp's, autocrop by thresholds with a padding.
 *
 * Pages of an animation are all cut to what any of them needs.
 */
#include <math.h>

#include "codec/pages.h"
#include "codec/steps.h"

#define MEDIAN_SIDE 3

static int
cut_page(Canvas *page, Arguments *arguments)
{
	const VipsRect *box = &page->memory->box;

	(void) arguments;
	return canvas_extract(page, box->left, box->top, box->width, box->height);
}

/* Cut every page to a box. */
static int
cut_pages(Canvas *canvas, Arguments *arguments, const VipsRect *box)
{
	canvas->memory->box = *box;
	return pages_each(canvas, arguments, cut_page);
}

static void
grow(VipsRect *box, const VipsRect *other)
{
	if (other->width <= 0 || other->height <= 0)
		return;
	if (box->width <= 0 || box->height <= 0)
		*box = *other;
	else
		vips_rect_unionrect(box, other, box);
}

static int
find_box(VipsImage *image, double threshold, const double *ground, int bands, VipsRect *box)
{
	VipsArrayDouble *array = vips_array_double_new(ground, bands);
	int failed = vips_find_trim(image, &box->left, &box->top, &box->width, &box->height,
								"threshold", threshold, "background", array, NULL);

	vips_area_unref(VIPS_AREA(array));
	return failed;
}

/* Colours and alpha are looked at by themselves; what either shows is kept. */
static int
page_box(Canvas *canvas, VipsImage *page, double threshold, const double *ground, VipsRect *box)
{
	Canvas colours = {.request = canvas->request, .problem = canvas->problem, .image = page};
	VipsImage *alpha = NULL;
	VipsRect found = {0};
	int failed;

	g_object_ref(page);
	*box = (VipsRect){0};
	failed = canvas_detach_alpha(&colours, &alpha) != 0 ||
			 find_box(colours.image, threshold, ground, colours.image->Bands, box) != 0 ||
			 (alpha != NULL && find_box(alpha, threshold, ground + 3, 1, &found) != 0);
	grow(box, &found);
	VIPS_UNREF(alpha);
	canvas_clear(&colours);
	if (failed)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not trim the image");
	return 0;
}

/* The pixel in the upper left corner, as three colours and alpha. */
static int
corner(Canvas *canvas, double ground[4])
{
	double *pixel;
	int bands = canvas->image->Bands;
	int count;

	if (vips_getpoint(canvas->image, &pixel, &count, 0, 0, NULL) != 0)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not read a pixel");
	for (int i = 0; i < 3; i++)
		ground[i] = pixel[bands < 3 ? 0 : i];
	ground[3] = bands == 2 || bands == 4 ? pixel[bands - 1] : 255;
	g_free(pixel);
	return 0;
}

/* threshold: how far from the background still is it; background: the corner's, unless named */
int
step_trim(Canvas *canvas, Arguments *arguments)
{
	VipsRect box = {0};
	double threshold;
	double ground[4];

	if (argument_float(arguments, "threshold", 0, 255, 10, &threshold) != 0 ||
		argument_color(arguments, "background", "white", ground) != 0 ||
		canvas_to_memory(canvas) != 0)
		return -1;
	/* Noise is taken out with a window of this size first. */
	if (canvas->image->Xsize < MEDIAN_SIDE || page_height(canvas) < MEDIAN_SIDE)
		return 0;
	if (argument_find(arguments, "background") == NULL)
	{
		if (corner(canvas, ground) != 0)
			return -1;
	}
	else if (canvas_to_rgb(canvas) != 0)
		return -1;
	for (int i = 0; i < canvas->pages; i++)
	{
		VipsImage *page = page_extract(canvas, i);
		VipsRect found;
		int failed = page == NULL || page_box(canvas, page, threshold, ground, &found) != 0;

		VIPS_UNREF(page);
		if (failed)
			return -1;
		grow(&box, &found);
	}
	/* Nothing but background: as it is. */
	return box.width > 0 && box.height > 0 ? cut_pages(canvas, arguments, &box) : 0;
}

typedef struct Thresholds
{
	int alpha;
	int white;
} Thresholds;

static bool
is_content(const VipsPel *pixel, int bands, bool by_alpha, const Thresholds *thresholds)
{
	if (by_alpha)
		return pixel[bands - 1] > thresholds->alpha;
	if (bands < 3)
		return pixel[0] < thresholds->white;
	return pixel[0] + pixel[1] + pixel[2] < 3 * thresholds->white;
}

/* The box, edges included, of what is content on any page; each row is looked at from outside. */
static VipsRect
content_box(const VipsImage *image, int pages, bool by_alpha, const Thresholds *thresholds)
{
	int height = image->Ysize / pages;
	int left = image->Xsize;
	int right = -1;
	int top = height;
	int bottom = -1;

	for (int y = 0; y < image->Ysize; y++)
	{
		const VipsPel *row = VIPS_IMAGE_ADDR(image, 0, y);
		int first = 0;
		int last = image->Xsize - 1;

		while (first <= last &&
			   !is_content(row + first * image->Bands, image->Bands, by_alpha, thresholds))
			first++;
		if (first > last)
			continue;
		while (!is_content(row + last * image->Bands, image->Bands, by_alpha, thresholds))
			last--;
		left = VIPS_MIN(left, first);
		right = VIPS_MAX(right, last);
		top = VIPS_MIN(top, y % height);
		bottom = VIPS_MAX(bottom, y % height);
	}
	return (VipsRect){left, top, right - left + 1, bottom - top + 1};
}

/* Alpha that hides nothing says nothing. */
static bool
hides_anything(const VipsImage *image, int threshold)
{
	if (image->Bands != 2 && image->Bands != 4)
		return false;
	for (int y = 0; y < image->Ysize; y++)
	{
		const VipsPel *alpha = VIPS_IMAGE_ADDR(image, 0, y) + image->Bands - 1;

		for (int x = 0; x < image->Xsize; x++)
			if (alpha[x * image->Bands] <= threshold)
				return true;
	}
	return false;
}

/* padding: in pixels; alpha_threshold: content is above it; white_threshold: below it */
int
step_autocrop(Canvas *canvas, Arguments *arguments)
{
	VipsRect whole = {.width = canvas->image->Xsize, .height = page_height(canvas)};
	Thresholds thresholds;
	VipsRect box;
	int padding;

	if (argument_int(arguments, "padding", 0, 100000, 50, &padding) != 0 ||
		argument_int(arguments, "alpha_threshold", 0, 255, 10, &thresholds.alpha) != 0 ||
		argument_int(arguments, "white_threshold", 0, 255, 250, &thresholds.white) != 0 ||
		canvas_to_pixels(canvas) != 0)
		return -1;
	box = content_box(canvas->image, canvas->pages,
					  hides_anything(canvas->image, thresholds.alpha), &thresholds);
	if (box.width <= 0 || box.height <= 0)
		return 0;
	vips_rect_marginadjust(&box, padding);
	vips_rect_intersectrect(&box, &whole, &box);
	return cut_pages(canvas, arguments, &box);
}
