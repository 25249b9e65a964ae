/*
 * sandbox.h
 *		A program gives up what it does not need, before it reads the first byte.
 *
 * Two locks, each enough by itself for files and programs: Landlock (no path but
 * the listed ones, no TCP bind; for the codec no connect) and seccomp (no
 * system call but those of a worker on memory, descriptors and threads).
 */
#ifndef IMGEXPORT_SANDBOX_H
#define IMGEXPORT_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

typedef enum SandboxMode
{
	SANDBOX_PREFER, /* work with what the kernel has, and say so */
	SANDBOX_REQUIRE /* exit with EXIT_SANDBOX where either lock is missing */
} SandboxMode;

typedef struct SandboxProfile
{
	bool network;				 /* may open TCP and UDP sockets and connect them */
	bool serves;				 /* may accept connections of a socket that listens already */
	bool local;					 /* may connect to stream sockets of this machine, by path */
	bool speaks;				 /* keeps its standard output and error */
	const uint16_t *ports;		 /* the only ports that TCP may connect to, 0 last; NULL: any */
	const char *const *readable; /* paths that may be read, NULL-terminated; may not exist */
	const char *const
		*stores; /* folders in which files and folders are made, renamed and removed */
	const char *const *writable; /* folders whose files may be made and appended to, likewise */
} SandboxProfile;

typedef struct SandboxState
{
	int landlock_abi; /* version in force, 0: none */
	bool seccomp;	  /* in force */
} SandboxState;

bool sandbox_enter(const SandboxProfile *profile, SandboxMode mode, SandboxState *state);

#endif
