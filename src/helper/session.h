/*
 * session.h
 *		The helpers of a session: started at the first call, kept, waited for.
 */
#ifndef IMGEXPORT_HELPER_SESSION_H
#define IMGEXPORT_HELPER_SESSION_H

#include "compat.h"
#include "helper/helper.h"

/*
 * Called for each answer.  What is an error of the request (FRAME_ERROR) it keeps, and the
 * caller raises it after session_request: the helper is fine then.  What it raises itself
 * costs the helper its life.
 */
typedef void (*AnswerHandler)(const Frame *frame, void *state, bool *finished);

void session_request(HelperKind kind, FrameType type, const void *body, Size size,
					 const int *fds, int fd_count, int64 timeout_ms, AnswerHandler handler,
					 void *state);
const char *session_about(HelperKind kind);
pg_noreturn extern void session_broken(const char *what);

#endif
