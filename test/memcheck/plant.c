/*
 * plant.c
 *		Faults of memory, one a function, to see that make memcheck finds them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(plant_freed);
PG_FUNCTION_INFO_V1(plant_reset);
PG_FUNCTION_INFO_V1(plant_beyond);
PG_FUNCTION_INFO_V1(plant_shift);
PG_FUNCTION_INFO_V1(plant_undefined);

/* What the compiler must not know. */
static volatile int hidden;

/* A text that was freed. */
Datum
plant_freed(PG_FUNCTION_ARGS)
{
	char *text = pstrdup("a text that is freed before it is read");

	pfree(text);
	PG_RETURN_INT32(text[hidden]);
}

/* A text of a context that was reset, as SPI's is at its end. */
Datum
plant_reset(PG_FUNCTION_ARGS)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "plant", ALLOCSET_DEFAULT_SIZES);
	char *text = MemoryContextStrdup(context, "a text that is reset before it is read");

	MemoryContextReset(context);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

/* One byte beyond what was allocated, though not beyond the block. */
Datum
plant_beyond(PG_FUNCTION_ARGS)
{
	char *bytes = palloc(100);

	memset(bytes, 1, 100);
	PG_RETURN_INT32(bytes[100 + hidden]);
}

/* Undefined behavior; a signed overflow is none, as PostgreSQL is compiled with -fwrapv. */
Datum
plant_shift(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(1 << (hidden + 40));
}

/* A decision by a value that nobody has set. */
Datum
plant_undefined(PG_FUNCTION_ARGS)
{
	int *number = palloc(sizeof *number);

	PG_RETURN_BOOL(*(volatile int *) number > 7);
}
