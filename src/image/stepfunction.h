/*
 * stepfunction.h
 *		The function that a step of a recipe calls.
 */
#ifndef IMGEXPORT_IMAGE_STEPFUNCTION_H
#define IMGEXPORT_IMAGE_STEPFUNCTION_H

#include "nodes/pg_list.h"

/* A function that can be a step: (bytea, ...) returns bytea. */
typedef struct StepFunction
{
	Oid oid;
	const char *step; /* as the recipe names it */
	/*
	 * It is img_step of the extension: calling it appends a step and does nothing else, and its
	 * arguments are of PostgreSQL's own types.
	 */
	bool appends;
	bool strict;
	int argument_count;
	char **names; /* NULL: they have none */
	Oid *types;
	List *defaults; /* expressions of the last arguments */
} StepFunction;

bool step_is_qualified(const char *step);
void step_function_find(const char *step, StepFunction *function);
void step_function_require_execute(const StepFunction *function, Oid role);

#endif
