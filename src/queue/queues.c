/*
 * queues.c
 *		How many jobs of each queue may start now: its concurrency and its rate.
 *
 * The rate is kept by the times of the starts within the last interval, so that no interval,
 * wherever it begins, has more of them.  They are in a table too, written with the claim, where a
 * worker that starts finds them, and one whose queue has another rate than before.
 *
 * A floor keeps claims from looking at index entries of jobs that are done: while an old
 * transaction is open vacuum cannot take them away, and each claim would begin with all of
 * them.  It is where the last claim has ended, and holds as long as claims fill their room;
 * what comes with an earlier run_at is found when one does not, or after a second.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "queue/hosts.h"
#include "queue/queues.h"
#include "queue/worker.h"

#define TROUBLED_MAX 64

/* A floor holds so long. */
#define FLOOR_MS 1000

static WorkerStatement queues_statement = {
	"SELECT name, concurrency, coalesce(rate_limit, 0),"
	" (extract(epoch FROM rate_interval) * 1000)::int8, host_limit"
	" FROM imgexport.queue WHERE NOT paused",
	0,
	{0},
	NULL};

/* The latest of them, by room. */
static WorkerStatement known_starts_statement = {
	"SELECT started_at, starts FROM imgexport.queue_start"
	" WHERE queue = $1 AND started_at > $2 ORDER BY started_at DESC LIMIT $3",
	3,
	{TEXTOID, TIMESTAMPTZOID, INT4OID},
	NULL};

static WorkerStatement note_starts_statement = {
	"INSERT INTO imgexport.queue_start AS s (queue, started_at, starts) VALUES ($1, $2, $3)"
	" ON CONFLICT (queue, started_at) DO UPDATE SET starts = s.starts + excluded.starts",
	3,
	{TEXTOID, TIMESTAMPTZOID, INT4OID},
	NULL};

static WorkerStatement forget_starts_statement = {
	"DELETE FROM imgexport.queue_start WHERE (queue, started_at) IN ("
	" SELECT s.queue, s.started_at FROM imgexport.queue_start s"
	"  LEFT JOIN imgexport.queue q ON q.name = s.queue"
	" WHERE s.started_at <= $1 - greatest(q.rate_interval, interval '1 hour')"
	" LIMIT 10000 FOR UPDATE OF s SKIP LOCKED)",
	1,
	{TIMESTAMPTZOID},
	NULL};

static WorkerStep forget_step = {.activity = "forget starts of queues"};

/* What is known of a queue from one claim to the next. */
typedef struct QueueMemory
{
	struct QueueMemory *next;
	char *queue;
	TimestampTz *starts; /* a ring */
	int room;			 /* of the ring; 0: it has no rate */
	int64 interval_ms;	 /* that the ring looks back */
	int first;
	int count;
	TimestampTz floor;	 /* DT_NOBEGIN: none */
	TimestampTz highest; /* run_at that this claim has taken */
} QueueMemory;

static QueueMemory *memories;
static TimestampTz floors_from;

/* The ring of a queue, for another rate than before: filled from the table. */
static void
make_ring(QueueMemory *log, int room, int64 interval_ms, TimestampTz now)
{
	TimestampTz from = TimestampTzPlusMilliseconds(now, -interval_ms);
	Datum values[] = {CStringGetTextDatum(log->queue), TimestampTzGetDatum(from),
					  Int32GetDatum(room)};
	SPITupleTable *rows;
	uint64 count;

	if (log->starts != NULL)
		pfree(log->starts);
	log->starts =
		room == 0 ? NULL : MemoryContextAlloc(TopMemoryContext, room * sizeof *log->starts);
	log->room = 0;
	log->first = log->count = 0;
	if (room > 0)
	{
		count = worker_execute(&known_starts_statement, values, NULL);
		rows = SPI_tuptable;
		/* From the end of the ring, as the latest come first. */
		for (uint64 row = 0; row < count; row++)
		{
			bool is_null;
			TimestampTz at =
				DatumGetTimestampTz(SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &is_null));
			int starts =
				DatumGetInt32(SPI_getbinval(rows->vals[row], rows->tupdesc, 2, &is_null));

			for (; starts > 0 && log->count < room; starts--)
				log->starts[room - ++log->count] = at;
		}
		log->first = (room - log->count) % room;
	}
	log->room = room;
	log->interval_ms = interval_ms;
}

static QueueMemory *
queue_memory(const char *queue, int room, int64 interval_ms, TimestampTz now)
{
	QueueMemory *log = memories;

	while (log != NULL && strcmp(log->queue, queue) != 0)
		log = log->next;
	if (log == NULL)
	{
		log = MemoryContextAllocZero(TopMemoryContext, sizeof *log);
		log->queue = MemoryContextStrdup(TopMemoryContext, queue);
		log->floor = log->highest = DT_NOBEGIN;
		log->next = memories;
		memories = log;
	}
	if (log->room != room || (room > 0 && log->interval_ms != interval_ms))
		make_ring(log, room, interval_ms, now);
	return log;
}

/* How many starts the rate leaves; *next: when it will leave one more, where that is none. */
static int
rate_room(QueueMemory *log, int64 interval_ms, TimestampTz now, TimestampTz *next)
{
	while (log->count > 0 &&
		   TimestampTzPlusMilliseconds(log->starts[log->first], interval_ms) <= now)
	{
		log->first = (log->first + 1) % log->room;
		log->count--;
	}
	if (log->count == log->room)
	{
		TimestampTz at = TimestampTzPlusMilliseconds(log->starts[log->first], interval_ms);

		if (*next == 0 || at < *next)
			*next = at;
	}
	return log->room - log->count;
}

/* One role's slow functions do not fill a queue. */
static int
running_in(const char *queue)
{
	int running = 0;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		running += task->state != TASK_DONE && task->state != TASK_EVALUATING &&
				   strcmp(task->queue, queue) == 0;
	}
	return running;
}

static int
int_column(const SPITupleTable *table, uint64 row, int column, int when_null)
{
	bool is_null;
	Datum value = SPI_getbinval(table->vals[row], table->tupdesc, column, &is_null);

	return is_null ? when_null : DatumGetInt32(value);
}

static Datum
text_array(Datum *elements, int count)
{
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
int_array(Datum *elements, int count)
{
	return PointerGetDatum(
		construct_array(elements, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/*
 * The queues that may start jobs now, in the open transaction.
 *
 * most		a queue gets no more room than this
 * room		filled in: arrays of names, of how many jobs, of how many from one host
 * Returns	when there will be room that the rate does not leave now; 0: no rate forbids any
 */
TimestampTz
queues_room(int most, TimestampTz now, QueueRoom *room)
{
	uint64 rows = worker_execute(&queues_statement, NULL, NULL);
	const SPITupleTable *table = SPI_tuptable;
	Datum *names = palloc((rows + 1) * sizeof(Datum));
	Datum *slots = palloc((rows + 1) * sizeof(Datum));
	Datum *host_limits = palloc((rows + 1) * sizeof(Datum));
	Datum *floors = palloc((rows + 1) * sizeof(Datum));
	bool forget = TimestampDifferenceExceeds(floors_from, now, FLOOR_MS);
	TimestampTz next = 0;
	int used = 0;

	for (uint64 row = 0; row < rows; row++)
	{
		HeapTuple tuple = table->vals[row];
		bool is_null;
		char *queue = TextDatumGetCString(SPI_getbinval(tuple, table->tupdesc, 1, &is_null));
		int rate = int_column(table, row, 3, 0);
		int64 interval_ms = DatumGetInt64(SPI_getbinval(tuple, table->tupdesc, 4, &is_null));
		QueueMemory *log = queue_memory(queue, rate, interval_ms, now);
		int count = Min(most, int_column(table, row, 2, 0) - running_in(queue));

		if (rate > 0)
			count = Min(count, rate_room(log, interval_ms, now, &next));
		if (count <= 0)
			continue;
		names[used] = CStringGetTextDatum(queue);
		slots[used] = Int32GetDatum(count);
		if (forget)
			log->floor = DT_NOBEGIN;
		floors[used] = TimestampTzGetDatum(log->floor);
		host_limits[used++] = Int32GetDatum(int_column(table, row, 5, PG_INT32_MAX));
	}
	if (forget)
		floors_from = now;
	room->count = used;
	room->names = text_array(names, used);
	room->slots = int_array(slots, used);
	room->host_limits = int_array(host_limits, used);
	room->floors = PointerGetDatum(construct_array(
		floors, used, TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	return next;
}

/*
 * In a claim's transaction: write down how many jobs of each queue with a rate it starts.
 *
 * Returns	whether there are any
 */
bool
queues_write_starts(const dlist_head *tasks, TimestampTz now)
{
	bool any = false;

	for (QueueMemory *log = memories; log != NULL; log = log->next)
	{
		Datum values[] = {CStringGetTextDatum(log->queue), TimestampTzGetDatum(now), 0};
		int starts = 0;
		dlist_iter iter;

		if (log->room == 0)
			continue;
		dlist_foreach(iter, (dlist_head *) tasks) starts +=
			strcmp(dlist_container(Task, link, iter.cur)->queue, log->queue) == 0;
		if (starts == 0)
			continue;
		values[2] = Int32GetDatum(starts);
		worker_execute(&note_starts_statement, values, NULL);
		any = true;
	}
	return any;
}

/* A job of a queue was started: the claim is committed. */
void
queues_started(const char *queue, TimestampTz run_at, TimestampTz now)
{
	for (QueueMemory *log = memories; log != NULL; log = log->next)
		if (strcmp(log->queue, queue) == 0)
		{
			if (log->count < log->room)
				log->starts[(log->first + log->count++) % log->room] = now;
			log->highest = Max(log->highest, run_at);
		}
}

static void
forget_starts(void *argument)
{
	Datum values[] = {TimestampTzGetDatum(*(TimestampTz *) argument)};

	worker_execute(&forget_starts_statement, values, NULL);
}

/* Starts that no rate looks back to any more. */
bool
queues_forget_starts(TimestampTz now)
{
	return step_run(&forget_step, forget_starts, &now);
}

/*
 * A claim is over.  Where it took some, the next one begins where it ended.
 *
 * Returns	whether it took none because of a floor, perhaps: it is to be tried without
 */
bool
queues_claimed(bool any)
{
	bool had_floor = false;

	for (QueueMemory *memory = memories; memory != NULL; memory = memory->next)
	{
		had_floor |= memory->floor != DT_NOBEGIN;
		memory->floor = any ? memory->highest : DT_NOBEGIN;
		memory->highest = memory->floor;
	}
	return had_floor && !any;
}

/*
 * The hosts that jobs are fetched from now, or that are in trouble, as three arrays: names,
 * jobs that fetch, and how many may.
 */
void
queues_hosts(TimestampTz now, Datum *names, Datum *running, Datum *caps)
{
	int room = worker.task_count + TROUBLED_MAX;
	const char **hosts = palloc(room * sizeof *hosts);
	int *host_caps = palloc(room * sizeof *host_caps);
	int *host_running = palloc0(room * sizeof *host_running);
	Datum *values = palloc(room * sizeof *values);
	int count = hosts_troubled(now, hosts, host_caps, TROUBLED_MAX);
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		int i = 0;

		if (task->state != TASK_FETCHING || task->host == NULL)
			continue;
		while (i < count && strcmp(hosts[i], task->host) != 0)
			i++;
		if (i == count)
		{
			hosts[count] = task->host;
			host_caps[count++] = PG_INT32_MAX;
		}
		host_running[i]++;
	}
	for (int i = 0; i < count; i++)
		values[i] = CStringGetTextDatum(hosts[i]);
	*names = text_array(values, count);
	for (int i = 0; i < count; i++)
		values[i] = Int32GetDatum(host_running[i]);
	*running = int_array(values, count);
	for (int i = 0; i < count; i++)
		values[i] = Int32GetDatum(host_caps[i]);
	*caps = int_array(values, count);
}
