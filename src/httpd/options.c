/*
 * options.c
 *		What the server was started with.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "httpd/grammar.h"
#include "httpd/options.h"

Options options = {
	.listen = "127.0.0.1",
	.port = 8080,
	.database = "",
	.connections = 4,
	.threads = 2,
	.max_clients = 1000,
	.max_clients_per_address = 100,
	.max_rate = 1000,
	.max_body_bytes = (size_t) 100 << 20,
	.max_header_bytes = 32 << 10,
	.cache_bytes = (size_t) 64 << 20,
	.memory_bytes = (size_t) 512 << 20,
	.header_timeout_s = 15,
	.body_timeout_s = 120,
	.idle_timeout_s = 30,
	.statement_timeout_s = 60,
	.access_log = "-",
};

typedef enum OptionKind
{
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_BYTES, /* given in MB */
	OPTION_KILOBYTES,
	OPTION_ORIGIN,
	OPTION_SANDBOX,
	OPTION_KEY_FILE,
	OPTION_NO_KEY,
	OPTION_HELP,
	OPTION_VERSION
} OptionKind;

typedef struct OptionRow
{
	const char *name;
	OptionKind kind;
	void *value;
	long low;
	long high;
	const char *help;
} OptionRow;

static const OptionRow rows[] = {
	{"listen", OPTION_TEXT, &options.listen, 0, 0, "address to listen on (127.0.0.1)"},
	{"port", OPTION_NUMBER, &options.port, 0, 65535, "port (8080); 0 picks a free one"},
	{"database", OPTION_TEXT, &options.database, 0, 0,
	 "libpq connection string; PGHOST and the other variables of libpq work too"},
	{"connections", OPTION_NUMBER, &options.connections, 2, 100, "to the database (4)"},
	{"threads", OPTION_NUMBER, &options.threads, 1, 64, "that serve clients (2)"},
	{"max-clients", OPTION_NUMBER, &options.max_clients, 1, 100000,
	 "connections at once (1000)"},
	{"max-clients-per-address", OPTION_NUMBER, &options.max_clients_per_address, 0, 100000,
	 "connections of one address, or of one IPv6 /64 network (100); 0 for no limit"},
	{"max-rate", OPTION_NUMBER, &options.max_rate, 0, 1000000,
	 "requests per second of one address, five times as many in a burst (1000); 0 for no "
	 "limit"},
	{"max-body", OPTION_BYTES, &options.max_body_bytes, 1, 1000,
	 "largest request body, in MB (100)"},
	{"max-header", OPTION_KILOBYTES, &options.max_header_bytes, 4, 1024,
	 "largest request head, in kB (32)"},
	{"memory", OPTION_BYTES, &options.memory_bytes, 8, 1000000,
	 "for everything that is kept for clients, cache included, in MB (512)"},
	{"cache", OPTION_BYTES, &options.cache_bytes, 0, 100000, "of that, for images, in MB (64)"},
	{"header-timeout", OPTION_NUMBER, &options.header_timeout_s, 1, 600, "seconds (15)"},
	{"body-timeout", OPTION_NUMBER, &options.body_timeout_s, 1, 3600, "seconds (120)"},
	{"idle-timeout", OPTION_NUMBER, &options.idle_timeout_s, 1, 3600, "seconds (30)"},
	{"statement-timeout", OPTION_NUMBER, &options.statement_timeout_s, 1, 3600, "seconds (60)"},
	{"api-key-file", OPTION_KEY_FILE, NULL, 0, 0,
	 "file with the key that X-API-Key must match; image URLs, /health and the page need no "
	 "key"},
	{"no-api-key", OPTION_NO_KEY, NULL, 0, 0,
	 "serve everything to anyone, even on an address that other machines can reach"},
	{"allow-host", OPTION_TEXT, &options.allow_host, 0, 0,
	 "host names that are accepted without an API key, separated by commas, besides localhost"},
	{"allow-origin", OPTION_ORIGIN, &options.allow_origin, 0, 0,
	 "origin whose pages may use this server (CORS)"},
	{"sandbox", OPTION_SANDBOX, &options.sandbox, 0, 0,
	 "prefer: Landlock and seccomp if the kernel has them (the default); require; none"},
	{"access-log", OPTION_TEXT, &options.access_log, 0, 0,
	 "file; - for standard output (the default), none for no log"},
	{"help", OPTION_HELP, NULL, 0, 0, "print this"},
	{"version", OPTION_VERSION, NULL, 0, 0, "print the version"},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static void __attribute__((noreturn)) usage(FILE *to, int status)
{
	fprintf(to, "imgexport-httpd serves the images and jobs of imgexport over HTTP.\n\n"
				"Usage: imgexport-httpd [OPTION]...\n\nOptions, with their defaults:\n");
	for (size_t i = 0; i < ROW_COUNT; i++)
		fprintf(to, "  --%-24s %s\n", rows[i].name, rows[i].help);
	exit(status);
}

static void __attribute__((noreturn)) wrong(const char *name, const char *what)
{
	fprintf(stderr, "imgexport-httpd: %s: %s\n", name, what);
	exit(2);
}

static size_t
number(const OptionRow *row, const char *text)
{
	uint64_t value;

	if (!number_is(text, (uint64_t) row->low, (uint64_t) row->high, &value))
	{
		char range[80];

		snprintf(range, sizeof range, "must be a number from %ld to %ld", row->low, row->high);
		wrong(row->name, range);
	}
	return (size_t) value;
}

/* It becomes a header of every answer. */
static const char *
origin(const OptionRow *row, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			wrong(row->name, "must be an origin, as https://example.com");
	return text;
}

static SandboxChoice
sandbox(const OptionRow *row, const char *text)
{
	static const char *const names[] = {"prefer", "require", "none"};

	for (int i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0)
			return (SandboxChoice) i;
	wrong(row->name, "must be prefer, require or none");
}

static char *
read_key(const char *path)
{
	FILE *file = fopen(path, "r");
	struct stat status;
	char line[512] = "";

	if (file == NULL || fstat(fileno(file), &status) != 0)
		wrong("api-key-file", strerror(errno));
	if ((status.st_mode & 0007) != 0)
		wrong("api-key-file", "anyone may read it: chmod o-rwx");
	if (fgets(line, sizeof line, file) == NULL)
		line[0] = '\0';
	fclose(file);
	for (size_t i = strlen(line); i > 0 && isspace((unsigned char) line[i - 1]); i--)
		line[i - 1] = '\0';
	if (strlen(line) < 16)
		wrong("api-key-file", "a key has 16 characters at least");
	return strdup(line);
}

static void
set(const OptionRow *row, const char *text, bool *open)
{
	switch (row->kind)
	{
		case OPTION_TEXT:
			*(const char **) row->value = text;
			break;
		case OPTION_NUMBER:
			*(int *) row->value = (int) number(row, text);
			break;
		case OPTION_BYTES:
			*(size_t *) row->value = number(row, text) << 20;
			break;
		case OPTION_KILOBYTES:
			*(size_t *) row->value = number(row, text) << 10;
			break;
		case OPTION_ORIGIN:
			*(const char **) row->value = origin(row, text);
			break;
		case OPTION_SANDBOX:
			options.sandbox = sandbox(row, text);
			break;
		case OPTION_KEY_FILE:
			options.api_key = read_key(text);
			break;
		case OPTION_NO_KEY:
			*open = true;
			break;
		case OPTION_HELP:
			usage(stdout, 0);
		case OPTION_VERSION:
			printf("imgexport-httpd %s\n", IMGEXPORT_VERSION);
			exit(0);
	}
}

static bool
is_loopback(const char *address)
{
	struct in_addr v4;

	return strcmp(address, "::1") == 0 ||
		   (inet_pton(AF_INET, address, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127);
}

/* Read the command line; what is wrong with it ends the program. */
void
options_read(int argc, char **argv)
{
	struct option longs[ROW_COUNT + 1] = {0};
	bool open = false;
	int index;

	for (size_t i = 0; i < ROW_COUNT; i++)
		longs[i] = (struct option){
			rows[i].name, rows[i].kind < OPTION_NO_KEY ? required_argument : no_argument, NULL,
			0};
	for (;;)
	{
		int found = getopt_long(argc, argv, "", longs, &index);

		if (found == -1)
			break;
		if (found != 0)
			usage(stderr, 2);
		set(&rows[index], optarg, &open);
	}
	if (optind < argc)
		usage(stderr, 2);
	if (strcmp(options.access_log, "none") == 0)
		options.access_log = NULL;
	/* A body is there three times while it is sent to the database. */
	if (options.memory_bytes < 4 * options.max_body_bytes)
		wrong("memory", "must be at least four times --max-body");
	if (options.cache_bytes > options.memory_bytes / 2)
		options.cache_bytes = options.memory_bytes / 2;
	/* Who can connect could hand in jobs and see everybody's: nobody should mean that by chance. */
	if (options.api_key == NULL && !open && !is_loopback(options.listen))
		wrong("listen", "others can connect there: --api-key-file, or --no-api-key");
}
