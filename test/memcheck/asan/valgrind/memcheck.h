/*
 * valgrind/memcheck.h
 *		PostgreSQL's notes to Valgrind, for AddressSanitizer.
 *
 * A memory context is one block to malloc, so AddressSanitizer alone does not see that a
 * chunk of it was freed or that a context was reset.  PostgreSQL tells Valgrind about both
 * (utils/memdebug.h).  A server compiled with -DUSE_VALGRIND and this folder in its include
 * path tells AddressSanitizer instead: reading a chunk after pfree or after a reset, or
 * beyond its end, ends the process with a report.
 *
 * Only addressability is passed on: AddressSanitizer does not track undefined values.
 */
#ifndef IMGEXPORT_MEMCHECK_ASAN_H
#define IMGEXPORT_MEMCHECK_ASAN_H

#include <sanitizer/asan_interface.h>

#define VALGRIND_MAKE_MEM_NOACCESS(start, size) __asan_poison_memory_region((start), (size))
#define VALGRIND_MAKE_MEM_UNDEFINED(start, size) __asan_unpoison_memory_region((start), (size))
#define VALGRIND_MAKE_MEM_DEFINED(start, size) __asan_unpoison_memory_region((start), (size))

/* Both follow what the allocator has already said of the rest of the chunk. */
#define VALGRIND_MEMPOOL_ALLOC(pool, start, size) __asan_unpoison_memory_region((start), (size))
#define VALGRIND_MEMPOOL_CHANGE(pool, before, start, size)                                     \
	__asan_unpoison_memory_region((start), (size))

/* The allocators wipe what they free, and mark it in doing so (CLOBBER_FREED_MEMORY). */
#define VALGRIND_MEMPOOL_FREE(pool, start) ((void) 0)
#define VALGRIND_CREATE_MEMPOOL(pool, red_zone, is_zeroed) ((void) 0)
#define VALGRIND_DESTROY_MEMPOOL(pool) ((void) 0)
#define VALGRIND_MEMPOOL_TRIM(pool, start, size) ((void) 0)

#define VALGRIND_CHECK_MEM_IS_DEFINED(start, size) ((void) 0)
#define VALGRIND_CHECK_VALUE_IS_DEFINED(value) ((void) 0)
#define VALGRIND_COUNT_ERRORS 0
#define VALGRIND_PRINTF(...) ((void) 0)
#define RUNNING_ON_VALGRIND 0

#endif
