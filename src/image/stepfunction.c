/*
 * stepfunction.c
 *		Find the function of a step.
 *
 * "resize" is img_resize of the extension, and of nobody else who may create functions in the
 * same schema; "app.vintage" is app.img_vintage, which may be anybody's.  A name is never
 * looked for along search_path, so a recipe means the same to everybody.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "image/recipe.h"
#include "image/stepfunction.h"

#define FUNCTION_PREFIX "img_"

/* The C function of the extension that appends a step and does nothing else. */
#define APPENDING_FUNCTION "img_step"

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

/* Does it belong to the extension, not only to its schema? */
static bool
is_ours(Oid function)
{
	return getExtensionOfObject(ProcedureRelationId, function) ==
		   get_extension_oid("imgexport", false);
}

static bool
appends(HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	bool is_null;
	Datum source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &is_null);

	return form->prolang == ClanguageId && !is_null &&
		   strcmp(TextDatumGetCString(source), APPENDING_FUNCTION) == 0 && is_ours(form->oid);
}

static void
read_function(HeapTuple tuple, StepFunction *function)
{
	char *modes;
	bool no_defaults;
	Datum defaults = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &no_defaults);

	function->oid = ((Form_pg_proc) GETSTRUCT(tuple))->oid;
	function->strict = ((Form_pg_proc) GETSTRUCT(tuple))->proisstrict;
	function->appends = appends(tuple);
	function->argument_count =
		get_func_arg_info(tuple, &function->types, &function->names, &modes);
	function->defaults = NIL;
	if (!no_defaults)
		function->defaults = castNode(List, stringToNode(TextDatumGetCString(defaults)));
}

/* ours_only: of functions of this name, the extension's alone */
static bool
find_in_schema(Oid schema, const char *name, bool ours_only, StepFunction *function)
{
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	bool found = false;

	for (int i = 0; i < list->n_members && !found; i++)
	{
		HeapTuple tuple = &list->members[i]->tuple;
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

		found = form->pronamespace == schema && is_image_function(form) &&
				(!ours_only || is_ours(form->oid));
		if (found)
			read_function(tuple, function);
	}
	ReleaseSysCacheList(list);
	return found;
}

/* Is a step named with its schema?  Then it may be anybody's. */
bool
step_is_qualified(const char *step)
{
	return strchr(step, '.') != NULL;
}

/*
 * Find the function of a step.  Nothing of it is run.
 *
 * step		borrowed for as long as the function is used
 * Errors	22023 there is none
 */
void
step_function_find(const char *step, StepFunction *function)
{
	const char *dot = strrchr(step, '.');
	const char *base = dot ? dot + 1 : step;
	Oid schema = dot ? get_namespace_oid(pnstrdup(step, dot - step), true) : extension_schema();
	const char *nearest;

	function->step = step;
	if (OidIsValid(schema) &&
		find_in_schema(schema, psprintf(FUNCTION_PREFIX "%s", base), dot == NULL, function))
		return;
	nearest = nearest_step(base, extension_schema());
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no step \"%s\"", step),
			 nearest ? errhint("Perhaps you meant \"%s\".", nearest) : 0));
}

/* Errors: 42501 the role may not use the function's schema, or not execute it. */
void
step_function_require_execute(const StepFunction *function, Oid role)
{
	Oid schema = get_func_namespace(function->oid);

	if (step_is_qualified(function->step) &&
		compat_namespace_aclcheck(schema, role, ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, get_namespace_name(schema));
	if (compat_proc_aclcheck(function->oid, role, ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function->oid));
}
