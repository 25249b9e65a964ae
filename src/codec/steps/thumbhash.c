/*
 * thumbhash.c
 *		A placeholder of some twenty-five bytes, with transparency and the ratio of the sides.
 *
 * Source	the ThumbHash format, as its repository (evanw/thumbhash) describes it: a
 *			cosine transform of luminance and two colour differences (and alpha), whose
 *			low frequencies are kept in four bits each.
 */
#include <math.h>

#include "codec/report.h"
#include "codec/steps.h"

#define MAX_TERMS 64

/* One channel's transform: its mean, and its terms scaled to 0 to 1. */
typedef struct Channel
{
	double mean;
	double scale;
	int count;
	double terms[MAX_TERMS];
} Channel;

static void
transform(const double *values, int width, int height, int across, int down, Channel *channel)
{
	double *cosines = g_new(double, width);

	*channel = (Channel){0};
	for (int j = 0; j < down; j++)
		for (int i = 0; i * down < across * (down - j); i++)
		{
			double sum = 0;

			for (int x = 0; x < width; x++)
				cosines[x] = cos(G_PI / width * i * (x + 0.5));
			for (int y = 0; y < height; y++)
			{
				double row = 0;

				for (int x = 0; x < width; x++)
					row += values[y * width + x] * cosines[x];
				sum += row * cos(G_PI / height * j * (y + 0.5));
			}
			sum /= width * height;
			if (i == 0 && j == 0)
				channel->mean = sum;
			else
			{
				channel->terms[channel->count++] = sum;
				channel->scale = VIPS_MAX(channel->scale, fabs(sum));
			}
		}
	for (int i = 0; i < channel->count && channel->scale > 0; i++)
		channel->terms[i] = 0.5 + 0.5 / channel->scale * channel->terms[i];
	g_free(cosines);
}

typedef struct Planes
{
	double *light;
	double *yellow; /* against blue */
	double *red;	/* against green */
	double *alpha;
	bool has_alpha;
} Planes;

/* What is transparent takes the mean colour, so that it weighs nothing. */
static void
split(VipsImage *image, Planes *planes)
{
	int count = image->Xsize * image->Ysize;
	const VipsPel *pixels = VIPS_IMAGE_ADDR(image, 0, 0);
	double means[3] = {0};
	double opaque = 0;

	for (int i = 0; i < count; i++)
	{
		double alpha = pixels[4 * i + 3] / 255.0;

		for (int c = 0; c < 3; c++)
			means[c] += alpha / 255 * pixels[4 * i + c];
		opaque += alpha;
	}
	for (int c = 0; c < 3 && opaque > 0; c++)
		means[c] /= opaque;
	planes->has_alpha = opaque < count;
	for (int i = 0; i < count; i++)
	{
		double alpha = pixels[4 * i + 3] / 255.0;
		double r = means[0] * (1 - alpha) + alpha / 255 * pixels[4 * i];
		double g = means[1] * (1 - alpha) + alpha / 255 * pixels[4 * i + 1];
		double b = means[2] * (1 - alpha) + alpha / 255 * pixels[4 * i + 2];

		planes->light[i] = (r + g + b) / 3;
		planes->yellow[i] = (r + g) / 2 - b;
		planes->red[i] = r - g;
		planes->alpha[i] = alpha;
	}
}

static int
rounded(double value)
{
	return (int) floor(value + 0.5);
}

/* Four bits each, the lower half of a byte first. */
static void
append_terms(GByteArray *hash, const Channel *channel, int *half)
{
	for (int i = 0; i < channel->count; i++, (*half)++)
	{
		guint8 bits = (guint8) rounded(15 * channel->terms[i]);

		if (*half % 2 == 0)
			g_byte_array_append(hash, &bits, 1);
		else
			hash->data[hash->len - 1] |= (guint8) (bits << 4);
	}
}

static void
append_number(GByteArray *hash, unsigned number, int bytes)
{
	for (int i = 0; i < bytes; i++)
	{
		guint8 byte = (guint8) (number >> (8 * i));

		g_byte_array_append(hash, &byte, 1);
	}
}

static GByteArray *
make_hash(int width, int height, const Planes *planes)
{
	GByteArray *hash = g_byte_array_new();
	int limit = planes->has_alpha ? 5 : 7; /* fewer terms of light make room for alpha */
	int longer = VIPS_MAX(width, height);
	int across = VIPS_MAX(1, rounded((double) limit * width / longer));
	int down = VIPS_MAX(1, rounded((double) limit * height / longer));
	bool landscape = width > height;
	int half = 0;
	Channel light;
	Channel yellow;
	Channel red;
	Channel alpha;

	transform(planes->light, width, height, VIPS_MAX(3, across), VIPS_MAX(3, down), &light);
	transform(planes->yellow, width, height, 3, 3, &yellow);
	transform(planes->red, width, height, 3, 3, &red);
	append_number(hash,
				  (unsigned) (rounded(63 * light.mean) |
							  rounded(31.5 + 31.5 * yellow.mean) << 6 |
							  rounded(31.5 + 31.5 * red.mean) << 12 |
							  rounded(31 * light.scale) << 18 | planes->has_alpha << 23),
				  3);
	append_number(hash,
				  (unsigned) ((landscape ? down : across) | rounded(63 * yellow.scale) << 3 |
							  rounded(63 * red.scale) << 9 | landscape << 15),
				  2);
	if (planes->has_alpha)
	{
		transform(planes->alpha, width, height, 5, 5, &alpha);
		append_number(
			hash, (unsigned) (rounded(15 * alpha.mean) | rounded(15 * alpha.scale) << 4), 1);
	}
	append_terms(hash, &light, &half);
	append_terms(hash, &yellow, &half);
	append_terms(hash, &red, &half);
	if (planes->has_alpha)
		append_terms(hash, &alpha, &half);
	return hash;
}

int
step_thumbhash(Canvas *canvas, Arguments *arguments)
{
	VipsImage *pixels;
	GByteArray *hash;
	GString *text = NULL;
	Planes planes;
	double *room;
	int count;

	(void) arguments;
	if (report_pixels(canvas, report_size("thumbhash"), 4, &pixels) != 0)
		return -1;
	count = pixels->Xsize * pixels->Ysize;
	room = g_new(double, 4 * (gsize) count);
	planes = (Planes){.light = room,
					  .yellow = room + count,
					  .red = room + 2 * count,
					  .alpha = room + 3 * count};
	split(pixels, &planes);
	hash = make_hash(pixels->Xsize, pixels->Ysize, &planes);
	g_free(room);
	text = g_string_new("\\x");
	for (guint i = 0; i < hash->len; i++)
		g_string_append_printf(text, "%02x", hash->data[i]);
	g_byte_array_free(hash, TRUE);
	report_text(canvas, text);
	return 0;
}
