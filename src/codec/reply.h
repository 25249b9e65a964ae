/*
 * reply.h
 *		What goes back to the server.
 */
#ifndef IMGEXPORT_CODEC_REPLY_H
#define IMGEXPORT_CODEC_REPLY_H

#include "codec/problem.h"

void reply_output(uint32_t id, const Output *output, int fd);
void reply_warning(uint32_t id, const char *message);
void reply_done(uint32_t id, const RenderDone *done);
void reply_description(uint32_t id, const Description *description, int fd);
void reply_hello(const char *about);
void reply_failure(uint32_t id, const Problem *problem, int output, int step,
				   const char *step_name);

#endif
