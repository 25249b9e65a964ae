/*
 * outputs.h
 *		Named outputs as JSON: {"grid": {"format": "webp", "width": 600, "height": 400}}.
 */
#ifndef IMGEXPORT_IMAGE_OUTPUTS_H
#define IMGEXPORT_IMAGE_OUTPUTS_H

#include "image/lazy.h"
#include "image/recipe.h"

typedef struct NamedImage
{
	char *name;
	LazyImage *image;
} NamedImage;

int outputs_apply(LazyImage *image, Jsonb *outputs, const RecipeContext *context,
				  NamedImage **result);
void outputs_check(Jsonb *outputs, RecipeCheck check);

#endif
