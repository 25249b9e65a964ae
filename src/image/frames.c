/*
 * frames.c
 *		img_frames: the pages of an image, a row each.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "image/describe.h"
#include "image/render.h"
#include "image/step.h"

PG_FUNCTION_INFO_V1(img_frames);

/* As many as share one decode. */
#define BATCH 64

/* A member of the image's metadata; NULL: it has none. */
static JsonbValue *
metadata_member(Jsonb *metadata, const char *name)
{
	return getKeyJsonValueFromContainer(&metadata->root, name, strlen(name), NULL);
}

static int
page_count(Jsonb *metadata)
{
	JsonbValue *pages = metadata_member(metadata, "pages");

	if (pages == NULL || pages->type != jbvNumeric)
		return 1;
	return DatumGetInt32(
		DirectFunctionCall1(numeric_int4, NumericGetDatum(pages->val.numeric)));
}

static void
put_row(ReturnSetInfo *result, int page, const Rendering *rendering, Jsonb *metadata)
{
	JsonbValue *delays = metadata_member(metadata, "delays_ms");
	JsonbValue *delay = NULL;
	Datum values[3] = {Int32GetDatum(page), PointerGetDatum(rendering->data), (Datum) 0};
	bool nulls[3] = {false, false, true};

	if (delays != NULL && delays->type == jbvBinary)
		delay = getIthJsonbValueFromContainer(delays->val.binary.data, page);
	if (delay != NULL && delay->type == jbvNumeric)
	{
		values[2] = DirectFunctionCall1(numeric_int4, NumericGetDatum(delay->val.numeric));
		nulls[2] = false;
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_batch(ReturnSetInfo *result, const LazyImage *image, int first, int count, Jsonb *metadata)
{
	LazyImage *pages[BATCH] = {NULL};
	Rendering renderings[BATCH];

	for (int i = 0; i < count; i++)
	{
		StepArgument page = {"page", INT4OID, false, Int32GetDatum(first + i)};

		pages[i] = lazy_image_copy(image, CurrentMemoryContext);
		step_append(pages[i], "page", &page, 1, false);
	}
	render_images(pages, count, false, renderings);
	for (int i = 0; i < count; i++)
	{
		put_row(result, first + i, &renderings[i], metadata);
		pfree(renderings[i].data);
	}
}

/* img_frames(image bytea) returns table(page, frame, delay_ms) */
Datum
img_frames(PG_FUNCTION_ARGS)
{
	/* What the header says is asked of the value itself, which renders a lazy one. */
	bytea *flat = PG_GETARG_BYTEA_P(0);
	Jsonb *metadata = describe_metadata(PointerGetDatum(flat));
	LazyImage *image = lazy_image(PointerGetDatum(flat), CurrentMemoryContext);
	int count = page_count(metadata);

	InitMaterializedSRF(fcinfo, 0);
	for (int first = 0; first < count; first += BATCH)
		put_batch((ReturnSetInfo *) fcinfo->resultinfo, image, first, Min(BATCH, count - first),
				  metadata);
	return (Datum) 0;
}
