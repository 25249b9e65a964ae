/*
 * hosts.h
 *		What is known of the hosts that jobs fetch from: limits and a circuit breaker.
 */
#ifndef IMGEXPORT_QUEUE_HOSTS_H
#define IMGEXPORT_QUEUE_HOSTS_H

#include "datatype/timestamp.h"

#include "helper/errors.h"

void hosts_forget_running(void);
void hosts_start(const char *host);
void hosts_succeeded(const char *host, uint64 bytes, long ms);
void hosts_failed(const char *host, const HelperError *error);
void hosts_dropped(const char *host);
TimestampTz hosts_next_change(TimestampTz now);
int hosts_troubled(TimestampTz now, const char **names, int *caps, int room);

#endif
