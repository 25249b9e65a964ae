/*
 * sandbox.c
 *		A helper program gives up what it does not need.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sandbox/locks.h"
#include "wire/exit.h"

#ifndef IMGEXPORT_SANITIZE
/* A library that talks to itself must not fill the server's log. */
static void
silence(bool speaks)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || dup2(null_fd, 0) < 0 ||
		(!speaks && (dup2(null_fd, 1) < 0 || dup2(null_fd, 2) < 0)))
		_exit(EXIT_SANDBOX);
	if (null_fd > 2)
		close(null_fd);
}
#endif

/*
 * Close both locks, as far as the kernel has them.  Call it with one thread, before the
 * first byte of foreign data.
 *
 * state	what is in force afterwards
 * Returns	true when both locks are; with SANDBOX_REQUIRE it returns only then
 */
bool
sandbox_enter(const SandboxProfile *profile, SandboxMode mode, SandboxState *state)
{
	state->landlock_abi = 0;
	state->seccomp = false;
#ifndef IMGEXPORT_SANITIZE
	silence(profile->speaks);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
	{
		SandboxProfile locked = *profile;

		state->landlock_abi = sandbox_landlock(profile);
		/* Without the first lock, reading some paths would be reading all; only some need it. */
		if (state->landlock_abi == 0 && !profile->network && profile->stores == NULL)
			locked.readable = NULL;
		state->seccomp = sandbox_seccomp(&locked);
	}
	if (mode == SANDBOX_REQUIRE && (state->landlock_abi == 0 || !state->seccomp))
		_exit(EXIT_SANDBOX);
#else
	/* Sanitizers open files, look into the process and write to stderr. */
	(void) profile;
	(void) mode;
#endif
	return state->landlock_abi > 0 && state->seccomp;
}
