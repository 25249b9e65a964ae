/*
 * recipe.h
 *		Steps as JSON: each is the call of the function img_<step> with named arguments.
 */
#ifndef IMGEXPORT_IMAGE_RECIPE_H
#define IMGEXPORT_IMAGE_RECIPE_H

#include "utils/jsonb.h"

/* What a recipe may refer to besides itself. */
typedef struct RecipeContext
{
	bool has_base; /* a missing image argument takes the base */
	Datum base;
	bool base_skipped; /* there should have been one: steps that take it are left out */
	bool checking;	   /* look everything up, call nothing */
	int output;		   /* which of the outputs it is for, -1: all of them */
	int first_step;	   /* number of its first step, which tells it from others of the output */
	/*
	 * The step "service", with its number; false: there is no answer yet, and the recipe stops.
	 * NULL: img_service is called, which waits.
	 */
	bool (*service)(const struct RecipeContext *context, int step, JsonbContainer *arguments,
					Datum *image);
	void *service_argument;
	/* What is told of a step that was left out; NULL: a WARNING. */
	void (*skipped)(void *argument, const char *message);
	void *skipped_argument;
} RecipeContext;

Datum recipe_apply(Datum image, Jsonb *recipe, const RecipeContext *context);
void recipe_check(Jsonb *recipe);
bool recipe_has_step(Jsonb *recipe, const char *name);
const char *nearest_name(const char *name, const char *const *candidates, int count);

#endif
