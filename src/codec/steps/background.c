/*
 * background.c
 *		remove_background: flooded from the borders, or cut out by a mask.
 *
 * For studio shots: one object on a ground of about one colour.  The ground's colour is
 * the median of the border's pixels; what is joined to the border and close to it in
 * Lab (CIE76) becomes transparent.
 */
#include <math.h>
#include <stdlib.h>

#include "codec/pages.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* libvips' LABS: L of 100 is 32767, a and b of 128 are 32768. */
#define L_SCALE (32767.0 / 100)
#define AB_SCALE (32768.0 / 128)

typedef struct Flood
{
	const short *lab; /* three a pixel */
	int width;
	int height;
	double ground[3];
	double tolerance;
	VipsPel *mask; /* 255: kept, 0: flooded */
	GArray *open;  /* indexes of flooded pixels whose neighbours were not looked at */
} Flood;

static int
compare_shorts(const void *a, const void *b)
{
	return *(const short *) a - *(const short *) b;
}

/* The median of each band over the pixels of the border. */
static void
find_ground(Flood *flood)
{
	int count = 2 * (flood->width + flood->height);
	short *values = g_new(short, count);

	for (int band = 0; band < 3; band++)
	{
		int used = 0;
		gsize last = (gsize) (flood->height - 1) * (gsize) flood->width;

		for (int x = 0; x < flood->width; x++)
		{
			values[used++] = flood->lab[3 * (gsize) x + (gsize) band];
			values[used++] = flood->lab[3 * (last + (gsize) x) + (gsize) band];
		}
		for (int y = 0; y < flood->height; y++)
		{
			gsize row = (gsize) y * (gsize) flood->width;

			values[used++] = flood->lab[3 * row + (gsize) band];
			values[used++] = flood->lab[3 * (row + (gsize) flood->width - 1) + (gsize) band];
		}
		qsort(values, (size_t) used, sizeof values[0], compare_shorts);
		flood->ground[band] = values[used / 2];
	}
	g_free(values);
}

static bool
is_ground(const Flood *flood, gsize pixel)
{
	const short *lab = flood->lab + 3 * pixel;
	double l = (lab[0] - flood->ground[0]) / L_SCALE;
	double a = (lab[1] - flood->ground[1]) / AB_SCALE;
	double b = (lab[2] - flood->ground[2]) / AB_SCALE;

	return l * l + a * a + b * b <= flood->tolerance * flood->tolerance;
}

static void
visit(Flood *flood, int x, int y)
{
	gsize pixel = (gsize) y * (gsize) flood->width + (gsize) x;
	guint index = (guint) pixel;

	if (flood->mask[pixel] == 0 || !is_ground(flood, pixel))
		return;
	flood->mask[pixel] = 0;
	g_array_append_val(flood->open, index);
}

static void
run_flood(Flood *flood)
{
	for (int x = 0; x < flood->width; x++)
	{
		visit(flood, x, 0);
		visit(flood, x, flood->height - 1);
	}
	for (int y = 0; y < flood->height; y++)
	{
		visit(flood, 0, y);
		visit(flood, flood->width - 1, y);
	}
	while (flood->open->len > 0)
	{
		guint pixel = g_array_index(flood->open, guint, flood->open->len - 1);
		int x = (int) (pixel % (guint) flood->width);
		int y = (int) (pixel / (guint) flood->width);

		g_array_set_size(flood->open, flood->open->len - 1);
		if (x > 0)
			visit(flood, x - 1, y);
		if (x < flood->width - 1)
			visit(flood, x + 1, y);
		if (y > 0)
			visit(flood, x, y - 1);
		if (y < flood->height - 1)
			visit(flood, x, y + 1);
	}
}

/* The colours of the canvas in Lab, in memory. */
static VipsImage *
to_lab(Canvas *canvas)
{
	static const double white[4] = {255, 255, 255, 255};
	Canvas flat = canvas_branch(canvas);
	VipsImage *lab = NULL;
	VipsImage *memory = NULL;

	if (canvas_flatten(&flat, white) == 0 &&
		vips_colourspace(flat.image, &lab, VIPS_INTERPRETATION_LABS, NULL) == 0)
		memory = vips_image_copy_memory(lab);
	VIPS_UNREF(lab);
	canvas_clear(&flat);
	if (memory == NULL)
		problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not read the colours");
	return memory;
}

/* What is kept, as a mask of one band. */
static int
flood_mask(Canvas *canvas, double tolerance, VipsImage **mask)
{
	VipsImage *lab;
	Flood flood = {.tolerance = tolerance};
	gsize count;

	if (canvas_to_memory(canvas) != 0 || canvas_to_rgb(canvas) != 0 ||
		(lab = to_lab(canvas)) == NULL)
		return -1;
	flood.lab = (const short *) VIPS_IMAGE_ADDR(lab, 0, 0);
	flood.width = lab->Xsize;
	flood.height = lab->Ysize;
	count = (gsize) lab->Xsize * (gsize) lab->Ysize;
	flood.mask = g_malloc(count);
	memset(flood.mask, 255, count);
	flood.open = g_array_new(FALSE, FALSE, sizeof(guint));
	find_ground(&flood);
	run_flood(&flood);
	*mask = vips_image_new_from_memory_copy(flood.mask, count, flood.width, flood.height, 1,
											VIPS_FORMAT_UCHAR);
	g_array_free(flood.open, TRUE);
	g_free(flood.mask);
	g_object_unref(lab);
	return *mask == NULL ? -1 : 0;
}

/* Soft edges, that lose no more than they had: the blurred mask inside the hard one. */
static int
soften(Canvas *canvas, double feather, VipsImage **mask)
{
	VipsImage *soft = NULL;
	VipsImage *inner = NULL;
	VipsImage *made = NULL;
	int failed;

	if (feather < 0.3)
		return 0;
	/* From half to full inside becomes from none to full: the hard edge is where it fades out. */
	failed = vips_gaussblur(*mask, &soft, feather, NULL) != 0 ||
			 vips_linear1(soft, &inner, 2, -255, NULL) != 0 ||
			 vips_cast_uchar(inner, &made, NULL) != 0;
	VIPS_UNREF(soft);
	VIPS_UNREF(inner);
	if (failed)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not soften the mask");
	g_object_unref(*mask);
	*mask = made;
	return 0;
}

/* tolerance: how far from the ground's colour still is ground; feather: sigma; mask: instead */
int
step_remove_background(Canvas *canvas, Arguments *arguments)
{
	VipsImage *mask = NULL;
	double tolerance;
	double feather;
	int failed;

	if (argument_float(arguments, "tolerance", 0, 200, 12, &tolerance) != 0 ||
		argument_float(arguments, "feather", 0, 50, 1, &feather) != 0)
		return -1;
	if (argument_find(arguments, "mask") != NULL)
		return step_mask(canvas, arguments);
	failed = flood_mask(canvas, tolerance, &mask) != 0 || soften(canvas, feather, &mask) != 0 ||
			 canvas_multiply_alpha(canvas, mask) != 0;
	VIPS_UNREF(mask);
	return failed ? -1 : 0;
}
