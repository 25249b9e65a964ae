/*
 * step.c
 *		img_step, the one C function behind every image operation, and img_report, behind
 *		every answer that is no image.
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
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"

#include "image/render.h"
#include "image/step.h"
#include "wire/frame.h"
#include "wire/pipeline.h"

PG_FUNCTION_INFO_V1(img_step);
PG_FUNCTION_INFO_V1(img_report);

static StepSignature *
read_signature(FmgrInfo *function)
{
	MemoryContext before = MemoryContextSwitchTo(function->fn_mcxt);
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function->fn_oid));
	StepSignature *signature = palloc(sizeof *signature);
	const char *name;
	const char *underscore;
	char *modes;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function->fn_oid);
	name = NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname);
	underscore = strchr(name, '_');
	signature->step = pstrdup(underscore ? underscore + 1 : name);
	signature->result = ((Form_pg_proc) GETSTRUCT(tuple))->prorettype;
	signature->argument_count =
		get_func_arg_info(tuple, &signature->types, &signature->names, &modes);
	ReleaseSysCache(tuple);
	if (signature->argument_count < 1 || signature->names == NULL || modes != NULL)
		elog(ERROR, "function %u is not declared as an image operation", function->fn_oid);
	MemoryContextSwitchTo(before);
	return signature;
}

/* What the catalogue says of the function that was called. */
const StepSignature *
step_signature(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = read_signature(fcinfo->flinfo);
	return fcinfo->flinfo->fn_extra;
}

/* The elements of an array of strings and numbers as one text, joined by commas. */
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
		if (text.len > 0)
			appendStringInfoChar(&text, ',');
		if (value.type == jbvString)
			appendBinaryStringInfo(&text, value.val.string.val, value.val.string.len);
		else if (value.type == jbvNumeric)
			appendStringInfoString(&text,
								   DatumGetCString(DirectFunctionCall1(
									   numeric_out, NumericGetDatum(value.val.numeric))));
		else
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("elements of %s must be strings or numbers", name)));
	}
	return text.data;
}

/* A text[] likewise; its NULLs are left out. */
static char *
text_array_text(Datum array)
{
	Datum *elements;
	bool *nulls;
	int count;
	StringInfoData joined;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &count);
	initStringInfo(&joined);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			appendStringInfo(&joined, "%s%s", joined.len > 0 ? "," : "",
							 TextDatumGetCString(elements[i]));
	return joined.data;
}

/* The codec speaks UTF-8. */
static void
pack_text_argument(Packer *packer, const char *name, char *text)
{
	pack_argument_text(packer, name, pg_server_to_any(text, strlen(text), PG_UTF8));
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
			pack_text_argument(packer, name,
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
			pack_text_argument(packer, argument->name, TextDatumGetCString(argument->value));
			return 1;
		case TEXTARRAYOID:
			pack_argument_text(packer, argument->name, text_array_text(argument->value));
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
 * optional		the codec leaves the step out when it fails
 * Errors		IX001 an image argument is none; 22023 a jsonb argument holds objects;
 *				54000 too long
 */
void
step_append(LazyImage *image, const char *name, const StepArgument *arguments, int count,
			bool optional)
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
	if (optional)
	{
		pack_argument_text(&packer, STEP_ON_ERROR, STEP_ON_ERROR_SKIP);
		packed_count++;
	}
	if (packer.overflow)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("arguments of img_%s take more than %d bytes", name, FRAME_MAX_BYTES)));
	memcpy(packed + count_at, &packed_count, sizeof packed_count);
	lazy_image_append(image, packed, packer.used);
}

/* The first argument as a lazy image, with the called function as its last step. */
static LazyImage *
image_with_step(FunctionCallInfo fcinfo)
{
	const StepSignature *signature = step_signature(fcinfo);
	StepArgument arguments[FUNC_MAX_ARGS];
	LazyImage *image;

	for (int i = 1; i < signature->argument_count; i++)
		arguments[i - 1] = (StepArgument){.name = signature->names[i],
										  .type = signature->types[i],
										  .is_null = PG_ARGISNULL(i),
										  .value = PG_GETARG_DATUM(i)};
	image = lazy_image(PG_GETARG_DATUM(0), CurrentMemoryContext);
	step_append(image, signature->step, arguments, signature->argument_count - 1, false);
	return image;
}

/* img_<operation>(image bytea, ...) returns bytea */
Datum
img_step(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(lazy_image_datum(image_with_step(fcinfo)));
}

/* A report on two images is about the files that they are, not about what they were made of. */
static void
flatten_images(FunctionCallInfo fcinfo, const StepSignature *signature)
{
	int images = 0;

	for (int i = 0; i < signature->argument_count; i++)
		images += signature->types[i] == BYTEAOID && !PG_ARGISNULL(i);
	for (int i = 0; i < signature->argument_count && images > 1; i++)
		if (signature->types[i] == BYTEAOID && !PG_ARGISNULL(i))
			PG_GETARG_DATUM(i) = PointerGetDatum(PG_DETOAST_DATUM(PG_GETARG_DATUM(i)));
}

/*
 * img_<report>(image bytea, ...) returns any type: the codec's answer is a text, and read
 * by the type's input function.
 */
Datum
img_report(PG_FUNCTION_ARGS)
{
	Rendering rendering;
	LazyImage *image;
	char *text;
	Oid input;
	Oid parameter;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	flatten_images(fcinfo, step_signature(fcinfo));
	image = image_with_step(fcinfo);
	render_images(&image, 1, false, &rendering);
	text = pnstrdup(VARDATA(rendering.data), VARSIZE(rendering.data) - VARHDRSZ);
	getTypeInputInfo(step_signature(fcinfo)->result, &input, &parameter);
	PG_RETURN_DATUM(OidInputFunctionCall(input, pg_any_to_server(text, strlen(text), PG_UTF8),
										 parameter, -1));
}
