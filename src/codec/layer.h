/*
 * layer.h
 *		One image over another: what composite, overlay and the watermarks share.
 */
#ifndef IMGEXPORT_CODEC_LAYER_H
#define IMGEXPORT_CODEC_LAYER_H

#include "codec/arguments.h"
#include "codec/canvas.h"

#define POSITION_MAX 10000000 /* of a rectangle that has to touch the image */

typedef struct Placement
{
	VipsBlendMode mode;
	double opacity; /* of the layer, 0 to 1 */
	int x;			/* of its upper left corner on the ground */
	int y;
} Placement;

int layer_read_mode(Arguments *arguments, VipsBlendMode *mode);
int layer_lay(Canvas *ground, Canvas *layer, const Placement *placement);
int layer_spread(VipsImage *image, VipsImage **made, const VipsRect *place);
int layer_tile(Canvas *layer, int width, int height, int gravity);

#endif
