/*
 * errors.c
 *		What helpers report, as PostgreSQL errors.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "helper/errors.h"
#include "helper/presentable.h"

typedef struct FailureMapping
{
	int sqlstate;
	bool retryable;
} FailureMapping;

/* Indexed by FailureKind. */
static const FailureMapping mappings[] = {
	[FAILURE_INTERNAL] = {ERRCODE_IMAGE_HELPER, true},
	[FAILURE_MALFORMED] = {ERRCODE_IMAGE_MALFORMED, false},
	[FAILURE_UNSUPPORTED] = {ERRCODE_IMAGE_UNSUPPORTED, false},
	[FAILURE_LIMIT] = {ERRCODE_IMAGE_LIMIT, false},
	[FAILURE_TIMEOUT] = {ERRCODE_IMAGE_TIMEOUT, true},
	[FAILURE_TRANSFER] = {ERRCODE_IMAGE_TRANSFER, true},
	[FAILURE_TRANSFER_FINAL] = {ERRCODE_IMAGE_TRANSFER, false},
	[FAILURE_REFUSED] = {ERRCODE_IMAGE_REFUSED, false},
	[FAILURE_ARGUMENT] = {ERRCODE_INVALID_PARAMETER_VALUE, false},
	[FAILURE_FEATURE] = {ERRCODE_FEATURE_NOT_SUPPORTED, false},
	[FAILURE_MEMORY] = {ERRCODE_OUT_OF_MEMORY, true},
	[FAILURE_DENIED] = {ERRCODE_INSUFFICIENT_PRIVILEGE, false},
	[FAILURE_DISK_FULL] = {ERRCODE_DISK_FULL, true},
	[FAILURE_IO] = {ERRCODE_IO_ERROR, true},
};

static char *
presentable_or_null(const char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : presentable(text);
}

/* A new error in the current memory context; texts are copied, NULL detail and hint allowed. */
HelperError *
helper_error(int sqlstate, bool retryable, const char *message, const char *detail,
			 const char *hint)
{
	HelperError *error = palloc0(sizeof *error);

	error->sqlstate = sqlstate;
	error->retryable = retryable;
	error->output = -1;
	error->step = -1;
	error->step_name = pstrdup("");
	error->message = presentable(message);
	error->detail = presentable_or_null(detail);
	error->hint = presentable_or_null(hint);
	return error;
}

/* A copy that belongs to a context, texts and all. */
HelperError *
helper_error_copy(const HelperError *error, MemoryContext owner)
{
	HelperError *copy = MemoryContextAlloc(owner, sizeof *copy);

	*copy = *error;
	copy->step_name = MemoryContextStrdup(owner, error->step_name);
	copy->message = MemoryContextStrdup(owner, error->message);
	if (error->detail != NULL)
		copy->detail = MemoryContextStrdup(owner, error->detail);
	if (error->hint != NULL)
		copy->hint = MemoryContextStrdup(owner, error->hint);
	return copy;
}

/* The error a helper's report stands for, in the current memory context. */
HelperError *
helper_error_of_failure(const Failure *failure)
{
	const FailureMapping *mapping = &mappings[failure->kind];
	HelperError *error =
		helper_error(mapping->sqlstate, mapping->retryable, presentable_ascii(failure->message),
					 presentable_ascii(failure->detail), presentable_ascii(failure->hint));

	error->output = failure->output;
	error->step = failure->step;
	error->step_name = presentable_ascii(failure->step_name);
	error->http_status = failure->http_status;
	error->retry_after_s = failure->retry_after_s;
	error->sent = failure->sent;
	return error;
}

/* Is a job that failed with this error worth another try? */
bool
sqlstate_is_retryable(int sqlstate)
{
	for (size_t kind = FAILURE_INTERNAL; kind < lengthof(mappings); kind++)
		if (mappings[kind].sqlstate == sqlstate)
			return mappings[kind].retryable;
	/* Trouble of the server, not of the job: 40 rollback, 53 resources, 57 intervention, 58 system. */
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return false;
	}
}

/*
 * Is this something that the server itself could not do, now: a lock, a conflict with others, its
 * disk, its memory, its end?  A limit that somebody has set is not (53400), nor is a file that is
 * not there (58P01).
 */
bool
sqlstate_is_of_server(int sqlstate)
{
	static const int others[] = {ERRCODE_LOCK_NOT_AVAILABLE, ERRCODE_READ_ONLY_SQL_TRANSACTION,
								 ERRCODE_SYSTEM_ERROR, ERRCODE_IO_ERROR};

	for (size_t i = 0; i < lengthof(others); i++)
		if (sqlstate == others[i])
			return true;
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_OPERATOR_INTERVENTION:
			return true;
		case ERRCODE_INSUFFICIENT_RESOURCES:
			return sqlstate != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
		default:
			return false;
	}
}

/*
 * Raise it, as what it is: the error of another process, though it may have the SQLSTATE of one
 * that the server itself has met.  The domain tells, and nothing is ever translated in it.
 */
void
helper_error_raise(const HelperError *error)
{
	ereport_domain(ERROR, HELPER_DOMAIN,
				   (errcode(error->sqlstate), errmsg("%s", error->message),
					error->detail ? errdetail("%s", error->detail) : 0,
					error->hint ? errhint("%s", error->hint) : 0,
					error->step >= 0 ? errcontext("rendering step %d, img_%s", error->step + 1,
												  error->step_name)
									 : 0));
	pg_unreachable();
}
