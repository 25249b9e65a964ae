/*
 * stepcall.h
 *		A step of a recipe as the call of a function: look it up, fit its arguments, call it.
 */
#ifndef IMGEXPORT_IMAGE_STEPCALL_H
#define IMGEXPORT_IMAGE_STEPCALL_H

#include "image/recipe.h"

JsonbValue *step_argument(JsonbContainer *arguments, const char *name);
Datum step_call(const char *name, JsonbContainer *arguments, Datum image,
				const RecipeContext *context);

#endif
