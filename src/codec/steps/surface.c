/*
 * surface.c
 *		A colour that changes over a picture, found by trimmed least squares.
 *
 * (P. J. Rousseeuw, "Least Median of Squares Regression", 1984, has the idea of leaving the
 * worst part out.)  Differences are distances in CIE Lab (CIE76).
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <vips/vips.h>

#include "codec/steps/surface.h"

/* The part of the samples that is taken to be on the surface, in each round of the fit. */
#define KEPT 0.75
#define ROUNDS 5

/* With fewer cells than this on a side it is of one colour. */
#define SURFACE_SIDE 8

/* What the coefficients of a surface are multiplied by at a place. */
static void
terms_at(const Surface *surface, int column, int row, double terms[SURFACE_TERMS])
{
	double x = surface->width > 1 ? 2.0 * column / (surface->width - 1) - 1 : 0;
	double y = surface->height > 1 ? 2.0 * row / (surface->height - 1) - 1 : 0;

	terms[0] = 1;
	terms[1] = x;
	terms[2] = y;
	terms[3] = x * y;
	terms[4] = x * x;
	terms[5] = y * y;
}

static void
evaluate(const Surface *surface, const double terms[SURFACE_TERMS], double lab[3])
{
	for (int band = 0; band < 3; band++)
	{
		lab[band] = 0;
		for (int i = 0; i < SURFACE_TERMS; i++)
			lab[band] += surface->terms[band][i] * terms[i];
	}
}

/* The colour that the surface has in a cell. */
void
surface_at(const Surface *surface, int column, int row, double lab[3])
{
	double terms[SURFACE_TERMS];

	terms_at(surface, column, row, terms);
	evaluate(surface, terms, lab);
}

/* How a cell's colour differs from the surface's, or from another cell's. */
double
lab_difference(const float *lab, const double other[3])
{
	double l = lab[0] - other[0];
	double a = lab[1] - other[1];
	double b = lab[2] - other[2];

	return sqrt(l * l + a * a + b * b);
}

/* Solve a symmetric positive system in place, for three right sides; false: it is singular. */
static bool
solve(double matrix[SURFACE_TERMS][SURFACE_TERMS], double sides[3][SURFACE_TERMS], int count)
{
	for (int i = 0; i < count; i++)
	{
		if (matrix[i][i] < 1e-9)
			return false;
		for (int j = i + 1; j < count; j++)
		{
			double factor = matrix[j][i] / matrix[i][i];

			for (int k = i; k < count; k++)
				matrix[j][k] -= factor * matrix[i][k];
			for (int band = 0; band < 3; band++)
				sides[band][j] -= factor * sides[band][i];
		}
	}
	for (int band = 0; band < 3; band++)
		for (int i = count - 1; i >= 0; i--)
		{
			for (int k = i + 1; k < count; k++)
				sides[band][i] -= matrix[i][k] * sides[band][k];
			sides[band][i] /= matrix[i][i];
		}
	return true;
}

/* The surface with the least squares from these samples, of so many terms. */
static void
fit(Surface *surface, const SurfaceSample *samples, int count, int terms)
{
	double matrix[SURFACE_TERMS][SURFACE_TERMS] = {{0}};
	Surface fitted = {.width = surface->width, .height = surface->height};

	for (int n = 0; n < count; n++)
		for (int i = 0; i < terms; i++)
		{
			for (int j = 0; j < terms; j++)
				matrix[i][j] += samples[n].terms[i] * samples[n].terms[j];
			for (int band = 0; band < 3; band++)
				fitted.terms[band][i] += samples[n].terms[i] * samples[n].lab[band];
		}
	if (solve(matrix, fitted.terms, terms))
		*surface = fitted;
	else if (terms > 1)
		fit(surface, samples, count, 1);
}

static int
compare_samples(const void *a, const void *b)
{
	double difference = ((const SurfaceSample *) a)->off - ((const SurfaceSample *) b)->off;

	return difference < 0 ? -1 : difference > 0;
}

static void
sort_by_off(const Surface *surface, SurfaceSample *samples, int count)
{
	for (int i = 0; i < count; i++)
	{
		double lab[3];

		evaluate(surface, samples[i].terms, lab);
		samples[i].off = lab_difference(samples[i].lab, lab);
	}
	qsort(samples, (gsize) count, sizeof *samples, compare_samples);
}

/*
 * Lay the surface through samples, less those that fit worst.
 *
 * surface	its width and height are known
 * samples	in any order, and in another one afterwards
 * Returns	the median difference of those that were kept
 */
double
surface_fit(Surface *surface, SurfaceSample *samples, int count)
{
	int terms = VIPS_MIN(surface->width, surface->height) < SURFACE_SIDE ? 1 : SURFACE_TERMS;
	int kept = VIPS_MAX(1, (int) (count * KEPT));

	if (count == 0)
		return 0;
	for (int i = 0; i < count; i++)
		terms_at(surface, samples[i].column, samples[i].row, samples[i].terms);
	fit(surface, samples, count, terms);
	for (int round = 0; round < ROUNDS; round++)
	{
		sort_by_off(surface, samples, count);
		fit(surface, samples, kept, terms);
	}
	sort_by_off(surface, samples, count);
	return samples[kept / 2].off;
}
