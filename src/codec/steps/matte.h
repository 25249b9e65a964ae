/*
 * matte.h
 *		A picture without its ground, where that is known in cells.
 */
#ifndef IMGEXPORT_CODEC_STEPS_MATTE_H
#define IMGEXPORT_CODEC_STEPS_MATTE_H

#include "codec/steps/ground.h"

void matte_draw(VipsImage *image, const Ground *ground, VipsImage *cut);

#endif
