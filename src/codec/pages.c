/*
 * pages.c
 *		The pages of an animation.
 */
#include <string.h>

#include "codec/pages.h"
#include "codec/render.h"
#include "codec/request.h"

/* Of one page, in pixels. */
int
page_height(const Canvas *canvas)
{
	return canvas->image->Ysize / canvas->pages;
}

/* One page as an image of its own, the caller's to unref; NULL with the problem noted. */
VipsImage *
page_extract(Canvas *canvas, int page)
{
	VipsImage *made = NULL;
	int height = page_height(canvas);

	if (vips_extract_area(canvas->image, &made, 0, page * height, canvas->image->Xsize, height,
						  NULL) == 0)
		return made;
	problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not take a page");
	return NULL;
}

/* Keep one page alone. */
int
pages_keep(Canvas *canvas, int page)
{
	VipsImage *kept;

	if (canvas->pages == 1)
		return 0;
	kept = page_extract(canvas, page);
	if (kept == NULL)
		return -1;
	canvas->pages = 1;
	return canvas_replace(canvas, &kept, 0, "crop");
}

static void
fill(VipsPel *pixels, size_t count, int bands, const double *background)
{
	for (size_t i = 0; i < count; i++)
		for (int band = 0; band < bands; band++)
			*pixels++ = (VipsPel) background[band];
}

/* Copy an image into the middle of its cell. */
static int
place(Canvas *canvas, VipsImage *image, const Grid *grid, int index, VipsPel *pixels,
	  size_t line)
{
	int x = index % grid->columns * (grid->cell_width + grid->gap) +
			(grid->cell_width - image->Xsize) / 2;
	int y = index / grid->columns * (grid->cell_height + grid->gap) +
			(grid->cell_height - image->Ysize) / 2;
	VipsImage *memory;

	memory = request_copy_memory(canvas->request, image);
	if (memory == NULL)
		return problem_of_vips(canvas->problem, FAILURE_MALFORMED, "image is damaged");
	for (int row = 0; row < memory->Ysize; row++)
		memcpy(pixels + (size_t) (y + row) * line + (size_t) x * (size_t) memory->Bands,
			   VIPS_IMAGE_ADDR(memory, 0, row), VIPS_IMAGE_SIZEOF_LINE(memory));
	g_object_unref(memory);
	return 0;
}

/* What an animation has besides its pages. */
static void
copy_timing(const VipsImage *from, VipsImage *to)
{
	static const char *const fields[] = {"delay", "loop"};

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
	{
		GValue value = G_VALUE_INIT;

		if (vips_image_get_typeof(from, fields[i]) == 0 ||
			vips_image_get(from, fields[i], &value) != 0)
			continue;
		vips_image_set(to, fields[i], &value);
		g_value_unset(&value);
	}
}

/*
 * Join images in a grid, by hand: vips_arrayjoin (libvips 8.14) frees what lies before its
 * inputs once it is past them, while the rows that it gave out still point there.
 *
 * images	count of them, 8 bits, of the same bands, none larger than a cell
 * Returns	the image, in memory, the caller's to unref; NULL with the problem noted
 */
VipsImage *
pages_grid(Canvas *canvas, VipsImage **images, int count, const Grid *grid)
{
	int bands = images[0]->Bands;
	int rows = (count + grid->columns - 1) / grid->columns;
	double width = (double) grid->columns * (grid->cell_width + grid->gap) - grid->gap;
	double height = (double) rows * (grid->cell_height + grid->gap) - grid->gap;
	size_t line = (size_t) width * (size_t) bands;
	VipsPel *pixels;
	VipsImage *joined;

	if (canvas_check_size(canvas, width, height) != 0)
		return NULL;
	pixels = g_try_malloc(line * (size_t) height);
	if (pixels == NULL)
	{
		problem_out_of_memory(canvas->problem);
		return NULL;
	}
	fill(pixels, (size_t) width * (size_t) height, bands, grid->background);
	for (int i = 0; i < count; i++)
		if (place(canvas, images[i], grid, i, pixels, line) != 0)
		{
			g_free(pixels);
			return NULL;
		}
	joined = vips_image_new_from_memory(pixels, line * (size_t) height, (int) width,
										(int) height, bands, VIPS_FORMAT_UCHAR);
	if (joined == NULL)
	{
		g_free(pixels);
		problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not join images");
		return NULL;
	}
	g_signal_connect_swapped(joined, "postclose", G_CALLBACK(g_free), pixels);
	joined->Type = images[0]->Type;
	copy_timing(canvas->image, joined);
	return joined;
}

/* Put images of one size below one another as the pages of the canvas. */
int
pages_join(Canvas *canvas, VipsImage **images, int count)
{
	Grid column = {
		.columns = 1, .cell_width = images[0]->Xsize, .cell_height = images[0]->Ysize};
	VipsImage *made;

	for (int i = 1; i < count; i++)
		if (images[i]->Xsize != images[0]->Xsize || images[i]->Ysize != images[0]->Ysize ||
			images[i]->Bands != images[0]->Bands)
			return problem_set(canvas->problem, FAILURE_INTERNAL,
							   "pages have come out differently");
	made = pages_grid(canvas, images, count, &column);
	if (made == NULL)
		return -1;
	canvas->pages = count;
	return canvas_replace(canvas, &made, 0, "join");
}

static int
run_page(Canvas *canvas, int index, Arguments *arguments, StepHandler run, Canvas *page)
{
	*page = *canvas;
	page->page = index;
	page->pages = 1;
	page->origin = NULL;
	page->image = page_extract(canvas, index);
	return page->image == NULL || run(page, arguments) != 0 ? -1 : canvas_admit(page);
}

/* Make a step on each page by itself. */
int
pages_each(Canvas *canvas, Arguments *arguments, StepHandler run)
{
	VipsImage **made;
	int count = canvas->pages;
	int failed = 0;

	if (count == 1)
		return run(canvas, arguments);
	if (canvas_to_memory(canvas) != 0)
		return -1;
	made = g_new0(VipsImage *, count);
	for (int i = 0; i < count && failed == 0; i++)
	{
		Canvas page = {0};

		failed = run_page(canvas, i, arguments, run, &page);
		made[i] = page.image;
		canvas->encode = page.encode;
	}
	if (failed == 0)
		failed = pages_join(canvas, made, count);
	for (int i = 0; i < count; i++)
		VIPS_UNREF(made[i]);
	g_free(made);
	return failed;
}

/* The layer of an argument, rendered once for all pages. */
static const Canvas *
find_layer(Canvas *canvas, const Pipeline *pipeline)
{
	StepMemory *memory = canvas->memory;
	Canvas *layer;

	for (int i = 0; i < memory->layer_count; i++)
		if (memory->pipelines[i] == pipeline)
			return &memory->layers[i];
	if (memory->layer_count == STEP_MAX_LAYERS)
	{
		problem_set(canvas->problem, FAILURE_INTERNAL, "a step has too many images");
		return NULL;
	}
	memory->pipelines[memory->layer_count] = pipeline;
	layer = &memory->layers[memory->layer_count++];
	*layer = (Canvas){.request = canvas->request, .problem = canvas->problem};
	/* Two images that wait for each other's rows: one has to have them all. */
	if (render_pipeline(layer, pipeline) != 0 || canvas_to_memory(layer) != 0)
		return NULL;
	return layer;
}

/*
 * The image that is an argument of a step, as it goes with this page: of an animation
 * the page of the same number, from the start again when there are no more.
 *
 * layer	to be cleared by the caller
 * Returns	0, or -1 with the problem noted; an absent argument is one
 */
int
layer_get(Canvas *canvas, Arguments *arguments, const char *name, Canvas *layer)
{
	const Pipeline *pipeline = argument_image(arguments, name);
	const Canvas *found;

	*layer = (Canvas){0};
	if (pipeline == NULL)
		return problem_set(canvas->problem, FAILURE_ARGUMENT, "%s must be an image", name);
	found = find_layer(canvas, pipeline);
	if (found == NULL)
		return -1;
	*layer = *found;
	layer->origin = NULL;
	layer->pages = 1;
	layer->image = page_extract((Canvas *) found, canvas->page % found->pages);
	return layer->image == NULL ? -1 : 0;
}

void
step_memory_clear(StepMemory *memory)
{
	for (int i = 0; i < memory->layer_count; i++)
		canvas_clear(&memory->layers[i]);
	memory->layer_count = 0;
}
