/*
 * stepcall.h
 *		A step of a recipe as the call of a function: fit its arguments, call it.
 */
#ifndef IMGEXPORT_IMAGE_STEPCALL_H
#define IMGEXPORT_IMAGE_STEPCALL_H

#include "image/recipe.h"
#include "image/stepfunction.h"

JsonbValue *step_argument(JsonbContainer *arguments, const char *name);
Datum step_call(const StepFunction *function, JsonbContainer *arguments, Datum image,
				bool optional, const RecipeContext *context);

#endif
