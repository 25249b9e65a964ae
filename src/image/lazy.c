/*
 * lazy.c
 *		The lazy bytea: source bytes and steps that are rendered when somebody looks.
 *
 * Source	utils/expandeddatum.h.  A read/write pointer may be extended in place,
 *			a read-only one is copied first; sources are shared, steps are small.
 */
#include "postgres.h"

#include "utils/expandeddatum.h"
#include "utils/memutils.h"

#include "compat.h"
#include "helper/bulk.h"
#include "image/lazy.h"
#include "image/render.h"
#include "settings.h"
#include "wire/frame.h"
#include "wire/pipeline.h"

struct LazyImage
{
	ExpandedObjectHeader header;
	MemoryContextCallback on_reset;
	int source_count;
	int source_room;
	ImageSource **sources;
	int step_count;
	int depth; /* of images in arguments of images; 1 without any */
	Size steps_size;
	Size steps_room;
	uint8 *steps;	 /* packed, one after another */
	bytea *rendered; /* the flat form, once somebody asked; NULL again after a step */
};

static Size lazy_get_flat_size(ExpandedObjectHeader *header);
static void lazy_flatten_into(ExpandedObjectHeader *header, void *result, Size size);

static const ExpandedObjectMethods lazy_methods = {lazy_get_flat_size, lazy_flatten_into};

/* The flat form: the source as it is where there are no steps, else the rendering. */
static Size
lazy_get_flat_size(ExpandedObjectHeader *header)
{
	LazyImage *image = (LazyImage *) header;

	if (image->rendered == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(header->eoh_context);

		if (image->step_count == 0)
			image->rendered = image_source_read(image->sources[0]);
		else
		{
			Rendering rendering;

			render_images(&image, 1, false, &rendering);
			image->rendered = rendering.data;
		}
		MemoryContextSwitchTo(before);
	}
	return VARSIZE(image->rendered);
}

static void
lazy_flatten_into(ExpandedObjectHeader *header, void *result, Size size)
{
	LazyImage *image = (LazyImage *) header;

	memcpy(result, image->rendered, size);
}

static void
lazy_on_reset(void *argument)
{
	LazyImage *image = argument;

	for (int i = 0; i < image->source_count; i++)
		image_source_release(image->sources[i]);
	image->source_count = 0;
}

/* A lazy image of nothing yet, in a context of its own. */
static LazyImage *
new_image(MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "imgexport lazy image", ALLOCSET_SMALL_SIZES);
	LazyImage *image = MemoryContextAllocZero(context, sizeof *image);

	EOH_init_header(&image->header, &lazy_methods, context);
	image->depth = 1;
	image->source_room = 2;
	image->sources = MemoryContextAlloc(context, image->source_room * sizeof(ImageSource *));
	image->steps_room = 512;
	image->steps = MemoryContextAlloc(context, image->steps_room);
	image->on_reset.func = lazy_on_reset;
	image->on_reset.arg = image;
	MemoryContextRegisterResetCallback(context, &image->on_reset);
	return image;
}

/* Take over one reference to a source. */
static void
add_source(LazyImage *image, ImageSource *source)
{
	if (image->source_count == image->source_room)
	{
		image->source_room *= 2;
		image->sources = repalloc(image->sources, image->source_room * sizeof(ImageSource *));
	}
	image->sources[image->source_count++] = source;
}

static void
share_sources(LazyImage *image, const LazyImage *other)
{
	int count = other->source_count; /* the other may be the image itself */

	for (int i = 0; i < count; i++)
	{
		image_source_share(other->sources[i]);
		add_source(image, other->sources[i]);
	}
}

/* A lazy image among the values of type bytea, or NULL; *writable as its pointer says. */
static LazyImage *
as_lazy(Datum value, bool *writable)
{
	struct varlena *pointer = (struct varlena *) DatumGetPointer(value);
	ExpandedObjectHeader *header;

	if (!VARATT_IS_EXTERNAL_EXPANDED(pointer))
		return NULL;
	header = DatumGetEOHP(value);
	*writable = VARATT_IS_EXTERNAL_EXPANDED_RW(pointer);
	return header->eoh_methods == &lazy_methods ? (LazyImage *) header : NULL;
}

/*
 * Any bytea as a lazy image that may be extended.
 *
 * image	lazy or plain, not NULL; a read/write lazy one is returned itself
 * parent	context that a new one becomes a child of
 * Errors	IX001 not an image
 */
LazyImage *
lazy_image(Datum image, MemoryContext parent)
{
	bool writable;
	LazyImage *lazy = as_lazy(image, &writable);
	LazyImage *new;

	if (lazy != NULL)
		return writable ? lazy : lazy_image_copy(lazy, parent);
	new = new_image(parent);
	add_source(new, image_source(image));
	return new;
}

/*
 * A lazy image of the bytes in a sealed memfd, which stays the caller's.
 *
 * Errors	IX001 not an image, 53000
 */
LazyImage *
lazy_image_of_memfd(int fd, uint64 length, MemoryContext parent)
{
	LazyImage *new = new_image(parent);

	add_source(new, image_source_of_memfd(fd, length));
	return new;
}

/* Instead of those that it has. */
static void
set_steps(LazyImage *image, const uint8 *steps, Size size, int count)
{
	if (size > image->steps_room)
	{
		image->steps = repalloc(image->steps, size);
		image->steps_room = size;
	}
	memcpy(image->steps, steps, size);
	image->steps_size = size;
	image->step_count = count;
}

/* How deep images are nested in the arguments of a pipeline; 1 without any. */
static int
pipeline_depth(const Pipeline *pipeline)
{
	int depth = 1;

	for (int i = 0; i < pipeline->step_count; i++)
		for (int j = 0; j < pipeline->steps[i].argument_count; j++)
			if (pipeline->steps[i].arguments[j].type == ARGUMENT_IMAGE)
				depth =
					Max(depth, pipeline_depth(pipeline->steps[i].arguments[j].value.image) + 1);
	return depth;
}

/*
 * An image that another process of the server has made.
 *
 * sources	count of them, which are shared
 * pipeline	size bytes as lazy_image_pack() makes them; whether they are is checked
 * Returns	NULL: they are no pipeline of these sources
 */
LazyImage *
lazy_image_of_pipeline(ImageSource **sources, int count, const uint8 *pipeline, Size size,
					   MemoryContext parent)
{
	Pipeline *unpacked;
	LazyImage *new;
	int depth;
	int steps;

	if (count < 1 || count > PIPELINE_MAX_SOURCES || size > FRAME_MAX_BYTES / 2 ||
		(unpacked = pipeline_unpack(pipeline, size, count)) == NULL)
		return NULL;
	depth = unpacked->source == 0 ? pipeline_depth(unpacked) : PIPELINE_MAX_DEPTH + 1;
	steps = unpacked->step_count;
	pipeline_free(unpacked);
	if (depth > PIPELINE_MAX_DEPTH)
		return NULL;
	new = new_image(parent);
	for (int i = 0; i < count; i++)
	{
		image_source_share(sources[i]);
		add_source(new, sources[i]);
	}
	set_steps(new, pipeline + PIPELINE_HEADER_BYTES, size - PIPELINE_HEADER_BYTES, steps);
	new->depth = depth;
	return new;
}

/* A copy that shares the sources. */
LazyImage *
lazy_image_copy(const LazyImage *image, MemoryContext parent)
{
	LazyImage *copy = new_image(parent);

	share_sources(copy, image);
	copy->depth = image->depth;
	set_steps(copy, image->steps, image->steps_size, image->step_count);
	return copy;
}

/* As an SQL value: a read/write pointer. */
Datum
lazy_image_datum(LazyImage *image)
{
	return EOHPGetRWDatum(&image->header);
}

/* A rendering that lies in the image's own context, and is not the source itself. */
static void
forget_rendering(LazyImage *image)
{
	if (image->rendered != NULL && image->rendered != image->sources[0]->bytes)
		pfree(image->rendered);
	image->rendered = NULL;
}

/*
 * Add a step.
 *
 * step		packed (wire/pipeline.h), size bytes; copied
 * Errors	54000 too many steps, or too long in all
 */
void
lazy_image_append(LazyImage *image, const void *step, Size size)
{
	if (image->step_count >= PIPELINE_MAX_STEPS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("image has more than %d steps", PIPELINE_MAX_STEPS)));
	if (image->steps_size + size > FRAME_MAX_BYTES / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("steps of an image take more than %d bytes", FRAME_MAX_BYTES / 2)));
	forget_rendering(image);
	if (image->steps_size + size > image->steps_room)
	{
		image->steps_room = Max(image->steps_size + size, image->steps_room * 2);
		image->steps = repalloc(image->steps, image->steps_room);
	}
	memcpy(image->steps + image->steps_size, step, size);
	image->steps_size += size;
	image->step_count++;
}

/* How many bytes of its steps has an image kept of those of another, from which it was made? */
static Size
kept_steps(const LazyImage *image, const LazyImage *before)
{
	if (image->sources[0] == before->sources[0] && image->steps_size >= before->steps_size &&
		memcmp(image->steps, before->steps, before->steps_size) == 0)
		return before->steps_size;
	return 0;
}

/* Pack a step with one more argument, that says it may be left out. */
static void
pack_optional(Packer *packer, const Step *step)
{
	uint8 header[FRAME_MAX_BYTES / 8];
	Packer measure;

	packer_init(&measure, header, sizeof header);
	pack_step(&measure, step->name, step->argument_count);
	pack_step(packer, step->name, step->argument_count + 1);
	pack_bytes(packer, step->encoded + measure.used, step->encoded_size - measure.used);
	pack_argument_text(packer, STEP_ON_ERROR, STEP_ON_ERROR_SKIP);
	packer->overflow |= measure.overflow;
}

/*
 * A copy whose steps, but for those that it has from the image before, may be left out when
 * they fail.
 *
 * Errors	54000 the steps become too long
 */
LazyImage *
lazy_image_optional_tail(const LazyImage *image, const LazyImage *before, MemoryContext parent)
{
	LazyImage *copy = lazy_image_copy(image, parent);
	Size kept = kept_steps(image, before);
	uint8 *packed = palloc(FRAME_MAX_BYTES);
	uint8 *marked = palloc(FRAME_MAX_BYTES);
	Size size = lazy_image_pack(image, 0, packed, FRAME_MAX_BYTES);
	Pipeline *pipeline = pipeline_unpack(packed, size, image->source_count);
	Packer packer;

	if (pipeline == NULL)
		elog(ERROR, "steps of an image cannot be read");
	packer_init(&packer, marked, FRAME_MAX_BYTES / 2);
	for (int i = 0; i < pipeline->step_count; i++)
	{
		const Step *step = &pipeline->steps[i];

		if (step->encoded - packed < PIPELINE_HEADER_BYTES + kept || step_is_optional(step))
			pack_bytes(&packer, step->encoded, step->encoded_size);
		else
			pack_optional(&packer, step);
	}
	pipeline_free(pipeline);
	if (packer.overflow)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("steps of an image take more than %d bytes", FRAME_MAX_BYTES / 2)));
	set_steps(copy, marked, packer.used, image->step_count);
	pfree(packed);
	pfree(marked);
	return copy;
}

/* Count one more source; the first is free, as whoever has it has its bytes already. */
static void
image_budget_spend(ImageBudget *budget, const ImageSource *source)
{
	Size limit = (Size) settings.max_input_kb * 1024;

	if (budget->sources >= PIPELINE_MAX_SOURCES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("image is made of more than %d images", PIPELINE_MAX_SOURCES)));
	if (budget->sources > 0 && budget->bytes + source->length > limit)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("image is made of images of more than %zu bytes", limit),
						errhint("imgexport.max_input_bytes sets the limit.")));
	if (budget->sources > 0)
		budget->bytes += source->length;
	budget->sources++;
}

/*
 * Count the sources of an image that becomes a part of another one.  All that collect images
 * count them one by one, before they keep the next.
 *
 * Errors	54000 too many, or too many bytes
 */
void
image_budget_spend_all(ImageBudget *budget, const LazyImage *image)
{
	for (int i = 0; i < image->source_count; i++)
		image_budget_spend(budget, image->sources[i]);
}

/*
 * Make an image an argument of this one: its sources become sources of this one too.
 *
 * Returns	the index that the first of them has here: the argument's source base
 * Errors	54000 too many sources, or images in images in images
 */
int
lazy_image_attach(LazyImage *image, const LazyImage *argument)
{
	ImageBudget budget = {0};
	int base = image->source_count;

	if (argument->depth >= PIPELINE_MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("images are nested in images more than %d deep", PIPELINE_MAX_DEPTH),
				 errhint("A value that was stored once is not nested any more.")));
	for (int i = 0; i < image->source_count; i++)
		image_budget_spend(&budget, image->sources[i]);
	image_budget_spend_all(&budget, argument);
	share_sources(image, argument);
	image->depth = Max(image->depth, argument->depth + 1);
	return base;
}

/*
 * Write the image as a pipeline.
 *
 * first_source	index of its first source in the request
 * room			of the buffer, in bytes
 * Returns		the bytes written
 * Errors		54000 there is not as much room
 */
Size
lazy_image_pack(const LazyImage *image, int first_source, void *buffer, Size room)
{
	Packer packer;

	packer_init(&packer, buffer, room);
	pack_pipeline_header(&packer, first_source, image->step_count);
	pack_bytes(&packer, image->steps, image->steps_size);
	if (packer.overflow)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("steps of an image take more than %zu bytes", room)));
	return packer.used;
}

int
lazy_image_source_count(const LazyImage *image)
{
	return image->source_count;
}

/* Borrowed. */
ImageSource *
lazy_image_source(const LazyImage *image, int index)
{
	return image->sources[index];
}
