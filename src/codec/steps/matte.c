/*
 * matte.c
 *		A picture without its ground, where that is known in cells.
 *
 * Away from edges a pixel is as its cell is.  At an edge it is a mixture of what is on
 * either side, C = alpha F + (1 - alpha) B (T. Porter and T. Duff, "Compositing Digital
 * Images", 1984): with the colours of object and ground near it, alpha is where C lies
 * between them.  Then F is what is left when B is taken out, so that no rim of the old
 * ground shows on a new one.
 */
#include <string.h>

#include "codec/steps/matte.h"

/* The colours of either side are looked for so many cells around. */
#define AROUND 3

/* Colours nearer than this, squared, tell nothing. */
#define ALIKE 64.0f

/* What the noise makes of nothing and of all, on the way from one to the other. */
#define SLACK 0.12f

/* With less than this of the object in it, a pixel does not tell the object's colour. */
#define FAINT 0.3f

typedef struct Sides
{
	float object[3];
	float ground[3];
} Sides;

/* Is there another kind of cell near? */
static bool
is_edge(const Ground *ground, int column, int row, int reach)
{
	unsigned char own = ground->is_ground[row * ground->width + column];

	for (int y = VIPS_MAX(row - reach, 0); y <= VIPS_MIN(row + reach, ground->height - 1); y++)
		for (int x = VIPS_MAX(column - reach, 0);
			 x <= VIPS_MIN(column + reach, ground->width - 1); x++)
			if (ground->is_ground[y * ground->width + x] != own)
				return true;
	return false;
}

static void
add_colour(float sums[3], const float *rgb, float weight)
{
	for (int band = 0; band < 3; band++)
		sums[band] += weight * rgb[band];
}

/* The mean colours of both sides; those off the edge count most.  False: one side is missing. */
static bool
look_around(const Ground *ground, const unsigned char *edges, int column, int row, Sides *sides)
{
	int around = AROUND + ground->reach;
	float weights[2] = {0};
	float sums[2][3] = {{0}};

	for (int y = VIPS_MAX(row - around, 0); y <= VIPS_MIN(row + around, ground->height - 1);
		 y++)
		for (int x = VIPS_MAX(column - around, 0);
			 x <= VIPS_MIN(column + around, ground->width - 1); x++)
		{
			int cell = y * ground->width + x;
			float weight = edges[cell] ? 0.001f : 1;

			add_colour(sums[ground->is_ground[cell]], ground->rgb + 3 * (gsize) cell, weight);
			weights[ground->is_ground[cell]] += weight;
		}
	if (weights[0] == 0 || weights[1] == 0)
		return false;
	for (int band = 0; band < 3; band++)
	{
		sides->object[band] = sums[0][band] / weights[0];
		sides->ground[band] = sums[1][band] / weights[1];
	}
	return true;
}

/* How much of a pixel is object, 0 to 1; otherwise: where its colour does not tell. */
static float
opacity(const Sides *sides, const VipsPel *pixel, float otherwise)
{
	float along = 0;
	float length = 0;

	for (int band = 0; band < 3; band++)
	{
		float way = sides->object[band] - sides->ground[band];

		along += ((float) pixel[band] - sides->ground[band]) * way;
		length += way * way;
	}
	if (length < ALIKE)
		return otherwise;
	return VIPS_CLIP(0.0f, (along / length - SLACK) / (1 - 2 * SLACK), 1.0f);
}

/* An edge's pixel: how much of it is object, in the colour of that. */
static void
draw_mixed(const Sides *sides, const VipsPel *pixel, float otherwise, VipsPel *to)
{
	float alpha = opacity(sides, pixel, otherwise);

	for (int band = 0; band < 3; band++)
	{
		float ground = sides->ground[band];
		float own = alpha < FAINT ? sides->object[band]
								  : ground + ((float) pixel[band] - ground) / alpha;

		to[band] = (VipsPel) (VIPS_CLIP(0.0f, own, 255.0f) + 0.5f);
	}
	to[3] = (VipsPel) (alpha * 255 + 0.5f);
}

/* A row of pixels that are object, or that are ground. */
static void
draw_plain(const VipsPel *from, int bands, int count, bool is_object, VipsPel *to)
{
	if (bands == 4 && is_object)
	{
		memcpy(to, from, 4 * (gsize) count);
		return;
	}
	for (int i = 0; i < count; i++, from += bands, to += 4)
	{
		memcpy(to, from, 3);
		to[3] = is_object ? 255 : 0;
	}
}

static void
draw_cell(VipsImage *image, const Ground *ground, const unsigned char *edges, int column,
		  int row, VipsImage *cut)
{
	int cell = row * ground->width + column;
	int left = column * ground->side;
	int right = VIPS_MIN(left + ground->side, image->Xsize);
	int bottom = VIPS_MIN((row + 1) * ground->side, image->Ysize);
	float plain = ground->is_ground[cell] ? 0 : 1;
	Sides sides;
	bool mixed = edges[cell] && look_around(ground, edges, column, row, &sides);

	for (int y = row * ground->side; y < bottom; y++)
	{
		const VipsPel *from = VIPS_IMAGE_ADDR(image, left, y);
		VipsPel *to = VIPS_IMAGE_ADDR(cut, left, y);

		if (!mixed)
			draw_plain(from, image->Bands, right - left, plain > 0, to);
		for (int x = left; mixed && x < right; x++, from += image->Bands, to += 4)
		{
			draw_mixed(&sides, from, plain, to);
			if (image->Bands == 4)
				to[3] = (VipsPel) ((to[3] * from[3] + 127) / 255);
		}
	}
}

/*
 * Draw a picture without its ground.
 *
 * image	RGB or RGBA of 8 bits, its pixels in memory
 * ground	of it
 * cut		RGBA of the same size, ready to be written to
 */
void
matte_draw(VipsImage *image, const Ground *ground, VipsImage *cut)
{
	unsigned char *edges = g_malloc((gsize) ground->width * (gsize) ground->height);

	for (int row = 0; row < ground->height; row++)
		for (int column = 0; column < ground->width; column++)
			edges[row * ground->width + column] = is_edge(ground, column, row, ground->reach);
	for (int row = 0; row < ground->height; row++)
		for (int column = 0; column < ground->width; column++)
			draw_cell(image, ground, edges, column, row, cut);
	g_free(edges);
}
