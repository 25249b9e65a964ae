/*
 * memory.h
 *		What another process holds in memory.
 */
#ifndef IMGEXPORT_HELPER_MEMORY_H
#define IMGEXPORT_HELPER_MEMORY_H

#include <sys/types.h>

uint64 process_memory(pid_t pid);

#endif
