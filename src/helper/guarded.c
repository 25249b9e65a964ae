/*
 * guarded.c
 *		Run something so that its error ends it and nothing else, at one place.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "helper/guarded.h"

/*
 * In PG_CATCH: the error that was raised, in the current memory context, which must not be
 * ErrorContext; it is over with it.
 */
HelperError *
guarded_error(void)
{
	ErrorData *data = CopyErrorData();
	HelperError *error;

	FlushErrorState();
	error =
		helper_error(data->sqlerrcode, sqlstate_is_retryable(data->sqlerrcode),
					 data->message ? data->message : "unknown error", data->detail, data->hint);
	error->of_server = sqlstate_is_of_server(data->sqlerrcode) &&
					   (data->domain == NULL || strcmp(data->domain, HELPER_DOMAIN) != 0);
	FreeErrorData(data);
	return error;
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
		MemoryContextSwitchTo(context);
		error = guarded_error();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	CurrentResourceOwner = owner;
	return error;
}
