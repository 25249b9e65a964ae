/*
 * background.c
 *		How a background process of ours connects to a database.
 *
 * The owner of a database sets what every session in it begins with, and a superuser what every
 * session of the server does: ALTER DATABASE, ALTER ROLE, ALTER SYSTEM.  As in autovacuum, what
 * our processes depend on is set before they connect, from a source that those do not outrank.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"

#include "pins.h"
#include "queue/background.h"

static bool started = false;

/* Is this process one of ours: launcher, worker or evaluator? */
bool
background_is_here(void)
{
	return started;
}

/* Signals, and settings that nobody else is asked for.  Before anything that may take long. */
void
background_start(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	pins_override();
	started = true;
}

/*
 * Connect as the superuser that owns the server's catalogues.
 *
 * name	for pg_stat_activity
 */
void
background_connect(Oid database, const char *name)
{
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	/* session_authorization is a setting too, and cannot be pinned before there are roles. */
	SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);
	pgstat_report_appname(name);
}
