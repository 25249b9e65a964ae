/*
 * cron.h
 *		When a cron expression is due.
 */
#ifndef IMGEXPORT_QUEUE_CRON_H
#define IMGEXPORT_QUEUE_CRON_H

#include "datatype/timestamp.h"
#include "pgtime.h"

typedef struct Cron
{
	int seconds;	 /* every so many; 0: by the calendar, as follows */
	uint64 minutes;	 /* bit n: minute n */
	uint32 hours;	 /* 0 to 23 */
	uint32 days;	 /* 1 to 31 */
	uint32 months;	 /* 1 to 12 */
	uint32 weekdays; /* 0 to 6, from Sunday */
	bool last_day;	 /* of the month, besides days */
	bool any_day;	 /* day begins with *: weekdays alone decide */
	bool any_weekday;
	bool by_interval; /* minute or hour begins with *: no time of day that could be skipped */
} Cron;

const char *cron_parse(const char *text, Cron *cron);
TimestampTz cron_next(const Cron *cron, TimestampTz after, pg_tz *zone);

#endif
