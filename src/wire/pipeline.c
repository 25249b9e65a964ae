/*
 * pipeline.c
 *		The binary form of a pipeline: packing beside unpacking.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/pipeline.h"

/* Start a pipeline: step_count steps follow. */
void
pack_pipeline_header(Packer *packer, int source, int step_count)
{
	pack_u16(packer, (uint16_t) source);
	pack_u16(packer, (uint16_t) step_count);
}

/* Start a step: argument_count arguments follow. */
void
pack_step(Packer *packer, const char *name, int argument_count)
{
	pack_text(packer, name);
	pack_u16(packer, (uint16_t) argument_count);
}

static void
pack_argument(Packer *packer, const char *name, ArgumentType type)
{
	pack_text(packer, name);
	pack_u8(packer, (uint8_t) type);
}

void
pack_argument_bool(Packer *packer, const char *name, bool value)
{
	pack_argument(packer, name, ARGUMENT_BOOL);
	pack_u8(packer, value ? 1 : 0);
}

void
pack_argument_int(Packer *packer, const char *name, int64_t value)
{
	pack_argument(packer, name, ARGUMENT_INT);
	pack_u64(packer, (uint64_t) value);
}

void
pack_argument_float(Packer *packer, const char *name, double value)
{
	pack_argument(packer, name, ARGUMENT_FLOAT);
	pack_f64(packer, value);
}

void
pack_argument_text(Packer *packer, const char *name, const char *value)
{
	pack_argument(packer, name, ARGUMENT_TEXT);
	pack_text(packer, value);
}

/* pipeline: the packed form of another pipeline, whose sources start at source_base of ours. */
void
pack_argument_image(Packer *packer, const char *name, int source_base, const void *pipeline,
					size_t size)
{
	pack_argument(packer, name, ARGUMENT_IMAGE);
	pack_u16(packer, (uint16_t) source_base);
	pack_u32(packer, (uint32_t) size);
	pack_bytes(packer, pipeline, size);
}

static Pipeline *unpack_level(const void *data, size_t size, int source_base, int source_count,
							  int depth);

static bool
unpack_argument(Unpacker *unpacker, Argument *argument, int source_base, int source_count,
				int depth)
{
	argument->name = unpack_text(unpacker);
	argument->type = (ArgumentType) unpack_u8(unpacker);
	switch (argument->type)
	{
		case ARGUMENT_BOOL:
			argument->value.boolean = unpack_u8(unpacker) != 0;
			break;
		case ARGUMENT_INT:
			argument->value.integer = (int64_t) unpack_u64(unpacker);
			break;
		case ARGUMENT_FLOAT:
			argument->value.number = unpack_f64(unpacker);
			break;
		case ARGUMENT_TEXT:
			argument->value.text = unpack_text(unpacker);
			break;
		case ARGUMENT_IMAGE:
		{
			int base = source_base + unpack_u16(unpacker);
			size_t size = unpack_u32(unpacker);
			const void *data = unpack_bytes(unpacker, size);

			argument->value.image =
				data ? unpack_level(data, size, base, source_count, depth + 1) : NULL;
			return argument->value.image != NULL;
		}
		default:
			return false;
	}
	return !unpacker->failed;
}

static bool
unpack_step(Unpacker *unpacker, Step *step, int source_base, int source_count, int depth)
{
	size_t start = unpacker->used;
	int count;

	step->name = unpack_text(unpacker);
	count = unpack_u16(unpacker);
	/* An argument takes at least six bytes, so a false count cannot make us allocate much. */
	if (unpacker->failed || (size_t) count > (unpacker->size - unpacker->used) / 6)
		return false;
	step->arguments = calloc((size_t) count + 1, sizeof(Argument));
	if (step->arguments == NULL)
		return false;
	for (int i = 0; i < count; i++)
	{
		/* Counted before it is read: a half-read image is freed with the rest. */
		step->argument_count = i + 1;
		if (!unpack_argument(unpacker, &step->arguments[i], source_base, source_count, depth))
			return false;
	}
	step->encoded = unpacker->data + start;
	step->encoded_size = unpacker->used - start;
	return true;
}

static Pipeline *
unpack_level(const void *data, size_t size, int source_base, int source_count, int depth)
{
	Unpacker unpacker;
	Pipeline *pipeline;
	int step_count;

	if (depth > PIPELINE_MAX_DEPTH || (pipeline = calloc(1, sizeof *pipeline)) == NULL)
		return NULL;
	unpacker_init(&unpacker, data, size);
	pipeline->source = source_base + unpack_u16(&unpacker);
	step_count = unpack_u16(&unpacker);
	if (unpacker.failed || pipeline->source >= source_count ||
		step_count > PIPELINE_MAX_STEPS ||
		(pipeline->steps = calloc((size_t) step_count + 1, sizeof(Step))) == NULL)
	{
		pipeline_free(pipeline);
		return NULL;
	}
	for (int i = 0; i < step_count; i++)
	{
		pipeline->step_count = i + 1;
		if (!unpack_step(&unpacker, &pipeline->steps[i], pipeline->source, source_count, depth))
		{
			pipeline_free(pipeline);
			return NULL;
		}
	}
	if (!unpack_finished(&unpacker))
	{
		pipeline_free(pipeline);
		return NULL;
	}
	return pipeline;
}

/*
 * Read a pipeline.  Texts point into data, which has to outlive the result.
 *
 * source_count	sources the request brings; an index past them is an error
 * Returns		a tree to be freed with pipeline_free; NULL when data is not a
 *				pipeline, goes too deep or has too many steps (or memory is out)
 */
Pipeline *
pipeline_unpack(const void *data, size_t size, int source_count)
{
	return unpack_level(data, size, 0, source_count, 1);
}

/* Free a pipeline and the pipelines inside; half-built ones and NULL too. */
void
pipeline_free(Pipeline *pipeline)
{
	if (pipeline == NULL)
		return;
	for (int i = 0; i < pipeline->step_count; i++)
	{
		Step *step = &pipeline->steps[i];

		for (int j = 0; j < step->argument_count; j++)
			if (step->arguments[j].type == ARGUMENT_IMAGE)
				pipeline_free(step->arguments[j].value.image);
		free(step->arguments);
	}
	free(pipeline->steps);
	free(pipeline);
}

/* The same step with the same arguments (of pipelines of one request). */
bool
step_equal(const Step *a, const Step *b)
{
	return a->encoded_size == b->encoded_size &&
		   memcmp(a->encoded, b->encoded, a->encoded_size) == 0;
}

/* Is a step one that is left out when it fails? */
bool
step_is_optional(const Step *step)
{
	for (int i = 0; i < step->argument_count; i++)
		if (step->arguments[i].type == ARGUMENT_TEXT &&
			strcmp(step->arguments[i].name, STEP_ON_ERROR) == 0)
			return strcmp(step->arguments[i].value.text, STEP_ON_ERROR_SKIP) == 0;
	return false;
}
