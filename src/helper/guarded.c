/*
 * guarded.c
 *		Run something so that its error ends it and nothing else, at one place.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "helper/guarded.h"

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
 * context	current while it runs
 * Returns	NULL, or the error that was raised, in that context; what the subtransaction
 *			did is then undone
 */
HelperError *
run_guarded(void (*run)(void *argument), void *argument, MemoryContext context)
{
	MemoryContext before = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	HelperError *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run(argument);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *data;

		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		error = error_of(data);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	CurrentResourceOwner = owner;
	return error;
}
