/*
 * program.c
 *		What helper programs do first.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/program.h"
#include "wire/exit.h"

/* The server's process has ended; nothing here is worth keeping. */
static void
on_sigterm(int signal)
{
	(void) signal;
	_exit(EXIT_QUIET);
}

static const char *
option_value(const char *argument, const char *name)
{
	size_t length = strlen(name);

	return strncmp(argument, name, length) == 0 ? argument + length : NULL;
}

/*
 * Read the arguments and set the signals: SIGTERM ends the program quietly, and a result
 * too large for RLIMIT_FSIZE or a closed socket is an error code and no signal.
 *
 * Leaves with EXIT_START where an argument is unknown.
 */
ProgramArguments
program_start(int argc, char **argv)
{
	ProgramArguments arguments = {
		.sandbox = SANDBOX_PREFER, .idle_s = 60, .loaders = "jpeg,png,webp,gif,tiff,heif"};

	signal(SIGTERM, on_sigterm);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i < argc; i++)
	{
		const char *value;

		if ((value = option_value(argv[i], "--sandbox=")) != NULL)
			arguments.sandbox =
				strcmp(value, "require") == 0 ? SANDBOX_REQUIRE : SANDBOX_PREFER;
		else if ((value = option_value(argv[i], "--idle=")) != NULL)
			arguments.idle_s = atoi(value);
		else if ((value = option_value(argv[i], "--loaders=")) != NULL)
			arguments.loaders = value;
		else if ((value = option_value(argv[i], "--ca-file=")) != NULL)
			arguments.ca_file = value;
		else if (strncmp(argv[i], "--stores=", strlen("--stores=")) == 0)
			arguments.stores = argv[i] + strlen("--stores=");
		else
			_exit(EXIT_START);
	}
	return arguments;
}
