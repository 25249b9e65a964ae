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
	/* Who it is. */
	{"role", "none", PINS_CONNECTION},
	/* What transactions are like. */
	{"default_transaction_isolation", "read committed", PINS_PROCESS},
	{"default_transaction_read_only", "off", PINS_PROCESS},
	{"default_transaction_deferrable", "off", PINS_PROCESS},
	{"session_replication_role", "origin", PINS_PROCESS},
	{"row_security", "on", PINS_PROCESS},
	/* What ends or stops it. */
	{"statement_timeout", "0", PINS_PROCESS},
	{"lock_timeout", "0", PINS_PROCESS},
	{"idle_in_transaction_session_timeout", "0", PINS_PROCESS},
	{"idle_session_timeout", "0", PINS_PROCESS},
	{"transaction_timeout", "0", PINS_PROCESS}, /* from 17 on */
	{"exit_on_error", "off", PINS_PROCESS},
	{"plpgsql.extra_errors", "none", PINS_PROCESS},
	{"plpgsql.extra_warnings", "none", PINS_PROCESS},
	{"plpgsql.variable_conflict", "error", PINS_PROCESS},
	{"plpgsql.check_asserts", "on", PINS_PROCESS},
	/* Texts that it writes. */
	{"TimeZone", "UTC", PINS_PROCESS},
	{"xmlbinary", "base64", PINS_PROCESS},
	{"quote_all_identifiers", "off", PINS_PROCESS},
	{"backslash_quote", "safe_encoding", PINS_PROCESS},
	{"client_min_messages", "notice", PINS_PROCESS},
	{"gin_fuzzy_search_limit", "0", PINS_PROCESS},
	/* Where temporary files go. */
	{"temp_tablespaces", "", PINS_PROCESS},
	{"default_tablespace", "", PINS_PROCESS},
	{"default_table_access_method", "heap", PINS_PROCESS},
	/* Plans: those of small statements by key. */
	{"jit", "off", PINS_PROCESS},
	{"max_parallel_workers_per_gather", "0", PINS_PROCESS},
	{"force_parallel_mode", "off", PINS_PROCESS},  /* up to 15 */
	{"debug_parallel_query", "off", PINS_PROCESS}, /* from 16 on */
	{"plan_cache_mode", "auto", PINS_PROCESS},
	{"constraint_exclusion", "partition", PINS_PROCESS},
	{"enable_bitmapscan", "on", PINS_PROCESS},
	{"enable_hashagg", "on", PINS_PROCESS},
	{"enable_hashjoin", "on", PINS_PROCESS},
	{"enable_indexonlyscan", "on", PINS_PROCESS},
	{"enable_indexscan", "on", PINS_PROCESS},
	{"enable_material", "on", PINS_PROCESS},
	{"enable_memoize", "on", PINS_PROCESS},
	{"enable_mergejoin", "on", PINS_PROCESS},
	{"enable_nestloop", "on", PINS_PROCESS},
	{"enable_seqscan", "on", PINS_PROCESS},
	{"enable_sort", "on", PINS_PROCESS},
	{"enable_tidscan", "on", PINS_PROCESS},
	{"from_collapse_limit", "8", PINS_PROCESS},
	{"join_collapse_limit", "8", PINS_PROCESS},
	{"geqo", "on", PINS_PROCESS},
	{"geqo_threshold", "12", PINS_PROCESS},
	{"seq_page_cost", "1", PINS_PROCESS},
	{"random_page_cost", "4", PINS_PROCESS},
	{"cpu_tuple_cost", "0.01", PINS_PROCESS},
	{"cpu_index_tuple_cost", "0.005", PINS_PROCESS},
	{"cpu_operator_cost", "0.0025", PINS_PROCESS},
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
	{
		const char *value;

		if (pins[i].set > set)
			continue;
		value = GetConfigOption(pins[i].name, true, false);
		if (value != NULL && strcmp(value, pins[i].value) != 0)
			(void) set_config_option(pins[i].name, pins[i].value, PGC_SUSET, PGC_S_SESSION,
									 action, true, 0, false);
	}
}

/*
 * Set all of them for this process, from a source that no ALTER DATABASE, ROLE or SYSTEM outranks:
 * in a background process, before it connects.
 */
void
pins_override(void)
{
	for (size_t i = 0; i < lengthof(pins); i++)
		if (GetConfigOption(pins[i].name, true, false) != NULL || strchr(pins[i].name, '.'))
			SetConfigOption(pins[i].name, pins[i].value, PGC_SUSET, PGC_S_OVERRIDE);
}
