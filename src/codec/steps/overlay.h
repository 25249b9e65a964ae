/*
 * overlay.h
 *		A mark on the image, wherever the mark comes from.
 */
#ifndef IMGEXPORT_CODEC_STEPS_OVERLAY_H
#define IMGEXPORT_CODEC_STEPS_OVERLAY_H

#include "codec/arguments.h"
#include "codec/canvas.h"

int overlay_watermark(Canvas *canvas, Arguments *arguments, Canvas *mark, double scale,
					  double opacity);

#endif
