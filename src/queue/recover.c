/*
 * recover.c
 *		Claims that nobody keeps: of a worker that died, of another server, or of a moment ago.
 *
 * A worker of this server that is not us is dead: there is one a database.  Claims of other
 * servers, and those of ours that we know nothing of, end with their leases.  Rows that somebody
 * has locked are left for the next time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "queue/recover.h"
#include "queue/verdicts.h"
#include "queue/worker.h"
#include "settings.h"

/* What could not be looked at is looked at again after so long. */
#define RECOVER_AGAIN_MS 200

/* Of each kind, so many at a time. */
#define RECOVER_MAX "1000"

/* Were the claims of the worker that was here before taken back? */
static bool begun = false;

/*
 * $1 is now, $2 what names of this server's workers begin with, $3 our own, $4 what we have in
 * work.
 */
#define IS_DEAD(id)                                                                            \
	"(worker IS DISTINCT FROM $3 AND starts_with(worker, $2) OR lease_until < $1)"             \
	" AND " id " <> ALL ($4::uuid[])"

#define GIVE_BACK(table, id)                                                                   \
	{                                                                                          \
		"UPDATE imgexport." table " r SET state = 'pending', worker = NULL, claim = NULL,"     \
		" lease_until = NULL FROM (SELECT ctid AS row FROM imgexport." table                   \
		"  WHERE state = 'processing' AND " IS_DEAD(                                           \
			id) " LIMIT " RECOVER_MAX "  FOR UPDATE SKIP LOCKED) d WHERE r.ctid = d.row",      \
			4, {TIMESTAMPTZOID, TEXTOID, TEXTOID, UUIDARRAYOID}, NULL                          \
	}

/*
 * A crash costs no attempt; a job ends when it has had $5 of them.  Nobody knows which of the
 * jobs in progress caused it, so from the second crash on they are run again apart from each
 * other, by a delay that differs from job to job.
 */
#define CRASH_TEXT                                                                             \
	"format('worker died while it had this job, for the %s. time of %s', crashes + 1, $5)"

static WorkerStatement jobs_statement = {
	"UPDATE imgexport.job r SET state = 'pending', worker = NULL, claim = NULL,"
	" lease_until = NULL, crashes = least(crashes, 1000000) + 1,"
	" attempts = greatest(attempts - 1, 0),"
	" run_at = CASE WHEN crashes = 0 THEN run_at ELSE $1 + interval '1 second'"
	"  * (2 ^ least(crashes, 4) * (1 + (hashtext(job_id::text) & 1023) / 1024.0)) END,"
	" error_code = 'IX007', error = " CRASH_TEXT " FROM (SELECT ctid AS row FROM imgexport.job"
	"  WHERE state = 'processing' AND crashes + 1 < $5 AND " IS_DEAD(
		"job_id") "  LIMIT " RECOVER_MAX " FOR UPDATE SKIP LOCKED) d WHERE r.ctid = d.row",
	5,
	{TIMESTAMPTZOID, TEXTOID, TEXTOID, UUIDARRAYOID, INT4OID},
	NULL};

/*
 * Those that have had all of them come to the end that their on_error says; where the worker dies
 * once more of that, they fail (see claimed.c).
 */
static WorkerStatement spent_statement = {
	VERDICT("SELECT ctid AS row, " CRASH_TEXT " AS error, 'IX007' AS error_code"
			" FROM imgexport.job WHERE state = 'processing' AND crashes + 1 >= $5 AND"
			" (" IS_DEAD("job_id") ") LIMIT " RECOVER_MAX " FOR UPDATE SKIP LOCKED",
			"crashes = least(j.crashes, 1000000) + 1, attempts = greatest(j.attempts - 1, 0), ",
			"3", "6", "7"),
	7,
	{TIMESTAMPTZOID, TEXTOID, TEXTOID, UUIDARRAYOID, INT4OID, UUIDOID, TIMESTAMPTZOID},
	NULL};

static WorkerStatement deliveries_statement = GIVE_BACK("delivery", "delivery_id");
static WorkerStatement removals_statement = GIVE_BACK("removal", "removal_id");

/* When the next claim that is not ours ends, or one of ours that we know nothing of. */
#define NEXT_END(table, id, known)                                                             \
	"(SELECT lease_until FROM imgexport." table " WHERE state = 'processing'"                  \
	" AND " id " <> ALL (" known "::uuid[]) ORDER BY lease_until LIMIT 1)"

static WorkerStatement next_statement = {
	"SELECT least(" NEXT_END("job", "job_id", "$1") ", " NEXT_END(
		"delivery", "delivery_id", "$2") ", " NEXT_END("removal", "removal_id", "$3") ")",
	3,
	{UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID},
	NULL};

static WorkerStep jobs_step = {.activity = "take back jobs"};
static WorkerStep spent_step = {.activity = "end jobs whose worker died"};
static WorkerStep deliveries_step = {.activity = "take back webhooks"};
static WorkerStep removals_step = {.activity = "take back removals"};

/* What we have in work, as uuid[]. */
static Datum
task_ids(void)
{
	Datum *ids = palloc((worker.task_count + 1) * sizeof *ids);
	int count = 0;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks) ids[count++] =
		UUIDPGetDatum(&dlist_container(Task, link, iter.cur)->job_id);
	return PointerGetDatum(
		construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static void
fill_values(Datum *values, TimestampTz now, Datum known)
{
	char *slash = strchr(worker.name, '/');

	values[0] = TimestampTzGetDatum(now);
	values[1] = PointerGetDatum(cstring_to_text_with_len(worker.name, slash - worker.name + 1));
	values[2] = CStringGetTextDatum(worker.name);
	values[3] = known;
}

static void
recover_jobs(void *argument)
{
	uint64 *taken = argument;
	Datum values[5];

	fill_values(values, GetCurrentTimestamp(), task_ids());
	values[4] = Int32GetDatum(settings.max_crashes);
	*taken = worker_execute(&jobs_statement, values, NULL);
}

static void
recover_deliveries(void *argument)
{
	Datum values[4];

	fill_values(values, GetCurrentTimestamp(), deliver_ids());
	worker_execute(&deliveries_statement, values, NULL);
}

static void
recover_removals(void *argument)
{
	Datum values[4];

	fill_values(values, GetCurrentTimestamp(), remove_ids());
	worker_execute(&removals_statement, values, NULL);
}

/*
 * Take back what nobody keeps.
 *
 * Returns	whether there was no more of it; else it is called again
 */
bool
recover_claims(TimestampTz now)
{
	Datum values[7];
	uint64 taken = 0;
	bool done;

	done = step_run(&jobs_step, recover_jobs, &taken);
	if (taken > 0)
		ereport(LOG, (errmsg("imgexport took back " UINT64_FORMAT " jobs of a worker that died",
							 taken)));
	fill_values(values, now, task_ids());
	values[4] = Int32GetDatum(settings.max_crashes);
	done &= verdicts_claim(&spent_step, &spent_statement, values, 5, now);
	done &= step_run(&deliveries_step, recover_deliveries, NULL);
	done &= step_run(&removals_step, recover_removals, NULL);
	worker.look |= taken > 0;
	done &= taken == 0;
	begun |= done;
	if (!done)
		worker_look_at(TimestampTzPlusMilliseconds(now, RECOVER_AGAIN_MS));
	return done;
}

bool
recover_begun(void)
{
	return begun;
}

/* In a transaction: when there may be something to take back; 0: nothing is known. */
TimestampTz
recover_next(TimestampTz now)
{
	Datum values[] = {task_ids(), deliver_ids(), remove_ids()};
	bool is_null;
	Datum next;

	worker_execute(&next_statement, values, NULL);
	next = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	return is_null ? 0 : DatumGetTimestampTz(next);
}
