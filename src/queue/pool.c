/*
 * pool.c
 *		The worker's helpers taken together: how much work there is room for, and what the
 *		loop waits for.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/helper.h"
#include "queue/calls.h"
#include "queue/evaluation.h"
#include "queue/filework.h"
#include "queue/worker.h"
#include "settings.h"

/* Jobs for each codec, those that it has among them, so that no codec waits for a job. */
#define PREPARED_AHEAD 6

/* Sources, bases and outputs that wait in memory: beyond this no further job is claimed. */
#define HELD_MAX_BYTES ((uint64) 512 << 20)

/* Jobs in work, whatever they wait for. */
#define TASKS_MAX 2000

/* A helper that ended before it did anything is not started again sooner. */
#define RESTART_DELAY_MS 1000

static bool sockets_changed = true;

/* Start one; NULL where the system has no process or descriptor left, which is logged. */
Helper *
worker_start_helper(HelperKind kind)
{
	MemoryContext before = CurrentMemoryContext;
	Helper *volatile helper = NULL;

	sockets_changed = true;
	PG_TRY();
	{
		helper = helper_start(kind, TopMemoryContext);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(before);
		EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
	return helper;
}

void
worker_stop_helper(Helper **helper)
{
	if (*helper == NULL)
		return;
	sockets_changed = true;
	helper_stop(*helper);
	*helper = NULL;
}

/* When the place of a helper that ended may be taken; 0: now.  NULL: it could not be started. */
TimestampTz
worker_restart_time(const Helper *ended)
{
	return ended != NULL && helper_is_ready(ended)
			   ? 0
			   : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESTART_DELAY_MS);
}

/* How many more jobs may be claimed. */
int
pool_room(void)
{
	int busy = 0;
	uint64 held = 0;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		/* One role's slow functions keep nobody else's jobs from being claimed. */
		if (task->state == TASK_EVALUATING)
			continue;
		/* Those that services are asked for need nothing of ours but memory. */
		busy += task->state != TASK_DONE && task->state != TASK_CALLING;
		held += task->source.length + task->base.length + calls_held_bytes(task) +
				task_output_bytes(task);
	}
	if (held > HELD_MAX_BYTES || worker.task_count >= TASKS_MAX)
		return 0;
	return Max(0, settings.fetch_concurrency + codecs_count() * PREPARED_AHEAD - busy);
}

/* Move every task and delivery as far as it goes without waiting. */
void
pool_advance(void)
{
	transfers_advance();
	filework_advance();
	codecs_advance();
	evaluators_advance();
}

/* How long may the loop sleep for us?  -1: until a socket says something. */
long
pool_wait_ms(void)
{
	long waits[] = {transfers_wait_ms(),  codecs_wait_ms(),	 calls_wait_ms(),
					evaluators_wait_ms(), objects_wait_ms(), complete_wait_ms(),
					usage_wait_ms(),	  prepare_wait_ms(), deliver_wait_ms(),
					remove_wait_ms(),	  filework_wait_ms()};
	long shortest = -1;

	for (int i = 0; i < lengthof(waits); i++)
		if (waits[i] >= 0 && (shortest < 0 || waits[i] < shortest))
			shortest = waits[i];
	return shortest;
}

/* Some socket was opened or closed. */
void
pool_note_sockets(void)
{
	sockets_changed = true;
}

/* Has the set of sockets changed since pool_sockets() was asked? */
bool
pool_sockets_changed(void)
{
	return sockets_changed;
}

/* The sockets to wait for; returns how many. */
int
pool_sockets(int *sockets, int room)
{
	int count = transfers_sockets(sockets, room);
	int files = filework_socket();

	sockets_changed = false;
	if (files >= 0 && count < room)
		sockets[count++] = files;
	count += codecs_sockets(sockets + count, room - count);
	return count + evaluators_sockets(sockets + count, room - count);
}
