/*
 * resize.h
 *		To a size: what resize, thumbnail, normalize and composite share.
 */
#ifndef IMGEXPORT_CODEC_RESIZE_H
#define IMGEXPORT_CODEC_RESIZE_H

#include "codec/arguments.h"
#include "codec/canvas.h"

typedef enum Fit
{
	FIT_COVER,
	FIT_CONTAIN,
	FIT_FILL,
	FIT_INSIDE,
	FIT_OUTSIDE
} Fit;

typedef struct ResizeTarget
{
	int width;	/* 0: by the other one's ratio */
	int height; /* likewise */
	Fit fit;
	int gravity;
	VipsKernel kernel;
	bool enlarge;
	double background[4];
} ResizeTarget;

extern const char *const gravity_names[];

int resize_read_target(Arguments *arguments, const Step *step, ResizeTarget *target);
int resize_possible_shrink(const Step *step, int width, int height);
int resize_to(Canvas *canvas, const ResizeTarget *target);
int resize_cut(Canvas *canvas, int width, int height, int gravity);
void gravity_offset(int gravity, int room_x, int room_y, bool up, int *x, int *y);

#endif
