/*
 * pins.c
 *		Settings of the server that must not be what a user has made of them, a row each.
 *
 * Any role sets most of them for its session, and the owner of a database for every session in
 * it, background processes among them.  So our functions that run with more rights than their
 * caller pin what changes the meaning of their statements.
 */
#include "postgres.h"

#include "pins.h"

typedef struct Pin
{
	const char *name;
	const char *value; /* as SHOW says it */
	PinSet set;
} Pin;

static const Pin pins[] = {
	/* pg_temp last: where it is not named it comes first, and holds tables and types. */
	{"search_path", "pg_catalog, pg_temp", PINS_MEANING},
	{"standard_conforming_strings", "on", PINS_MEANING},
	{"transform_null_equals", "off", PINS_MEANING},
	{"array_nulls", "on", PINS_MEANING},
	{"DateStyle", "ISO, MDY", PINS_MEANING},
	{"IntervalStyle", "postgres", PINS_MEANING},
	{"bytea_output", "hex", PINS_MEANING},
	{"extra_float_digits", "1", PINS_MEANING},
};

/*
 * Set what a set names, unless it is so already.
 *
 * action	GUC_ACTION_SAVE: until the current nest level of settings ends; GUC_ACTION_LOCAL:
 *			until the transaction ends
 */
void
pins_apply(PinSet set, GucAction action)
{
	for (size_t i = 0; i < lengthof(pins); i++)
		if (pins[i].set <= set &&
			strcmp(GetConfigOption(pins[i].name, false, false), pins[i].value) != 0)
			(void) set_config_option(pins[i].name, pins[i].value, PGC_SUSET, PGC_S_SESSION,
									 action, true, 0, false);
}
