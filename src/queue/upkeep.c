/*
 * upkeep.c
 *		What keeps the queue in order: claims of the dead, leases, expired images, and when
 *		there will be something to do next.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/worker.h"
#include "settings.h"

/* One sweep deletes so many expired images; the next one follows at once. */
#define EXPIRE_MAX 1000

/*
 * $1 is what names of this server's workers begin with, $2 our own.  A worker of this
 * server that is not us is dead: there is one a database.
 */
static WorkerStatement recover_statement = {
	"UPDATE imgexport.job SET"
	" state = CASE WHEN attempts < max_attempts THEN 'pending' ELSE 'failed' END,"
	" worker = NULL, lease_until = NULL, error = 'worker died while it had this job',"
	" error_code = 'IX007', finished_at = CASE WHEN attempts < max_attempts THEN NULL ELSE $3 "
	"END"
	" WHERE state = 'processing' AND worker IS DISTINCT FROM $2"
	" AND (starts_with(worker, $1) OR lease_until < $3)",
	3,
	{TEXTOID, TEXTOID, TIMESTAMPTZOID},
	NULL};

static WorkerStatement renew_statement = {
	"UPDATE imgexport.job SET lease_until = $2 WHERE state = 'processing' AND worker = $1",
	2,
	{TEXTOID, TIMESTAMPTZOID},
	NULL};

static WorkerStatement orphan_statement = {
	"UPDATE imgexport.job SET state = 'failed', error = format('queue \"%s\" does not exist', "
	"queue),"
	" error_code = '22023', finished_at = $1"
	" WHERE state = 'pending' AND run_at <= $1"
	" AND NOT EXISTS (SELECT FROM imgexport.queue q WHERE q.name = job.queue)",
	1,
	{TIMESTAMPTZOID},
	NULL};

static WorkerStatement expire_statement = {
	"DELETE FROM imgexport.image WHERE (batch_id, job_id, image_id) IN ("
	" SELECT batch_id, job_id, image_id FROM imgexport.image WHERE expires_at <= $1"
	" ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
	2,
	{TIMESTAMPTZOID, INT4OID},
	NULL};

static WorkerStatement next_statement = {
	"SELECT least((SELECT min(run_at) FROM imgexport.job WHERE state = 'pending' AND run_at > "
	"$1),"
	" (SELECT min(lease_until) FROM imgexport.job WHERE state = 'processing' AND worker <> "
	"$2)),"
	" (SELECT min(expires_at) FROM imgexport.image WHERE expires_at IS NOT NULL)",
	2,
	{TIMESTAMPTZOID, TEXTOID},
	NULL};

static TimestampTz expired_at; /* when we last deleted what had expired */

static void
recover(TimestampTz now)
{
	char *slash = strchr(worker.name, '/');
	Datum values[] = {
		PointerGetDatum(cstring_to_text_with_len(worker.name, slash - worker.name + 1)),
		CStringGetTextDatum(worker.name), TimestampTzGetDatum(now)};
	uint64 taken = worker_execute(&recover_statement, values, NULL);

	if (taken > 0)
	{
		ereport(LOG, (errmsg("imgexport took back " UINT64_FORMAT " jobs of a worker that died",
							 taken)));
		worker.look = true;
	}
}

/* At the start: claims of the worker that was here before are nobody's. */
void
upkeep_recover(void)
{
	worker_begin("take back claims");
	recover(GetCurrentTimestamp());
	worker_commit();
}

static void
fail_orphans(TimestampTz now)
{
	Datum values[] = {TimestampTzGetDatum(now)};

	worker_execute(&orphan_statement, values, NULL);
}

/* Delete what has expired, not too often and not too much at once. */
static void
expire(TimestampTz now)
{
	Datum values[] = {TimestampTzGetDatum(now), Int32GetDatum(EXPIRE_MAX)};

	if (!TimestampDifferenceExceeds(expired_at, now, settings.expiry_interval_s * 1000))
		return;
	if (worker_execute(&expire_statement, values, NULL) < EXPIRE_MAX)
		expired_at = now;
}

static void
note_time(int column, TimestampTz not_before)
{
	bool is_null;
	TimestampTz at = DatumGetTimestampTz(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null));

	if (is_null)
		return;
	at = Max(at, not_before);
	if (worker.look_at == 0 || at < worker.look_at)
		worker.look_at = at;
}

static void
find_next(TimestampTz now)
{
	Datum values[] = {TimestampTzGetDatum(now), CStringGetTextDatum(worker.name)};

	worker_execute(&next_statement, values, NULL);
	note_time(1, now);
	note_time(2, TimestampTzPlusMilliseconds(
					 expired_at, settings.expiry_interval_s * INT64CONST(1000) + 1));
}

/* When there is nothing to claim: tidy up, and find out when to look again. */
void
upkeep_run(void)
{
	TimestampTz now;

	worker_begin("keep the queue in order");
	now = GetCurrentTimestamp();
	recover(now);
	fail_orphans(now);
	expire(now);
	find_next(now);
	worker_commit();
}

/* Jobs in work are ours for another while. */
void
upkeep_renew(void)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum values[2];

	if (now < worker.renew_at)
		return;
	worker_begin("renew claims");
	values[0] = CStringGetTextDatum(worker.name);
	values[1] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(now, LEASE_MS));
	worker_execute(&renew_statement, values, NULL);
	worker_commit();
	worker.renew_at = TimestampTzPlusMilliseconds(now, LEASE_MS / 3);
}
