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
	uint64 file_bytes;	 /* of one memfd */
	int descriptors;
} SpawnLimits;

pid_t helper_spawn(const char *path, char *const argv[], const SpawnLimits *limits,
				   int *socket);

#endif
