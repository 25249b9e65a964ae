/*
 * owners.c
 *		Whose a row is.
 *
 * A row's owner is a label, which imgexport.owner_role binds to a role's OID when the role
 * first writes a row: a role that is renamed keeps its label, and one that is made anew under
 * the name of one that was dropped gets another.  Policies ask for the label of the current
 * role for each row, so labels are kept here until the table or a role changes.
 *
 * A batch belongs to the first role that writes a row of it.  An id that this transaction has
 * made is nobody else's; any other is looked up, once in a transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "queue/gate.h"
#include "queue/newid.h"
#include "queue/owners.h"

PG_FUNCTION_INFO_V1(imgexport_current_owner);
PG_FUNCTION_INFO_V1(imgexport_bind_owner);
PG_FUNCTION_INFO_V1(imgexport_forget_owners);
PG_FUNCTION_INFO_V1(imgexport_claim_batch);

/* The label of a role. */
typedef struct Label
{
	Oid role;
	bool bound; /* the table has it; else it is the one that the role would get */
	uint64 generation;
	NameData label;
} Label;

static HTAB *labels;

/* Labels of an earlier generation are not believed any more. */
static uint64 generation = 1;

/* The table, once its cache of labels is watched. */
static Oid owner_table = InvalidOid;

/* The batch that this transaction has last been allowed to write to, and who was. */
static pg_uuid_t claimed_batch;
static Oid claimed_by = InvalidOid;

static void
on_relation_change(Datum argument, Oid relation)
{
	if (relation == owner_table || relation == InvalidOid)
		generation++;
}

static void
on_role_change(Datum argument, int cache, uint32 hash)
{
	generation++;
}

/* What was bound or claimed may not be so any more. */
static void
forget(void)
{
	generation++;
	claimed_by = InvalidOid;
}

static void
on_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		forget();
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		claimed_by = InvalidOid;
}

static void
on_subtransaction_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
					  void *argument)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forget();
}

/* Called once, from _PG_init. */
void
owners_define(void)
{
	HASHCTL control = {.keysize = sizeof(Oid), .entrysize = sizeof(Label)};

	labels = hash_create("imgexport labels", 64, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(on_relation_change, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, on_role_change, (Datum) 0);
	RegisterXactCallback(on_transaction_end, NULL);
	RegisterSubXactCallback(on_subtransaction_end, NULL);
}

/*
 * Run a query of one row as the owner of a function.
 *
 * read_only	it sees what the calling statement sees
 * take			is given the row while SPI is connected
 */
static void
query_as_owner(Oid function, const char *query, int count, Oid *types, Datum *values,
			   bool read_only, void (*take)(HeapTuple, TupleDesc, void *), void *result)
{
	Rights before;
	bool has_snapshot = ActiveSnapshotSet();

	if (!has_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	rights_take(rights_owner(function), &before);
	SPI_connect();
	if (SPI_execute_with_args(query, count, types, values, NULL, read_only, 1) !=
			SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "no answer to \"%s\"", query);
	take(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, result);
	SPI_finish();
	rights_give_back(&before);
	if (!has_snapshot)
		PopActiveSnapshot();
}

static void
take_label(HeapTuple row, TupleDesc columns, void *result)
{
	Label *label = result;
	bool is_null;

	namestrcpy(&label->label, NameStr(*DatumGetName(SPI_getbinval(row, columns, 1, &is_null))));
	label->bound = DatumGetBool(SPI_getbinval(row, columns, 2, &is_null));
	owner_table = DatumGetObjectId(SPI_getbinval(row, columns, 3, &is_null));
}

/* The label of a role, palloc'd; bind: write it into the table, if it is not there yet. */
static Name
label_of(Oid function, Oid role, bool bind)
{
	Label *known = hash_search(labels, &role, HASH_FIND, NULL);
	Label found = {.role = role, .generation = generation};
	Oid types[] = {REGROLEOID};
	Datum values[] = {ObjectIdGetDatum(role)};
	Name copy = palloc(sizeof *copy);

	if (known == NULL || known->generation != generation || (bind && !known->bound))
	{
		query_as_owner(function,
					   bind ? "SELECT imgexport.bind_label($1), true,"
							  " 'imgexport.owner_role'::pg_catalog.regclass::pg_catalog.oid"
							: "SELECT label, bound,"
							  " 'imgexport.owner_role'::pg_catalog.regclass::pg_catalog.oid"
							  " FROM imgexport.find_label($1)",
					   1, types, values, !bind, take_label, &found);
		/* Binding it has changed the table; the next one to ask will find that. */
		known = hash_search(labels, &role, HASH_ENTER, NULL);
		*known = found;
	}
	*copy = known->label;
	return copy;
}

/* imgexport.current_owner() returns name */
Datum
imgexport_current_owner(PG_FUNCTION_ARGS)
{
	PG_RETURN_NAME(label_of(fcinfo->flinfo->fn_oid, GetUserId(), false));
}

/* imgexport.bind_owner() returns name */
Datum
imgexport_bind_owner(PG_FUNCTION_ARGS)
{
	PG_RETURN_NAME(label_of(fcinfo->flinfo->fn_oid, GetUserId(), true));
}

/* Statement trigger: every session is to read the table anew. */
Datum
imgexport_forget_owners(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("imgexport.forget_owners must be called as a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}

static void
take_boolean(HeapTuple row, TupleDesc columns, void *result)
{
	bool is_null;

	*(bool *) result = DatumGetBool(SPI_getbinval(row, columns, 1, &is_null));
}

static bool
may_write(Oid function, const pg_uuid_t *batch)
{
	Oid types[] = {UUIDOID, NAMEOID};
	Datum values[] = {UUIDPGetDatum(batch),
					  NameGetDatum(label_of(function, GetUserId(), true))};
	bool ours;

	query_as_owner(function, "SELECT imgexport.take_batch($1, $2)", 2, types, values, false,
				   take_boolean, &ours);
	return ours;
}

/* imgexport.claim_batch(batch_id uuid) returns boolean: true, or an error */
Datum
imgexport_claim_batch(PG_FUNCTION_ARGS)
{
	pg_uuid_t *batch = PG_GETARG_UUID_P(0);

	if (claimed_by == GetUserId() && memcmp(batch, &claimed_batch, sizeof *batch) == 0)
		PG_RETURN_BOOL(true);
	if (!new_id_is_fresh(batch) && !may_write(fcinfo->flinfo->fn_oid, batch))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("batch belongs to another role")));
	claimed_batch = *batch;
	claimed_by = GetUserId();
	PG_RETURN_BOOL(true);
}
