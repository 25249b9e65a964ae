/*
 * phash.c
 *		A fingerprint of 64 bits: images that look alike differ in few of them.
 *
 * Source	Zauner: "Implementation and Benchmarking of Perceptual Image Hash Functions",
 *			2010, section 3.2.1 (DCT based hash): 32 x 32 pixels of luminance, the 8 x 8
 *			lowest frequencies without the very lowest, each against their median.
 */
#include <math.h>
#include <stdlib.h>

#include "codec/report.h"
#include "codec/resize.h"
#include "codec/steps.h"

#define SIDE 32
#define KEPT 8

static int
compare(const void *a, const void *b)
{
	double difference = *(const double *) a - *(const double *) b;

	return (difference > 0) - (difference < 0);
}

static void
frequencies(const double light[SIDE][SIDE], double result[KEPT * KEPT])
{
	double rows[SIDE][KEPT];

	for (int y = 0; y < SIDE; y++)
		for (int u = 0; u < KEPT; u++)
		{
			rows[y][u] = 0;
			for (int x = 0; x < SIDE; x++)
				rows[y][u] += light[y][x] * cos(G_PI * (u + 1) * (2 * x + 1) / (2.0 * SIDE));
		}
	for (int v = 0; v < KEPT; v++)
		for (int u = 0; u < KEPT; u++)
		{
			result[v * KEPT + u] = 0;
			for (int y = 0; y < SIDE; y++)
				result[v * KEPT + u] +=
					rows[y][u] * cos(G_PI * (v + 1) * (2 * y + 1) / (2.0 * SIDE));
		}
}

static GString *
write_bits(const double *values)
{
	GString *text = g_string_new(NULL);
	double sorted[KEPT * KEPT];
	double median;

	memcpy(sorted, values, sizeof sorted);
	qsort(sorted, KEPT * KEPT, sizeof sorted[0], compare);
	median = (sorted[KEPT * KEPT / 2 - 1] + sorted[KEPT * KEPT / 2]) / 2;
	for (int i = 0; i < KEPT * KEPT; i++)
		g_string_append_c(text, values[i] > median ? '1' : '0');
	return text;
}

int
step_phash(Canvas *canvas, Arguments *arguments)
{
	ResizeTarget square = {.width = SIDE,
						   .height = SIDE,
						   .fit = FIT_FILL,
						   .kernel = VIPS_KERNEL_LANCZOS3,
						   .enlarge = true};
	VipsImage *pixels;
	double light[SIDE][SIDE];
	double values[KEPT * KEPT];

	(void) arguments;
	if (report_pixels(canvas, report_size("phash"), 3, &pixels) != 0 ||
		resize_to(canvas, &square) != 0 || report_pixels(canvas, 0, 3, &pixels) != 0)
		return -1;
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
		{
			const VipsPel *pixel = VIPS_IMAGE_ADDR(pixels, x, y);

			light[y][x] = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
		}
	frequencies(light, values);
	report_text(canvas, write_bits(values));
	return 0;
}
