/*
 * layer.c
 *		One image over another.
 */
#include "codec/layer.h"
#include "codec/resize.h"

int
layer_read_mode(Arguments *arguments, VipsBlendMode *mode)
{
	const char *name;
	int value;

	if (argument_text(arguments, "blend", "over", &name) != 0)
		return -1;
	value = vips_enum_from_nick("composite", VIPS_TYPE_BLEND_MODE, name);
	if (value < 0)
	{
		vips_error_clear();
		problem_set(arguments->problem, FAILURE_ARGUMENT, "blend must not be \"%.100s\"", name);
		problem_hint(arguments->problem,
					 "It is one of libvips' blend modes: over, multiply, screen, overlay, "
					 "darken, lighten, dest-over and so on.");
		return -1;
	}
	*mode = (VipsBlendMode) value;
	return 0;
}

/* In floating point, with an alpha band; what it was is rounded at the end, once. */
static int
prepare(Canvas *layer, double opacity)
{
	double factors[4] = {1, 1, 1, opacity};
	double zeros[4] = {0, 0, 0, 0};
	VipsImage *made = NULL;

	if (canvas_to_rgb(layer) != 0 || canvas_add_alpha(layer) != 0)
		return -1;
	if (opacity == 1)
		return 0;
	return canvas_replace(layer, &made,
						  vips_linear(layer->image, &made, factors, zeros, 4, NULL), "fade");
}

/* What is seen of a side of an image that begins at start, on a side of size from 0 on. */
static int
visible_part(int start, int length, int size, int *first)
{
	gint64 from = VIPS_CLIP(0, -(gint64) start, length);
	gint64 to = VIPS_CLIP(0, (gint64) size - start, length);

	*first = (int) from;
	return (int) VIPS_MAX(0, to - from);
}

/* An image of zeros: nothing to see, where it has alpha or is one. */
static int
nothing(VipsImage *like, VipsImage **made, int width, int height)
{
	VipsImage *black = NULL;
	VipsImage *cast = NULL;
	int failed = vips_black(&black, width, height, "bands", like->Bands, NULL) != 0 ||
				 vips_cast(black, &cast, like->BandFmt, NULL) != 0 ||
				 vips_copy(cast, made, "interpretation", like->Type, NULL) != 0;

	VIPS_UNREF(black);
	VIPS_UNREF(cast);
	return failed ? -1 : 0;
}

/*
 * An image as a part of a larger or smaller one, zero where it is not.  What lies outside is
 * cut off, and an image that lies outside as a whole leaves nothing to see.
 *
 * place	where its upper left corner goes, any integers; and the size of the result
 */
int
layer_spread(VipsImage *image, VipsImage **made, const VipsRect *place)
{
	VipsRect seen;
	VipsImage *part = NULL;
	int failed;

	seen.width = visible_part(place->left, image->Xsize, place->width, &seen.left);
	seen.height = visible_part(place->top, image->Ysize, place->height, &seen.top);
	if (seen.width == 0 || seen.height == 0)
		return nothing(image, made, place->width, place->height);
	failed = vips_extract_area(image, &part, seen.left, seen.top, seen.width, seen.height,
							   NULL) != 0 ||
			 vips_embed(part, made, VIPS_MAX(place->left, 0), VIPS_MAX(place->top, 0),
						place->width, place->height, NULL) != 0;
	VIPS_UNREF(part);
	return failed ? -1 : 0;
}

/*
 * A layer as large as the ground, transparent where it was not.  Where libvips finds one
 * image alone in a tile it copies it, and colours that cannot be seen come out otherwise
 * than blended ones: what is under zero alpha would depend on where tiles begin.
 */
static int
spread(Canvas *layer, const Canvas *ground, const Placement *placement)
{
	VipsRect place = {placement->x, placement->y, ground->image->Xsize, ground->image->Ysize};
	VipsImage *made = NULL;

	if (place.left == 0 && place.top == 0 && layer->image->Xsize == place.width &&
		layer->image->Ysize == place.height)
		return 0;
	return canvas_replace(layer, &made, layer_spread(layer->image, &made, &place), "extend");
}

/* Do modes exist that cut holes into an opaque ground?  These do. */
static bool
keeps_opaque(VipsBlendMode mode)
{
	switch (mode)
	{
		case VIPS_BLEND_MODE_CLEAR:
		case VIPS_BLEND_MODE_SOURCE:
		case VIPS_BLEND_MODE_IN:
		case VIPS_BLEND_MODE_OUT:
		case VIPS_BLEND_MODE_DEST_IN:
		case VIPS_BLEND_MODE_DEST_OUT:
		case VIPS_BLEND_MODE_DEST_ATOP:
		case VIPS_BLEND_MODE_XOR:
			return false;
		default:
			return true;
	}
}

/* Nothing shines through either of two images that cover each other. */
static bool
is_plain_mix(const Canvas *ground, const Canvas *layer, const Placement *placement)
{
	return placement->mode == VIPS_BLEND_MODE_OVER && placement->x == 0 && placement->y == 0 &&
		   !vips_image_hasalpha(ground->image) && !vips_image_hasalpha(layer->image) &&
		   ground->image->Xsize == layer->image->Xsize &&
		   ground->image->Ysize == layer->image->Ysize;
}

/* What a value comes to at an opacity, for every value. */
static void
weigh(double opacity, float table[256])
{
	for (int i = 0; i < 256; i++)
		table[i] = (float) (i * opacity);
}

/* So much of the layer, and the rest of the ground: what "over" comes to then, but cheaper. */
static int
mix(Canvas *ground, Canvas *layer, double opacity)
{
	float upper[256];
	float lower[256];
	VipsImage *a;
	VipsImage *b;
	int failed = 0;

	if (canvas_to_rgb(ground) != 0 || canvas_to_rgb(layer) != 0)
		return -1;
	weigh(opacity, upper);
	weigh(1 - opacity, lower);
	a = vips_image_copy_memory(layer->image);
	/* Written to, so it has to be ours alone. */
	b = vips_image_new_memory();
	if (a == NULL || vips_image_write(ground->image, b) != 0)
		failed = problem_of_vips(ground->problem, FAILURE_MALFORMED, "image is damaged");
	for (int y = 0; failed == 0 && y < b->Ysize; y++)
	{
		const VipsPel *from = VIPS_IMAGE_ADDR(a, 0, y);
		VipsPel *to = VIPS_IMAGE_ADDR(b, 0, y);

		for (size_t i = 0; i < VIPS_IMAGE_SIZEOF_LINE(b); i++)
			to[i] = (VipsPel) (upper[from[i]] + lower[to[i]] + 0.5f);
	}
	VIPS_UNREF(a);
	if (failed == 0)
		return canvas_replace(ground, &b, 0, "composite");
	g_object_unref(b);
	return -1;
}

/*
 * Lay an image on the ground; what hangs over is cut off.
 *
 * ground	becomes the result; with alpha where it had some, or where the mode makes holes
 * layer	changed, still the caller's
 */
int
layer_lay(Canvas *ground, Canvas *layer, const Placement *placement)
{
	bool opaque = !vips_image_hasalpha(ground->image) && keeps_opaque(placement->mode);
	VipsImage *made = NULL;

	/* Two images that wait for each other's rows: both have to have them all. */
	if (canvas_to_memory(ground) != 0 || canvas_to_memory(layer) != 0)
		return -1;
	if (is_plain_mix(ground, layer, placement))
		return mix(ground, layer, placement->opacity);
	if (prepare(ground, 1) != 0 || prepare(layer, placement->opacity) != 0 ||
		spread(layer, ground, placement) != 0 ||
		canvas_replace(ground, &made,
					   vips_composite2(ground->image, layer->image, &made, placement->mode,
									   "compositing_space", VIPS_INTERPRETATION_sRGB, NULL),
					   "composite") != 0 ||
		canvas_settle(ground, 0) != 0)
		return -1;
	if (!opaque)
		return 0;
	made = NULL;
	return canvas_replace(ground, &made,
						  vips_extract_band(ground->image, &made, 0, "n", 3, NULL), "reduce");
}

/* Tiles of few pixels are repeated to larger ones first: libvips counts to a million. */
#define TILE_SIDE 64

static int
enlarge_tile(Canvas *layer)
{
	int across = (TILE_SIDE + layer->image->Xsize - 1) / layer->image->Xsize;
	int down = (TILE_SIDE + layer->image->Ysize - 1) / layer->image->Ysize;
	VipsImage *made = NULL;

	if (across == 1 && down == 1)
		return 0;
	return canvas_replace(layer, &made, vips_replicate(layer->image, &made, across, down, NULL),
						  "repeat");
}

/* Repeat a layer until it covers a ground; by the gravity one tile lies where it would alone. */
int
layer_tile(Canvas *layer, int width, int height, int gravity)
{
	int tile_width = layer->image->Xsize;
	int tile_height = layer->image->Ysize;
	VipsImage *made = NULL;
	int x;
	int y;

	gravity_offset(gravity, width - tile_width, height - tile_height, true, &x, &y);
	x = (x % tile_width + tile_width) % tile_width;
	y = (y % tile_height + tile_height) % tile_height;
	if (canvas_to_memory(layer) != 0 || enlarge_tile(layer) != 0)
		return -1;
	/* Not by canvas_replace: what is repeated is larger than the ground before it is cut. */
	if (vips_replicate(layer->image, &made, width / layer->image->Xsize + 3,
					   height / layer->image->Ysize + 3, NULL) != 0)
		return problem_of_vips(layer->problem, FAILURE_INTERNAL, "could not repeat the image");
	g_object_unref(layer->image);
	layer->image = made;
	return canvas_extract(layer, tile_width - x, tile_height - y, width, height);
}
