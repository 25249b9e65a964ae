/*
 * services.c
 *		What is known of services that are asked.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "helper/presentable.h"
#include "queue/services.h"

PG_FUNCTION_INFO_V1(imgexport_services);

#define TOO_MANY_REQUESTS 429

static bool
is_zero(const ServiceCounters *counters)
{
	static const ServiceCounters zero;

	return memcmp(counters, &zero, sizeof zero) == 0;
}

/* Is there nothing in a slot that somebody still has to know? */
static bool
is_idle(const ServiceSlot *slot)
{
	return slot->running == 0 && is_zero(&slot->unwritten);
}

/*
 * The slot of a service of this database; the idle one that was used longest ago is taken over.
 * What the service has spent before is then read from imgexport.service_usage again.
 *
 * Returns	NULL when no slot is idle
 */
static ServiceSlot *
find(QueueState *state, const char *name)
{
	ServiceSlot *oldest = NULL;

	for (int i = 0; i < QUEUE_MAX_SERVICES; i++)
	{
		ServiceSlot *slot = &state->services[i];

		if (slot->database == MyDatabaseId && strcmp(slot->name, name) == 0)
			return slot;
		if (is_idle(slot) && (oldest == NULL || slot->last_used < oldest->last_used))
			oldest = slot;
	}
	if (oldest == NULL)
		return NULL;
	memset(oldest, 0, sizeof *oldest);
	oldest->database = MyDatabaseId;
	strlcpy(oldest->name, name, sizeof oldest->name);
	return oldest;
}

static ServiceSlot *
lock_service(const char *name)
{
	QueueState *state = queue_lock();
	ServiceSlot *slot;

	if (state == NULL)
		return NULL;
	slot = find(state, name);
	if (slot == NULL)
		queue_unlock();
	else
		slot->last_used = GetCurrentTimestamp();
	return slot;
}

static DateADT
today(void)
{
	return (DateADT) (GetCurrentTimestamp() / USECS_PER_DAY);
}

static int
month_of(DateADT day)
{
	int year;
	int month;
	int of_month;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &of_month);
	return year * 12 + month;
}

/* Begin a new day, or take up what was spent before the server started. */
static void
enter_today(ServiceSlot *slot, const ServicePrice *price)
{
	DateADT day = today();

	if (slot->day == day)
		return;
	if (slot->day == 0)
	{
		slot->day_micros = price->day_spent;
		slot->month_micros = price->month_spent;
	}
	else
	{
		slot->day_micros = 0;
		if (month_of(slot->day) != month_of(day))
			slot->month_micros = 0;
	}
	slot->day = day;
}

static void
spend(ServiceSlot *slot, int64 micros)
{
	slot->total.cost_micros += micros;
	slot->unwritten.cost_micros += micros;
	slot->day_micros += micros;
	slot->month_micros += micros;
}

typedef enum Refusal
{
	REFUSAL_NONE,
	REFUSAL_BREAKER,
	REFUSAL_DAY,
	REFUSAL_MONTH
} Refusal;

static Refusal
may_call(const ServiceSlot *slot, const ServicePrice *price)
{
	if (slot->running >= breaker_room(&slot->breaker, GetCurrentTimestamp()))
		return REFUSAL_BREAKER;
	if (price->price > 0 && price->day_limit >= 0 &&
		slot->day_micros + price->price > price->day_limit)
		return REFUSAL_DAY;
	if (price->price > 0 && price->month_limit >= 0 &&
		slot->month_micros + price->price > price->month_limit)
		return REFUSAL_MONTH;
	return REFUSAL_NONE;
}

static HelperError *
over_limit(const char *name, const char *span, const char *column, int64 spent, int64 limit,
		   int64 price)
{
	return helper_error(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, false,
						psprintf("limit of service \"%s\" for this %s is spent", name, span),
						psprintf("%.6g of %.6g are spent, and a request costs %.6g.",
								 spent / 1e6, limit / 1e6, price / 1e6),
						psprintf("imgexport.service.%s sets the limit.", column));
}

static HelperError *
error_of(Refusal refusal, const ServiceSlot *slot, const ServicePrice *price)
{
	switch (refusal)
	{
		case REFUSAL_NONE:
			return NULL;
		case REFUSAL_BREAKER:
			return helper_error(
				ERRCODE_IMAGE_TRANSFER, true,
				psprintf("service \"%s\" is left alone for now, after %d failures in a row",
						 slot->name, slot->breaker.failures_in_a_row),
				psprintf("The last one was: %s.", slot->last_error), NULL);
		case REFUSAL_DAY:
			return over_limit(slot->name, "day", "daily_limit", slot->day_micros,
							  price->day_limit, price->price);
		case REFUSAL_MONTH:
			return over_limit(slot->name, "month", "monthly_limit", slot->month_micros,
							  price->month_limit, price->price);
	}
	return NULL;
}

/*
 * A request is about to be sent: count it and its price.
 *
 * concurrency	requests of this database that may be under way
 * error	where to put why it may not be sent, in the current memory context; NULL: it may,
 *			or there is only no room for it now.  53400 its limit is spent, IX005 its breaker
 *			is open
 * Returns	whether it may be sent; nothing is counted otherwise
 */
bool
service_begin(const char *name, int concurrency, const ServicePrice *price, HelperError **error)
{
	ServiceSlot *slot = lock_service(name);
	ServiceSlot copy;
	Refusal refusal;
	bool begun;

	*error = NULL;
	if (slot == NULL)
		return false;
	enter_today(slot, price);
	refusal = may_call(slot, price);
	begun = refusal == REFUSAL_NONE && slot->running < concurrency;
	if (begun)
	{
		slot->running++;
		slot->total.calls++;
		slot->unwritten.calls++;
		spend(slot, price->price);
	}
	copy = *slot;
	queue_unlock();
	*error = error_of(refusal, &copy, price);
	return begun;
}

/* Requests to a service that are under way, whoever waits for them. */
int
service_running(const char *name)
{
	ServiceSlot *slot = lock_service(name);
	int running;

	if (slot == NULL)
		return 0;
	running = slot->running;
	queue_unlock();
	return running;
}

/* How a request ended; what follows is counted. */
static void
end(ServiceSlot *slot, bool success, long ms)
{
	slot->running = Max(0, slot->running - 1);
	slot->total.successes += success;
	slot->unwritten.successes += success;
	slot->total.failures += !success;
	slot->unwritten.failures += !success;
	slot->total.ms += ms;
	slot->unwritten.ms += ms;
}

void
service_succeeded(const char *name, long ms)
{
	ServiceSlot *slot = lock_service(name);

	if (slot == NULL)
		return;
	end(slot, true, ms);
	breaker_close(&slot->breaker);
	queue_unlock();
}

/*
 * What failed costs nothing, unless it was sent and no answer says so: it may have been done.  Only what may pass counts against a service, and not that it
 * was asked too often: that it answers.
 */
void
service_failed(const char *name, const ServicePrice *price, const HelperError *error, long ms)
{
	ServiceSlot *slot = lock_service(name);

	if (slot == NULL)
		return;
	end(slot, false, ms);
	if (!error->sent)
		spend(slot, -price->price);
	presentable_copy(slot->last_error, error->message, sizeof slot->last_error);
	if (!error->retryable)
		breaker_close(&slot->breaker);
	else if (error->http_status != TOO_MANY_REQUESTS)
		breaker_count_failure(&slot->breaker);
	queue_unlock();
}

/* A request was counted by service_begin, and could not be sent after all. */
void
service_unsent(const char *name, const ServicePrice *price)
{
	ServiceSlot *slot = lock_service(name);

	if (slot == NULL)
		return;
	slot->running = Max(0, slot->running - 1);
	slot->total.calls--;
	slot->unwritten.calls--;
	spend(slot, -price->price);
	queue_unlock();
}

/* A request was given up by us; it may have been paid for. */
void
service_dropped(const char *name)
{
	ServiceSlot *slot = lock_service(name);

	if (slot == NULL)
		return;
	slot->running = Max(0, slot->running - 1);
	queue_unlock();
}

/* An answer was known, and nothing was asked. */
void
service_cached(const char *name)
{
	ServiceSlot *slot = lock_service(name);

	if (slot == NULL)
		return;
	slot->total.cached++;
	slot->unwritten.cached++;
	queue_unlock();
}

/* A worker that starts has no requests under way, whatever the one before it had. */
void
services_forget_running(void)
{
	QueueState *state = queue_lock();

	for (int i = 0; i < QUEUE_MAX_SERVICES; i++)
		if (state->services[i].database == MyDatabaseId)
			state->services[i].running = 0;
	queue_unlock();
}

/* Is there anything that imgexport.service_usage does not have? */
bool
services_have_unwritten(void)
{
	QueueState *state = queue_lock();
	bool found = false;

	for (int i = 0; i < QUEUE_MAX_SERVICES && !found; i++)
		found = state->services[i].database == MyDatabaseId &&
				!is_zero(&state->services[i].unwritten);
	queue_unlock();
	return found;
}

/*
 * Take what is to be written into imgexport.service_usage.
 *
 * usage	room for so many
 * Returns	how many there are
 */
int
services_take_unwritten(ServiceUsage *usage, int room)
{
	QueueState *state = queue_lock();
	int count = 0;

	for (int i = 0; i < QUEUE_MAX_SERVICES && count < room; i++)
	{
		ServiceSlot *slot = &state->services[i];

		if (slot->database != MyDatabaseId || is_zero(&slot->unwritten))
			continue;
		strlcpy(usage[count].name, slot->name, sizeof usage[count].name);
		usage[count++].counters = slot->unwritten;
		memset(&slot->unwritten, 0, sizeof slot->unwritten);
	}
	queue_unlock();
	return count;
}

/* It could not be written. */
void
services_put_back(const ServiceUsage *usage, int count)
{
	for (int i = 0; i < count; i++)
	{
		ServiceSlot *slot = lock_service(usage[i].name);
		const int64 *taken = (const int64 *) &usage[i].counters;

		if (slot == NULL)
			continue;
		for (size_t j = 0; j < sizeof(ServiceCounters) / sizeof(int64); j++)
			((int64 *) &slot->unwritten)[j] += taken[j];
		queue_unlock();
	}
}

static Datum
money(int64 micros)
{
	return DirectFunctionCall1(numeric_trim_scale,
							   DirectFunctionCall2(numeric_div,
												   NumericGetDatum(int64_to_numeric(micros)),
												   NumericGetDatum(int64_to_numeric(1000000))));
}

static void
put_service(ReturnSetInfo *result, const ServiceSlot *slot)
{
	Name database = queue_database_name(slot->database);
	bool is_today = slot->day == today();
	bool is_month = slot->day != 0 && month_of(slot->day) == month_of(today());
	Datum values[14];
	bool nulls[14] = {false};

	if (database == NULL)
		return;
	values[0] = NameGetDatum(database);
	values[1] = CStringGetTextDatum(slot->name);
	values[2] = Int32GetDatum(slot->running);
	values[3] = Int64GetDatum(slot->total.calls);
	values[4] = Int64GetDatum(slot->total.successes);
	values[5] = Int64GetDatum(slot->total.failures);
	values[6] = Int64GetDatum(slot->total.cached);
	values[7] = Int64GetDatum(slot->total.ms);
	values[8] = money(slot->total.cost_micros);
	values[9] = money(is_today ? slot->day_micros : 0);
	values[10] = money(is_month ? slot->month_micros : 0);
	values[11] = Int32GetDatum(slot->breaker.failures_in_a_row);
	values[12] = TimestampTzGetDatum(slot->breaker.open_until);
	nulls[12] = slot->breaker.open_until == 0;
	values[13] = CStringGetTextDatum(slot->last_error);
	nulls[13] = slot->last_error[0] == '\0';
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* imgexport.services() returns setof record */
Datum
imgexport_services(PG_FUNCTION_ARGS)
{
	QueueState *state = queue_copy();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; state != NULL && i < QUEUE_MAX_SERVICES; i++)
		if (state->services[i].database != InvalidOid)
			put_service((ReturnSetInfo *) fcinfo->resultinfo, &state->services[i]);
	return (Datum) 0;
}
