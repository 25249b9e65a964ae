/*
 * step.h
 *		One step of a lazy image, from a function's arguments.
 */
#ifndef IMGEXPORT_IMAGE_STEP_H
#define IMGEXPORT_IMAGE_STEP_H

#include "fmgr.h"

#include "image/lazy.h"

typedef struct StepArgument
{
	const char *name;
	Oid type;
	bool is_null; /* left out: the codec takes its default */
	Datum value;
} StepArgument;

/* What the catalogue says of a function; kept in its fn_extra. */
typedef struct StepSignature
{
	char *step; /* the function's name behind its first underscore */
	Oid result;
	int argument_count;
	char **names;
	Oid *types;
} StepSignature;

const StepSignature *step_signature(FunctionCallInfo fcinfo);
void step_append(LazyImage *image, const char *name, const StepArgument *arguments, int count,
				 bool optional);

#endif
