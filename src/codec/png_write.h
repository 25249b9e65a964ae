/*
 * png_write.h
 *		A PNG writer that is faster than zlib and leaves smaller files.
 */
#ifndef IMGEXPORT_CODEC_PNG_WRITE_H
#define IMGEXPORT_CODEC_PNG_WRITE_H

#include "codec/canvas.h"

bool png_write_takes(const VipsImage *image);
int png_write(Canvas *canvas, int level, VipsBlob **blob);

#endif
