/*
 * filter.h
 *		Filters whose result depends on how libvips computes them.
 *
 * libvips has compiled loops for some filters, which round differently from its plain ones,
 * and one switch for all of them.  Each filter here sets the switch by the size of its own
 * input, so that its result depends on nothing else: not on other images of the request, nor
 * on what another thread is doing.  No other file calls these operations of libvips on 8 bits.
 */
#ifndef IMGEXPORT_CODEC_FILTER_H
#define IMGEXPORT_CODEC_FILTER_H

#include <vips/vips.h>

void filter_begin(const VipsImage *image);
void filter_end(void);
int filter_blur(VipsImage *image, VipsImage **made, double sigma);
int filter_conv(VipsImage *image, VipsImage **made, VipsImage *mask);
int filter_resize(VipsImage *image, VipsImage **made, double x, double y, VipsKernel kernel);
int filter_smartcrop(VipsImage *image, VipsImage **made, int width, int height,
					 VipsInteresting interesting);

typedef struct Sharpening
{
	double sigma;
	double m1;
	double m2;
	double x1;
	double y2;
	double y3;
} Sharpening;

int filter_sharpen(VipsImage *image, VipsImage **made, const Sharpening *by);

#endif
