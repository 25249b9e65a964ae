/*
 * filework.h
 *		The worker's file process, and what it is asked to write and to remove.
 */
#ifndef IMGEXPORT_QUEUE_FILEWORK_H
#define IMGEXPORT_QUEUE_FILEWORK_H

#include "helper/errors.h"

typedef struct FileJob FileJob;

/* Called once, when it is over; the job is gone then.  error: NULL, or why it failed. */
typedef void (*FileDone)(void *owner, HelperError *error);

FileJob *filework_write(const char *root, const char *key, const void *bytes, uint64 length,
						FileDone done, void *owner);
FileJob *filework_remove(const char *root, const char *key, FileDone done, void *owner);
void filework_drop(FileJob *job);

void filework_open(void);
void filework_advance(void);
long filework_wait_ms(void);
int filework_socket(void);

#endif
