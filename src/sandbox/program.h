/*
 * program.h
 *		What helper programs are told at their start.
 */
#ifndef IMGEXPORT_SANDBOX_PROGRAM_H
#define IMGEXPORT_SANDBOX_PROGRAM_H

#include "sandbox/sandbox.h"

typedef struct ProgramArguments
{
	SandboxMode sandbox; /* --sandbox=prefer or require */
	int idle_s;			 /* --idle=SECONDS without a request, then it leaves */
	const char *loaders; /* --loaders=LIST, of the codec */
	char *stores;		 /* --stores=LIST, of the file process; a path a line */
	const char *ca_file; /* --ca-file=PATH, of the network process; NULL: the system's */
} ProgramArguments;

ProgramArguments program_start(int argc, char **argv);

#endif
