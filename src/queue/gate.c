/*
 * gate.c
 *		Functions that do for their callers what these may not do themselves.
 *
 * imgexport.url(...) is declared with the C function imgexport_as_owner.  That runs the function
 * imgexport.url_as(caller, ...) with the rights of the extension's owner, and tells it which
 * role called.  The role is the one that PostgreSQL checks privileges for at this moment, so
 * SET ROLE, functions that are SECURITY DEFINER, autovacuum and background workers all count as
 * whom they act for.  Neither the session's user nor any setting has a say.
 *
 * Only here do rights change, so only here can it be done wrong: a function behind the gate has
 * no SECURITY DEFINER, nobody else may execute it, and it decides by its argument "caller".
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "pins.h"
#include "queue/gate.h"

PG_FUNCTION_INFO_V1(imgexport_as_owner);

/* What is appended to the name of a function for the one behind it. */
#define TWIN_SUFFIX "_as"

/* The function behind the gate; kept in fn_extra of the one before it. */
typedef struct Twin
{
	Oid owner;
	FmgrInfo function;
} Twin;

/* The types of the twin's arguments: the caller, and those of the function before the gate. */
static oidvector *
twin_types(Form_pg_proc function)
{
	Oid types[FUNC_MAX_ARGS] = {REGROLEOID};

	if (function->pronargs >= FUNC_MAX_ARGS)
		elog(ERROR, "function %u has too many arguments", function->oid);
	memcpy(types + 1, function->proargtypes.values, function->pronargs * sizeof *types);
	return buildoidvector(types, function->pronargs + 1);
}

/* Both have to be the extension's, so that nobody else can slip in either of them. */
static bool
is_ours(Oid function)
{
	return getExtensionOfObject(ProcedureRelationId, function) ==
		   get_extension_oid("imgexport", false);
}

static Oid
find_twin(Form_pg_proc function)
{
	Oid twin = GetSysCacheOid3(
		PROCNAMEARGSNSP, Anum_pg_proc_oid,
		CStringGetDatum(psprintf("%s" TWIN_SUFFIX, NameStr(function->proname))),
		PointerGetDatum(twin_types(function)), ObjectIdGetDatum(function->pronamespace));

	if (!OidIsValid(twin) || !is_ours(function->oid) || !is_ours(twin) ||
		get_func_rettype(twin) != function->prorettype ||
		get_func_retset(twin) != function->proretset)
		elog(ERROR, "there is no function behind \"%s\"", NameStr(function->proname));
	return twin;
}

static Twin *
make_twin(FmgrInfo *before)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(before->fn_oid));
	Twin *twin = MemoryContextAllocZero(before->fn_mcxt, sizeof *twin);
	Form_pg_proc function;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", before->fn_oid);
	function = (Form_pg_proc) GETSTRUCT(tuple);
	twin->owner = function->proowner;
	fmgr_info_cxt(find_twin(function), &twin->function, before->fn_mcxt);
	ReleaseSysCache(tuple);
	return twin;
}

/* Call it; a set is returned whole, as nothing of it may run once the rights are given back. */
static Datum
call_twin(Twin *twin, Oid caller, FunctionCallInfo before)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	ReturnSetInfo *set = (ReturnSetInfo *) before->resultinfo;
	Datum result;

	if (twin->function.fn_retset && (set == NULL || !IsA(set, ReturnSetInfo)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	if (twin->function.fn_retset)
		set->allowedModes |= SFRM_Materialize_Preferred;
	InitFunctionCallInfoData(*call, &twin->function, before->nargs + 1, before->fncollation,
							 NULL, before->resultinfo);
	call->args[0] = (NullableDatum){.value = ObjectIdGetDatum(caller), .isnull = false};
	memcpy(call->args + 1, before->args, before->nargs * sizeof *call->args);
	result = FunctionCallInvoke(call);
	before->isnull = call->isnull;
	return result;
}

/* Act as owner, with pinned settings.  An error leaves the way back to the (sub)transaction's end. */
void
rights_take(Oid owner, Rights *before)
{
	GetUserIdAndSecContext(&before->caller, &before->security_context);
	SetUserIdAndSecContext(owner, before->security_context | SECURITY_LOCAL_USERID_CHANGE);
	before->settings_level = NewGUCNestLevel();
	pins_apply(PINS_MEANING, GUC_ACTION_SAVE);
}

void
rights_give_back(const Rights *before)
{
	AtEOXact_GUC(true, before->settings_level);
	SetUserIdAndSecContext(before->caller, before->security_context);
}

/* Who owns a function of the extension, and with it the extension's tables. */
Oid
rights_owner(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * NAME(...): what imgexport.NAME_as(caller regrole, ...) returns, run as the function's owner
 * with pinned settings.  An error leaves user and settings to the (sub)transaction's end, which
 * restores both.
 *
 * Errors	42501 the caller may not execute NAME, and whatever the function raises
 * Source	PostgreSQL utils/fmgr/fmgr.c, fmgr_security_definer
 */
Datum
imgexport_as_owner(PG_FUNCTION_ARGS)
{
	FmgrInfo *function = fcinfo->flinfo;
	Oid caller = GetUserId();
	Rights before;
	Twin *twin;
	Datum result;

	/* The executor has checked it; an operator, cast or index that somebody made may have not. */
	if (compat_proc_aclcheck(function->fn_oid, caller, ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function->fn_oid));
	if (function->fn_extra == NULL)
		function->fn_extra = make_twin(function);
	twin = function->fn_extra;
	rights_take(twin->owner, &before);
	result = call_twin(twin, caller, fcinfo);
	rights_give_back(&before);
	return result;
}
