/*
 * export.c
 *		img_export: one image, many outputs, one decode.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "compat.h"
#include "image/outputs.h"
#include "image/render.h"

PG_FUNCTION_INFO_V1(img_export);

static void
put_row(ReturnSetInfo *result, const NamedImage *named, const Rendering *rendering)
{
	Datum values[6] = {
		CStringGetTextDatum(named->name), CStringGetTextDatum(rendering->format),
		PointerGetDatum(rendering->data), Int64GetDatum(VARSIZE(rendering->data) - VARHDRSZ),
		Int32GetDatum(rendering->width),  Int32GetDatum(rendering->height)};
	bool nulls[6] = {false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static LazyImage **
images_of(const NamedImage *named, int count)
{
	LazyImage **images = palloc(count * sizeof *images);

	for (int i = 0; i < count; i++)
		images[i] = named[i].image;
	return images;
}

/* img_export(image bytea, outputs jsonb) returns table(name, format, data, bytes, width, height) */
Datum
img_export(PG_FUNCTION_ARGS)
{
	RecipeContext context = {0};
	LazyImage *image = lazy_image(PG_GETARG_DATUM(0), CurrentMemoryContext);
	NamedImage *named;
	int count = outputs_apply(image, PG_GETARG_JSONB_P(1), &context, &named);
	Rendering *renderings = palloc0(count * sizeof *renderings);
	int failed = 0;

	InitMaterializedSRF(fcinfo, 0);
	render_images(images_of(named, count), count, true, renderings);
	for (int i = 0; i < count; i++)
		failed += renderings[i].error != NULL;
	if (failed == count)
		helper_error_raise(renderings[0].error);
	for (int i = 0; i < count; i++)
	{
		if (renderings[i].error != NULL)
			ereport(WARNING, (errcode(renderings[i].error->sqlstate),
							  errmsg("output \"%s\" was skipped: %s", named[i].name,
									 renderings[i].error->message)));
		else
			put_row((ReturnSetInfo *) fcinfo->resultinfo, &named[i], &renderings[i]);
	}
	return (Datum) 0;
}
