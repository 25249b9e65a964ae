/*
 * threads.c
 *		A thread with a stack of a size that is known, as memory is limited.
 */
#include "httpd/threads.h"

/* Returns false where there can be none. */
bool
thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	bool started;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	started = pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES) == 0 &&
			  pthread_create(thread, &attributes, run, argument) == 0;
	pthread_attr_destroy(&attributes);
	return started;
}
