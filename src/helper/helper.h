/*
 * helper.h
 *		A helper process of this process: start, talk, end.  Nothing here waits.
 *
 * A helper's memory is limited in three ways.  RLIMIT_DATA holds for private memory.  What
 * it has in memfds and in shared memory is looked at while it works (helper_is_over_memory),
 * and while it rests RLIMIT_FSIZE lets it write to no file.
 *
 * session.h has the waiting form for queries; the worker puts the sockets into
 * its own wait set.
 */
#ifndef IMGEXPORT_HELPER_HELPER_H
#define IMGEXPORT_HELPER_HELPER_H

#include "helper/errors.h"
#include "wire/frame.h"

typedef enum HelperKind
{
	HELPER_CODEC,
	HELPER_NET,
	HELPER_FILES /* of the worker alone */
} HelperKind;

typedef struct Helper Helper;

Helper *helper_start(HelperKind kind, MemoryContext parent);
void helper_stop(Helper *helper);
int helper_socket(const Helper *helper);
bool helper_is_ready(const Helper *helper);
bool helper_is_worn(const Helper *helper);
bool helper_is_idle_gone(Helper *helper);
const char *helper_about(const Helper *helper);
const char *helper_program_name(HelperKind kind);
FrameStatus helper_send(Helper *helper, FrameType type, uint32 id, const void *body, Size size,
						const int *fds, int fd_count);
void helper_rest(Helper *helper);
bool helper_is_over_memory(Helper *helper, uint64 lent_bytes);
long helper_watch_ms(const Helper *helper);
FrameStatus helper_receive(Helper *helper, Frame *frame);
HelperError *helper_ended(Helper *helper, FrameStatus status);

#endif
