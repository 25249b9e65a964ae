/*
 * resize.c
 *		To a size.
 *
 * Fits, gravities and kernels mean what they mean in sharp.
 */
#include <math.h>
#include <string.h>

#include "codec/filter.h"
#include "codec/pages.h"
#include "codec/report.h"
#include "codec/resize.h"

#define SIZE_MAX_PX 100000

static const char *const fit_names[] = {"cover", "contain", "fill", "inside", "outside", NULL};
static const char *const kernel_names[] = {"nearest",  "linear",   "cubic", "mitchell",
										   "lanczos2", "lanczos3", NULL};
static const VipsKernel kernels[] = {VIPS_KERNEL_NEAREST,  VIPS_KERNEL_LINEAR,
									 VIPS_KERNEL_CUBIC,	   VIPS_KERNEL_MITCHELL,
									 VIPS_KERNEL_LANCZOS2, VIPS_KERNEL_LANCZOS3};

const char *const gravity_names[] = {
	"centre",	 "center", "north",		"northeast", "east",	  "southeast", "south",
	"southwest", "west",   "northwest", "entropy",	 "attention", NULL};

enum
{
	GRAVITY_ENTROPY = 10,
	GRAVITY_ATTENTION = 11
};

/* For each gravity, the share of the free room that is left of and above the picture, times two. */
static const struct
{
	int left;
	int above;
} gravity_shares[] = {{1, 1}, {1, 1}, {1, 0}, {2, 0}, {2, 1}, {2, 2},
					  {1, 2}, {0, 2}, {0, 1}, {0, 0}, {1, 1}, {1, 1}};

/*
 * Where a picture lies in a frame that is room_x and room_y larger (or smaller) than it.
 *
 * up		an odd pixel in the middle is left of and above it, and else right and below
 */
void
gravity_offset(int gravity, int room_x, int room_y, bool up, int *x, int *y)
{
	*x = (room_x * gravity_shares[gravity].left + up) / 2;
	*y = (room_y * gravity_shares[gravity].above + up) / 2;
}

/*
 * Read a target from a step; what a step does not have keeps resize's default.
 *
 * step		names which defaults differ: a thumbnail is 256 wide, inside, never larger
 */
int
resize_read_target(Arguments *arguments, const Step *step, ResizeTarget *target)
{
	bool thumbnail = strcmp(step->name, "thumbnail") == 0;
	bool resize = strcmp(step->name, "resize") == 0;
	int fit = FIT_COVER;
	int kernel = 5;

	*target = (ResizeTarget){.fit = FIT_INSIDE,
							 .kernel = VIPS_KERNEL_LANCZOS3,
							 .enlarge = !thumbnail,
							 .background = {255, 255, 255, 255}};
	if (argument_int(arguments, "width", 1, SIZE_MAX_PX, 0, &target->width) != 0 ||
		argument_int(arguments, "height", 1, SIZE_MAX_PX, 0, &target->height) != 0)
		return -1;
	if (thumbnail)
	{
		if (target->width == 0 && target->height == 0)
			target->width = 256;
		return 0;
	}
	if (argument_choice(arguments, "fit", fit_names, FIT_COVER, &fit) != 0 ||
		argument_color(arguments, "background", "white", target->background) != 0)
		return -1;
	target->fit = (Fit) fit;
	if (!resize)
		return 0;
	if (argument_choice(arguments, "gravity", gravity_names, 0, &target->gravity) != 0 ||
		argument_choice(arguments, "kernel", kernel_names, kernel, &kernel) != 0 ||
		argument_bool(arguments, "enlarge", true, &target->enlarge) != 0)
		return -1;
	target->kernel = kernels[kernel];
	return 0;
}

static int
at_least_one(double size)
{
	double rounded = floor(size + 0.5);

	return rounded < 1 ? 1 : rounded > INT_MAX ? INT_MAX : (int) rounded;
}

/* The size to scale to, before anything is cut off or put around. */
typedef struct ScaledSize
{
	int width;
	int height;
	double exact_width; /* not rounded: pixels are taken from where these say */
	double exact_height;
} ScaledSize;

static ScaledSize
scaled_size(const ResizeTarget *target, int width, int height)
{
	double x = target->width > 0 ? (double) target->width / width : 0;
	double y = target->height > 0 ? (double) target->height / height : 0;

	if (x == 0 && y == 0)
		x = y = 1;
	else if (x == 0 || y == 0)
		x = y = VIPS_MAX(x, y);
	else if (target->fit == FIT_COVER || target->fit == FIT_OUTSIDE)
		x = y = VIPS_MAX(x, y);
	else if (target->fit != FIT_FILL)
		x = y = VIPS_MIN(x, y);
	if (!target->enlarge)
	{
		x = VIPS_MIN(x, 1);
		y = VIPS_MIN(y, 1);
	}
	return (ScaledSize){.width = at_least_one(width * x),
						.height = at_least_one(height * y),
						.exact_width = width * x,
						.exact_height = height * y};
}

/*
 * How much smaller may an image be decoded when this is its first step?
 *
 * width, height	of the whole image, upright
 * Returns			the factor, 1 where the step wants every pixel
 */
int
resize_possible_shrink(const Step *step, int width, int height)
{
	Problem ignored = {0};
	Arguments arguments;
	ResizeTarget target;
	ScaledSize scaled;
	int side = report_size(step->name);

	if (side > 0)
		return VIPS_MAX(1, VIPS_MAX(width, height) / side);
	if (strcmp(step->name, "resize") != 0 && strcmp(step->name, "thumbnail") != 0 &&
		strcmp(step->name, "normalize") != 0)
		return 1;
	arguments_init(&arguments, step, &ignored);
	if (resize_read_target(&arguments, step, &target) != 0 ||
		target.kernel == VIPS_KERNEL_NEAREST)
		return 1;
	scaled = scaled_size(&target, width, height);
	return VIPS_MAX(1, VIPS_MIN(width / scaled.width, height / scaled.height));
}

/* By how much to scale a side; as exactly as it still comes out at the rounded size. */
static double
factor(int side, double exact, int rounded)
{
	double wanted = exact / side;

	return (int) floor(side * wanted + 0.5) == rounded ? wanted : (double) rounded / side;
}

static int
scale(Canvas *canvas, const ResizeTarget *target, const ScaledSize *size)
{
	VipsImage *image = canvas->image;
	VipsImage *made = NULL;
	double x = factor(image->Xsize, size->exact_width, size->width);
	double y = factor(image->Ysize, size->exact_height, size->height);
	int premultiplied;

	if (size->width == image->Xsize && size->height == image->Ysize)
		return 0;
	if (canvas_check_size(canvas, size->width, size->height) != 0 ||
		canvas_premultiply(canvas, &premultiplied) != 0 ||
		canvas_replace(canvas, &made, filter_resize(canvas->image, &made, x, y, target->kernel),
					   "resize") != 0)
		return -1;
	return canvas_settle(canvas, premultiplied);
}

/*
 * Cut to what is interesting.  The pages of an animation are all cut where the first one
 * is, or the picture would jump.
 */
static int
cut_by_content(Canvas *canvas, int width, int height, int gravity)
{
	VipsImage *made = NULL;
	VipsInteresting interesting =
		gravity == GRAVITY_ENTROPY ? VIPS_INTERESTING_ENTROPY : VIPS_INTERESTING_ATTENTION;

	if (canvas->memory != NULL && canvas->memory->boxed)
		return canvas_extract(canvas, canvas->memory->box.left, canvas->memory->box.top, width,
							  height);
	if (canvas_to_memory(canvas) != 0 ||
		canvas_replace(canvas, &made,
					   filter_smartcrop(canvas->image, &made, width, height, interesting),
					   "crop") != 0)
		return -1;
	if (canvas->memory != NULL)
	{
		canvas->memory->boxed = true;
		canvas->memory->box.left = -canvas->image->Xoffset;
		canvas->memory->box.top = -canvas->image->Yoffset;
	}
	return 0;
}

/* Cut to a size, where the picture is larger than it; 0: this side stays. */
int
resize_cut(Canvas *canvas, int width, int height, int gravity)
{
	int x;
	int y;

	width = width > 0 ? VIPS_MIN(width, canvas->image->Xsize) : canvas->image->Xsize;
	height = height > 0 ? VIPS_MIN(height, canvas->image->Ysize) : canvas->image->Ysize;
	if (width == canvas->image->Xsize && height == canvas->image->Ysize)
		return 0;
	if (gravity >= GRAVITY_ENTROPY)
		return cut_by_content(canvas, width, height, gravity);
	/* Of an odd pixel in the middle, the right and lower one stays, as in sharp. */
	gravity_offset(gravity, canvas->image->Xsize - width, canvas->image->Ysize - height, true,
				   &x, &y);
	return canvas_extract(canvas, x, y, width, height);
}

/* Put into the frame where the picture is smaller than it. */
static int
embed(Canvas *canvas, const ResizeTarget *target)
{
	VipsRect place = {.width = VIPS_MAX(target->width, canvas->image->Xsize),
					  .height = VIPS_MAX(target->height, canvas->image->Ysize)};

	if (place.width == canvas->image->Xsize && place.height == canvas->image->Ysize)
		return 0;
	gravity_offset(target->gravity, place.width - canvas->image->Xsize,
				   place.height - canvas->image->Ysize, false, &place.left, &place.top);
	return canvas_embed(canvas, &place, VIPS_EXTEND_BACKGROUND, target->background);
}

/* Bring a canvas to a size. */
int
resize_to(Canvas *canvas, const ResizeTarget *target)
{
	/* Reckoned from the whole image, also where less of it was decoded. */
	ScaledSize size =
		scaled_size(target, canvas->full_width > 0 ? canvas->full_width : canvas->image->Xsize,
					canvas->full_height > 0 ? canvas->full_height : canvas->image->Ysize);

	if (scale(canvas, target, &size) != 0)
		return -1;
	if (target->fit == FIT_COVER)
		return resize_cut(canvas, target->width, target->height, target->gravity);
	if (target->fit == FIT_CONTAIN)
		return embed(canvas, target);
	return 0;
}
