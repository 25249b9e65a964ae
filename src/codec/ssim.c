/*
 * ssim.c
 *		How alike two images look: structural similarity of their luminance.
 *
 * Source	Wang, Bovik, Sheikh, Simoncelli: "Image Quality Assessment: From Error
 *			Visibility to Structural Similarity", IEEE Transactions on Image
 *			Processing 13(4), 2004, with the window (Gauss, sigma 1.5), constants
 *			(0.01, 0.03) and the reduction to about 256 pixels a side that the
 *			authors suggest.
 */
#include <math.h>

#include "codec/ssim.h"

#define SIGMA 1.5
#define C1 (0.01 * 255 * 0.01 * 255)
#define C2 (0.03 * 255 * 0.03 * 255)
#define VIEWED_SIDE 256.0

/* Luminance on white, as floats, reduced to the size that is looked at. */
static int
luminance(VipsObject *scope, VipsImage *image, VipsImage **result)
{
	VipsImage **t = (VipsImage **) vips_object_local_array(scope, 5);
	double white = 255;
	VipsArrayDouble *ground = vips_array_double_new(&white, 1);
	int factor = (int) floor(VIPS_MIN(image->Xsize, image->Ysize) / VIEWED_SIDE + 0.5);
	int failed = 0;

	if (vips_image_hasalpha(image))
		failed = vips_flatten(image, &t[0], "background", ground, NULL);
	else
		failed = vips_copy(image, &t[0], NULL);
	vips_area_unref(VIPS_AREA(ground));
	if (failed != 0 || vips_colourspace(t[0], &t[1], VIPS_INTERPRETATION_B_W, NULL) != 0 ||
		vips_cast_float(t[1], &t[2], NULL) != 0)
		return -1;
	if (factor <= 1)
		return (*result = vips_image_copy_memory(t[2])) == NULL ? -1 : 0;
	if (vips_shrink(t[2], &t[3], factor, factor, NULL) != 0)
		return -1;
	return (*result = vips_image_copy_memory(t[3])) == NULL ? -1 : 0;
}

static int
mean_of_product(VipsObject *scope, VipsImage *a, VipsImage *b, VipsImage **mean)
{
	VipsImage **t = (VipsImage **) vips_object_local_array(scope, 2);

	if (vips_multiply(a, b, &t[0], NULL) != 0 ||
		vips_gaussblur(t[0], &t[1], SIGMA, "precision", VIPS_PRECISION_FLOAT, "min_ampl", 0.001,
					   NULL) != 0)
		return -1;
	return (*mean = vips_image_copy_memory(t[1])) == NULL ? -1 : 0;
}

static double
average(VipsImage *const *fields, size_t count)
{
	const float *mean_a = (const float *) VIPS_IMAGE_ADDR(fields[0], 0, 0);
	const float *mean_b = (const float *) VIPS_IMAGE_ADDR(fields[1], 0, 0);
	const float *aa = (const float *) VIPS_IMAGE_ADDR(fields[2], 0, 0);
	const float *bb = (const float *) VIPS_IMAGE_ADDR(fields[3], 0, 0);
	const float *ab = (const float *) VIPS_IMAGE_ADDR(fields[4], 0, 0);
	double sum = 0;

	for (size_t i = 0; i < count; i++)
	{
		double means = (double) mean_a[i] * mean_b[i];
		double squares = (double) mean_a[i] * mean_a[i] + (double) mean_b[i] * mean_b[i];

		sum += (2 * means + C1) * (2 * (ab[i] - means) + C2) /
			   ((squares + C1) * (aa[i] + bb[i] - squares + C2));
	}
	return sum / (double) count;
}

/*
 * Compare two images of one size.
 *
 * similarity	1 for the same, 0 and less for what has nothing in common
 * Returns		0, or -1 with libvips' error set
 */
int
ssim(VipsImage *a, VipsImage *b, double *similarity)
{
	VipsImage *scope = vips_image_new();
	VipsImage **t = (VipsImage **) vips_object_local_array(VIPS_OBJECT(scope), 9);
	VipsObject *object = VIPS_OBJECT(scope);
	int failed = luminance(object, a, &t[0]) != 0 || luminance(object, b, &t[1]) != 0 ||
				 vips_gaussblur(t[0], &t[2], SIGMA, "precision", VIPS_PRECISION_FLOAT,
								"min_ampl", 0.001, NULL) != 0 ||
				 vips_gaussblur(t[1], &t[3], SIGMA, "precision", VIPS_PRECISION_FLOAT,
								"min_ampl", 0.001, NULL) != 0 ||
				 (t[4] = vips_image_copy_memory(t[2])) == NULL ||
				 (t[5] = vips_image_copy_memory(t[3])) == NULL ||
				 mean_of_product(object, t[0], t[0], &t[6]) != 0 ||
				 mean_of_product(object, t[1], t[1], &t[7]) != 0 ||
				 mean_of_product(object, t[0], t[1], &t[8]) != 0;

	if (!failed && (t[0]->Xsize != t[1]->Xsize || t[0]->Ysize != t[1]->Ysize))
	{
		vips_error("ssim", "images differ in size");
		failed = 1;
	}
	if (!failed)
		*similarity = average(&t[4], (size_t) t[0]->Xsize * (size_t) t[0]->Ysize);
	g_object_unref(scope);
	return failed ? -1 : 0;
}
