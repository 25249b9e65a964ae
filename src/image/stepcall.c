/*
 * stepcall.c
 *		A step of a recipe as the call of a function.
 *
 * "resize" is img_resize of the extension's own schema; "app.vintage" is app.img_vintage,
 * which may be anybody's.  A name is never looked for along search_path, so a recipe
 * means the same to everybody.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"

#include "compat.h"
#include "image/datauri.h"
#include "image/step.h"
#include "image/stepcall.h"
#include "wire/pipeline.h"

#define FUNCTION_PREFIX "img_"

/* A function that can be a step: (bytea, ...) returns bytea. */
typedef struct StepFunction
{
	Oid oid;
	const char *step; /* as the recipe names it */
	int argument_count;
	char **names;
	Oid *types;
	List *defaults; /* expressions of the last arguments */
} StepFunction;

/* The schema that CREATE EXTENSION put the img_ functions into. */
static Oid
extension_schema(void)
{
	Oid extension = get_extension_oid("imgexport", false);
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	Oid schema = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(relation, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return schema;
}

static bool
is_image_function(Form_pg_proc function)
{
	return function->prokind == PROKIND_FUNCTION && function->pronargs >= 1 &&
		   function->proargtypes.values[0] == BYTEAOID && function->prorettype == BYTEAOID &&
		   !function->proretset && function->provariadic == InvalidOid;
}

/* The names of the steps that the extension brings, for hints. */
static const char *
nearest_step(const char *name, Oid schema)
{
	Relation relation = table_open(ProcedureRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;
	const char *candidates[256];
	int count = 0;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)) && count < lengthof(candidates))
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(tuple);

		if (function->pronamespace == schema && is_image_function(function) &&
			strncmp(NameStr(function->proname), FUNCTION_PREFIX, strlen(FUNCTION_PREFIX)) == 0)
			candidates[count++] = pstrdup(NameStr(function->proname) + strlen(FUNCTION_PREFIX));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return nearest_name(name, candidates, count);
}

static void
read_function(HeapTuple tuple, StepFunction *function)
{
	char *modes;
	bool no_defaults;
	Datum defaults = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &no_defaults);

	function->oid = ((Form_pg_proc) GETSTRUCT(tuple))->oid;
	function->argument_count =
		get_func_arg_info(tuple, &function->types, &function->names, &modes);
	function->defaults = NIL;
	if (!no_defaults)
		function->defaults = castNode(List, stringToNode(TextDatumGetCString(defaults)));
}

static bool
find_in_schema(Oid schema, const char *name, StepFunction *function)
{
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	bool found = false;

	for (int i = 0; i < list->n_members && !found; i++)
	{
		HeapTuple tuple = &list->members[i]->tuple;
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

		found = form->pronamespace == schema && is_image_function(form);
		if (found)
			read_function(tuple, function);
	}
	ReleaseSysCacheList(list);
	return found;
}

/* Find the function of a step, and make sure that the current user may call it. */
static void
find_function(const char *step, StepFunction *function)
{
	const char *dot = strrchr(step, '.');
	const char *base = dot ? dot + 1 : step;
	Oid schema =
		dot ? LookupExplicitNamespace(pnstrdup(step, dot - step), true) : extension_schema();
	const char *nearest;

	function->step = step;
	if (!OidIsValid(schema) ||
		!find_in_schema(schema, psprintf(FUNCTION_PREFIX "%s", base), function))
	{
		nearest = nearest_step(base, extension_schema());
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no step \"%s\"", step),
						nearest ? errhint("Perhaps you meant \"%s\".", nearest) : 0));
	}
	if (compat_proc_aclcheck(function->oid, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function->oid));
}

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

static Datum
input_of_text(Oid type, char *text)
{
	Oid input;
	Oid parameter;

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
	return input_of_text(function->types[index], text);
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
argument_of_json(const StepFunction *function, int index, JsonbValue *value)
{
	Oid type = function->types[index];

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
			return input_of_text(type, pnstrdup(value->val.string.val, value->val.string.len));
		case jbvBinary:
			if (type == TEXTARRAYOID && JsonContainerIsArray(value->val.binary.data))
				return array_of_json(function, index, value->val.binary.data);
			/* FALLTHROUGH */
		default:
			raise_type(function, index);
	}
}

/* An argument that the recipe leaves out: the job's base, or the function's own default. */
static void
default_argument(const StepFunction *function, int index, const RecipeContext *context,
				 NullableDatum *argument)
{
	int first = function->argument_count - list_length(function->defaults);
	EState *estate;
	ExprState *expression;
	Datum value;
	int16 length;
	bool by_value;

	if (index < first)
	{
		if (function->types[index] != BYTEAOID)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("step \"%s\" needs an argument \"%s\"", function->step,
								   function->names ? function->names[index] : "?")));
		if (!context->has_base && !context->checking)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("step \"%s\" needs an image as \"%s\"", function->step,
							function->names ? function->names[index] : "?"),
					 errhint("Give it as a data: URI, or give the job a base or base_url.")));
		*argument = (NullableDatum){.value = context->base, .isnull = false};
		return;
	}
	/* A default is an expression, perhaps somebody else's: it runs with the step, or not at all. */
	if (context->checking)
	{
		argument->isnull = true;
		return;
	}
	estate = CreateExecutorState();
	expression = ExecPrepareExpr(list_nth(function->defaults, index - first), estate);
	value = ExecEvalExprSwitchContext(expression, GetPerTupleExprContext(estate),
									  &argument->isnull);
	get_typlenbyval(function->types[index], &length, &by_value);
	argument->value = argument->isnull ? (Datum) 0 : datumCopy(value, by_value, length);
	FreeExecutorState(estate);
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
		*argument = (NullableDatum){.value = argument_of_json(function, index, value)};
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

static Datum
call_function(const StepFunction *function, FunctionCallInfo call)
{
	Datum result;

	if (call->flinfo->fn_strict)
		for (int i = 0; i < function->argument_count; i++)
			if (call->args[i].isnull)
				ereport(ERROR,
						(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						 errmsg("argument \"%s\" of step \"%s\" must not be null",
								function->names ? function->names[i] : "?", function->step)));
	result = FunctionCallInvoke(call);
	if (call->isnull)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("step \"%s\" returned null", function->step)));
	return result;
}

/*
 * Call the function of a step.
 *
 * name			as the recipe has it
 * arguments	an object, or NULL for none
 * image		its first argument; not touched while checking
 * Returns		what the function returned; (Datum) 0 while checking
 * Errors		22023 no such step or argument, or of another type; 42501
 */
Datum
step_call(const char *name, JsonbContainer *arguments, Datum image,
		  const RecipeContext *context)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	StepFunction function;
	FmgrInfo info;
	bool by_base;
	bool before;
	volatile Datum result = (Datum) 0;

	find_function(name, &function);
	if (arguments != NULL)
		check_keys(&function, arguments);
	by_base = takes_base(&function, arguments);
	if (by_base && context->base_skipped)
		return image;
	fmgr_info(function.oid, &info);
	InitFunctionCallInfoData(*call, &info, function.argument_count, DEFAULT_COLLATION_OID, NULL,
							 NULL);
	call->args[0] = (NullableDatum){.value = image, .isnull = false};
	for (int i = 1; i < function.argument_count; i++)
		fit_argument(&function, i, arguments, context, &call->args[i]);
	if (context->checking)
		return (Datum) 0;
	/* A base that turns out to be damaged is done without, as one that did not come. */
	before = step_set_optional(by_base);
	step_set_optional(by_base || before);
	PG_TRY();
	{
		result = call_function(&function, call);
	}
	PG_FINALLY();
	{
		step_set_optional(before);
	}
	PG_END_TRY();
	return result;
}
