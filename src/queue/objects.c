/*
 * objects.c
 *		Outputs on their way into a store: files, written by a process of their own, or requests to
 *		S3 and HTTP servers.
 *
 * What is sent where, and with which signature, is said in SQL (schema/36_stores.sql), in
 * short transactions; this keeps the transfers going.  An S3 gets a large object in parts:
 * one request begins, one sends each part, one ends it.
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_type.h"
#include "common/sha2.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/guarded.h"
#include "image/fetch.h"
#include "queue/filework.h"
#include "queue/worker.h"
#include "settings.h"

/* An object that is being removed is written when that is over. */
#define REMOVING_WAIT_MS 20

/* Answers of an S3 are small. */
#define ANSWER_MAX_BYTES (1 << 20)

#define UPLOAD_ID_MAX_BYTES 1024

typedef enum Stage
{
	STAGE_PLAN,	 /* its key is not known yet */
	STAGE_WHOLE, /* one request sends it */
	STAGE_BEGIN, /* an upload in parts is to begin */
	STAGE_PART,	 /* the next part is to be sent */
	STAGE_END,	 /* all parts are there */
	STAGE_DONE
} Stage;

struct Object
{
	Task *task;
	int output;
	Stage stage;
	char *key;
	FileJob *file_job; /* that writes it, where it is a file */
	uint64 planned_in; /* which round of ours */
	bytea *sha256;
	char *mime;
	uint64 part_bytes; /* larger ones are sent in parts of so many; 0: never */
	Transfer *transfer;
	char *upload_id;  /* of the upload in parts */
	int part;		  /* that is sent, from 1 */
	StringInfo parts; /* what has been sent, as the request that ends the upload says it */
};

/* Names and plans an object; what becomes of it should the job not be done is written first. */
static WorkerStatement plan_statement = {
	"SELECT key, sha256, mime, part_bytes"
	" FROM imgexport.plan_object($1, $2, $3, $4, $5, $6, $7)",
	7,
	{TEXTOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID},
	NULL};

static WorkerStatement request_statement = {
	"SELECT kind, root, method, url, headers"
	" FROM imgexport.object_request($1, $2, $3, $4, $5, $6, $7)",
	7,
	{TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
	NULL};

/* An upload in parts that is not completed is to be given up: its parts are kept, and paid for. */
static WorkerStatement note_upload_statement = {
	"INSERT INTO imgexport.removal (batch_id, store, key, upload_id, run_at)"
	" VALUES ($1, $2, $3, $4, statement_timestamp() + interval '1 hour')",
	4,
	{UUIDOID, TEXTOID, TEXTOID, TEXTOID},
	NULL};

static WorkerStep send_step = {.activity = "send outputs to stores"};

static uint64 rounds;

static const Rendering *
rendering_of(const Object *object)
{
	return &object->task->answer.renderings[object->output];
}

static const char *
bytes_of(const Object *object)
{
	return VARDATA(rendering_of(object)->data);
}

static uint64
length_of(const Object *object)
{
	return VARSIZE(rendering_of(object)->data) - VARHDRSZ;
}

/* The outputs of a task are rendered: into the store with them, where it names one. */
void
objects_begin(Task *task)
{
	MemoryContext before = MemoryContextSwitchTo(task->context);

	if (task->store == NULL || strcmp(task->store, "table") == 0)
	{
		task_done(task);
		MemoryContextSwitchTo(before);
		return;
	}
	task->state = TASK_STORING;
	task->storing_since = GetCurrentTimestamp();
	task->objects = palloc0(task->output_count * sizeof *task->objects);
	for (int i = 0; i < task->output_count; i++)
	{
		task->objects[i].task = task;
		task->objects[i].output = i;
		task->objects[i].stage =
			task->answer.renderings[i].data == NULL ? STAGE_DONE : STAGE_PLAN;
	}
	MemoryContextSwitchTo(before);
}

static bool
is_under_way(const Object *object)
{
	return object->transfer != NULL || object->file_job != NULL;
}

static void
drop(Object *object)
{
	if (object->transfer != NULL)
		transfer_drop(object->transfer);
	if (object->file_job != NULL)
		filework_drop(object->file_job);
	object->transfer = NULL;
	object->file_job = NULL;
}

/* Nobody waits for them any more. */
void
objects_drop(Task *task)
{
	for (int i = 0; task->objects != NULL && i < task->output_count; i++)
		drop(&task->objects[i]);
}

/* The key of an output's object; NULL: it has none. */
const char *
objects_key(const Task *task, int output, bytea **sha256)
{
	if (task->objects == NULL || task->objects[output].stage != STAGE_DONE)
		return NULL;
	*sha256 = task->objects[output].sha256;
	return task->objects[output].key;
}

/* Is an object of that key being written, or not yet in a row? */
bool
objects_has(const char *store, const char *key)
{
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (task->objects == NULL || strcmp(task->store, store) != 0)
			continue;
		for (int i = 0; i < task->output_count; i++)
			if (task->objects[i].key != NULL && strcmp(task->objects[i].key, key) == 0)
				return true;
	}
	return false;
}

/* The error may be anywhere: in SPI's memory, or in that of a transfer. */
static void
fail(Task *task, const HelperError *error)
{
	HelperError told = *error;

	objects_drop(task);
	/* Whatever a store answers, it may answer otherwise later. */
	told.retryable = true;
	told.message =
		psprintf("could not store an output in \"%s\": %s", task->store, error->message);
	task_fail(task, &told);
}

static void
finish(Object *object)
{
	Task *task = object->task;

	object->stage = STAGE_DONE;
	for (int i = 0; i < task->output_count; i++)
		if (task->objects[i].stage != STAGE_DONE)
			return;
	task->store_us =
		(long) (GetCurrentTimestamp() - task->storing_since); /* both are in microseconds */
	task_done(task);
}

/* What stands between two tags of an answer; NULL: nothing does. */
static char *
between(const char *text, const char *start, const char *end)
{
	const char *from = strstr(text, start);
	const char *to = from ? strstr(from, end) : NULL;

	if (to == NULL)
		return NULL;
	from += strlen(start);
	return pnstrdup(from, to - from);
}

static HelperError *
strange_answer(const char *step)
{
	return helper_error(
		ERRCODE_IMAGE_TRANSFER, true,
		psprintf("the answer that %s an upload in parts is none of an S3", step), NULL, NULL);
}

static int
part_count(const Object *object)
{
	return (int) ((length_of(object) + object->part_bytes - 1) / object->part_bytes);
}

/* What a store calls an upload goes into a row and into URLs. */
static bool
is_upload_id(const char *id)
{
	if (id == NULL || id[0] == '\0' || strlen(id) > UPLOAD_ID_MAX_BYTES)
		return false;
	for (; *id != '\0'; id++)
		if (*id <= ' ' || *id > '~')
			return false;
	return true;
}

/* An upload in parts has begun, if the answer says what it is called. */
static bool
begin_parts(Object *object, const char *answer)
{
	MemoryContext before = MemoryContextSwitchTo(object->task->context);

	object->upload_id = between(answer, "<UploadId>", "</UploadId>");
	object->parts = makeStringInfo();
	MemoryContextSwitchTo(before);
	if (!is_upload_id(object->upload_id))
		return false;
	object->part = 1;
	object->stage = STAGE_PART;
	return true;
}

static HelperError *
take_answer(Object *object, const Fetched *fetched, const char *answer)
{
	switch (object->stage)
	{
		case STAGE_BEGIN:
			return begin_parts(object, answer) ? NULL : strange_answer("begins");
		case STAGE_PART:
			appendStringInfo(object->parts,
							 "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>",
							 object->part, fetched->etag);
			if (object->part++ == part_count(object))
				object->stage = STAGE_END;
			return NULL;
		case STAGE_END:
			/* It may be an error all the same, as the status is sent before that is known. */
			if (strstr(answer, "CompleteMultipartUploadResult") == NULL)
				return strange_answer("ends");
			finish(object);
			return NULL;
		default:
			finish(object);
			return NULL;
	}
}

static void
object_done(void *owner, const Fetched *fetched, int fd, HelperError *error)
{
	Object *object = owner;
	MemoryContext before = MemoryContextSwitchTo(object->task->context);

	object->transfer = NULL;
	if (error == NULL)
	{
		bytea *answer = bulk_read(fd, fetched->length);

		close(fd);
		error = take_answer(object, fetched, text_to_cstring((text *) answer));
	}
	if (error != NULL)
		fail(object->task, error);
	MemoryContextSwitchTo(before);
}

static void
file_done(void *owner, HelperError *error)
{
	Object *object = owner;

	object->file_job = NULL;
	if (error != NULL)
		fail(object->task, error);
	else
		finish(object);
}

static void
plan(Object *object)
{
	Task *task = object->task;
	const Rendering *rendering = rendering_of(object);
	Datum values[] = {CStringGetTextDatum(task->store),
					  UUIDPGetDatum(&task->batch_id),
					  UUIDPGetDatum(&task->job_id),
					  CStringGetTextDatum(task->owner),
					  CStringGetTextDatum(task->images[object->output].name),
					  CStringGetTextDatum(rendering->format),
					  PointerGetDatum(rendering->data)};
	bool is_null;

	worker_execute(&plan_statement, values, NULL);
	object->planned_in = rounds;
	object->key = worker_text_in(task->context, 0, 1);
	object->sha256 = worker_varlena_in(task->context, 0, 2);
	object->mime = worker_text_in(task->context, 0, 3);
	object->part_bytes =
		DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &is_null));
	if (is_null)
		object->part_bytes = 0;
	object->stage = object->part_bytes > 0 && length_of(object) > object->part_bytes
						? STAGE_BEGIN
						: STAGE_WHOLE;
}

static void
note_upload(const Object *object)
{
	Datum values[] = {UUIDPGetDatum(&object->task->batch_id),
					  CStringGetTextDatum(object->task->store),
					  CStringGetTextDatum(object->key), CStringGetTextDatum(object->upload_id)};

	worker_execute(&note_upload_statement, values, NULL);
}

/* The body that an object's next request sends. */
static void
next_body(const Object *object, const char **bytes, uint64 *length)
{
	*bytes = bytes_of(object);
	*length = length_of(object);
	if (object->stage == STAGE_BEGIN)
		*length = 0;
	else if (object->stage == STAGE_PART)
	{
		uint64 start = (uint64) (object->part - 1) * object->part_bytes;

		*bytes += start;
		*length = Min(object->part_bytes, *length - start);
	}
	else if (object->stage == STAGE_END)
	{
		char *body = psprintf("<CompleteMultipartUpload>%s</CompleteMultipartUpload>",
							  object->parts->data);

		*bytes = body;
		*length = strlen(body);
	}
}

static char *
next_query(const Object *object)
{
	if (object->stage == STAGE_BEGIN)
		return pstrdup("uploads=");
	if (object->stage == STAGE_PART)
		return psprintf("partNumber=%d&uploadId=%s", object->part, object->upload_id);
	return object->stage == STAGE_END ? psprintf("uploadId=%s", object->upload_id)
									  : pstrdup("");
}

static text *
hash_of(const char *bytes, uint64 length)
{
	bytea *message = palloc(VARHDRSZ + length);
	Datum digest;
	char hex[2 * PG_SHA256_DIGEST_LENGTH];

	SET_VARSIZE(message, VARHDRSZ + length);
	memcpy(VARDATA(message), bytes, length);
	digest = DirectFunctionCall1(sha256_bytea, PointerGetDatum(message));
	hex_encode(VARDATA_ANY(DatumGetPointer(digest)), PG_SHA256_DIGEST_LENGTH, hex);
	pfree(message);
	return cstring_to_text_with_len(hex, sizeof hex);
}

static void
send_body(Object *object, const char *method, const char *url, const char *headers,
		  const char *bytes, uint64 length)
{
	FetchRequest request = store_request(method, url, headers);
	Upload upload = {.bytes = bytes, .fd = -1, .length = length};

	/* What begins and ends an upload in parts is read; of the rest the status is all that counts. */
	request.max_bytes =
		object->stage == STAGE_BEGIN || object->stage == STAGE_END ? ANSWER_MAX_BYTES : 0;
	object->transfer = transfer_start(&request, upload, object_done, object);
	if (object->transfer == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("URL is too long")));
}

/* The next request of an object, in a subtransaction and the task's context. */
static void
advance(void *argument)
{
	Object *object = argument;
	const char *bytes;
	uint64 length;
	Datum values[7];
	char *kind;
	char *root;

	if (object->stage == STAGE_PLAN)
		plan(object);
	if (remove_is_busy_with(object->task->store, object->key))
		return;
	if (object->stage == STAGE_PART && object->part == 1)
		note_upload(object);
	next_body(object, &bytes, &length);
	values[0] = CStringGetTextDatum(object->task->store);
	values[1] = CStringGetTextDatum(
		object->stage == STAGE_BEGIN || object->stage == STAGE_END ? "POST" : "PUT");
	values[2] = CStringGetTextDatum(object->key);
	values[3] = CStringGetTextDatum(next_query(object));
	values[4] = PointerGetDatum(hash_of(bytes, length));
	values[5] = CStringGetTextDatum(object->mime);
	values[6] = TimestampTzGetDatum(GetCurrentTimestamp());
	worker_execute(&request_statement, values, NULL);
	kind = worker_text(0, 1);
	root = worker_text(0, 2);
	if (strcmp(kind, "file") == 0)
	{
		object->file_job = filework_write(root, object->key, bytes, length, file_done, object);
	}
	else
		send_body(object, worker_text(0, 3), worker_text(0, 4), worker_text(0, 5), bytes,
				  length);
}

static bool
wants_request(const Object *object)
{
	return object->task->state == TASK_STORING && object->stage != STAGE_DONE &&
		   !is_under_way(object);
}

/* In one transaction: what is to be sent next, of every object that waits for nothing. */
static void
send_all(void *argument)
{
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		for (int i = 0; task->state == TASK_STORING && i < task->output_count; i++)
		{
			HelperError *error;

			if (!wants_request(&task->objects[i]) || !task_is_due(task))
				continue;
			error = run_guarded(advance, &task->objects[i], task->context);
			if (error == NULL)
				task->backoff = (Backoff){0};
			else if (!task_put_off(task, error))
				fail(task, error);
		}
	}
}

/*
 * A transaction that was not committed has not noted what becomes of its objects should their job
 * not be done: they are named once more.
 */
static void
plan_again(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		for (int i = 0; task->state == TASK_STORING && i < task->output_count; i++)
		{
			Object *object = &task->objects[i];

			if (!is_under_way(object) || object->planned_in != rounds)
				continue;
			drop(object);
			object->stage = STAGE_PLAN;
		}
	}
}

/* Send what is to be sent next, of every object that waits for nothing, in one transaction. */
void
objects_send(void)
{
	rounds++;
	if (objects_wait_ms() == 0 && !step_run(&send_step, send_all, NULL))
		plan_again();
}

/* How long until an object of a task can be sent on; -1: there is none. */
static long
task_wait_ms(const Task *task)
{
	if (task->state != TASK_STORING)
		return -1;
	for (int i = 0; i < task->output_count; i++)
	{
		const Object *object = &task->objects[i];

		if (!wants_request(object))
			continue;
		if (!task_is_due(task))
			return backoff_wait_ms(&task->backoff);
		return object->stage == STAGE_PLAN || !remove_is_busy_with(task->store, object->key)
				   ? 0
				   : REMOVING_WAIT_MS;
	}
	return -1;
}

/* How long may the loop sleep for us?  -1: until a socket says something. */
long
objects_wait_ms(void)
{
	long shortest = -1;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		long wait_ms = task_wait_ms(dlist_container(Task, link, iter.cur));

		if (wait_ms >= 0 && (shortest < 0 || wait_ms < shortest))
			shortest = wait_ms;
	}
	return backoff_or(&send_step.backoff, shortest);
}
