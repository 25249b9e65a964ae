/*
 * breaker.c
 *		A circuit breaker.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/timestamp.h"

#include "queue/breaker.h"

#define BREAKER_FAILURES 5
#define BREAKER_FIRST_MS INT64CONST(10000)
#define BREAKER_MAX_MS INT64CONST(300000)

/* Something succeeded, or failed in a way that says that the other side is alive. */
void
breaker_close(Breaker *breaker)
{
	*breaker = (Breaker){0};
}

/*
 * What fails while the breaker is open was under way when it opened, and says nothing new;
 * each time that it opens again it stays open for twice as long.
 */
void
breaker_count_failure(Breaker *breaker)
{
	TimestampTz now = GetCurrentTimestamp();

	breaker->failures_in_a_row++;
	if (breaker->failures_in_a_row < BREAKER_FAILURES || breaker->open_until > now)
		return;
	breaker->open_until = TimestampTzPlusMilliseconds(
		now, Min(BREAKER_MAX_MS, BREAKER_FIRST_MS << Min(breaker->level, 10)));
	breaker->level++;
}

/* How many attempts may be under way: none while it is open, one half open, else any number. */
int
breaker_room(const Breaker *breaker, TimestampTz now)
{
	if (breaker->open_until == 0)
		return INT_MAX;
	return breaker->open_until > now ? 0 : 1;
}
