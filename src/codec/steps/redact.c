/*
 * redact.c
 *		A rectangle that nobody shall read.
 */
#include "codec/filter.h"
#include "codec/layer.h"
#include "codec/steps.h"

/* How many blocks a pixelated rectangle has along its longer side. */
#define BLOCKS 8

/* Means of large blocks; the last ones of a row and column may be cut. */
static int
pixelated(const VipsRect *box, VipsImage *part, VipsImage **patch)
{
	int block = VIPS_MAX(8, (VIPS_MAX(box->width, box->height) + BLOCKS - 1) / BLOCKS);
	int across = (box->width + block - 1) / block;
	int down = (box->height + block - 1) / block;
	VipsImage *whole = NULL;
	VipsImage *small = NULL;
	VipsImage *large = NULL;
	int failed = vips_embed(part, &whole, 0, 0, across * block, down * block, "extend",
							VIPS_EXTEND_COPY, NULL) != 0 ||
				 vips_shrink(whole, &small, block, block, NULL) != 0 ||
				 vips_zoom(small, &large, block, block, NULL) != 0 ||
				 vips_extract_area(large, patch, 0, 0, box->width, box->height, NULL) != 0;

	VIPS_UNREF(whole);
	VIPS_UNREF(small);
	VIPS_UNREF(large);
	return failed;
}

static int
insert(Canvas *canvas, const VipsRect *box, VipsImage *patch)
{
	VipsImage *made = NULL;

	return canvas_replace(canvas, &made,
						  vips_insert(canvas->image, patch, &made, box->left, box->top, NULL),
						  "redact");
}

static int
redact(Canvas *canvas, const VipsRect *box, int style, const double rgba[4])
{
	VipsImage *part = NULL;
	VipsImage *patch = NULL;
	int failed;

	if (style == 0)
	{
		double opaque[4] = {rgba[0], rgba[1], rgba[2], 255};

		patch = canvas_plain(canvas, box->width, box->height, opaque, canvas->image->Bands);
		failed = patch == NULL;
	}
	else
		failed =
			vips_extract_area(canvas->image, &part, box->left, box->top, box->width,
							  box->height, NULL) != 0 ||
			(style == 1
				 ? pixelated(box, part, &patch)
				 : filter_blur(part, &patch,
							   VIPS_MAX(4, VIPS_MAX(box->width, box->height) / 10.0))) != 0;
	VIPS_UNREF(part);
	if (failed)
	{
		VIPS_UNREF(patch);
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not redact the image");
	}
	failed = insert(canvas, box, patch);
	g_object_unref(patch);
	return failed;
}

/* x, y, width, height: what lies inside the image of it; style: fill, pixelate, blur; color */
int
step_redact(Canvas *canvas, Arguments *arguments)
{
	static const char *const styles[] = {"fill", "pixelate", "blur", NULL};
	VipsRect whole = {.width = canvas->image->Xsize, .height = canvas->image->Ysize};
	VipsRect box;
	double rgba[4];
	int style;

	if (argument_int(arguments, "x", -POSITION_MAX, POSITION_MAX, 0, &box.left) != 0 ||
		argument_int(arguments, "y", -POSITION_MAX, POSITION_MAX, 0, &box.top) != 0 ||
		argument_int(arguments, "width", 1, POSITION_MAX, 1, &box.width) != 0 ||
		argument_int(arguments, "height", 1, POSITION_MAX, 1, &box.height) != 0 ||
		argument_choice(arguments, "style", styles, 0, &style) != 0 ||
		argument_color(arguments, "color", "black", rgba) != 0)
		return -1;
	vips_rect_intersectrect(&box, &whole, &box);
	if (vips_rect_isempty(&box))
	{
		problem_set(canvas->problem, FAILURE_ARGUMENT,
					"rectangle to redact does not touch the image");
		problem_detail(canvas->problem, "The image has %d x %d pixels.", whole.width,
					   whole.height);
		return -1;
	}
	if (canvas_to_memory(canvas) != 0 || (style == 0 && canvas_to_rgb(canvas) != 0))
		return -1;
	return redact(canvas, &box, style, rgba);
}
