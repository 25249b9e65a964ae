/*
 * canvas.h
 *		The image that the steps of a pipeline change.
 *
 * Between two steps it is always 8 bits, sRGB or gray, with or without alpha (admit.c has
 * the whole of it): what a lossless file between them would hold.  That is what makes steps
 * in one call and steps one by one give the same pixels.
 */
#ifndef IMGEXPORT_CODEC_CANVAS_H
#define IMGEXPORT_CODEC_CANVAS_H

#include <vips/vips.h>

#include "codec/encode.h"
#include "codec/problem.h"

typedef struct Request Request;
typedef struct StepMemory StepMemory;

typedef struct Canvas
{
	Request *request;
	Problem *problem;
	VipsImage *image;	  /* owned; the pages of an animation one below another */
	int pages;			  /* in it, all of one height */
	int page;			  /* which one this is, while a step is made page by page */
	StepMemory *memory;	  /* what the pages of the step in work share; NULL: no step */
	bool sequential;	  /* rows can only be taken once, from the top */
	int full_width;		  /* what the source was before shrink-on-load, oriented; */
	int full_height;	  /* 0 once a step has been made */
	const Format *source; /* format it came in */
	VipsImage *origin;	  /* owned: the source as it was opened, for its metadata */
	EncodeOptions encode; /* how it will go out */
	VipsBlob *report;	  /* owned: what a step made instead of an image; NULL: none did */
} Canvas;

int canvas_admit(Canvas *canvas);
int canvas_to_picture(Canvas *canvas);
bool canvas_is_picture(const Canvas *canvas);
int canvas_picture_bands(const VipsImage *image);
int canvas_replace(Canvas *canvas, VipsImage **made, int failed, const char *what);
int canvas_to_memory(Canvas *canvas);
int canvas_to_pixels(Canvas *canvas);
int canvas_settle(Canvas *canvas, int alpha_premultiplied);
int canvas_premultiply(Canvas *canvas, int *premultiplied);
int canvas_to_rgb(Canvas *canvas);
int canvas_add_alpha(Canvas *canvas);
int canvas_flatten(Canvas *canvas, const double rgba[4]);
int canvas_check_size(Canvas *canvas, double width, double height);
int canvas_detach_alpha(Canvas *canvas, VipsImage **alpha);
int canvas_attach_alpha(Canvas *canvas, VipsImage *alpha);
int canvas_multiply_alpha(Canvas *canvas, VipsImage *mask);
int canvas_embed(Canvas *canvas, const VipsRect *place, VipsExtend extend,
				 const double background[4]);
VipsImage *canvas_new_rgba(const Canvas *canvas, int width, int height);
VipsImage *canvas_plain(Canvas *canvas, int width, int height, const double *colours,
						int bands);
int canvas_extract(Canvas *canvas, int x, int y, int width, int height);
Canvas canvas_branch(const Canvas *trunk);
void canvas_swap_images(Canvas *a, Canvas *b);
void canvas_clear(Canvas *canvas);

#endif
