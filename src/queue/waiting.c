/*
 * waiting.c
 *		What imgexport.wait() has to know and SQL cannot say.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(imgexport_is_own_change);

/* imgexport.is_own_change(transaction xid) returns boolean */
Datum
imgexport_is_own_change(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(TransactionIdIsCurrentTransactionId(PG_GETARG_TRANSACTIONID(0)));
}
