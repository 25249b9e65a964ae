/*
 * surface.h
 *		A colour that changes over a picture: a quadratic in x and y, in Lab.
 */
#ifndef IMGEXPORT_CODEC_STEPS_SURFACE_H
#define IMGEXPORT_CODEC_STEPS_SURFACE_H

#define SURFACE_TERMS 6

typedef struct Surface
{
	int width; /* of the picture, in cells */
	int height;
	double terms[3][SURFACE_TERMS]; /* of L, a, b */
} Surface;

/* A cell that is to be on the surface. */
typedef struct SurfaceSample
{
	int column;
	int row;
	const float *lab;
	double terms[SURFACE_TERMS]; /* of its place; filled in by surface_fit() */
	double off;					 /* from the surface */
} SurfaceSample;

double surface_fit(Surface *surface, SurfaceSample *samples, int count);
void surface_at(const Surface *surface, int column, int row, double lab[3]);
double lab_difference(const float *lab, const double other[3]);

#endif
