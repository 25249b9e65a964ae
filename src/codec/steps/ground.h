/*
 * ground.h
 *		What in a picture is its ground, in cells: squares of pixels that are looked at as one.
 */
#ifndef IMGEXPORT_CODEC_STEPS_GROUND_H
#define IMGEXPORT_CODEC_STEPS_GROUND_H

#include <stdbool.h>

#include <vips/vips.h>

typedef struct Ground
{
	int side;				  /* of a cell, in pixels */
	int width;				  /* in cells */
	int height;				  /* in cells */
	int reach;				  /* so many cells beside an edge the two sides may be mixed */
	float *rgb;				  /* mean of a cell, three values of 0 to 255 */
	unsigned char *is_ground; /* 1 or 0 of each cell */
} Ground;

void ground_find(VipsImage *image, double tolerance, bool holes, Ground *ground);
void ground_free(Ground *ground);

#endif
