/*
 * steps.h
 *		The steps that the codec knows, each in a file of its own in steps/.
 */
#ifndef IMGEXPORT_CODEC_STEPS_H
#define IMGEXPORT_CODEC_STEPS_H

#include "codec/arguments.h"
#include "codec/canvas.h"

int step_run(Canvas *canvas, const Step *step);

int step_blur(Canvas *canvas, Arguments *arguments);
int step_composite(Canvas *canvas, Arguments *arguments);
int step_convert(Canvas *canvas, Arguments *arguments);
int step_crop(Canvas *canvas, Arguments *arguments);
int step_flip(Canvas *canvas, Arguments *arguments);
int step_flop(Canvas *canvas, Arguments *arguments);
int step_normalize(Canvas *canvas, Arguments *arguments);
int step_preview(Canvas *canvas, Arguments *arguments);
int step_resize(Canvas *canvas, Arguments *arguments);
int step_rotate(Canvas *canvas, Arguments *arguments);
int step_thumbnail(Canvas *canvas, Arguments *arguments);

#endif
