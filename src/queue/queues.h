/*
 * queues.h
 *		How many jobs of each queue may start now.
 */
#ifndef IMGEXPORT_QUEUE_QUEUES_H
#define IMGEXPORT_QUEUE_QUEUES_H

#include "datatype/timestamp.h"
#include "lib/ilist.h"

typedef struct QueueRoom
{
	int count;
	Datum names;	   /* text[] */
	Datum slots;	   /* int[], each at least 1 */
	Datum host_limits; /* int[] */
	Datum floors;	   /* timestamptz[]: nothing due was left before it */
} QueueRoom;

TimestampTz queues_room(int most, TimestampTz now, QueueRoom *room);
bool queues_write_starts(const dlist_head *tasks, TimestampTz now);
bool queues_forget_starts(TimestampTz now);
void queues_started(const char *queue, TimestampTz run_at, TimestampTz now);
bool queues_claimed(bool any);
void queues_hosts(TimestampTz now, Datum *names, Datum *running, Datum *caps);

#endif
