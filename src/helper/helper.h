/*
 * helper.h
 *		A helper process of this process: start, talk, end.  Nothing here waits.
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
	HELPER_NET
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
FrameStatus helper_receive(Helper *helper, Frame *frame);
HelperError *helper_ended(Helper *helper, FrameStatus status);

#endif
