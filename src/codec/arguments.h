/*
 * arguments.h
 *		A step's arguments by name, with their ranges.
 *
 * Each getter returns 0 and the value, or -1 with the problem noted; an argument that
 * is absent has the fallback.  What no getter asked for is an error at the end.
 */
#ifndef IMGEXPORT_CODEC_ARGUMENTS_H
#define IMGEXPORT_CODEC_ARGUMENTS_H

#include <stdbool.h>

#include "codec/problem.h"
#include "wire/pipeline.h"

/* More than a request has images. */
#define ARGUMENTS_MAX 1024

typedef struct Arguments
{
	const Step *step;
	Problem *problem;
	bool used[ARGUMENTS_MAX];
} Arguments;

void arguments_init(Arguments *arguments, const Step *step, Problem *problem);
const Argument *argument_find(Arguments *arguments, const char *name);
const Argument *arguments_next(Arguments *arguments, const char *name, const Argument *after);
int argument_int(Arguments *arguments, const char *name, int low, int high, int fallback,
				 int *value);
int argument_float(Arguments *arguments, const char *name, double low, double high,
				   double fallback, double *value);
int argument_bool(Arguments *arguments, const char *name, bool fallback, bool *value);
int argument_text(Arguments *arguments, const char *name, const char *fallback,
				  const char **value);
int argument_choice(Arguments *arguments, const char *name, const char *const *choices,
					int fallback, int *value);
int argument_color(Arguments *arguments, const char *name, const char *fallback,
				   double rgba[4]);
const Pipeline *argument_image(Arguments *arguments, const char *name);
int arguments_finish(Arguments *arguments);

#endif
