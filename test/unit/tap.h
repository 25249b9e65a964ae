/*
 * tap.h
 *		Test results as TAP: ok(condition, name), and a plan at the end.
 */
#ifndef IMGEXPORT_TEST_TAP_H
#define IMGEXPORT_TEST_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count = 0;
static int tap_failed = 0;

/* One result; the name is a format. */
static inline bool __attribute__((format(printf, 2, 3)))
ok(bool condition, const char *name, ...)
{
	va_list arguments;

	tap_count++;
	tap_failed += condition ? 0 : 1;
	printf("%sok %d - ", condition ? "" : "not ", tap_count);
	va_start(arguments, name);
	vprintf(name, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	return condition;
}

/* The plan, after the last result; main returns this. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#endif
