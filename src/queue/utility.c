/*
 * utility.c
 *		Commands that a worker has to know of.
 *
 * DROP, RENAME and moving a database, and copying it as a template, need a database
 * that nobody is connected to; our worker is nobody's reason to refuse.  It is asked to
 * leave before the command (which waits for five seconds) and may come back after it,
 * whether it succeeded or not.  COMMIT PREPARED makes rows visible that the worker was
 * told of long ago, and DROP and ALTER EXTENSION take its tables.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/timestamp.h"

#include "queue/shmem.h"
#include "queue/utility.h"
#include "queue/wake.h"

/* Should the session die in the command, a worker comes back after so long. */
#define HOLD_MS 60000

static ProcessUtility_hook_type next_hook;

/* The database that a command needs to itself; NULL: none. */
static const char *
database_needed(Node *command)
{
	ListCell *cell;

	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) command)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) command)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			foreach (cell, ((AlterDatabaseStmt *) command)->options)
				if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
					return ((AlterDatabaseStmt *) command)->dbname;
			return NULL;
		case T_CreatedbStmt:
			foreach (cell, ((CreatedbStmt *) command)->options)
				if (strcmp(((DefElem *) lfirst(cell))->defname, "template") == 0)
					return defGetString(lfirst(cell));
			return NULL;
		default:
			return NULL;
	}
}

/* Ask a database's worker to leave; returns whether there is a slot to release. */
static bool
hold(Oid database)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot;

	if (state == NULL)
		return false;
	slot = queue_slot(state, database, false);
	if (slot != NULL)
	{
		slot->held_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HOLD_MS);
		slot->leave = slot->pid != 0;
		if (slot->latch != NULL)
			SetLatch(slot->latch);
	}
	queue_unlock();
	return slot != NULL;
}

static void
release(Oid database)
{
	QueueState *state = queue_lock();
	WorkerSlot *slot = queue_slot(state, database, false);

	if (slot != NULL)
	{
		slot->held_until = 0;
		slot->wanted = !slot->dormant;
		queue_wake_launcher(state);
	}
	queue_unlock();
}

/*
 * What a worker is to be told once a command has run.  It is found out before, as a command may
 * free its own statement: one that ends the transaction does.
 */
typedef struct AfterCommand
{
	bool wake;				   /* this database's worker: prepared rows are there now */
	bool wake_at_commit;	   /* its tables go */
	char created[NAMEDATALEN]; /* a database of this name, which has a worker from now on */
} AfterCommand;

static AfterCommand
read_command(Node *command)
{
	AfterCommand after = {0};

	if (IsA(command, TransactionStmt))
		after.wake = ((TransactionStmt *) command)->kind == TRANS_STMT_COMMIT_PREPARED;
	else if (IsA(command, DropStmt))
		after.wake_at_commit = ((DropStmt *) command)->removeType == OBJECT_EXTENSION;
	else if (IsA(command, CreatedbStmt))
		strlcpy(after.created, ((CreatedbStmt *) command)->dbname, sizeof after.created);
	return after;
}

static void
tell_worker(const AfterCommand *after)
{
	if (after->wake)
		wake_database(MyDatabaseId, false);
	if (after->wake_at_commit)
		wake_at_commit();
	if (after->created[0] != '\0')
		wake_created_at_commit(get_database_oid(after->created, true));
}

/* An update of the extension waits for the worker's transaction, and then the worker for it. */
static void
lock_extension(Node *command)
{
	Oid extension;

	if (!IsA(command, AlterExtensionStmt) ||
		strcmp(((AlterExtensionStmt *) command)->extname, "imgexport") != 0)
		return;
	extension = get_extension_oid("imgexport", true);
	if (OidIsValid(extension))
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessExclusiveLock);
}

static void
run_next(PlannedStmt *statement, const char *text, bool read_only,
		 ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
		 DestReceiver *receiver, QueryCompletion *completion)
{
	ProcessUtility_hook_type run = next_hook ? next_hook : standard_ProcessUtility;

	run(statement, text, read_only, context, parameters, environment, receiver, completion);
}

static void
imgexport_utility(PlannedStmt *statement, const char *text, bool read_only,
				  ProcessUtilityContext context, ParamListInfo parameters,
				  QueryEnvironment *environment, DestReceiver *receiver,
				  QueryCompletion *completion)
{
	Node *command = statement->utilityStmt;
	const char *name = database_needed(command);
	Oid database =
		name != NULL && IsTransactionState() ? get_database_oid(name, true) : InvalidOid;
	AfterCommand after = read_command(command);
	bool drops = IsA(command, DropdbStmt);

	lock_extension(command);
	if (!OidIsValid(database) || !hold(database))
		run_next(statement, text, read_only, context, parameters, environment, receiver,
				 completion);
	else
	{
		PG_TRY();
		{
			run_next(statement, text, read_only, context, parameters, environment, receiver,
					 completion);
		}
		PG_CATCH();
		{
			release(database);
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (drops)
			queue_forget(database);
		else
			release(database);
	}
	tell_worker(&after);
}

/* Called once, from _PG_init, when imgexport is preloaded. */
void
utility_define(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = imgexport_utility;
}
