/*
 * claimed.c
 *		Tasks of rows that were claimed in the open transaction.
 *
 * A job that has failed before it began, as its worker died once too often, its deadline passed
 * or what it depends on failed, is claimed like any other: so it comes to the end that its
 * on_error says, is counted, and is told of, by the one way that leads there.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "queue/claimed.h"
#include "queue/newid.h"
#include "queue/queues.h"
#include "queue/worker.h"
#include "settings.h"

enum
{
	COLUMN_BATCH_ID = 1,
	COLUMN_JOB_ID,
	COLUMN_CLAIM,
	COLUMN_QUEUE,
	COLUMN_OWNER,
	COLUMN_ATTEMPTS,
	COLUMN_MAX_ATTEMPTS,
	COLUMN_NOTIFY,
	COLUMN_EXPIRES_IN,
	COLUMN_PRESET,
	COLUMN_RECIPE,
	COLUMN_OUTPUTS,
	COLUMN_METADATA,
	COLUMN_SOURCE_URL,
	COLUMN_SOURCE,
	COLUMN_BASE_URL,
	COLUMN_BASE,
	COLUMN_HOST,
	COLUMN_DEADLINE,
	COLUMN_ON_ERROR,
	COLUMN_RUN_AT,
	COLUMN_STORE,
	COLUMN_CRASHES,
	COLUMN_PRESET_EXISTS,
	COLUMN_ERROR,
	COLUMN_ERROR_CODE
};

static Datum
row_value(int row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

/* What an on_error begins with that names a preset. */
#define FALLBACK_MARK "preset:"

/* A job that has failed before it began may be asked for its source, or for what a preset makes of it. */
static bool
wants_inputs(const Task *task)
{
	return task->verdict == NULL || task->on_error == ON_ERROR_KEEP_ORIGINAL ||
		   task->on_error == ON_ERROR_PRESET;
}

/* Bytes in the row become a memfd, so that they are in this process' memory for a moment only. */
static void
read_input(TaskInput *input, int row, int url_column, int bytes_column)
{
	bool is_null;
	Datum value = row_value(row, bytes_column, &is_null);
	bytea *bytes;

	input->url = worker_text_in(input->task->context, row, url_column);
	if (is_null || !wants_inputs(input->task))
		return;
	bytes = DatumGetByteaPP(value);
	input->length = VARSIZE_ANY_EXHDR(bytes);
	input->fd = bulk_of(VARDATA_ANY(bytes), input->length);
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

static void
read_on_error(Task *task, int row)
{
	char *name = worker_text_in(task->context, row, COLUMN_ON_ERROR);

	if (strcmp(name, "skip") == 0)
		task->on_error = ON_ERROR_SKIP;
	else if (strcmp(name, "keep_original") == 0)
		task->on_error = ON_ERROR_KEEP_ORIGINAL;
	else if (strcmp(name, "store_url") == 0)
		task->on_error = ON_ERROR_STORE_URL;
	else if (strncmp(name, FALLBACK_MARK, strlen(FALLBACK_MARK)) == 0)
	{
		task->on_error = ON_ERROR_PRESET;
		task->fallback_preset = name + strlen(FALLBACK_MARK);
	}
}

static int
sqlstate_of(const char *code)
{
	return MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
}

static void
read_verdict(Task *task, int row)
{
	char *message = worker_text(row, COLUMN_ERROR);

	if (message != NULL)
		task->verdict =
			helper_error_copy(helper_error(sqlstate_of(worker_text(row, COLUMN_ERROR_CODE)),
										   false, message, NULL, NULL),
							  task->context);
}

/* What the job's row says. */
static void
read_task(Task *task, int row)
{
	MemoryContext owner = task->context;
	bool is_null;
	Datum deadline;

	task->batch_id = *DatumGetUUIDP(row_value(row, COLUMN_BATCH_ID, &is_null));
	task->job_id = *DatumGetUUIDP(row_value(row, COLUMN_JOB_ID, &is_null));
	task->claim = *DatumGetUUIDP(row_value(row, COLUMN_CLAIM, &is_null));
	task->queue = worker_text_in(owner, row, COLUMN_QUEUE);
	task->owner = worker_text_in(owner, row, COLUMN_OWNER);
	task->attempts = DatumGetInt32(row_value(row, COLUMN_ATTEMPTS, &is_null));
	task->max_attempts = DatumGetInt32(row_value(row, COLUMN_MAX_ATTEMPTS, &is_null));
	task->notify = DatumGetBool(row_value(row, COLUMN_NOTIFY, &is_null));
	task->own_expires_in = worker_interval_in(owner, row, COLUMN_EXPIRES_IN);
	task->preset = worker_text_in(owner, row, COLUMN_PRESET);
	task->preset_exists = DatumGetBool(row_value(row, COLUMN_PRESET_EXISTS, &is_null));
	task->own_store = worker_text_in(owner, row, COLUMN_STORE);
	task->expires_in = task->own_expires_in;
	task->store = task->own_store;
	task->recipe = worker_varlena_in(owner, row, COLUMN_RECIPE);
	task->outputs = worker_varlena_in(owner, row, COLUMN_OUTPUTS);
	task->metadata = worker_varlena_in(owner, row, COLUMN_METADATA);
	task->run_at = DatumGetTimestampTz(row_value(row, COLUMN_RUN_AT, &is_null));
	task->host = worker_text_in(owner, row, COLUMN_HOST);
	deadline = row_value(row, COLUMN_DEADLINE, &is_null);
	task->deadline = is_null ? 0 : DatumGetTimestampTz(deadline);
	read_on_error(task, row);
	read_verdict(task, row);
	/* What its on_error says has a worker die, too. */
	if (task->verdict != NULL &&
		DatumGetInt32(row_value(row, COLUMN_CRASHES, &is_null)) > settings.max_crashes)
		task->on_error = ON_ERROR_FAIL;
	read_input(&task->source, row, COLUMN_SOURCE_URL, COLUMN_SOURCE);
	read_input(&task->base, row, COLUMN_BASE_URL, COLUMN_BASE);
	task->wants_base = task->base.url != NULL || task->base.fd >= 0;
}

/* Where it begins; what has failed fetches nothing that its on_error does not ask for. */
static void
begin_task(Task *task, TimestampTz now)
{
	bool wants_fetch = task->source.url != NULL || task->base.url != NULL;
	bool may_fetch = wants_inputs(task) &&
					 (task->verdict == NULL || task->deadline == 0 || task->deadline > now);

	task->claimed_at = now;
	task->state = wants_fetch && may_fetch ? TASK_FETCHING : TASK_READY;
	if (task->verdict != NULL && task->state == TASK_READY)
		task_fail(task, task->verdict);
}

/* Nothing is claimed yet. */
void
claimed_begin(Claimed *claimed, TimestampTz now)
{
	dlist_init(&claimed->tasks);
	new_id(&claimed->claim);
	claimed->now = now;
}

TimestampTz
claimed_lease(const Claimed *claimed)
{
	return TimestampTzPlusMilliseconds(claimed->now, LEASE_MS);
}

/* Make tasks of the rows that a statement has returned by CLAIM_RETURNS. */
void
claimed_read(Claimed *claimed, uint64 rows)
{
	for (uint64 row = 0; row < rows; row++)
	{
		Task *task = task_new(worker.jobs);

		dlist_push_tail(&claimed->tasks, &task->link);
		read_task(task, (int) row);
		begin_task(task, claimed->now);
	}
}

/* The transaction was committed: go on with them. */
void
claimed_keep(Claimed *claimed)
{
	while (!dlist_is_empty(&claimed->tasks))
	{
		Task *task = dlist_container(Task, link, dlist_pop_head_node(&claimed->tasks));

		dlist_push_tail(&worker.tasks, &task->link);
		worker.task_count++;
		inputs_start(task);
	}
	if (worker.task_count > 0 && worker.renew_at == 0)
		worker.renew_at = TimestampTzPlusMilliseconds(claimed->now, LEASE_MS / 3);
}

/* It was not: they are still whose they were. */
void
claimed_drop(Claimed *claimed)
{
	while (!dlist_is_empty(&claimed->tasks))
		task_free(dlist_container(Task, link, dlist_pop_head_node(&claimed->tasks)));
}
