/*
 * images.c
 *		The outputs of a job as rows: their bytes, or where they are.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "queue/worker.h"
#include "wire/sniff.h"

static WorkerStatement image_statement = {
	"INSERT INTO imgexport.image (batch_id, job_id, owner, name, format, width, height, bytes,"
	" sha256, data, metadata, created_at, expires_at, source_url, store, key)"
	" SELECT $1, $2, $3, $4, $5, $6, $7, $8, coalesce($16, sha256($9)), $9, $10, $11,"
	" $11 + coalesce($12, s.retention), $13, s.name, $15"
	" FROM imgexport.store s WHERE s.name = coalesce($14, 'table')",
	16,
	{UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT8OID, BYTEAOID, JSONBOID,
	 TIMESTAMPTZOID, INTERVALOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID},
	NULL};

/* Where the bytes of an image are: here, or as an object in the store of its task. */
typedef struct Place
{
	const char *store; /* NULL: the table */
	const char *key;
	bytea *sha256;
} Place;

static void
insert_image(Task *task, const char *name, const Rendering *rendering, Place place,
			 const char *url)
{
	char nulls[] = "                ";
	bool has_size = rendering != NULL && rendering->width > 0;
	bool has_data = rendering != NULL && place.key == NULL;
	Datum values[] = {UUIDPGetDatum(&task->batch_id),
					  UUIDPGetDatum(&task->job_id),
					  CStringGetTextDatum(task->owner),
					  CStringGetTextDatum(name),
					  rendering ? CStringGetTextDatum(rendering->format) : (Datum) 0,
					  Int32GetDatum(has_size ? rendering->width : 0),
					  Int32GetDatum(has_size ? rendering->height : 0),
					  Int64GetDatum(rendering ? VARSIZE(rendering->data) - VARHDRSZ : 0),
					  PointerGetDatum(has_data ? rendering->data : NULL),
					  JsonbPGetDatum(task->metadata),
					  TimestampTzGetDatum(task->done_at),
					  IntervalPGetDatum(task->expires_in),
					  url ? CStringGetTextDatum(url) : (Datum) 0,
					  place.store ? CStringGetTextDatum(place.store) : (Datum) 0,
					  place.key ? CStringGetTextDatum(place.key) : (Datum) 0,
					  PointerGetDatum(place.sha256)};

	nulls[4] = rendering && rendering->format[0] ? ' ' : 'n';
	nulls[5] = nulls[6] = has_size ? ' ' : 'n';
	nulls[7] = rendering ? ' ' : 'n';
	nulls[8] = has_data ? ' ' : 'n';
	nulls[9] = task->metadata ? ' ' : 'n';
	nulls[11] = task->expires_in ? ' ' : 'n';
	nulls[12] = url ? ' ' : 'n';
	nulls[13] = place.store ? ' ' : 'n';
	nulls[14] = place.key ? ' ' : 'n';
	nulls[15] = place.sha256 ? ' ' : 'n';
	if (worker_execute(&image_statement, values, nulls) == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("store \"%s\" does not exist any more", place.store)));
	task->stored_images += rendering != NULL;
	task->stored_bytes += rendering ? VARSIZE(rendering->data) - VARHDRSZ : 0;
}

static void
insert_output(Task *task, int output)
{
	Place place = {.store = task->store};

	if (task->answer.renderings[output].data == NULL)
		return;
	place.key = objects_key(task, output, &place.sha256);
	insert_image(task, task->images[output].name, &task->answer.renderings[output], place,
				 NULL);
}

/* The source as it came, where nothing could be made of it. */
static void
insert_original(Task *task)
{
	Rendering original = {.data = bulk_read(task->source.fd, task->source.length)};
	const char *format =
		sniff_format((const uint8 *) VARDATA(original.data), VARSIZE(original.data) - VARHDRSZ);

	strlcpy(original.format, format ? format : "", sizeof original.format);
	insert_image(task, "original", &original, (Place){0}, NULL);
	pfree(original.data);
}

/* Does a task that is done, and whose outcome is decided, have images to store? */
bool
images_any(const Task *task)
{
	return task->outcome == OUTCOME_COMPLETED &&
		   (task->error == NULL ? task->output_count > 0 : task->on_error != ON_ERROR_SKIP);
}

/* Insert them, in the worker's transaction.  Errors: 42704 their store is gone. */
void
images_insert(Task *task)
{
	instr_time start;
	instr_time took;

	task->stored_images = 0;
	task->stored_bytes = 0;
	INSTR_TIME_SET_CURRENT(start);
	if (task->error == NULL)
	{
		for (int i = 0; i < task->output_count; i++)
			insert_output(task, i);
	}
	else if (task->on_error == ON_ERROR_KEEP_ORIGINAL)
		insert_original(task);
	else
		insert_image(task, "original", NULL, (Place){0}, task->source.url);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	task->store_us += INSTR_TIME_GET_MICROSEC(took);
}
