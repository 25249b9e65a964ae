/*
 * preview.h
 *		A picture as text for a terminal.
 */
#ifndef IMGEXPORT_CODEC_PREVIEW_H
#define IMGEXPORT_CODEC_PREVIEW_H

#include "codec/canvas.h"

int preview_write(Canvas *canvas, VipsBlob **blob);

#endif
