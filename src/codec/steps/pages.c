/*
 * pages.c
 *		Many images: a page of one, pages of many, many in a grid.
 */
#include <math.h>

#include "codec/pages.h"
#include "codec/render.h"
#include "codec/resize.h"
#include "codec/steps.h"

/* page: from 0 */
int
step_page(Canvas *canvas, Arguments *arguments)
{
	int page;

	if (argument_int(arguments, "page", 0, INT_MAX, 0, &page) != 0)
		return -1;
	if (page < canvas->pages)
		return pages_keep(canvas, page);
	problem_set(canvas->problem, FAILURE_ARGUMENT, "image has no page %d", page);
	problem_detail(canvas->problem, "It has %d, counted from 0.", canvas->pages);
	return -1;
}

/* Images of one step: the canvas and every argument "image", each a picture of its own. */
typedef struct Collection
{
	int count;
	Canvas *images; /* owned */
} Collection;

static void
collection_clear(Collection *collection)
{
	for (int i = 0; i < collection->count; i++)
		canvas_clear(&collection->images[i]);
	g_free(collection->images);
}

static int
add_image(Canvas *canvas, Collection *collection, const Pipeline *pipeline)
{
	Canvas *image = &collection->images[collection->count++];

	*image = (Canvas){.request = canvas->request, .problem = canvas->problem};
	if (render_pipeline(image, pipeline) != 0 || pages_keep(image, 0) != 0)
		return -1;
	return canvas_to_memory(image);
}

/* The canvas itself is the first of them. */
static int
collect(Canvas *canvas, Arguments *arguments, Collection *collection)
{
	const Step *step = arguments->step;

	collection->images = g_new0(Canvas, step->argument_count + 1);
	collection->count = 1;
	collection->images[0] = (Canvas){
		.request = canvas->request, .problem = canvas->problem, .pages = canvas->pages};
	collection->images[0].image = canvas->image;
	g_object_ref(canvas->image);
	collection->images[0].sequential = canvas->sequential;
	if (pages_keep(&collection->images[0], 0) != 0 ||
		canvas_to_memory(&collection->images[0]) != 0)
		return -1;
	for (const Argument *argument = NULL;
		 (argument = arguments_next(arguments, "image", argument)) != NULL;)
		if (argument->type != ARGUMENT_IMAGE ||
			add_image(canvas, collection, argument->value.image) != 0)
			return -1;
	return 0;
}

/* All of them in RGB, with alpha where one has some or the ground is not opaque. */
static int
same_bands(Collection *collection, bool alpha)
{
	for (int i = 0; i < collection->count; i++)
		alpha = alpha || vips_image_hasalpha(collection->images[i].image);
	for (int i = 0; i < collection->count; i++)
		if (canvas_to_rgb(&collection->images[i]) != 0 ||
			(alpha && canvas_add_alpha(&collection->images[i]) != 0))
			return -1;
	return 0;
}

static int
read_grid(Arguments *arguments, Grid *grid)
{
	if (argument_int(arguments, "columns", 1, 10000, 0, &grid->columns) != 0 ||
		argument_int(arguments, "cell_width", 1, 100000, 0, &grid->cell_width) != 0 ||
		argument_int(arguments, "cell_height", 1, 100000, 0, &grid->cell_height) != 0 ||
		argument_int(arguments, "gap", 0, 10000, 0, &grid->gap) != 0 ||
		argument_color(arguments, "background", "#00000000", grid->background) != 0)
		return -1;
	return 0;
}

/* Bring each image into its cell; cells without a size are those of the largest image. */
static int
fit_cells(Collection *collection, Grid *grid)
{
	ResizeTarget cell = {.width = grid->cell_width,
						 .height = grid->cell_height,
						 .fit = FIT_INSIDE,
						 .kernel = VIPS_KERNEL_LANCZOS3,
						 .enlarge = false};

	for (int i = 0; i < collection->count; i++)
	{
		if ((cell.width > 0 || cell.height > 0) &&
			resize_to(&collection->images[i], &cell) != 0)
			return -1;
		grid->cell_width = VIPS_MAX(grid->cell_width, collection->images[i].image->Xsize);
		grid->cell_height = VIPS_MAX(grid->cell_height, collection->images[i].image->Ysize);
	}
	return same_bands(collection, grid->background[3] < 255);
}

/* The images alone, as an array to g_free. */
static VipsImage **
images_of(const Collection *collection)
{
	VipsImage **images = g_new(VipsImage *, collection->count);

	for (int i = 0; i < collection->count; i++)
		images[i] = collection->images[i].image;
	return images;
}

static int
lay_out(Canvas *canvas, Collection *collection, Grid *grid)
{
	VipsImage **images = images_of(collection);
	VipsImage *made;

	if (grid->columns == 0)
		grid->columns = (int) ceil(sqrt(collection->count));
	grid->columns = VIPS_MIN(grid->columns, collection->count);
	made = pages_grid(canvas, images, collection->count, grid);
	g_free(images);
	if (made == NULL)
		return -1;
	canvas->pages = 1;
	return canvas_replace(canvas, &made, 0, "join");
}

static int
montage(Canvas *canvas, Collection *collection, Grid *grid)
{
	if (fit_cells(collection, grid) != 0 || lay_out(canvas, collection, grid) != 0)
		return -1;
	canvas->sequential = false;
	return 0;
}

/* image: one more, as often as there are; columns, cell_width, cell_height, gap, background */
int
step_montage(Canvas *canvas, Arguments *arguments)
{
	Collection collection = {0};
	Grid grid;
	int failed = read_grid(arguments, &grid) != 0 ||
				 collect(canvas, arguments, &collection) != 0 ||
				 montage(canvas, &collection, &grid) != 0;

	collection_clear(&collection);
	return failed ? -1 : 0;
}

/* All pages of an animation in one grid. */
int
step_sprite(Canvas *canvas, Arguments *arguments)
{
	Collection collection = {.count = canvas->pages};
	Grid grid;
	int failed;

	if (read_grid(arguments, &grid) != 0 || canvas_to_memory(canvas) != 0)
		return -1;
	collection.images = g_new0(Canvas, collection.count);
	failed = 0;
	for (int i = 0; i < collection.count && failed == 0; i++)
	{
		collection.images[i] =
			(Canvas){.request = canvas->request, .problem = canvas->problem, .pages = 1};
		collection.images[i].image = page_extract(canvas, i);
		failed = collection.images[i].image == NULL;
	}
	failed = failed || montage(canvas, &collection, &grid) != 0;
	collection_clear(&collection);
	return failed ? -1 : 0;
}

/* How long each page is shown; the last delay holds for all that follow. */
static int
set_delays(Canvas *canvas, Arguments *arguments, int count)
{
	int *delays = g_new(int, count);
	const Argument *argument = NULL;
	int delay = 100;

	for (int i = 0; i < count; i++)
	{
		const Argument *next = arguments_next(arguments, "delay_ms", argument);

		if (next != NULL)
		{
			argument = next;
			if (next->type != ARGUMENT_INT || next->value.integer < 10 ||
				next->value.integer > 600000)
			{
				g_free(delays);
				return problem_set(canvas->problem, FAILURE_ARGUMENT,
								   "delay_ms must be between 10 and 600000");
			}
			delay = (int) next->value.integer;
		}
		delays[i] = delay;
	}
	vips_image_set_array_int(canvas->image, "delay", delays, count);
	vips_image_set_int(canvas->image, "loop", 0);
	g_free(delays);
	return 0;
}

/* All brought to the size of the first, one after another. */
static int
animate(Canvas *canvas, Collection *collection)
{
	ResizeTarget first = {.width = canvas->image->Xsize,
						  .height = page_height(canvas),
						  .fit = FIT_CONTAIN,
						  .kernel = VIPS_KERNEL_LANCZOS3,
						  .enlarge = true,
						  .background = {0, 0, 0, 0}};
	VipsImage **images;
	int failed = 0;

	for (int i = 1; i < collection->count && failed == 0; i++)
		failed = resize_to(&collection->images[i], &first);
	if (failed != 0 || same_bands(collection, false) != 0)
		return -1;
	images = images_of(collection);
	failed = pages_join(canvas, images, collection->count);
	g_free(images);
	canvas->sequential = false;
	return failed;
}

/* image: one more frame, as often as there are; delay_ms: of each */
int
step_animate(Canvas *canvas, Arguments *arguments)
{
	Collection collection = {0};
	int failed = collect(canvas, arguments, &collection) != 0 ||
				 animate(canvas, &collection) != 0 ||
				 set_delays(canvas, arguments, collection.count) != 0;

	collection_clear(&collection);
	return failed ? -1 : 0;
}
