/*
 * threads.h
 *		A thread with a stack of a size that is known, as memory is limited.
 */
#ifndef IMGEXPORT_HTTPD_THREADS_H
#define IMGEXPORT_HTTPD_THREADS_H

#include <pthread.h>
#include <stdbool.h>

#define THREAD_STACK_BYTES (512 << 10)

bool thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
