/*
 * canvas.h
 *		An image on its way through the steps of a pipeline.
 *
 * Between two steps it is always 8 bits, sRGB or grey, with or without alpha:
 * what a lossless file between them would hold.  That is what makes steps in one
 * call and steps one by one give the same pixels.
 */
#ifndef IMGEXPORT_CODEC_CANVAS_H
#define IMGEXPORT_CODEC_CANVAS_H

#include <vips/vips.h>

#include "codec/encode.h"
#include "codec/problem.h"

typedef struct Request Request;

typedef struct Canvas
{
	Request *request;
	Problem *problem;
	VipsImage *image;	  /* owned */
	bool sequential;	  /* rows can only be taken once, from the top */
	int full_width;		  /* what the source was before shrink-on-load, oriented; */
	int full_height;	  /* 0 once a step has been made */
	const Format *source; /* format it came in */
	EncodeOptions encode; /* how it will go out */
} Canvas;

int canvas_replace(Canvas *canvas, VipsImage *image, int failed, const char *what);
int canvas_to_memory(Canvas *canvas);
int canvas_settle(Canvas *canvas, int alpha_premultiplied);
int canvas_premultiply(Canvas *canvas, int *premultiplied);
int canvas_to_rgb(Canvas *canvas);
int canvas_add_alpha(Canvas *canvas);
int canvas_flatten(Canvas *canvas, const double rgba[4]);
int canvas_check_size(Canvas *canvas, double width, double height);
void canvas_clear(Canvas *canvas);

#endif
