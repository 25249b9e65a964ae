/*
 * ssim.h
 *		How alike two images look.
 */
#ifndef IMGEXPORT_CODEC_SSIM_H
#define IMGEXPORT_CODEC_SSIM_H

#include <vips/vips.h>

int ssim(VipsImage *a, VipsImage *b, double *similarity);

#endif
