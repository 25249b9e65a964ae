/*
 * hmac.c
 *		Signatures, with PostgreSQL's own HMAC.
 */
#include "postgres.h"

#include "common/hmac.h"
#include "common/sha2.h"
#include "fmgr.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(imgexport_hmac_sha256);
PG_FUNCTION_INFO_V1(imgexport_same_bytes);

/* imgexport.hmac_sha256(message bytea, key bytea) returns bytea */
Datum
imgexport_hmac_sha256(PG_FUNCTION_ARGS)
{
	bytea *message = PG_GETARG_BYTEA_PP(0);
	bytea *key = PG_GETARG_BYTEA_PP(1);
	bytea *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	bool good =
		hmac != NULL &&
		pg_hmac_init(hmac, (uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) == 0 &&
		pg_hmac_update(hmac, (uint8 *) VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message)) == 0 &&
		pg_hmac_final(hmac, (uint8 *) VARDATA(result), PG_SHA256_DIGEST_LENGTH) == 0;

	if (hmac != NULL)
		pg_hmac_free(hmac);
	if (!good)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute the HMAC")));
	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	PG_RETURN_BYTEA_P(result);
}

/* imgexport.same_bytes(a bytea, b bytea) returns boolean: every byte is looked at */
Datum
imgexport_same_bytes(PG_FUNCTION_ARGS)
{
	bytea *a = PG_GETARG_BYTEA_PP(0);
	bytea *b = PG_GETARG_BYTEA_PP(1);
	uint8 different = 0;

	if (VARSIZE_ANY_EXHDR(a) != VARSIZE_ANY_EXHDR(b))
		PG_RETURN_BOOL(false);
	for (Size i = 0; i < VARSIZE_ANY_EXHDR(a); i++)
		different |= (uint8) VARDATA_ANY(a)[i] ^ (uint8) VARDATA_ANY(b)[i];
	PG_RETURN_BOOL(different == 0);
}
