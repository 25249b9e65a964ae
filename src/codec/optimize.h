/*
 * optimize.h
 *		A file as small as asked, or as small as it may be and still look the same.
 */
#ifndef IMGEXPORT_CODEC_OPTIMIZE_H
#define IMGEXPORT_CODEC_OPTIMIZE_H

#include "codec/canvas.h"

/* Where side by side few people see a difference. */
#define OPTIMIZE_DEFAULT_SSIM 0.98

int optimize(Canvas *canvas, const Format *format, VipsBlob **blob);

#endif
