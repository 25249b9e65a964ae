/*
 * blurhash.c
 *		A placeholder of some thirty characters.
 *
 * Source	the BlurHash algorithm, as described in its repository (woltapp/blurhash,
 *			Algorithm.md): a cosine transform of linear RGB, quantised and written in
 *			base 83.
 */
#include <math.h>

#include "codec/report.h"
#include "codec/steps.h"

#define MAX_COMPONENTS 9

typedef struct Factors
{
	int across;
	int down;
	double values[MAX_COMPONENTS * MAX_COMPONENTS][3];
} Factors;

static double
linear_of_srgb(int value)
{
	double v = value / 255.0;

	return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static int
srgb_of_linear(double value)
{
	double v = VIPS_CLIP(0, value, 1);

	return v <= 0.0031308 ? (int) (v * 12.92 * 255 + 0.5)
						  : (int) ((1.055 * pow(v, 1 / 2.4) - 0.055) * 255 + 0.5);
}

/* The sum over one row of each cosine across, colour by colour. */
static void
add_row(const VipsPel *row, int width, const double *linear, const double *cosines, int across,
		double sums[MAX_COMPONENTS][3])
{
	for (int i = 0; i < across; i++)
		for (int x = 0; x < width; x++)
			for (int c = 0; c < 3; c++)
				sums[i][c] += cosines[i * width + x] * linear[row[3 * x + c]];
}

static double *
cosine_table(int components, int size)
{
	double *table = g_new(double, (gsize) components *size);

	for (int i = 0; i < components; i++)
		for (int at = 0; at < size; at++)
			table[i * size + at] = cos(G_PI * i * at / size);
	return table;
}

static void
transform(VipsImage *image, Factors *factors)
{
	int width = image->Xsize;
	int height = image->Ysize;
	double *across = cosine_table(factors->across, width);
	double *down = cosine_table(factors->down, height);
	double linear[256];

	for (int i = 0; i < 256; i++)
		linear[i] = linear_of_srgb(i);
	for (int y = 0; y < height; y++)
	{
		double sums[MAX_COMPONENTS][3] = {{0}};

		add_row(VIPS_IMAGE_ADDR(image, 0, y), width, linear, across, factors->across, sums);
		for (int j = 0; j < factors->down; j++)
			for (int i = 0; i < factors->across; i++)
				for (int c = 0; c < 3; c++)
					factors->values[j * factors->across + i][c] +=
						sums[i][c] * down[j * height + y];
	}
	for (int i = 0; i < factors->across * factors->down; i++)
		for (int c = 0; c < 3; c++)
			factors->values[i][c] *= (i == 0 ? 1.0 : 2.0) / ((double) width * height);
	g_free(across);
	g_free(down);
}

static void
append_base83(GString *text, int value, int length)
{
	static const char digits[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
	int divisor = 1;

	for (int i = 1; i < length; i++)
		divisor *= 83;
	for (; length > 0; length--, divisor /= 83)
		g_string_append_c(text, digits[value / divisor % 83]);
}

static int
quantised(double value, double maximum)
{
	double v = value / maximum;
	double level = floor(copysign(sqrt(fabs(v)), v) * 9 + 9.5);

	return (int) VIPS_CLIP(0, level, 18);
}

static GString *
write_hash(const Factors *factors)
{
	GString *text = g_string_new(NULL);
	int count = factors->across * factors->down;
	double largest = 0;
	double maximum = 1;
	int level = 0;

	for (int i = 1; i < count; i++)
		for (int c = 0; c < 3; c++)
			largest = VIPS_MAX(largest, fabs(factors->values[i][c]));
	if (count > 1)
	{
		level = (int) VIPS_CLIP(0, floor(largest * 166 - 0.5), 82);
		maximum = (level + 1) / 166.0;
	}
	append_base83(text, factors->across - 1 + (factors->down - 1) * 9, 1);
	append_base83(text, level, 1);
	append_base83(text,
				  srgb_of_linear(factors->values[0][0]) << 16 |
					  srgb_of_linear(factors->values[0][1]) << 8 |
					  srgb_of_linear(factors->values[0][2]),
				  4);
	for (int i = 1; i < count; i++)
		append_base83(text,
					  quantised(factors->values[i][0], maximum) * 19 * 19 +
						  quantised(factors->values[i][1], maximum) * 19 +
						  quantised(factors->values[i][2], maximum),
					  2);
	return text;
}

/* x_components, y_components: of the cosine transform, 1 to 9 */
int
step_blurhash(Canvas *canvas, Arguments *arguments)
{
	Factors factors = {0};
	VipsImage *pixels;

	if (argument_int(arguments, "x_components", 1, MAX_COMPONENTS, 4, &factors.across) != 0 ||
		argument_int(arguments, "y_components", 1, MAX_COMPONENTS, 3, &factors.down) != 0 ||
		report_pixels(canvas, report_size("blurhash"), 3, &pixels) != 0)
		return -1;
	transform(pixels, &factors);
	report_text(canvas, write_hash(&factors));
	return 0;
}
