/*
 * filter.c
 *		Filters whose result depends on how libvips computes them.
 */
#include "codec/filter.h"

/* needs vips.h before it */
#include <vips/vector.h>

/* Below this many pixels, compiling a loop costs more than it saves. */
#define COMPILED_PIXELS 60000

static GMutex lock;

/*
 * Choose how an operation that is built next is computed.  libvips looks at its switch while
 * it builds an operation; outputs are made side by side, so each build has the switch alone.
 *
 * image	the operation's input
 */
void
filter_begin(const VipsImage *image)
{
	g_mutex_lock(&lock);
	vips_vector_set_enabled((gint64) image->Xsize * image->Ysize >= COMPILED_PIXELS);
}

void
filter_end(void)
{
	g_mutex_unlock(&lock);
}

int
filter_blur(VipsImage *image, VipsImage **made, double sigma)
{
	int failed;

	filter_begin(image);
	failed = vips_gaussblur(image, made, sigma, NULL);
	filter_end();
	return failed;
}

int
filter_conv(VipsImage *image, VipsImage **made, VipsImage *mask)
{
	int failed;

	filter_begin(image);
	failed = vips_conv(image, made, mask, NULL);
	filter_end();
	return failed;
}

int
filter_resize(VipsImage *image, VipsImage **made, double x, double y, VipsKernel kernel)
{
	int failed;

	filter_begin(image);
	failed = vips_resize(image, made, x, "vscale", y, "kernel", kernel, NULL);
	filter_end();
	return failed;
}

/* Looks at the pixels at once, unlike the others. */
int
filter_smartcrop(VipsImage *image, VipsImage **made, int width, int height,
				 VipsInteresting interesting)
{
	int failed;

	filter_begin(image);
	failed = vips_smartcrop(image, made, width, height, "interesting", interesting, NULL);
	filter_end();
	return failed;
}

int
filter_sharpen(VipsImage *image, VipsImage **made, const Sharpening *by)
{
	int failed;

	filter_begin(image);
	failed = vips_sharpen(image, made, "sigma", by->sigma, "m1", by->m1, "m2", by->m2, "x1",
						  by->x1, "y2", by->y2, "y3", by->y3, NULL);
	filter_end();
	return failed;
}
