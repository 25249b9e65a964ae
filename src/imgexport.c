/*
 * imgexport.c
 *		Where the server comes in.
 *
 * Image functions need nothing but this library; jobs are run only where it is in
 * shared_preload_libraries.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "queue/launcher.h"
#include "queue/owners.h"
#include "queue/shmem.h"
#include "queue/utility.h"
#include "queue/wake.h"
#include "settings.h"

PG_MODULE_MAGIC;

static shmem_request_hook_type next_request_hook;
static shmem_startup_hook_type next_startup_hook;

static void
on_memory_request(void)
{
	if (next_request_hook != NULL)
		next_request_hook();
	queue_request_memory();
}

static void
on_memory_startup(void)
{
	if (next_startup_hook != NULL)
		next_startup_hook();
	queue_attach_memory();
}

void _PG_init(void);

void
_PG_init(void)
{
	settings_define();
	wake_define();
	owners_define();
	/* During pg_upgrade, in the old server and in the new one, nothing may change but by it. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	next_request_hook = shmem_request_hook;
	shmem_request_hook = on_memory_request;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = on_memory_startup;
	utility_define();
	launcher_define();
}
