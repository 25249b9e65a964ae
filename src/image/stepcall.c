/*
 * stepcall.c
 *		A step of a recipe as the call of a function: its arguments, and the call.
 *
 * Steps of the extension are appended here, and nothing of anybody else's runs: their arguments
 * are of PostgreSQL's own types and their defaults are constants.  Any other function is called
 * as whoever this process acts for; only sessions and evaluators get so far.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "image/datauri.h"
#include "image/step.h"
#include "image/stepcall.h"
#include "wire/pipeline.h"

/* Every key of the arguments has to be an argument. */
static void
check_keys(const StepFunction *function, JsonbContainer *arguments)
{
	JsonbIterator *iterator = JsonbIteratorInit(arguments);
	JsonbIteratorToken token;
	JsonbValue key;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		char *name;
		const char *nearest;
		bool known = false;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		known = strcmp(name, STEP_ON_ERROR) == 0;
		for (int i = 1; i < function->argument_count && !known; i++)
			known = function->names != NULL && strcmp(function->names[i], name) == 0;
		if (known)
			continue;
		nearest = function->names == NULL
					  ? NULL
					  : nearest_name(name, (const char *const *) function->names + 1,
									 function->argument_count - 1);
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("step \"%s\" has no argument \"%s\"", function->step, name),
						nearest ? errhint("Perhaps you meant \"%s\".", nearest) : 0));
	}
}

pg_noreturn static void
raise_type(const StepFunction *function, int index)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" of step \"%s\" must be of type %s", function->names[index],
					function->step, format_type_be(function->types[index]))));
}

/* An image in a recipe. */
static Datum
image_of_text(const StepFunction *function, int index, const char *text, int length)
{
	bytea *image;

	if (length < 5 || strncmp(text, "data:", 5) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" of step \"%s\" must be an image",
							   function->names[index], function->step),
						errhint("Write it as a data: URI with base64, or leave it out to take "
								"the job's base.")));
	image = data_uri_decode(text, length);
	if (image == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" of step \"%s\" is not valid base64",
							   function->names[index], function->step)));
	return PointerGetDatum(image);
}

/* An input function of a type that is not PostgreSQL's own is somebody's code. */
static Datum
input_of_text(const StepFunction *function, int index, char *text)
{
	Oid type = function->types[index];
	Oid input;
	Oid parameter;

	if (function->appends && type >= FirstNormalObjectId)
		elog(ERROR, "argument %d of step \"%s\" has a type that is not PostgreSQL's own", index,
			 function->step);
	getTypeInputInfo(type, &input, &parameter);
	return OidInputFunctionCall(input, text, parameter, -1);
}

/* A number of JSON as one of SQL: integers only where they are. */
static Datum
number_of_json(const StepFunction *function, int index, JsonbValue *value)
{
	char *text =
		DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));

	switch (function->types[index])
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			if (strchr(text, '.') != NULL)
				raise_type(function, index);
			break;
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			break;
		default:
			raise_type(function, index);
	}
	return input_of_text(function, index, text);
}

/* An array of strings as text[]. */
static Datum
array_of_json(const StepFunction *function, int index, JsonbContainer *array)
{
	int count = JsonContainerSize(array);
	Datum *elements = palloc(count * sizeof *elements);

	for (int i = 0; i < count; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		if (element->type != jbvString)
			raise_type(function, index);
		elements[i] = PointerGetDatum(
			cstring_to_text_with_len(element->val.string.val, element->val.string.len));
	}
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* A value of the recipe as the argument's type. */
static Datum
argument_of_json(const StepFunction *function, int index, JsonbValue *value,
				 const RecipeContext *context)
{
	Oid type = function->types[index];

	/* Whether a value is one of somebody's type only that type's functions know. */
	if (context->checking != RECIPE_RUN && type >= FirstNormalObjectId)
		return (Datum) 0;
	if (type == JSONBOID)
		return JsonbPGetDatum(JsonbValueToJsonb(value));
	switch (value->type)
	{
		case jbvBool:
			if (type != BOOLOID)
				raise_type(function, index);
			return BoolGetDatum(value->val.boolean);
		case jbvNumeric:
			return number_of_json(function, index, value);
		case jbvString:
			if (type == BYTEAOID)
				return image_of_text(function, index, value->val.string.val,
									 value->val.string.len);
			if (type == BOOLOID || TypeCategory(type) == TYPCATEGORY_NUMERIC)
				raise_type(function, index);
			return input_of_text(function, index,
								 pnstrdup(value->val.string.val, value->val.string.len));
		case jbvBinary:
			if (type == TEXTARRAYOID && JsonContainerIsArray(value->val.binary.data))
				return array_of_json(function, index, value->val.binary.data);
			/* FALLTHROUGH */
		default:
			raise_type(function, index);
	}
}

/* A step of ours is called where nothing may be run: what is no constant is a mistake of ours. */
static void
constant_default(const StepFunction *function, Expr *expression, NullableDatum *argument)
{
	Const *constant = (Const *) eval_const_expressions(NULL, (Node *) expression);

	if (!IsA(constant, Const))
		elog(ERROR, "a default of step \"%s\" is not a constant", function->step);
	*argument = (NullableDatum){.value = constant->constvalue, .isnull = constant->constisnull};
}

/* A default is an expression, perhaps somebody's own. */
static void
evaluated_default(Oid type, Expr *expression, NullableDatum *argument)
{
	EState *estate = CreateExecutorState();
	ExprState *state = ExecPrepareExpr(expression, estate);
	Datum value =
		ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), &argument->isnull);
	int16 length;
	bool by_value;

	get_typlenbyval(type, &length, &by_value);
	argument->value = argument->isnull ? (Datum) 0 : datumCopy(value, by_value, length);
	FreeExecutorState(estate);
}

/* An argument that the recipe leaves out: the job's base, or the function's own default. */
static void
default_argument(const StepFunction *function, int index, const RecipeContext *context,
				 NullableDatum *argument)
{
	int first = function->argument_count - list_length(function->defaults);

	if (index >= first)
	{
		Expr *expression = list_nth(function->defaults, index - first);

		if (function->appends)
			constant_default(function, expression, argument);
		else if (context->checking != RECIPE_RUN)
			argument->isnull = true;
		else
			evaluated_default(function->types[index], expression, argument);
		return;
	}
	if (function->types[index] != BYTEAOID)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("step \"%s\" needs an argument \"%s\"", function->step,
							   function->names ? function->names[index] : "?")));
	if (!context->has_base && context->checking == RECIPE_RUN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step \"%s\" needs an image as \"%s\"", function->step,
						function->names ? function->names[index] : "?"),
				 errhint("Give it as a data: URI, or give the job a base or base_url.")));
	*argument = (NullableDatum){.value = context->base, .isnull = false};
}

/* What a recipe says of a step's argument; NULL: nothing.  arguments: NULL where it has none. */
JsonbValue *
step_argument(JsonbContainer *arguments, const char *name)
{
	return arguments == NULL
			   ? NULL
			   : getKeyJsonValueFromContainer(arguments, name, strlen(name), NULL);
}

static void
fit_argument(const StepFunction *function, int index, JsonbContainer *arguments,
			 const RecipeContext *context, NullableDatum *argument)
{
	const char *name = function->names ? function->names[index] : "";
	JsonbValue *value = name[0] == '\0' ? NULL : step_argument(arguments, name);

	if (value == NULL)
		default_argument(function, index, context, argument);
	else if (value->type == jbvNull)
		*argument = (NullableDatum){.isnull = true};
	else
		*argument = (NullableDatum){.value = argument_of_json(function, index, value, context)};
}

/* Does a step take the job's base, which it leaves out? */
static bool
takes_base(const StepFunction *function, JsonbContainer *arguments)
{
	int first = function->argument_count - list_length(function->defaults);

	for (int i = 1; i < first; i++)
	{
		const char *name = function->names ? function->names[i] : "";

		if (function->types[i] == BYTEAOID && step_argument(arguments, name) == NULL)
			return true;
	}
	return false;
}

static void
require_arguments(const StepFunction *function, const NullableDatum *arguments)
{
	for (int i = 1; function->strict && i < function->argument_count; i++)
		if (arguments[i].isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" of step \"%s\" must not be null",
							function->names ? function->names[i] : "?", function->step)));
}

/* A step of the extension: what img_step would do, and nothing is called. */
static Datum
append_step(const StepFunction *function, const NullableDatum *arguments, bool optional)
{
	const char *dot = strrchr(function->step, '.');
	StepArgument step[FUNC_MAX_ARGS];
	LazyImage *image = lazy_image(arguments[0].value, CurrentMemoryContext);

	for (int i = 1; i < function->argument_count; i++)
		step[i - 1] = (StepArgument){.name = function->names[i],
									 .type = function->types[i],
									 .is_null = arguments[i].isnull,
									 .value = arguments[i].value};
	step_append(image, dot ? dot + 1 : function->step, step, function->argument_count - 1,
				optional);
	return lazy_image_datum(image);
}

/* Any other function.  optional: the steps that it appends may be left out when they fail. */
static Datum
call_function(const StepFunction *function, const NullableDatum *arguments, bool optional)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	FmgrInfo info;
	LazyImage *before =
		optional ? lazy_image_copy(lazy_image(arguments[0].value, CurrentMemoryContext),
								   CurrentMemoryContext)
				 : NULL;
	Datum result;

	fmgr_info(function->oid, &info);
	InitFunctionCallInfoData(*call, &info, function->argument_count, DEFAULT_COLLATION_OID,
							 NULL, NULL);
	memcpy(call->args, arguments, function->argument_count * sizeof *arguments);
	result = FunctionCallInvoke(call);
	if (call->isnull)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("step \"%s\" returned null", function->step)));
	if (optional)
		result = lazy_image_datum(lazy_image_optional_tail(
			lazy_image(result, CurrentMemoryContext), before, CurrentMemoryContext));
	return result;
}

/*
 * Call the function of a step.
 *
 * arguments	an object, or NULL for none
 * image		its first argument; not touched while checking
 * optional		the codec may leave out what it appends
 * Returns		what the function returned; (Datum) 0 while checking
 * Errors		22023 no such argument, or of another type; 42501 the role may not execute it
 */
Datum
step_call(const StepFunction *function, JsonbContainer *arguments, Datum image, bool optional,
		  const RecipeContext *context)
{
	NullableDatum values[FUNC_MAX_ARGS];
	bool by_base;

	step_function_require_execute(function,
								  OidIsValid(context->role) ? context->role : GetUserId());
	if (arguments != NULL)
		check_keys(function, arguments);
	by_base = takes_base(function, arguments);
	if (by_base && context->base_skipped)
		return image;
	values[0] = (NullableDatum){.value = image, .isnull = false};
	for (int i = 1; i < function->argument_count; i++)
		fit_argument(function, i, arguments, context, &values[i]);
	if (context->checking != RECIPE_RUN)
		return (Datum) 0;
	require_arguments(function, values);
	/* A base that turns out to be damaged is done without, as one that did not come. */
	return function->appends ? append_step(function, values, optional || by_base)
							 : call_function(function, values, optional || by_base);
}
