/*
 * recipe.h
 *		Steps as JSON: each is the call of the function img_<step> with named arguments.
 */
#ifndef IMGEXPORT_IMAGE_RECIPE_H
#define IMGEXPORT_IMAGE_RECIPE_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* One entry of outputs: {"grid": {"format": "webp", "quality": 80, "steps": [...], ...}} */
typedef struct NamedImage
{
	char *name;
	Datum image; /* lazy */
} NamedImage;

void recipe_check(Jsonb *recipe);
Datum recipe_apply(Datum image, Jsonb *recipe, Datum base, bool has_base);
bool recipe_uses_base(Jsonb *recipe);
void outputs_check(Jsonb *outputs);
List *outputs_apply(Datum image, Jsonb *outputs, Datum base, bool has_base);

#endif
