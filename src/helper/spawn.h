/*
 * spawn.h
 *		Start a helper program with nothing but a socket and its limits.
 */
#ifndef IMGEXPORT_HELPER_SPAWN_H
#define IMGEXPORT_HELPER_SPAWN_H

#include <sys/types.h>

typedef struct SpawnLimits
{
	uint64 memory_bytes; /* private writable memory; 0: no limit */
	uint64 file_bytes;	 /* of one memfd, at most; what holds is set by spawn_allow_files */
	uint64 stack_bytes;	 /* of a thread, the first one too */
	int descriptors;
} SpawnLimits;

void spawn_allow_files(pid_t pid, uint64 most_bytes, bool allowed);
pid_t helper_spawn(const char *path, char *const argv[], const SpawnLimits *limits,
				   int *socket);

#endif
