/*
 * shortage.c
 *		Whether this process asked for memory and got none.
 *
 * Image libraries report a failed allocation in words of their own, as damage, or not at
 * all.  So nobody reads their words: every allocation of the process passes here on its way
 * to the C library, and one that fails is noted.  Whatever goes wrong in a request after
 * that counts as a shortage of memory, which another try or a higher limit mends, and never
 * as a fault of the image.
 *
 * A definition of malloc in the program stands before the C library's for all libraries
 * (ELF symbol interposition); __libc_malloc and its like are glibc's own names for what is
 * behind it.  Sanitizers and valgrind bring allocators of their own.
 */
/* Where these are set, as some libraries' flags do, mmap is another name of mmap64, and both are defined here. */
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codec/shortage.h"
#include "wire/exit.h"

static atomic_bool happened;

bool
shortage_happened(void)
{
	return atomic_load(&happened);
}

/* A request starts: what failed before is none of its business. */
void
shortage_forget(void)
{
	atomic_store(&happened, false);
}

/* A library that went on without its memory crashes; that too is a shortage. */
static void
on_crash(int signal_number)
{
	if (shortage_happened())
		_exit(EXIT_OUT_OF_MEMORY);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* This program leaves by _exit(): who calls exit() is a library that gives up. */
static void
on_exit_call(void)
{
	if (shortage_happened())
		_exit(EXIT_OUT_OF_MEMORY);
}

/* Have crashes and exits for lack of memory reported as such. */
void
shortage_start(void)
{
	static const int signals[] = {SIGABRT, SIGBUS, SIGSEGV};
	static char stack[16384];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction action;

	atexit(on_exit_call);
	sigaltstack(&alternate, NULL);
	memset(&action, 0, sizeof action);
	action.sa_handler = on_crash;
	action.sa_flags = SA_ONSTACK;
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaction(signals[i], &action, NULL);
}

#ifndef IMGEXPORT_SANITIZE

/* No machine has as much; a file that asks for it is not what lacks memory. */
#define ABSURD_BYTES ((size_t) 1 << 44)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void *
noted(void *memory, size_t size)
{
	if (memory == NULL && size > 0 && size < ABSURD_BYTES)
		atomic_store(&happened, true);
	return memory;
}

void *
malloc(size_t size)
{
	return noted(__libc_malloc(size), size);
}

void *
calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		bytes = SIZE_MAX;
	return noted(__libc_calloc(count, size), bytes);
}

void *
realloc(void *old, size_t size)
{
	return noted(__libc_realloc(old, size), size);
}

void *
memalign(size_t alignment, size_t size)
{
	return noted(__libc_memalign(alignment, size), size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return noted(__libc_memalign(alignment, size), size);
}

int
posix_memalign(void **memory, size_t alignment, size_t size)
{
	void *made;

	if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
		return EINVAL;
	made = noted(__libc_memalign(alignment, size), size);
	if (made == NULL && size > 0)
		return ENOMEM;
	*memory = made;
	return 0;
}

/* Memory that libraries map by themselves; programs built for large files call it mmap64. */
void *
mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	static void *(*next)(void *, size_t, int, int, int, off_t);
	void *memory;

	if (next == NULL)
		next = dlsym(RTLD_NEXT, "mmap");
	memory = next(address, size, protection, flags, fd, offset);
	if (memory == MAP_FAILED && (errno == ENOMEM || errno == EAGAIN))
		noted(NULL, size);
	return memory;
}

void *
mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
	return mmap(address, size, protection, flags, fd, offset);
}

/* Threads need memory for their stacks. */
int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
			   void *argument)
{
	static int (*next)(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);
	int error;

	if (next == NULL)
		next = dlsym(RTLD_NEXT, "pthread_create");
	error = next(thread, attributes, start, argument);
	if (error == EAGAIN || error == ENOMEM)
		atomic_store(&happened, true);
	return error;
}

#endif
