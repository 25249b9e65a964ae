/*
 * step.h
 *		One step of a lazy image, from a function's arguments.
 */
#ifndef IMGEXPORT_IMAGE_STEP_H
#define IMGEXPORT_IMAGE_STEP_H

#include "image/lazy.h"

typedef struct StepArgument
{
	const char *name;
	Oid type;
	bool is_null; /* left out: the codec takes its default */
	Datum value;
} StepArgument;

void step_append(LazyImage *image, const char *name, const StepArgument *arguments, int count);

#endif
