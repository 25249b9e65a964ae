/*
 * collect.c
 *		The aggregates img_montage and img_animate: many images become arguments of one step.
 *
 * The transition function collect_<step> keeps lazy images; finish_<step> makes the first
 * of them the source and the others its arguments.  Nothing is decoded before somebody
 * looks at the result.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "image/step.h"
#include "wire/pipeline.h"

PG_FUNCTION_INFO_V1(img_collect);
PG_FUNCTION_INFO_V1(img_collected);

/* The one argument that each row has for itself; all others are taken from the first. */
#define ROW_ARGUMENT "delay_ms"

typedef struct Collection
{
	LazyImage *first;
	ImageBudget budget;
	int count; /* of arguments, room of them allocated */
	int room;
	StepArgument *arguments;
} Collection;

static void
add_argument(Collection *collection, const char *name, Oid type, bool is_null, Datum value)
{
	if (collection->count == collection->room)
	{
		collection->room *= 2;
		collection->arguments =
			repalloc(collection->arguments, collection->room * sizeof(StepArgument));
	}
	collection->arguments[collection->count++] =
		(StepArgument){.name = pstrdup(name), .type = type, .is_null = is_null, .value = value};
}

/* A value of a row, copied to outlive it. */
static Datum
kept_value(Oid type, Datum value, bool is_null)
{
	int16 length;
	bool by_value;

	if (is_null)
		return (Datum) 0;
	get_typlenbyval(type, &length, &by_value);
	return datumCopy(value, by_value, length);
}

/* context: of the row, where a plain value becomes a lazy one */
static void
add_row(Collection *collection, FunctionCallInfo fcinfo, MemoryContext context)
{
	const StepSignature *signature = step_signature(fcinfo);
	bool first = collection->first == NULL;
	LazyImage *image;

	/* One that may be written to belongs to the row, and dies with it. */
	image = lazy_image(PG_GETARG_DATUM(1), context);
	image_budget_spend_all(&collection->budget, image);
	image = lazy_image_copy(image, CurrentMemoryContext);
	if (first)
		collection->first = image;
	else
		add_argument(collection, "image", BYTEAOID, false, lazy_image_datum(image));
	for (int i = 2; i < signature->argument_count; i++)
		if (first || strcmp(signature->names[i], ROW_ARGUMENT) == 0)
			add_argument(collection, signature->names[i], signature->types[i], PG_ARGISNULL(i),
						 kept_value(signature->types[i], PG_GETARG_DATUM(i), PG_ARGISNULL(i)));
}

/* collect_<step>(state internal, image bytea, ...) returns internal */
Datum
img_collect(PG_FUNCTION_ARGS)
{
	Collection *collection = PG_ARGISNULL(0) ? NULL : (Collection *) PG_GETARG_POINTER(0);
	MemoryContext context;
	MemoryContext before;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "function of an aggregate was called without it");
	before = MemoryContextSwitchTo(context);
	if (collection == NULL)
	{
		collection = palloc0(sizeof *collection);
		collection->room = 16;
		collection->arguments = palloc(collection->room * sizeof(StepArgument));
	}
	if (!PG_ARGISNULL(1))
		add_row(collection, fcinfo, before);
	MemoryContextSwitchTo(before);
	PG_RETURN_POINTER(collection);
}

/* finish_<step>(state internal) returns bytea */
Datum
img_collected(PG_FUNCTION_ARGS)
{
	Collection *collection = PG_ARGISNULL(0) ? NULL : (Collection *) PG_GETARG_POINTER(0);
	LazyImage *image;

	if (collection == NULL || collection->first == NULL)
		PG_RETURN_NULL();
	/* The state may be used again, as in a window. */
	image = lazy_image_copy(collection->first, CurrentMemoryContext);
	step_append(image, step_signature(fcinfo)->step, collection->arguments, collection->count,
				false);
	PG_RETURN_DATUM(lazy_image_datum(image));
}
