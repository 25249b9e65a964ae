/*
 * ground.c
 *		The ground of a studio shot: what joins the border and is coloured like it.
 *
 * A ground is rarely of one colour: light falls off, and there is noise.  So its colour is
 * a surface that is fitted to the border's cells.  From there the ground is flooded: a cell
 * belongs to it that is near the surface, or that differs little from the cell before it and
 * is not too far from the surface, which takes soft shadows and the rest of a gradient along.
 */
#include <math.h>

#include "codec/steps/ground.h"
#include "codec/steps/surface.h"

/* A picture is looked at in about so many cells; larger ones only get larger cells. */
#define CELLS 600000

/* A cell's step from the one before it, and how far from the surface that may lead. */
#define STEP_PART 0.25
#define STEP_REACH 1.5

/* Noise: so many times the median difference of the border is not a difference. */
#define NOISE 3

/* How often noise is smoothed at most. */
#define SMOOTH_MAX 2

/* Edges, and what a JPEG has around them, reach so many cells to either side. */
#define EDGE_REACH 2

/* What is still like the ground, unless told: so much and so many times the noise, to a limit. */
#define NEAR_CLEAN 4
#define NEAR_NOISE 4
#define NEAR_MOST 12

/* What is smaller is a speck of the object, or a hole in it, in parts of all cells. */
#define SPECK_PART 0.0002
#define HOLE_PART 0.0005

/* What the search for a ground works with. */
typedef struct Search
{
	Ground *ground;
	float *lab;			  /* three a cell */
	unsigned char *clear; /* cells that were transparent before */
	Surface surface;
	double near; /* from the surface: as good as on it */
	double step; /* from one cell to the next */
	int *open;	 /* cells whose neighbours were not looked at */
	int open_count;
} Search;

/* The means of all cells, and which of them show nothing. */
static void
make_cells(VipsImage *image, Ground *ground, unsigned char *clear)
{
	int bands = image->Bands;

	for (int row = 0; row < ground->height; row++)
		for (int column = 0; column < ground->width; column++)
		{
			int right = VIPS_MIN((column + 1) * ground->side, image->Xsize);
			int bottom = VIPS_MIN((row + 1) * ground->side, image->Ysize);
			gsize cell = (gsize) row * (gsize) ground->width + (gsize) column;
			unsigned int sums[4] = {0};
			unsigned int count = 0;

			for (int y = row * ground->side; y < bottom; y++)
			{
				const VipsPel *pixel = VIPS_IMAGE_ADDR(image, column * ground->side, y);

				for (int x = column * ground->side; x < right; x++, pixel += bands, count++)
					for (int band = 0; band < bands; band++)
						sums[band] += pixel[band];
			}
			for (int band = 0; band < 3; band++)
				ground->rgb[3 * cell + (gsize) band] = (float) sums[band] / (float) count;
			clear[cell] = bands == 4 && sums[3] < 128 * count;
		}
}

static float
lab_part(float ratio)
{
	return ratio > 216.0f / 24389 ? cbrtf(ratio) : (24389.0f / 27 * ratio + 16) / 116;
}

/* sRGB (IEC 61966-2-1) to CIE Lab, D65. */
static void
to_lab(const float *rgb, float *lab, gsize count)
{
	float linear[1021];

	for (int i = 0; i < 1021; i++)
	{
		double value = i / 1020.0;

		linear[i] =
			(float) (value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4));
	}
	for (gsize i = 0; i < 3 * count; i += 3)
	{
		float r = linear[(int) (rgb[i] * 4 + 0.5f)];
		float g = linear[(int) (rgb[i + 1] * 4 + 0.5f)];
		float b = linear[(int) (rgb[i + 2] * 4 + 0.5f)];
		float x = lab_part((0.4124f * r + 0.3576f * g + 0.1805f * b) / 0.9505f);
		float y = lab_part(0.2126f * r + 0.7152f * g + 0.0722f * b);
		float z = lab_part((0.0193f * r + 0.1192f * g + 0.9505f * b) / 1.0891f);

		lab[i] = 116 * y - 16;
		lab[i + 1] = 500 * (x - y);
		lab[i + 2] = 200 * (y - z);
	}
}

static void
add_sample(const Search *search, SurfaceSample *samples, int *count, int column, int row)
{
	gsize cell = (gsize) row * (gsize) search->ground->width + (gsize) column;

	if (!search->clear[cell])
		samples[(*count)++] =
			(SurfaceSample){.column = column, .row = row, .lab = search->lab + 3 * cell};
}

/* Fit the surface to the border; returns the noise there. */
static double
fit_border(Search *search)
{
	const Ground *ground = search->ground;
	SurfaceSample *samples = g_new(SurfaceSample, 2 * (ground->width + ground->height));
	int count = 0;
	double noise;

	for (int column = 0; column < ground->width; column++)
	{
		add_sample(search, samples, &count, column, 0);
		add_sample(search, samples, &count, column, ground->height - 1);
	}
	for (int row = 0; row < ground->height; row++)
	{
		add_sample(search, samples, &count, 0, row);
		add_sample(search, samples, &count, ground->width - 1, row);
	}
	noise = surface_fit(&search->surface, samples, count);
	g_free(samples);
	return noise;
}

/* Each cell becomes the mean of itself and its neighbours, in Lab. */
static void
smooth(Search *search)
{
	const Ground *ground = search->ground;
	gsize count = (gsize) ground->width * (gsize) ground->height;
	float *made = g_new(float, 3 * count);

	for (int row = 0; row < ground->height; row++)
		for (int column = 0; column < ground->width; column++)
		{
			float sums[3] = {0};
			int cells = 0;

			for (int y = VIPS_MAX(row - 1, 0); y <= VIPS_MIN(row + 1, ground->height - 1); y++)
				for (int x = VIPS_MAX(column - 1, 0);
					 x <= VIPS_MIN(column + 1, ground->width - 1); x++, cells++)
					for (int band = 0; band < 3; band++)
						sums[band] +=
							search->lab[3 * ((gsize) y * (gsize) ground->width + (gsize) x) +
										(gsize) band];
			for (int band = 0; band < 3; band++)
				made[3 * ((gsize) row * (gsize) ground->width + (gsize) column) +
					 (gsize) band] = sums[band] / (float) cells;
		}
	g_free(search->lab);
	search->lab = made;
}

/* Is a cell ground, seen from the one before it?  That is -1 where it is on the border. */
static bool
joins(const Search *search, int cell, int before)
{
	const float *lab = search->lab + 3 * (gsize) cell;
	double expected[3];
	double last[3];
	double l;

	if (search->clear[cell])
		return true;
	surface_at(&search->surface, cell % search->ground->width, cell / search->ground->width,
			   expected);
	if (lab_difference(lab, expected) <= search->near)
		return true;
	if (before < 0 || search->clear[before])
		return false;
	for (int band = 0; band < 3; band++)
		last[band] = search->lab[3 * (gsize) before + (gsize) band];
	if (lab_difference(lab, last) >= search->step)
		return false;
	/* A shadow is darker and of the same hue, so that its lightness counts half. */
	l = expected[0] - lab[0];
	if (l > 0)
		expected[0] -= l / 2;
	return lab_difference(lab, expected) <= STEP_REACH * search->near;
}

static void
visit(Search *search, int column, int row, int before)
{
	int cell = row * search->ground->width + column;

	if (search->ground->is_ground[cell] || !joins(search, cell, before))
		return;
	search->ground->is_ground[cell] = 1;
	search->open[search->open_count++] = cell;
}

static void
flood(Search *search)
{
	const Ground *ground = search->ground;

	for (int column = 0; column < ground->width; column++)
	{
		visit(search, column, 0, -1);
		visit(search, column, ground->height - 1, -1);
	}
	for (int row = 0; row < ground->height; row++)
	{
		visit(search, 0, row, -1);
		visit(search, ground->width - 1, row, -1);
	}
	while (search->open_count > 0)
	{
		int cell = search->open[--search->open_count];
		int column = cell % ground->width;
		int row = cell / ground->width;

		if (column > 0)
			visit(search, column - 1, row, cell);
		if (column < ground->width - 1)
			visit(search, column + 1, row, cell);
		if (row > 0)
			visit(search, column, row - 1, cell);
		if (row < ground->height - 1)
			visit(search, column, row + 1, cell);
	}
}

/*
 * Collect the cells that hang together with one and are marked 1, and mark them 2.
 *
 * cells	room for all of them
 * Returns	how many there are
 */
static int
collect(const Ground *ground, unsigned char *marks, int first, int *cells)
{
	int count = 0;

	marks[first] = 2;
	cells[count++] = first;
	for (int next = 0; next < count; next++)
	{
		int column = cells[next] % ground->width;
		int row = cells[next] / ground->width;
		int neighbours[4] = {column > 0 ? cells[next] - 1 : -1,
							 column < ground->width - 1 ? cells[next] + 1 : -1,
							 row > 0 ? cells[next] - ground->width : -1,
							 row < ground->height - 1 ? cells[next] + ground->width : -1};

		for (int i = 0; i < 4; i++)
			if (neighbours[i] >= 0 && marks[neighbours[i]] == 1)
			{
				marks[neighbours[i]] = 2;
				cells[count++] = neighbours[i];
			}
	}
	return count;
}

/* What is marked becomes ground where it hangs together in so many cells, at least or at most. */
static void
take_parts(Search *search, unsigned char *marks, int least, int most)
{
	Ground *ground = search->ground;
	int count = ground->width * ground->height;

	for (int cell = 0; cell < count; cell++)
	{
		int size;

		if (marks[cell] != 1)
			continue;
		size = collect(ground, marks, cell, search->open);
		for (int i = 0; i < size && size >= least && size <= most; i++)
			ground->is_ground[search->open[i]] = 1;
	}
}

/* What is like the ground and lies inside the object: the handle of a cup. */
static void
take_holes(Search *search)
{
	const Ground *ground = search->ground;
	int count = ground->width * ground->height;
	unsigned char *marks = g_malloc0((gsize) count);

	for (int cell = 0; cell < count; cell++)
		marks[cell] = !ground->is_ground[cell] && joins(search, cell, -1);
	take_parts(search, marks, VIPS_MAX(4, (int) (count * HOLE_PART)), count);
	g_free(marks);
}

/* Noise that stands alone on the ground. */
static void
take_specks(Search *search)
{
	const Ground *ground = search->ground;
	int count = ground->width * ground->height;
	unsigned char *marks = g_malloc((gsize) count);

	for (int cell = 0; cell < count; cell++)
		marks[cell] = !ground->is_ground[cell];
	take_parts(search, marks, 0, VIPS_MAX(3, (int) (count * SPECK_PART)));
	g_free(marks);
}

/*
 * Find the ground of a picture.
 *
 * image		RGB or RGBA of 8 bits, its pixels in memory
 * tolerance	CIE76 difference from the ground's colour that is still ground; negative: what
 *				the ground's noise says.  Where there is more noise than that, it is more
 * holes		whether ground that the object encloses counts too
 * ground		filled; ground_free() frees what is in it
 */
void
ground_find(VipsImage *image, double tolerance, bool holes, Ground *ground)
{
	Search search = {.ground = ground};
	double pixels = (double) image->Xsize * image->Ysize;
	double most = tolerance < 0 ? NEAR_MOST : tolerance;
	int smoothed = 0;
	gsize count;
	double noise;

	ground->side = VIPS_MAX(1, (int) ceil(sqrt(pixels / CELLS)));
	ground->width = (image->Xsize + ground->side - 1) / ground->side;
	ground->height = (image->Ysize + ground->side - 1) / ground->side;
	count = (gsize) ground->width * (gsize) ground->height;
	ground->rgb = g_new(float, 3 * count);
	ground->is_ground = g_malloc0(count);
	search.lab = g_new(float, 3 * count);
	search.clear = g_malloc(count);
	search.open = g_new(int, count);
	search.surface.width = ground->width;
	search.surface.height = ground->height;
	make_cells(image, ground, search.clear);
	to_lab(ground->rgb, search.lab, count);
	noise = fit_border(&search);
	/* Noise is taken out of what is compared, and what remains of it makes more alike. */
	for (; smoothed < SMOOTH_MAX && noise * NOISE > most / 2; smoothed++)
	{
		smooth(&search);
		noise = fit_border(&search);
	}
	ground->reach = EDGE_REACH + smoothed;
	search.near = VIPS_MAX(
		tolerance < 0 ? VIPS_MIN(most, NEAR_CLEAN + NEAR_NOISE * noise) : most, NOISE * noise);
	/* What was smoothed has no edges left that would stop a flood. */
	search.step = smoothed == 0 ? most * STEP_PART : 0;
	flood(&search);
	if (holes)
		take_holes(&search);
	take_specks(&search);
	g_free(search.lab);
	g_free(search.clear);
	g_free(search.open);
}

void
ground_free(Ground *ground)
{
	g_free(ground->rgb);
	g_free(ground->is_ground);
}
