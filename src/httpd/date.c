/*
 * date.c
 *		Times as headers have them (RFC 9110, section 5.6.7), in any of the three forms.
 */
#include <stdio.h>
#include <string.h>

#include "httpd/date.h"
#include "httpd/grammar.h"

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days from 1970 to a date of the Gregorian calendar (Hinnant, "chrono-compatible algorithms"). */
static int64_t
days_since_1970(int64_t year, int64_t month, int64_t day)
{
	int64_t era;
	int64_t of_era;
	int64_t of_year;

	year -= month <= 2;
	era = year / 400;
	of_era = year - era * 400;
	of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Exactly so many digits, or blanks before them where asctime() writes them. */
static bool
digits(const char **text, int count, int *value)
{
	*value = 0;
	for (; count > 0; count--, (*text)++)
	{
		if (**text == ' ' && *value == 0 && count == 2)
			continue;
		if (**text < '0' || **text > '9')
			return false;
		*value = *value * 10 + (**text - '0');
	}
	return true;
}

static bool
literal(const char **text, const char *wanted)
{
	size_t length = strlen(wanted);

	if (strncmp(*text, wanted, length) != 0)
		return false;
	*text += length;
	return true;
}

static bool
month_name(const char **text, int *month)
{
	for (*month = 1; *month <= 12; (*month)++)
		if (strncmp(*text, months + 3 * (*month - 1), 3) == 0)
		{
			*text += 3;
			return true;
		}
	return false;
}

static bool
clock_time(const char **text, int *second)
{
	int h;
	int m;
	int s;

	if (!digits(text, 2, &h) || !literal(text, ":") || !digits(text, 2, &m) ||
		!literal(text, ":") || !digits(text, 2, &s) || h > 23 || m > 59 || s > 60)
		return false;
	*second = h * 3600 + m * 60 + s;
	return true;
}

/* Sun, 06 Nov 1994 08:49:37 GMT; or Sunday, 06-Nov-94 08:49:37 GMT. */
static bool
read_gmt(const char *text, int *year, int *month, int *day, int *second)
{
	const char *separator;

	if (!literal(&text, ", ") || !digits(&text, 2, day))
		return false;
	separator = *text == '-' ? "-" : " ";
	if (!literal(&text, separator) || !month_name(&text, month) || !literal(&text, separator) ||
		!digits(&text, *separator == '-' ? 2 : 4, year))
		return false;
	/* Two digits are of the last hundred years, or of the next fifty. */
	if (*separator == '-')
		*year += *year < 70 ? 2000 : 1900;
	return literal(&text, " ") && clock_time(&text, second) && literal(&text, " GMT") &&
		   *text == '\0';
}

/* Sun Nov  6 08:49:37 1994 */
static bool
read_asctime(const char *text, int *year, int *month, int *day, int *second)
{
	return literal(&text, " ") && month_name(&text, month) && literal(&text, " ") &&
		   digits(&text, 2, day) && literal(&text, " ") && clock_time(&text, second) &&
		   literal(&text, " ") && digits(&text, 4, year) && *text == '\0';
}

/* Seconds of Unix time; false: it is no time. */
bool
date_read(const char *text, int64_t *seconds)
{
	int year;
	int month;
	int day;
	int second;
	const char *rest = text;
	bool good;

	while ((*rest >= 'A' && *rest <= 'Z') || (*rest >= 'a' && *rest <= 'z'))
		rest++;
	if (rest - text < 3)
		return false;
	good = *rest == ',' ? read_gmt(rest, &year, &month, &day, &second)
						: read_asctime(rest, &year, &month, &day, &second);
	if (!good || day < 1 || day > 31)
		return false;
	*seconds = days_since_1970(year, month, day) * 86400 + second;
	return true;
}

/* text: DATE_BYTES */
void
date_write(time_t at, char *text)
{
	struct tm utc;

	gmtime_r(&at, &utc);
	snprintf(text, DATE_BYTES, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
			 days + 3 * utc.tm_wday, utc.tm_mday, months + 3 * utc.tm_mon,
			 (utc.tm_year + 1900) % 10000, utc.tm_hour, utc.tm_min, utc.tm_sec);
}
