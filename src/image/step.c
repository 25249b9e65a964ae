/*
 * step.c
 *		img_step, the one C function behind every image operation.
 *
 * What the operation is called and what its arguments are called it learns from its
 * own catalogue row; what they mean only the codec knows.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/syscache.h"

#include "image/step.h"
#include "wire/frame.h"
#include "wire/pipeline.h"

PG_FUNCTION_INFO_V1(img_step);

#define FUNCTION_PREFIX "img_"

/* What the catalogue says of the function that was called; kept in fn_extra. */
typedef struct StepSignature
{
	char *step; /* the function's name without its prefix */
	int argument_count;
	char **names;
	Oid *types;
} StepSignature;

static StepSignature *
read_signature(FmgrInfo *function)
{
	MemoryContext before = MemoryContextSwitchTo(function->fn_mcxt);
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function->fn_oid));
	StepSignature *signature = palloc(sizeof *signature);
	const char *name;
	char *modes;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function->fn_oid);
	name = NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname);
	if (strncmp(name, FUNCTION_PREFIX, strlen(FUNCTION_PREFIX)) == 0)
		name += strlen(FUNCTION_PREFIX);
	signature->step = pstrdup(name);
	signature->argument_count =
		get_func_arg_info(tuple, &signature->types, &signature->names, &modes);
	ReleaseSysCache(tuple);
	if (signature->argument_count < 1 || signature->names == NULL || modes != NULL)
		elog(ERROR, "function %u is not declared as an image operation", function->fn_oid);
	MemoryContextSwitchTo(before);
	return signature;
}

/* The elements of an array of scalars as one text, joined by commas. */
static char *
array_text(Jsonb *array, const char *name)
{
	JsonbIterator *iterator = JsonbIteratorInit(&array->root);
	JsonbIteratorToken token;
	JsonbValue value;
	StringInfoData text;

	initStringInfo(&text);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type != jbvString)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("elements of %s must be strings", name)));
		appendStringInfo(&text, "%s%.*s", text.len > 0 ? "," : "", value.val.string.len,
						 value.val.string.val);
	}
	return text.data;
}

static void
pack_number(Packer *packer, const char *name, Numeric number)
{
	Datum value = NumericGetDatum(number);
	double as_float = DatumGetFloat8(DirectFunctionCall1(numeric_float8, value));

	if (as_float == rint(as_float) && fabs(as_float) < 9e15)
		pack_argument_int(packer, name, (int64) as_float);
	else
		pack_argument_float(packer, name, as_float);
}

/* One key of a jsonb argument; returns whether it became an argument. */
static bool
pack_json_value(Packer *packer, const char *name, JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return false;
		case jbvBool:
			pack_argument_bool(packer, name, value->val.boolean);
			return true;
		case jbvNumeric:
			pack_number(packer, name, value->val.numeric);
			return true;
		case jbvString:
			pack_argument_text(packer, name,
							   pnstrdup(value->val.string.val, value->val.string.len));
			return true;
		case jbvBinary:
			if (JsonContainerIsArray(value->val.binary.data))
			{
				pack_argument_text(packer, name, array_text(JsonbValueToJsonb(value), name));
				return true;
			}
			/* FALLTHROUGH */
		default:
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s must not be an object", name)));
	}
}

/* A jsonb object becomes one argument a key, named "<argument>.<key>". */
static int
pack_json(Packer *packer, const char *name, Jsonb *json)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbIteratorToken token;
	JsonbValue value;
	char *key = NULL;
	int count = 0;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be a JSON object", name)));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = psprintf("%s.%.*s", name, value.val.string.len, value.val.string.val);
		else if (token == WJB_VALUE)
			count += pack_json_value(packer, key, &value) ? 1 : 0;
	}
	return count;
}

/* An image among the arguments: its pipeline, and its sources behind those of the image. */
static void
pack_image(Packer *packer, const char *name, Datum value, LazyImage *image)
{
	static uint8 pipeline[FRAME_MAX_BYTES];
	LazyImage *argument = lazy_image(value, CurrentMemoryContext);
	int base = lazy_image_attach(image, argument);

	pack_argument_image(packer, name, base, pipeline,
						lazy_image_pack(argument, 0, pipeline, sizeof pipeline));
}

/* Returns how many arguments of the step this one makes. */
static int
pack_argument(Packer *packer, const StepArgument *argument, LazyImage *image)
{
	switch (argument->type)
	{
		case BOOLOID:
			pack_argument_bool(packer, argument->name, DatumGetBool(argument->value));
			return 1;
		case INT4OID:
			pack_argument_int(packer, argument->name, DatumGetInt32(argument->value));
			return 1;
		case INT8OID:
			pack_argument_int(packer, argument->name, DatumGetInt64(argument->value));
			return 1;
		case FLOAT8OID:
			pack_argument_float(packer, argument->name, DatumGetFloat8(argument->value));
			return 1;
		case TEXTOID:
			pack_argument_text(packer, argument->name, TextDatumGetCString(argument->value));
			return 1;
		case JSONBOID:
			return pack_json(packer, argument->name, DatumGetJsonbP(argument->value));
		case BYTEAOID:
			pack_image(packer, argument->name, argument->value, image);
			return 1;
		default:
			elog(ERROR, "argument %s of an image operation has type %u", argument->name,
				 argument->type);
	}
}

/*
 * Add a step to a lazy image.
 *
 * arguments	count of them, without the image itself; NULLs are left out
 * Errors		IX001 an image argument is none; 22023 a jsonb argument holds objects;
 *				54000 too long
 */
void
step_append(LazyImage *image, const char *name, const StepArgument *arguments, int count)
{
	static uint8 packed[FRAME_MAX_BYTES];
	Packer packer;
	Size count_at;
	uint16 packed_count = 0;

	packer_init(&packer, packed, sizeof packed);
	pack_step(&packer, name, 0);
	count_at = packer.used - sizeof packed_count;
	for (int i = 0; i < count; i++)
		if (!arguments[i].is_null)
			packed_count += pack_argument(&packer, &arguments[i], image);
	if (packer.overflow)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("arguments of img_%s take more than %d bytes", name, FRAME_MAX_BYTES)));
	memcpy(packed + count_at, &packed_count, sizeof packed_count);
	lazy_image_append(image, packed, packer.used);
}

/* img_<operation>(image bytea, ...) returns bytea */
Datum
img_step(PG_FUNCTION_ARGS)
{
	StepSignature *signature = fcinfo->flinfo->fn_extra;
	StepArgument arguments[FUNC_MAX_ARGS];
	LazyImage *image;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (signature == NULL)
		fcinfo->flinfo->fn_extra = signature = read_signature(fcinfo->flinfo);
	for (int i = 1; i < signature->argument_count; i++)
		arguments[i - 1] = (StepArgument){.name = signature->names[i],
										  .type = signature->types[i],
										  .is_null = PG_ARGISNULL(i),
										  .value = PG_GETARG_DATUM(i)};
	image = lazy_image(PG_GETARG_DATUM(0), CurrentMemoryContext);
	step_append(image, signature->step, arguments, signature->argument_count - 1);
	PG_RETURN_DATUM(lazy_image_datum(image));
}
