/*
 * pages.h
 *		The pages of an animation, and what they share while a step is made.
 *
 * Most steps know one picture.  They are made page by page; what the first page decides
 * and the images among the arguments are kept for the others.
 */
#ifndef IMGEXPORT_CODEC_PAGES_H
#define IMGEXPORT_CODEC_PAGES_H

#include "codec/arguments.h"
#include "codec/canvas.h"

#define STEP_MAX_LAYERS 2

struct StepMemory
{
	bool boxed; /* the first page chose a rectangle */
	VipsRect box;
	int layer_count; /* image arguments rendered so far */
	const Pipeline *pipelines[STEP_MAX_LAYERS];
	Canvas layers[STEP_MAX_LAYERS]; /* owned */
};

/* How images lie side by side. */
typedef struct Grid
{
	int columns;	/* 0: as near a square as it goes, until it is reckoned */
	int cell_width; /* 0: that of the largest image, likewise */
	int cell_height;
	int gap;
	double background[4];
} Grid;

typedef int (*StepHandler)(Canvas *canvas, Arguments *arguments);

int page_height(const Canvas *canvas);
VipsImage *page_extract(Canvas *canvas, int page);
int pages_keep(Canvas *canvas, int page);
VipsImage *pages_grid(Canvas *canvas, VipsImage **images, int count, const Grid *grid);
int pages_join(Canvas *canvas, VipsImage **images, int count);
int pages_each(Canvas *canvas, Arguments *arguments, StepHandler run);
int layer_get(Canvas *canvas, Arguments *arguments, const char *name, Canvas *layer);
void step_memory_clear(StepMemory *memory);

#endif
