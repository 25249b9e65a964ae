/*
 * settings.c
 *		The settings of imgexport, a row each.
 *
 * All of them limit what a query may use or reach, so only a superuser (or who
 * was granted SET on one) changes them; none changes the result of a function,
 * which is what lets the functions be IMMUTABLE.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "settings.h"

PG_FUNCTION_INFO_V1(imgexport_setting);

Settings settings;
int settings_helper_generation = 0;

/* Families of formats that the codec has loaders for. */
static const char *const loaders[] = {"jpeg", "png", "webp", "gif", "tiff", "heif"};

static bool
check_loaders(char **value, void **extra, GucSource source)
{
	char *list = pstrdup(*value);
	char *rest = list;
	char *name;

	while ((name = strsep(&rest, ", ")) != NULL)
	{
		bool known = name[0] == '\0';

		for (size_t i = 0; i < lengthof(loaders) && !known; i++)
			known = strcmp(name, loaders[i]) == 0;
		if (!known)
		{
			GUC_check_errdetail("\"%s\" is not one of jpeg, png, webp, gif, tiff and heif.",
								name);
			return false;
		}
	}
	pfree(list);
	return true;
}

static bool
check_timezone(char **value, void **extra, GucSource source)
{
	if (pg_tzset(*value) != NULL)
		return true;
	GUC_check_errdetail("There is no time zone \"%s\".", *value);
	return false;
}

/* uuids as PostgreSQL writes them, or "none", which no database has. */
static bool
check_installations(char **value, void **extra, GucSource source)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	char *rest = pstrdup(*value);
	char *id;

	while ((id = strsep(&rest, ", ")) != NULL)
	{
		bool good = strlen(id) == strlen(shape);

		for (size_t i = 0; good && i < strlen(shape); i++)
			good = shape[i] == '-' ? id[i] == '-' : strchr("0123456789abcdef", id[i]) != NULL;
		if (!good && id[0] != '\0' && strcmp(id, "none") != 0)
		{
			GUC_check_errdetail("\"%s\" is neither the id of an installation nor none.", id);
			return false;
		}
	}
	return true;
}

typedef struct IntegerSetting
{
	const char *name;
	const char *description;
	int *value;
	int fallback;
	int low;
	int high;
	GucContext context;
	int flags;
	GucIntAssignHook assign;
} IntegerSetting;

typedef struct TextSetting
{
	const char *name;
	const char *description;
	char **value;
	const char *fallback;
	GucContext context;
	GucStringCheckHook check;
	GucStringAssignHook assign;
} TextSetting;

static const struct config_enum_entry sandbox_modes[] = {
	{"prefer", SETTINGS_SANDBOX_PREFER, false},
	{"require", SETTINGS_SANDBOX_REQUIRE, false},
	{NULL, 0, false},
};

/* A helper is started with these: the next call has to start another one. */
static void
assign_helper_integer(int value, void *extra)
{
	settings_helper_generation++;
}

static void
assign_helper_text(const char *value, void *extra)
{
	settings_helper_generation++;
}

static const IntegerSetting integers[] = {
	{"imgexport.fetch_timeout", "Time limit of one fetch, redirects included.",
	 &settings.fetch_timeout_ms, 20000, 1, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL},
	{"imgexport.fetch_connect_timeout", "Time limit for name resolution, connection and TLS.",
	 &settings.fetch_connect_timeout_ms, 5000, 1, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL},
	{"imgexport.fetch_max_bytes", "Largest body that is fetched, after decompression.",
	 &settings.fetch_max_kb, 100 * 1024, 1, 1024 * 1024 - 1, PGC_SUSET, GUC_UNIT_KB, NULL},
	{"imgexport.fetch_max_redirects", "Redirects that are followed at most.",
	 &settings.fetch_max_redirects, 5, 0, 50, PGC_SUSET, 0, NULL},
	{"imgexport.fetch_concurrency", "Transfers that a database's worker has under way at most.",
	 &settings.fetch_concurrency, 50, 1, 500, PGC_SIGHUP, 0, NULL},
	{"imgexport.max_crashes",
	 "A job that had a worker crash so many times while it was in progress fails.",
	 &settings.max_crashes, 5, 1, 1000, PGC_SIGHUP, 0, NULL},
	{"imgexport.store_timeout", "Time limit of one request to a store.",
	 &settings.store_timeout_ms, 60000, 1, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL},
	{"imgexport.max_variations", "Variations of an image that one upload may ask for.",
	 &settings.max_variations, 10, 1, 1000, PGC_SUSET, 0, NULL},
	{"imgexport.url_clock_tolerance",
	 "A signed URL is good for so long after it has expired, as clocks differ.",
	 &settings.url_clock_tolerance_s, 30, 0, 3600, PGC_SUSET, GUC_UNIT_S, NULL},
	{"imgexport.variant_lifetime", "A variant that was asked for by URL is kept for so long.",
	 &settings.variant_lifetime_s, 86400, 1, INT_MAX, PGC_SUSET, GUC_UNIT_S, NULL},
	{"imgexport.evaluators",
	 "Processes of a database's worker that run users' functions, each for one role.",
	 &settings.evaluators, 3, 1, 16, PGC_SIGHUP, 0, NULL},
	{"imgexport.evaluate_timeout", "Time limit for a step that is a user's function, in a job.",
	 &settings.evaluate_timeout_ms, 25000, 1, 86400000, PGC_SIGHUP, GUC_UNIT_MS, NULL},
	{"imgexport.codec_timeout", "Time limit for rendering one request.",
	 &settings.codec_timeout_ms, 25000, 1, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL},
	{"imgexport.codec_memory",
	 "Memory of one codec process at most, results included; 0 is no limit.",
	 &settings.codec_memory_mb, 2048, 0, INT_MAX / 1024, PGC_SUSET, GUC_UNIT_MB,
	 assign_helper_integer},
	{"imgexport.net_memory",
	 "Memory of one network process at most, beside the bodies under way; 0 is no limit.",
	 &settings.net_memory_mb, 512, 0, INT_MAX / 1024, PGC_SUSET, GUC_UNIT_MB,
	 assign_helper_integer},
	{"imgexport.codec_processes",
	 "Codec processes of a database's worker; 0 is one for each processor.",
	 &settings.codec_processes, 0, 0, 256, PGC_SIGHUP, 0, NULL},
	{"imgexport.max_pixels", "Pixels of an image at most, all pages together.",
	 &settings.max_pixels, 100000000, 1, INT_MAX, PGC_SUSET, 0, NULL},
	{"imgexport.max_pages", "Pages or frames of an image at most.", &settings.max_pages, 1000,
	 1, 1000000, PGC_SUSET, 0, NULL},
	{"imgexport.max_input_bytes",
	 "Bytes at most of the images that one image is made of, besides the first.",
	 &settings.max_input_kb, 512 * 1024, 1, INT_MAX, PGC_SUSET, GUC_UNIT_KB, NULL},
	{"imgexport.helper_idle", "A helper process that got no work for so long leaves.",
	 &settings.helper_idle_s, 60, 1, 86400, PGC_SUSET, GUC_UNIT_S, assign_helper_integer},
	{"imgexport.helper_max_requests", "A helper process is replaced after so many requests.",
	 &settings.helper_max_requests, 1000, 1, INT_MAX, PGC_SUSET, 0, NULL},
};

static const TextSetting texts[] = {
	{"imgexport.fetch_allowed_hosts",
	 "Hosts that may be fetched from, as name or *.name, comma separated; empty is any.",
	 &settings.fetch_allowed_hosts, "", PGC_SUSET, NULL, NULL},
	{"imgexport.fetch_allowed_networks",
	 "Networks in CIDR form, comma separated, that may be fetched from although they are "
	 "private.",
	 &settings.fetch_allowed_networks, "", PGC_SUSET, NULL, NULL},
	{"imgexport.store_allowed_networks",
	 "Networks in CIDR form, comma separated, that stores may be in although they are private.",
	 &settings.store_allowed_networks, "", PGC_SUSET, NULL, NULL},
	{"imgexport.service_allowed_networks",
	 "Networks in CIDR form, comma separated, that services may be in although they are "
	 "private.",
	 &settings.service_allowed_networks, "", PGC_SUSET, NULL, NULL},
	{"imgexport.store_directories",
	 "Directories that stores of kind file may be in, comma separated; empty is none.",
	 &settings.store_directories, "", PGC_SIGHUP, NULL, assign_helper_text},
	{"imgexport.installation",
	 "Identities of the installations that may run here, comma separated; empty is any, none "
	 "is "
	 "none.",
	 &settings.installation, "", PGC_SIGHUP, check_installations, NULL},
	{"imgexport.secrets_file",
	 "File of secrets, a line each: name = value; nobody but its owner and group may read it.",
	 &settings.secrets_file, "", PGC_SIGHUP, NULL, NULL},
	{"imgexport.allowed_loaders", "Image formats that are read, comma separated.",
	 &settings.allowed_loaders, "jpeg,png,webp,gif,tiff,heif", PGC_SUSET, check_loaders,
	 assign_helper_text},
	{"imgexport.schedule_timezone", "Time zone of schedules that name none.",
	 &settings.schedule_timezone, "UTC", PGC_SIGHUP, check_timezone, NULL},
	{"imgexport.helper_directory",
	 "Directory of the helper programs; empty is PostgreSQL's own library directory.",
	 &settings.helper_directory, "", PGC_SUSET, NULL, assign_helper_text},
};

/* Define every setting; called once, from _PG_init. */
void
settings_define(void)
{
	DefineCustomBoolVariable("imgexport.enabled", "Whether background workers run jobs.", NULL,
							 &settings.enabled, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("imgexport.sandbox",
							 "Whether helper processes work where a sandbox is not to be had.",
							 NULL, &settings.sandbox, SETTINGS_SANDBOX_PREFER, sandbox_modes,
							 PGC_SUSET, 0, NULL, assign_helper_integer, NULL);
	for (size_t i = 0; i < lengthof(integers); i++)
	{
		const IntegerSetting *row = &integers[i];

		DefineCustomIntVariable(row->name, row->description, NULL, row->value, row->fallback,
								row->low, row->high, row->context, row->flags, NULL,
								row->assign, NULL);
	}
	for (size_t i = 0; i < lengthof(texts); i++)
	{
		const TextSetting *row = &texts[i];

		DefineCustomStringVariable(row->name, row->description, NULL, row->value, row->fallback,
								   row->context, 0, row->check, row->assign, NULL);
	}
	/* What a session's \copy into imgexport.csv_upload remembers between its triggers. */
	DefineCustomStringVariable("imgexport.uploaded_batch", "The batch of the last upload.",
							   NULL, &settings.uploaded_batch, "", PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL,
							   NULL, NULL);
	DefineCustomStringVariable("imgexport.uploaded_products", "The products of this upload.",
							   NULL, &settings.uploaded_products, "0", PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL,
							   NULL, NULL);
	DefineCustomStringVariable("imgexport.uploaded_warnings", "The warnings of this upload.",
							   NULL, &settings.uploaded_warnings, "[]", PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, NULL,
							   NULL, NULL);
	MarkGUCPrefixReserved("imgexport");
}

/* imgexport.setting(name text) returns text: as SHOW says it */
Datum
imgexport_setting(PG_FUNCTION_ARGS)
{
	char *name = psprintf("imgexport.%s", text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_TEXT_P(cstring_to_text(GetConfigOptionByName(name, NULL, false)));
}
