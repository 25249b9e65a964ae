/*
 * colors.c
 *		Which colours an image has: dominant_color, palette, histogram.
 *
 * Source	dominant_color is sharp's: the fullest of 16 x 16 x 16 boxes.  palette is
 *			Heckbert's median cut ("Color Image Quantization for Frame Buffer Display",
 *			SIGGRAPH 1982), which cuts the box with the most pixels times its length.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "codec/report.h"
#include "codec/steps.h"

#define MAX_COLORS 256
#define HALF_OPAQUE 128

/* Pixels that can be seen, four bytes each; the caller frees it.  Of none it is one black. */
static VipsPel *
visible_pixels(VipsImage *image, int *count)
{
	int total = image->Xsize * image->Ysize;
	const VipsPel *pixels = VIPS_IMAGE_ADDR(image, 0, 0);
	VipsPel *visible = g_malloc0(4 * (gsize) VIPS_MAX(total, 1));

	*count = 0;
	for (int i = 0; i < total; i++)
		if (pixels[4 * i + 3] >= HALF_OPAQUE)
			memcpy(visible + 4 * (gsize) (*count)++, pixels + 4 * (gsize) i, 4);
	*count = VIPS_MAX(*count, 1);
	return visible;
}

int
step_dominant_color(Canvas *canvas, Arguments *arguments)
{
	int boxes[16 * 16 * 16] = {0};
	VipsImage *image;
	VipsPel *pixels;
	GString *text = NULL;
	int fullest = 0;
	int count;

	(void) arguments;
	if (report_pixels(canvas, report_size("dominant_color"), 4, &image) != 0)
		return -1;
	pixels = visible_pixels(image, &count);
	for (int i = 0; i < count; i++)
		boxes[pixels[4 * i] >> 4 << 8 | pixels[4 * i + 1] >> 4 << 4 | pixels[4 * i + 2] >> 4]++;
	g_free(pixels);
	for (int i = 1; i < 16 * 16 * 16; i++)
		if (boxes[i] > boxes[fullest])
			fullest = i;
	text = g_string_new(NULL);
	g_string_printf(text, "#%02x%02x%02x", (fullest >> 8) * 16 + 8,
					(fullest >> 4 & 15) * 16 + 8, (fullest & 15) * 16 + 8);
	report_text(canvas, text);
	return 0;
}

typedef struct Box
{
	VipsPel *pixels; /* count of them, four bytes each */
	int count;
	int band; /* where it is longest */
	int length;
} Box;

static void
measure(Box *box)
{
	VipsPel low[3] = {255, 255, 255};
	VipsPel high[3] = {0, 0, 0};

	for (int i = 0; i < box->count; i++)
		for (int c = 0; c < 3; c++)
		{
			low[c] = VIPS_MIN(low[c], box->pixels[4 * i + c]);
			high[c] = VIPS_MAX(high[c], box->pixels[4 * i + c]);
		}
	box->length = 0;
	for (int c = 0; c < 3; c++)
		if (high[c] - low[c] > box->length)
		{
			box->length = high[c] - low[c];
			box->band = c;
		}
}

/* Two boxes with half of the pixels each, as near as one value may not be parted. */
static void
cut(Box *box, Box *rest)
{
	int counts[256] = {0};
	int below = 0;
	int border;
	int left = 0;

	for (int i = 0; i < box->count; i++)
		counts[box->pixels[4 * i + box->band]]++;
	for (border = 0; below + counts[border] <= box->count / 2; border++)
		below += counts[border];
	if (below == 0)
		border++;
	for (int i = 0; i < box->count; i++)
		if (box->pixels[4 * i + box->band] < border)
		{
			VipsPel pixel[4];

			memcpy(pixel, box->pixels + 4 * i, 4);
			memcpy(box->pixels + 4 * i, box->pixels + 4 * left, 4);
			memcpy(box->pixels + 4 * left, pixel, 4);
			left++;
		}
	*rest = (Box){.pixels = box->pixels + 4 * left, .count = box->count - left};
	box->count = left;
	measure(box);
	measure(rest);
}

static int
largest_first(const void *a, const void *b)
{
	return ((const Box *) b)->count - ((const Box *) a)->count;
}

static int
median_cut(VipsPel *pixels, int count, int wanted, Box *boxes)
{
	int made = 1;

	boxes[0] = (Box){.pixels = pixels, .count = count};
	measure(&boxes[0]);
	while (made < wanted)
	{
		Box *chosen = &boxes[0];

		for (int i = 1; i < made; i++)
			if ((double) boxes[i].count * boxes[i].length >
				(double) chosen->count * chosen->length)
				chosen = &boxes[i];
		if (chosen->length == 0)
			break;
		cut(chosen, &boxes[made++]);
	}
	qsort(boxes, (size_t) made, sizeof boxes[0], largest_first);
	return made;
}

static void
append_mean(GString *text, const Box *box)
{
	double sums[3] = {0};

	for (int i = 0; i < box->count; i++)
		for (int c = 0; c < 3; c++)
			sums[c] += box->pixels[4 * i + c];
	g_string_append_printf(
		text, "%s#%02x%02x%02x", text->len > 1 ? "," : "", (int) (sums[0] / box->count + 0.5),
		(int) (sums[1] / box->count + 0.5), (int) (sums[2] / box->count + 0.5));
}

/* colors: at most so many, the most frequent first */
int
step_palette(Canvas *canvas, Arguments *arguments)
{
	Box boxes[MAX_COLORS];
	VipsImage *image;
	VipsPel *pixels;
	GString *text;
	int wanted;
	int count;
	int made;

	if (argument_int(arguments, "colors", 1, MAX_COLORS, 5, &wanted) != 0 ||
		report_pixels(canvas, report_size("palette"), 4, &image) != 0)
		return -1;
	pixels = visible_pixels(image, &count);
	made = median_cut(pixels, count, wanted, boxes);
	text = g_string_new("{");
	for (int i = 0; i < made; i++)
		append_mean(text, &boxes[i]);
	g_string_append_c(text, '}');
	g_free(pixels);
	report_text(canvas, text);
	return 0;
}

static void
append_counts(GString *text, const char *name, const guint64 *counts, int bins)
{
	g_string_append_printf(text, ",\"%s\":[", name);
	for (int i = 0; i < bins; i++)
	{
		guint64 sum = 0;

		for (int value = i * 256 / bins; value < (i + 1) * 256 / bins; value++)
			sum += counts[value];
		g_string_append_printf(text, "%s%" G_GUINT64_FORMAT, i > 0 ? "," : "", sum);
	}
	g_string_append_c(text, ']');
}

/* bins: a power of two */
int
step_histogram(Canvas *canvas, Arguments *arguments)
{
	static const char *const names[] = {"red", "green", "blue", "alpha", "luminance"};
	guint64 counts[5][256] = {{0}};
	VipsImage *image;
	const VipsPel *pixels;
	GString *text;
	int bins;

	if (argument_int(arguments, "bins", 1, 256, 256, &bins) != 0)
		return -1;
	if ((bins & (bins - 1)) != 0)
		return problem_set(canvas->problem, FAILURE_ARGUMENT,
						   "bins must be a power of two, not %d", bins);
	if (report_pixels(canvas, 0, 4, &image) != 0)
		return -1;
	pixels = VIPS_IMAGE_ADDR(image, 0, 0);
	for (gsize i = 0; i < (gsize) image->Xsize * (gsize) image->Ysize; i++, pixels += 4)
	{
		for (int c = 0; c < 4; c++)
			counts[c][pixels[c]]++;
		counts[4][(299 * pixels[0] + 587 * pixels[1] + 114 * pixels[2] + 500) / 1000]++;
	}
	text = g_string_new(NULL);
	g_string_printf(text, "{\"pixels\":%" G_GUINT64_FORMAT,
					(guint64) image->Xsize * (guint64) image->Ysize);
	for (int c = 0; c < 5; c++)
		append_counts(text, names[c], counts[c], bins);
	g_string_append_c(text, '}');
	report_text(canvas, text);
	return 0;
}
