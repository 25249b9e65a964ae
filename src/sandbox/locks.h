/*
 * locks.h
 *		The two locks of the sandbox, each by itself; sandbox.c and its test know them.
 */
#ifndef IMGEXPORT_SANDBOX_LOCKS_H
#define IMGEXPORT_SANDBOX_LOCKS_H

#include "sandbox/sandbox.h"

int sandbox_landlock(const SandboxProfile *profile);
bool sandbox_seccomp(const SandboxProfile *profile);

#endif
