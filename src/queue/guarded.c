/*
 * guarded.c
 *		Run something of one job so that its error is that job's, at one place.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "queue/guarded.h"

static HelperError *
error_of(const ErrorData *data)
{
	return helper_error(data->sqlerrcode, sqlstate_is_retryable(data->sqlerrcode),
						data->message ? data->message : "unknown error", data->detail,
						data->hint);
}

/*
 * Run in a subtransaction of the open transaction.
 *
 * Returns	NULL, or the error that was raised, in the task's context; what the
 *			subtransaction did is then undone
 */
HelperError *
run_guarded(void (*run)(Task *task), Task *task)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	HelperError *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(task->context);
	PG_TRY();
	{
		run(task);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *data;

		MemoryContextSwitchTo(task->context);
		data = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(task->context);
		error = error_of(data);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}
