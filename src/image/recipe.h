/*
 * recipe.h
 *		Steps as JSON: each is the call of the function img_<step> with named arguments.
 */
#ifndef IMGEXPORT_IMAGE_RECIPE_H
#define IMGEXPORT_IMAGE_RECIPE_H

#include "utils/jsonb.h"

/* How a recipe is checked.  Nothing of anybody's is run, not even the input function of a type. */
typedef enum RecipeCheck
{
	RECIPE_RUN, /* it is not: it is run */
	/*
	 * For a table: the extension's own steps and their arguments.  Of steps with a schema the shape
	 * alone: what they call may not be there yet (in a dump).
	 */
	RECIPE_CHECK_SHAPE,
	RECIPE_CHECK_ALL /* for who is about to run it: also whether what it calls is there */
} RecipeCheck;

/* What a recipe may refer to besides itself. */
typedef struct RecipeContext
{
	bool has_base; /* a missing image argument takes the base */
	Datum base;
	bool base_skipped;	  /* there should have been one: steps that take it are left out */
	RecipeCheck checking; /* instead of running it */
	Oid role;	/* that has to have been granted what is called; InvalidOid: the current user */
	int output; /* which of the outputs it is for, -1: all of them */
	int first_step; /* number of its first step, which tells it from others of the output */
	/*
	 * The step "service", with its number; false: there is no answer yet, and the recipe stops.
	 * NULL: img_service is called, which waits.
	 */
	bool (*service)(const struct RecipeContext *context, int step, JsonbContainer *arguments,
					Datum *image);
	void *service_argument;
	/*
	 * A step that is not one of the extension's own, or does more than append; false: its result
	 * is not here yet, and the recipe stops.  NULL: its function is called.
	 */
	bool (*foreign)(const struct RecipeContext *context, int step, const char *name,
					JsonbContainer *arguments, bool optional, Datum *image);
	void *foreign_argument;
	/* What is told of a step that was left out; NULL: a WARNING. */
	void (*skipped)(void *argument, const char *message);
	void *skipped_argument;
} RecipeContext;

bool recipe_apply(Datum *image, Jsonb *recipe, const RecipeContext *context);
void recipe_check(Jsonb *recipe, RecipeCheck check);
bool recipe_has_step(Jsonb *recipe, const char *name);
const char *nearest_name(const char *name, const char *const *candidates, int count);

#endif
