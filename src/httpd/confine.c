/*
 * confine.c
 *		This program gives up what it does not need, as the helpers do (src/sandbox).
 *
 * It listens, and its log is open.  From here on it reads what libpq needs to reach the
 * database, appends to files beside its log, and connects to the ports and sockets that its
 * connection string names.
 */
#include <libgen.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "httpd/confine.h"
#include "httpd/grammar.h"
#include "httpd/options.h"
#include "httpd/threads.h"
#include "sandbox/sandbox.h"

#define MOST_PORTS 16
#define MOST_PATHS 64

/* Beside what is counted: libraries, libpq, what is lost between pieces of memory. */
#define OWN_BYTES ((rlim_t) 128 << 20)

/* To find a host, a user and certificates; no folder with private keys is among them. */
static const char *const common_paths[] = {"/usr/lib",
										   "/usr/lib64",
										   "/lib",
										   "/lib64",
										   "/etc/ld.so.cache",
										   "/etc/hosts",
										   "/etc/host.conf",
										   "/etc/resolv.conf",
										   "/run/systemd/resolve",
										   "/etc/nsswitch.conf",
										   "/etc/gai.conf",
										   "/etc/services",
										   "/etc/passwd",
										   "/etc/localtime",
										   "/etc/ssl/openssl.cnf",
										   "/etc/ssl/certs",
										   "/usr/share/ca-certificates",
										   "/usr/local/share/ca-certificates",
										   "/etc/krb5.conf",
										   "/etc/gss",
										   "/etc/postgresql-common"};

/* Keywords of connection strings that are paths, and what they are without one. */
static const char *const path_keywords[] = {"passfile",	   "sslcert", "sslkey",
											"sslrootcert", "sslcrl",  "sslcrldir"};
static const char *const home_paths[] = {".pgpass", ".postgresql", ".pg_service.conf"};

typedef struct Needs
{
	const char *readable[MOST_PATHS + 1];
	int readable_count;
	uint16_t ports[MOST_PORTS + 2];
	int port_count;
	bool any_port;
	bool local;
} Needs;

static void
add_path(Needs *needs, const char *path)
{
	if (path != NULL && path[0] == '/' && needs->readable_count < MOST_PATHS)
		needs->readable[needs->readable_count++] = path;
}

static void
add_home_paths(Needs *needs)
{
	const char *home = getenv("HOME");

	add_path(needs, getenv("PGPASSFILE"));
	add_path(needs, getenv("PGSERVICEFILE"));
	for (size_t i = 0; home != NULL && i < sizeof home_paths / sizeof home_paths[0]; i++)
	{
		char *path = NULL;

		if (asprintf(&path, "%s/%s", home, home_paths[i]) > 0)
			add_path(needs, path);
	}
}

/* A list of ports; one that is none is libpq's to complain of. */
static void
add_ports(Needs *needs, const char *list)
{
	const char *item;
	size_t length;

	while (list_next(&list, &item, &length))
	{
		const char *end = item;
		uint64_t port;

		if (number_read(&end, 10, 65535, &port) != NUMBER_GOOD || port == 0)
			continue;
		if (needs->port_count == MOST_PORTS)
			needs->any_port = true;
		else
			needs->ports[needs->port_count++] = (uint16_t) port;
	}
}

/* Is one of the hosts a folder with a socket, or not named, which is one too? */
static bool
names_socket(const char *hosts)
{
	const char *item;
	size_t length;

	if (hosts == NULL || hosts[0] == '\0' || hosts[0] == ',')
		return true;
	while (list_next(&hosts, &item, &length))
		if (item[0] == '/' || item[0] == '@')
			return true;
	return false;
}

static void
add_keyword(Needs *needs, const char *keyword, const char *value, const char **hosts)
{
	if (value == NULL || value[0] == '\0')
		return;
	if (strcmp(keyword, "port") == 0)
		add_ports(needs, value);
	else if (strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0)
		*hosts = value;
	else if (strcmp(keyword, "service") == 0)
		needs->any_port = needs->local = true;
	for (size_t i = 0; i < sizeof path_keywords / sizeof path_keywords[0]; i++)
		if (strcmp(keyword, path_keywords[i]) == 0)
			add_path(needs, value);
}

/* What the database is reached by: the connection string, and where it says nothing the environment. */
static void
read_connection(Needs *needs)
{
	PQconninfoOption *given = PQconninfoParse(options.database, NULL);
	PQconninfoOption *defaults = PQconndefaults();
	const char *hosts = NULL;

	for (const PQconninfoOption *option = defaults; option != NULL && option->keyword != NULL;
		 option++)
		add_keyword(needs, option->keyword, option->val, &hosts);
	for (const PQconninfoOption *option = given; option != NULL && option->keyword != NULL;
		 option++)
		add_keyword(needs, option->keyword, option->val, &hosts);
	needs->local |= names_socket(hosts);
	/* Not freed: the profile points into them. */
}

/* What is kept for clients has its limit by counting (memory.c); this one holds whatever happens. */
void
confine_memory(void)
{
	rlim_t most =
		options.memory_bytes + options.memory_bytes / 2 + OWN_BYTES +
		(rlim_t) (options.threads + options.connections) * (THREAD_STACK_BYTES + (1 << 20));
	struct rlimit data = {most, most};
	struct rlimit core = {0, 0};

	setrlimit(RLIMIT_CORE, &core);
#ifndef IMGEXPORT_SANITIZE
	if (setrlimit(RLIMIT_DATA, &data) != 0)
		fprintf(stderr, "imgexport-httpd: could not limit its memory\n");
#else
	(void) data;
#endif
}

/* Close the sandbox.  Called with one thread, before the first client. */
void
confine(void)
{
	static Needs needs;
	static const char *writable[2];
	SandboxState state;
	SandboxProfile profile = {.network = true, .serves = true, .speaks = true};

	if (options.sandbox == SANDBOX_NONE)
		return;
	for (size_t i = 0; i < sizeof common_paths / sizeof common_paths[0]; i++)
		add_path(&needs, common_paths[i]);
	add_home_paths(&needs);
	read_connection(&needs);
	if (options.access_log != NULL && strcmp(options.access_log, "-") != 0)
	{
		char *copy = strdup(options.access_log);

		writable[0] = copy ? dirname(copy) : NULL;
	}
	if (needs.port_count == 0)
		needs.ports[needs.port_count++] = 5432;
	/* Names that are long are asked for over TCP. */
	needs.ports[needs.port_count] = 53;
	profile.local = needs.local;
	profile.ports = needs.any_port ? NULL : needs.ports;
	profile.readable = needs.readable;
	profile.writable = writable;
	if (!sandbox_enter(&profile,
					   options.sandbox == SANDBOX_MUST ? SANDBOX_REQUIRE : SANDBOX_PREFER,
					   &state))
		fprintf(stderr, "imgexport-httpd: running without %s%s%s\n",
				state.landlock_abi == 0 ? "Landlock" : "",
				state.landlock_abi == 0 && !state.seccomp ? " and " : "",
				state.seccomp ? "" : "seccomp");
}
