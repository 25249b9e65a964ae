/*
 * pipeline.h
 *		What to do with an image: a source and steps, some of whose arguments are images.
 *
 * The binary form is what the server builds as functions are called, what the
 * codec renders, and what two pipelines are compared by to find the part they
 * share.  A pipeline names its source by index; the bases of image arguments count
 * from that source, so that a finished pipeline becomes an argument of another, and
 * is moved to other indexes, without its steps being rewritten.
 *
 *	pipeline := u16 source, u16 step count, step*
 *	step     := text name, u16 argument count, argument*
 *	argument := text name, u8 type, value
 *	value    := u8 | u64 (two's complement) | f64 | text
 *				| u16 source base, u32 size, pipeline
 *
 * A JSON object among a function's arguments (the options of img_convert)
 * arrives as one argument a key, named "options.progressive".
 */
#ifndef IMGEXPORT_WIRE_PIPELINE_H
#define IMGEXPORT_WIRE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/pack.h"

#define PIPELINE_MAX_STEPS 256
#define PIPELINE_MAX_DEPTH 16	 /* of images in arguments of images */
#define PIPELINE_MAX_SOURCES 256 /* in one request, all pipelines together */
#define PIPELINE_HEADER_BYTES 4	 /* source and step count, before the first step */

/* Any step may have this text argument: with "skip" it is left out when it fails. */
#define STEP_ON_ERROR "on_error"
#define STEP_ON_ERROR_SKIP "skip"

typedef enum ArgumentType
{
	ARGUMENT_BOOL = 1,
	ARGUMENT_INT,
	ARGUMENT_FLOAT,
	ARGUMENT_TEXT,
	ARGUMENT_IMAGE
} ArgumentType;

typedef struct Pipeline Pipeline;

typedef struct Argument
{
	const char *name;
	ArgumentType type;
	union
	{
		bool boolean;
		int64_t integer;
		double number;
		const char *text;
		Pipeline *image;
	} value;
} Argument;

typedef struct Step
{
	const char *name; /* without img_ */
	int argument_count;
	Argument *arguments;
	const uint8_t *encoded; /* its binary form, which tells equal steps */
	size_t encoded_size;
} Step;

struct Pipeline
{
	int source; /* index into the request's sources, bases already added */
	int step_count;
	Step *steps;
};

void pack_pipeline_header(Packer *packer, int source, int step_count);
void pack_step(Packer *packer, const char *name, int argument_count);
void pack_argument_bool(Packer *packer, const char *name, bool value);
void pack_argument_int(Packer *packer, const char *name, int64_t value);
void pack_argument_float(Packer *packer, const char *name, double value);
void pack_argument_text(Packer *packer, const char *name, const char *value);
void pack_argument_image(Packer *packer, const char *name, int source_base,
						 const void *pipeline, size_t size);

Pipeline *pipeline_unpack(const void *data, size_t size, int source_count);
void pipeline_free(Pipeline *pipeline);
bool step_equal(const Step *a, const Step *b);
bool step_is_optional(const Step *step);

#endif
