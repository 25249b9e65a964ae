/*
 * hosts.c
 *		What is known of the hosts that jobs fetch from.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "helper/presentable.h"
#include "queue/hosts.h"
#include "queue/shmem.h"

PG_FUNCTION_INFO_V1(imgexport_hosts);

/* The slot of a host of this database; create: the one that was used longest ago is taken over. */
static HostSlot *
find(QueueState *state, const char *host, bool create)
{
	HostSlot *oldest = NULL;

	for (int i = 0; i < QUEUE_MAX_HOSTS; i++)
	{
		HostSlot *slot = &state->hosts[i];

		if (slot->database == MyDatabaseId && strcmp(slot->host, host) == 0)
			return slot;
		if (slot->running == 0 && (oldest == NULL || slot->last_used < oldest->last_used))
			oldest = slot;
	}
	if (!create || oldest == NULL)
		return NULL;
	memset(oldest, 0, sizeof *oldest);
	oldest->database = MyDatabaseId;
	strlcpy(oldest->host, host, sizeof oldest->host);
	return oldest;
}

/* A longer name is not kept, nor is one when all slots are in use: then its end finds none. */
static HostSlot *
lock_host(const char *host, bool create)
{
	QueueState *state;
	HostSlot *slot;

	if (host == NULL || strlen(host) >= QUEUE_HOST_BYTES)
		return NULL;
	state = queue_lock();
	slot = find(state, host, create);
	if (slot == NULL)
		queue_unlock();
	return slot;
}

/* A worker that starts has no transfers under way, whatever the one before it had. */
void
hosts_forget_running(void)
{
	QueueState *state = queue_lock();

	for (int i = 0; i < QUEUE_MAX_HOSTS; i++)
		if (state->hosts[i].database == MyDatabaseId)
			state->hosts[i].running = 0;
	queue_unlock();
}

/* A transfer from a host starts; host may be NULL, in all of these: then it is nobody's. */
void
hosts_start(const char *host)
{
	HostSlot *slot = lock_host(host, true);

	if (slot == NULL)
		return;
	slot->running++;
	slot->last_used = GetCurrentTimestamp();
	queue_unlock();
}

void
hosts_succeeded(const char *host, uint64 bytes, long ms)
{
	HostSlot *slot = lock_host(host, false);

	if (slot == NULL)
		return;
	slot->running = Max(0, slot->running - 1);
	slot->fetched++;
	slot->fetched_bytes += bytes;
	slot->fetch_ms += ms;
	breaker_close(&slot->breaker);
	queue_unlock();
}

/* Only what may pass counts against a host: a 404 is an answer. */
void
hosts_failed(const char *host, const HelperError *error)
{
	HostSlot *slot = lock_host(host, false);

	if (slot == NULL)
		return;
	slot->running = Max(0, slot->running - 1);
	slot->failed++;
	presentable_copy(slot->last_error, error->message, sizeof slot->last_error);
	if (error->retryable)
		breaker_count_failure(&slot->breaker);
	else
		breaker_close(&slot->breaker);
	queue_unlock();
}

/* A transfer was given up by us. */
void
hosts_dropped(const char *host)
{
	HostSlot *slot = lock_host(host, false);

	if (slot == NULL)
		return;
	slot->running = Max(0, slot->running - 1);
	queue_unlock();
}

/* When the next breaker lets a job try; 0: none is open. */
TimestampTz
hosts_next_change(TimestampTz now)
{
	QueueState *state = queue_lock();
	TimestampTz next = 0;

	for (int i = 0; i < QUEUE_MAX_HOSTS; i++)
	{
		HostSlot *slot = &state->hosts[i];

		if (slot->database == MyDatabaseId && slot->breaker.open_until > now &&
			(next == 0 || slot->breaker.open_until < next))
			next = slot->breaker.open_until;
	}
	queue_unlock();
	return next;
}

/*
 * The hosts whose breaker is open (cap 0) or half open (cap 1).
 *
 * Returns	how many were put into names, copies, and caps
 */
int
hosts_troubled(TimestampTz now, const char **names, int *caps, int room)
{
	QueueState *state = queue_lock();
	int count = 0;

	for (int i = 0; i < QUEUE_MAX_HOSTS && count < room; i++)
	{
		HostSlot *slot = &state->hosts[i];

		if (slot->database != MyDatabaseId || slot->breaker.open_until == 0)
			continue;
		names[count] = pstrdup(slot->host);
		caps[count++] = breaker_room(&slot->breaker, now);
	}
	queue_unlock();
	return count;
}

static void
put_host(ReturnSetInfo *result, const HostSlot *slot)
{
	Name database = queue_database_name(slot->database);
	Datum values[11];
	bool nulls[11] = {false};

	if (database == NULL)
		return;
	values[0] = NameGetDatum(database);
	values[1] = CStringGetTextDatum(slot->host);
	values[2] = Int32GetDatum(slot->running);
	values[3] = Int64GetDatum(slot->fetched);
	values[4] = Int64GetDatum(slot->failed);
	values[5] = Int64GetDatum(slot->fetched_bytes);
	values[6] = Int64GetDatum(slot->fetch_ms);
	values[7] = Int32GetDatum(slot->breaker.failures_in_a_row);
	values[8] = TimestampTzGetDatum(slot->breaker.open_until);
	nulls[8] = slot->breaker.open_until == 0;
	values[9] = CStringGetTextDatum(slot->last_error);
	nulls[9] = slot->last_error[0] == '\0';
	values[10] = TimestampTzGetDatum(slot->last_used);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* imgexport.hosts() returns setof record */
Datum
imgexport_hosts(PG_FUNCTION_ARGS)
{
	QueueState *state = queue_copy();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; state != NULL && i < QUEUE_MAX_HOSTS; i++)
		if (state->hosts[i].database != InvalidOid)
			put_host((ReturnSetInfo *) fcinfo->resultinfo, &state->hosts[i]);
	return (Datum) 0;
}
