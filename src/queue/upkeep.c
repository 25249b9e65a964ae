/*
 * upkeep.c
 *		What keeps the queue in order, and when there will be something to do next.
 *
 * Each kind of it has a statement that says when it is due, and a function that does it, in
 * transactions of its own.  A table that somebody has locked keeps back the kinds that need it,
 * and no others.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "queue/dependencies.h"
#include "queue/hosts.h"
#include "queue/queues.h"
#include "queue/recover.h"
#include "queue/verdicts.h"
#include "queue/worker.h"

/* Under load, what is rarely there is looked for no more often than this. */
#define RARELY_MS 10000

/* What is due and was passed over, because somebody has locked it, is looked for again after so long. */
#define AGAIN_MS 1000

typedef struct Kind
{
	WorkerStep look;
	WorkerStatement next;					  /* of $1, now: when it is due; NULL: never */
	TimestampTz (*ask_next)(TimestampTz now); /* instead of the statement */
	bool (*act)(TimestampTz now); /* false: it was put off; NULL: it is done elsewhere */
	bool rarely;
	TimestampTz due; /* 0: never */
} Kind;

static TimestampTz looked_at;
static TimestampTz rarely_at;

static WorkerStep look_step = {.activity = "keep the queue in order"};
static WorkerStep names_step = {.activity = "note what roles are called"};
static WorkerStep sweep_step = {.activity = "look for jobs that can be freed"};

static void
run_sweep(void *argument)
{
	uint64 *freed = argument;

	*freed = dependencies_sweep(looked_at);
}

/* Jobs that wait for others: those that nobody has freed, and those that nobody will. */
static bool
sweep(TimestampTz now)
{
	uint64 freed = 0;
	bool done = step_run(&sweep_step, run_sweep, &freed);

	if (freed > 0)
		worker.look = true;
	worker_look_at(done ? dependencies_next_sweep() : sweep_step.backoff.again_at);
	done &= verdicts_of_cycles(now);
	worker_look_at(verdicts_next_cycles());
	return done;
}

static void
note_names(void *argument)
{
	roles_note_names();
}

/* What roles are called now. */
static bool
names(TimestampTz now)
{
	return step_run(&names_step, note_names, NULL);
}

static TimestampTz
always(TimestampTz now)
{
	return now;
}

#define WHEN(select)                                                                           \
	{                                                                                          \
		"SELECT " select, 1, {TIMESTAMPTZOID}, NULL                                            \
	}

#define PENDING "FROM imgexport.job WHERE state = 'pending'"

static Kind kinds[] = {
	{.look = {.activity = "look for jobs of later"},
	 .next = WHEN("(SELECT min(run_at) " PENDING " AND NOT blocked AND run_at > $1)")},
	{.look = {.activity = "look for jobs that were passed over"},
	 .next = WHEN("(SELECT $1 " PENDING " AND NOT blocked AND run_at <= $1 LIMIT 1)")},
	{.look = {.activity = "look for deadlines"},
	 .next = WHEN("(SELECT min(deadline) " PENDING " AND deadline IS NOT NULL)"),
	 .act = verdicts_of_deadlines},
	{.look = {.activity = "look for jobs to settle"},
	 .next = WHEN("(SELECT $1 " PENDING " AND blocked AND waits_for IS NULL LIMIT 1)"),
	 .act = verdicts_of_dependencies},
	{.look = {.activity = "look for jobs that wait"},
	 .next = WHEN("(SELECT $1 " PENDING " AND blocked LIMIT 1)"),
	 .act = sweep},
	{.look = {.activity = "look for webhooks"},
	 .next = WHEN("(SELECT min(run_at) FROM imgexport.delivery WHERE state = 'pending')"),
	 .act = deliver_due},
	{.look = {.activity = "look for removals"},
	 .next = WHEN("(SELECT min(run_at) FROM imgexport.removal WHERE state = 'pending')"),
	 .act = remove_due},
	{.look = {.activity = "look for schedules"},
	 .next = WHEN("(SELECT min(next_run) FROM imgexport.schedule WHERE enabled)"),
	 .act = schedule_run},
	{.look = {.activity = "look for claims that have ended"},
	 .ask_next = recover_next,
	 .act = recover_claims,
	 .rarely = true},
	{.look = {.activity = "look for names of roles"},
	 .ask_next = always,
	 .act = names,
	 .rarely = true},
	{.look = {.activity = "look for starts to forget"},
	 .ask_next = always,
	 .act = queues_forget_starts,
	 .rarely = true},
	{.look = {.activity = "look for jobs without a queue"},
	 .ask_next = always,
	 .act = verdicts_of_orphans,
	 .rarely = true},
};

static void
ask_next(void *argument)
{
	Kind *kind = argument;
	Datum values[] = {TimestampTzGetDatum(looked_at)};
	bool is_null;
	Datum due;

	if (kind->ask_next != NULL)
	{
		kind->due = kind->ask_next(looked_at);
		return;
	}
	worker_execute(&kind->next, values, NULL);
	due = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	kind->due = is_null ? 0 : DatumGetTimestampTz(due);
}

/*
 * What is rarely there can wait under load, as its statements begin with index entries of all
 * jobs that are done, where an old transaction keeps vacuum from them.
 */
static bool
is_skipped(const Kind *kind)
{
	return kind->rarely && worker.task_count > 0 &&
		   !TimestampDifferenceExceeds(rarely_at, looked_at, RARELY_MS);
}

static void
look(void *argument)
{
	for (int i = 0; i < lengthof(kinds); i++)
	{
		Kind *kind = &kinds[i];

		kind->due = 0;
		if (!is_skipped(kind) && !step_run_part(&kind->look, ask_next, kind))
			kind->due = kind->look.backoff.again_at;
	}
}

/* Do what is due, and see to it that what is not, or could not be done, is looked at again. */
static void
act(const Kind *kind)
{
	if (kind->due == 0)
		return;
	if (kind->due > looked_at)
		worker_look_at(kind->due);
	else if (kind->ask_next != always)
		worker_look_at(TimestampTzPlusMilliseconds(looked_at, AGAIN_MS));
	if (kind->due <= looked_at && kind->act != NULL)
		(void) kind->act(looked_at);
}

/* Put the queue in order, and find out when to look again. */
void
upkeep_run(void)
{
	TimestampTz host;

	looked_at = GetCurrentTimestamp();
	if (!recover_begun())
		(void) recover_claims(looked_at);
	if (!step_run(&look_step, look, NULL))
	{
		worker_look_at(look_step.backoff.again_at);
		return;
	}
	for (int i = 0; i < lengthof(kinds); i++)
		act(&kinds[i]);
	if (TimestampDifferenceExceeds(rarely_at, looked_at, RARELY_MS) || worker.task_count == 0)
		rarely_at = looked_at;
	host = hosts_next_change(looked_at);
	if (host != 0)
		worker_look_at(host);
}
