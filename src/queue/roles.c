/*
 * roles.c
 *		The roles that labels of owners stand for, in the worker.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "queue/worker.h"

static WorkerStatement role_statement = {
	"SELECT imgexport.owner_oid($1::name)", 1, {TEXTOID}, NULL};

/* By the name a role is found again where the database is restored in another cluster. */
static WorkerStatement names_statement = {
	"UPDATE imgexport.owner_role o SET role_name = n.name FROM ("
	" SELECT l.ctid, a.rolname AS name FROM imgexport.owner_role l"
	" LEFT JOIN pg_catalog.pg_authid a ON a.oid = l.role"
	" WHERE l.cluster = imgexport.cluster() AND l.role_name IS DISTINCT FROM a.rolname"
	" FOR UPDATE OF l SKIP LOCKED) n WHERE o.ctid = n.ctid",
	0,
	{0},
	NULL};

/* The role of an owner, in the open transaction; InvalidOid: it does not exist any more. */
Oid
roles_owner(const char *owner)
{
	Datum values[] = {CStringGetTextDatum(owner)};
	bool is_null;
	Datum role;

	worker_execute(&role_statement, values, NULL);
	role = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	return is_null ? InvalidOid : DatumGetObjectId(role);
}

/* Note what roles are called now. */
void
roles_note_names(void)
{
	worker_execute(&names_statement, NULL, NULL);
}
