/*
 * services.h
 *		What is known of services that are asked: counts, costs, limits, a circuit breaker.
 *
 * It is in shared memory, so that a call counts whatever becomes of the transaction that
 * made it.  The worker writes it into imgexport.service_usage.
 */
#ifndef IMGEXPORT_QUEUE_SERVICES_H
#define IMGEXPORT_QUEUE_SERVICES_H

#include "helper/errors.h"
#include "queue/shmem.h"

/* What a call costs and may cost, in millionths; a limit of -1 is none. */
typedef struct ServicePrice
{
	int64 price;
	int64 day_limit;
	int64 month_limit;
	int64 day_spent; /* as imgexport.service_usage has it; used once, after a start */
	int64 month_spent;
} ServicePrice;

/* Counts of one service that are to be written down. */
typedef struct ServiceUsage
{
	char name[NAMEDATALEN];
	ServiceCounters counters;
} ServiceUsage;

bool service_begin(const char *name, int concurrency, const ServicePrice *price,
				   HelperError **error);
int service_running(const char *name);
void service_succeeded(const char *name, long ms);
void service_failed(const char *name, const ServicePrice *price, const HelperError *error,
					long ms);
void service_unsent(const char *name, const ServicePrice *price);
void service_dropped(const char *name);
void service_cached(const char *name);

void services_forget_running(void);
bool services_have_unwritten(void);
int services_take_unwritten(ServiceUsage *usage, int room);
void services_put_back(const ServiceUsage *usage, int count);

#endif
