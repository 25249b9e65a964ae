/*
 * sandbox.h
 *		A helper program gives up what it does not need, before it reads the first byte.
 *
 * Two locks, each enough by itself for files and programs: Landlock (no path but
 * the listed ones, no TCP bind; for the codec no connect) and seccomp (no
 * system call but those of a worker on memory, descriptors and threads).
 */
#ifndef IMGEXPORT_SANDBOX_H
#define IMGEXPORT_SANDBOX_H

#include <stdbool.h>

typedef enum SandboxMode
{
	SANDBOX_PREFER, /* work with what the kernel has, and say so */
	SANDBOX_REQUIRE /* exit with EXIT_SANDBOX where either lock is missing */
} SandboxMode;

typedef struct SandboxProfile
{
	bool network;				 /* may open TCP and UDP sockets and connect them */
	const char *const *readable; /* paths that may be read, NULL-terminated; may not exist */
} SandboxProfile;

typedef struct SandboxState
{
	int landlock_abi; /* version in force, 0: none */
	bool seccomp;	  /* in force */
} SandboxState;

bool sandbox_enter(const SandboxProfile *profile, SandboxMode mode, SandboxState *state);

#endif
