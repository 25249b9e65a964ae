/*
 * cron.c
 *		When a cron expression is due.
 *
 * The language is that of crontab(5) as of Paul Vixie's cron and its descendants, with what
 * pg_cron has added: "30 seconds", and $ for the last day of a month.  So are its rules for
 * clocks that are put forward or back by less than three hours: a job at a time of day that
 * is skipped runs right after it, one at a time that comes twice runs once, and jobs whose
 * minute or hour begins with * are as often as the hands of a clock get there.
 */
#include "postgres.h"

#include <ctype.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "queue/cron.h"
#include "settings.h"

PG_FUNCTION_INFO_V1(imgexport_next_run);

/* The 29th of February may be eight years away. */
#define SEARCH_DAYS (366 * 9)

/* Changes of the clock that are larger are a correction, and no daylight saving. */
#define LARGEST_CHANGE_S (3 * 3600)

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
										  "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed",
											"thu", "fri", "sat", NULL};

static const struct
{
	const char *name;
	const char *expression;
} nicknames[] = {
	{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},	  {"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"},
};

/* One of the five fields. */
typedef struct Field
{
	const char *name;
	int low;
	int high;
	const char *const *names; /* of low and so on; NULL: numbers only */
} Field;

static const Field fields[] = {
	{"minute", 0, 59, NULL},
	{"hour", 0, 23, NULL},
	{"day", 1, 31, NULL},
	{"month", 1, 12, month_names},
	{"weekday", 0, 7, weekday_names},
};

/* A number or a name at *text, which is moved past it; -1: there is none. */
static int
read_value(const Field *field, const char **text)
{
	int value = 0;

	if (isdigit((unsigned char) **text))
	{
		while (isdigit((unsigned char) **text) && value < 1000)
			value = value * 10 + *(*text)++ - '0';
		return value;
	}
	for (int i = 0; field->names != NULL && field->names[i] != NULL; i++)
		if (pg_strncasecmp(*text, field->names[i], 3) == 0)
		{
			*text += 3;
			return field->low + i;
		}
	return -1;
}

static char *
complaint(const Field *field, const char *text)
{
	return psprintf("%s \"%s\" is not *, or a list of numbers%s and ranges from %d to %d",
					field->name, text, field->names ? ", names" : "", field->low, field->high);
}

/* One element of a list: *, 5, 1-5, each with a step where it is a range. */
static bool
read_element(const Field *field, const char **text, uint64 *bits)
{
	int from = field->low;
	int to = field->high;
	int step = 1;
	bool range = **text == '*';

	if (range)
		(*text)++;
	else
	{
		from = to = read_value(field, text);
		if (**text == '-')
		{
			(*text)++;
			to = read_value(field, text);
			range = true;
		}
	}
	if (range && **text == '/')
	{
		(*text)++;
		step = isdigit((unsigned char) **text) ? read_value(field, text) : 0;
	}
	if (from < field->low || to > field->high || from > to || step < 1)
		return false;
	for (int value = from; value <= to; value += step)
		*bits |= UINT64CONST(1) << value;
	return true;
}

/* Returns what is wrong with it; NULL: nothing. */
static const char *
read_field(const Field *field, const char *text, uint64 *bits, bool *last_day)
{
	const char *at = text;

	*bits = 0;
	do
	{
		if (last_day != NULL && *at == '$')
		{
			*last_day = true;
			at++;
		}
		else if (!read_element(field, &at, bits))
			return complaint(field, text);
	} while (*at++ == ',');
	return at[-1] == '\0' ? NULL : complaint(field, text);
}

/* "30 seconds", "1 second". */
static bool
read_seconds(const char *text, int *seconds)
{
	char unit[9];
	int length = 0;

	return sscanf(text, "%2d %8[a-zA-Z]%n", seconds, unit, &length) == 2 &&
		   text[length] == '\0' && *seconds >= 1 && *seconds <= 59 &&
		   (pg_strcasecmp(unit, "seconds") == 0 || pg_strcasecmp(unit, "second") == 0);
}

static const char *
read_calendar(char *text, Cron *cron)
{
	uint64 bits[lengthof(fields)];
	char *rest = NULL;
	char *word = strtok_r(text, " \t", &rest);
	const char *wrong;

	for (int i = 0; i < lengthof(fields); i++, word = strtok_r(NULL, " \t", &rest))
	{
		if (word == NULL)
			return psprintf("it has %d fields, not five", i);
		wrong = read_field(&fields[i], word, &bits[i], i == 2 ? &cron->last_day : NULL);
		if (wrong != NULL)
			return wrong;
		if (i < 2)
			cron->by_interval |= word[0] == '*';
		else if (i == 2)
			cron->any_day = word[0] == '*';
		else if (i == 4)
			cron->any_weekday = word[0] == '*';
	}
	if (word != NULL)
		return "it has more than five fields";
	cron->minutes = bits[0];
	cron->hours = (uint32) bits[1];
	cron->days = (uint32) bits[2];
	cron->months = (uint32) bits[3];
	/* Sunday is both 0 and 7. */
	cron->weekdays = (uint32) ((bits[4] | bits[4] >> 7) & 0x7f);
	return NULL;
}

/* Read an expression; returns what is wrong with it in words, NULL where nothing is. */
const char *
cron_parse(const char *text, Cron *cron)
{
	char *copy = pstrdup(text);
	char *start = copy + strspn(copy, " \t");
	char *end = start + strlen(start);

	memset(cron, 0, sizeof *cron);
	while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (read_seconds(start, &cron->seconds))
		return NULL;
	cron->seconds = 0;
	if (start[0] != '@')
		return read_calendar(start, cron);
	for (int i = 0; i < lengthof(nicknames); i++)
		if (pg_strcasecmp(start, nicknames[i].name) == 0)
			return read_calendar(pstrdup(nicknames[i].expression), cron);
	return psprintf("there is no \"%s\"", start);
}

/* Is a date one that the expression names? */
static bool
is_day(const Cron *cron, int julian)
{
	int year;
	int month;
	int day;
	int next_month;
	int ignored;
	bool by_day;
	bool by_weekday;

	j2date(julian, &year, &month, &day);
	if ((cron->months & (1u << month)) == 0)
		return false;
	j2date(julian + 1, &ignored, &next_month, &ignored);
	by_day = (cron->days & (1u << day)) != 0 || (cron->last_day && next_month != month);
	by_weekday = (cron->weekdays & (1u << j2day(julian))) != 0;
	/* Where both are named either is enough. */
	if (cron->any_day || cron->any_weekday)
		return by_day && by_weekday;
	return by_day || by_weekday;
}

static long
offset_at(pg_time_t at, pg_tz *zone)
{
	return pg_localtime(&at, zone)->tm_gmtoff;
}

/*
 * When the clock shows a local time, as seconds since 1970 on that clock.
 *
 * found	up to two: a time that comes twice, the earlier one first
 * skipped	set to when the clock jumps over it; 0: it does not
 * Returns	how many
 */
static int
instants(int64 local, pg_tz *zone, pg_time_t *found, pg_time_t *skipped)
{
	long before = offset_at(local - SECS_PER_DAY, zone);
	long after = offset_at(local + SECS_PER_DAY, zone);
	int count = 0;

	*skipped = 0;
	if (offset_at(local - before, zone) == before)
		found[count++] = local - before;
	if (after != before && offset_at(local - after, zone) == after)
		found[count++] = local - after;
	if (count == 0 && after > before && after - before < LARGEST_CHANGE_S)
	{
		pg_time_t low = local - SECS_PER_DAY;
		pg_time_t high = local + SECS_PER_DAY;

		/* The change is where the offset stops being the one before. */
		while (high - low > 1)
		{
			pg_time_t middle = low + (high - low) / 2;

			if (offset_at(middle, zone) == before)
				low = middle;
			else
				high = middle;
		}
		*skipped = high;
	}
	return count;
}

/* The first time on a date that is later than after; 0: there is none. */
static pg_time_t
first_on_day(const Cron *cron, int julian, pg_time_t after, pg_tz *zone)
{
	int64 midnight = ((int64) julian - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	pg_time_t first = 0;

	for (int minute = 0; minute < MINS_PER_HOUR * HOURS_PER_DAY; minute++)
	{
		pg_time_t found[2];
		pg_time_t skipped;
		int count;

		if ((cron->hours & (1u << (minute / MINS_PER_HOUR))) == 0 ||
			(cron->minutes & (UINT64CONST(1) << (minute % MINS_PER_HOUR))) == 0)
			continue;
		count = instants(midnight + minute * SECS_PER_MINUTE, zone, found, &skipped);
		if (skipped != 0 && !cron->by_interval)
			found[count++] = skipped;
		for (int i = 0; i < count && (i == 0 || cron->by_interval); i++)
			if (found[i] > after && (first == 0 || found[i] < first))
				first = found[i];
	}
	return first;
}

/*
 * When it is due next, after a time.
 *
 * Returns	DT_NOEND when it never is
 */
TimestampTz
cron_next(const Cron *cron, TimestampTz after, pg_tz *zone)
{
	pg_time_t from = timestamptz_to_time_t(after);
	struct pg_tm *local;
	int julian;

	if (cron->seconds > 0)
		return after + cron->seconds * USECS_PER_SEC;
	local = pg_localtime(&from, zone);
	/* pg_localtime counts years from 1900 and months from 0. */
	julian = date2j(local->tm_year + 1900, local->tm_mon + 1, local->tm_mday);
	for (int day = julian - 1; day < julian + SEARCH_DAYS; day++)
	{
		pg_time_t found = is_day(cron, day) ? first_on_day(cron, day, from, zone) : 0;

		if (found != 0)
			return time_t_to_timestamptz(found);
	}
	return DT_NOEND;
}

static pg_tz *
zone_named(const char *name)
{
	pg_tz *zone = pg_tzset(name);

	if (zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("time zone \"%s\" does not exist", name)));
	return zone;
}

/* imgexport.next_run(cron text, after timestamptz, time_zone text) returns timestamptz */
Datum
imgexport_next_run(PG_FUNCTION_ARGS)
{
	pg_tz *zone;
	Cron cron;
	char *expression;
	const char *wrong;
	TimestampTz next;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	expression = text_to_cstring(PG_GETARG_TEXT_PP(0));
	wrong = cron_parse(expression, &cron);
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a cron expression: %s", expression, wrong),
				 errhint("*/30 * * * * is every half hour, 0 2 * * * every day at two, @daily "
						 "every day at midnight, 30 seconds every half minute.")));
	/* Never the session's: a schedule means the same to everybody. */
	zone = zone_named(PG_ARGISNULL(2) ? settings.schedule_timezone
									  : text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(1)))
		PG_RETURN_NULL();
	next = cron_next(&cron, PG_GETARG_TIMESTAMPTZ(1), zone);
	if (next == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}
