/*
 * about.c
 *		What the helper programs say of themselves, for imgexport.check().
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "helper/session.h"

PG_FUNCTION_INFO_V1(imgexport_helper_about);

/* imgexport.helper_about(helper text) returns jsonb; helper is 'codec' or 'net' */
Datum
imgexport_helper_about(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	HelperKind kind;

	if (strcmp(name, "codec") == 0)
		kind = HELPER_CODEC;
	else if (strcmp(name, "net") == 0)
		kind = HELPER_NET;
	else
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("helper must be \"codec\" or \"net\", not \"%s\"", name)));
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(session_about(kind))));
}
