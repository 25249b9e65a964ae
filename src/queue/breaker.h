/*
 * breaker.h
 *		A circuit breaker: what fails again and again is left alone for a while.
 *
 * After so many failures in a row that may pass, nothing is tried for a while, longer each
 * time; then one attempt is, and its success closes the breaker.  (M. Nygard, "Release
 * It!", 2007, has the pattern and its terms.)
 */
#ifndef IMGEXPORT_QUEUE_BREAKER_H
#define IMGEXPORT_QUEUE_BREAKER_H

#include "datatype/timestamp.h"

typedef struct Breaker
{
	int failures_in_a_row;
	int level;				/* how often in a row it was opened */
	TimestampTz open_until; /* 0: never was, or it was closed by a success */
} Breaker;

void breaker_close(Breaker *breaker);
void breaker_count_failure(Breaker *breaker);
int breaker_room(const Breaker *breaker, TimestampTz now);

#endif
