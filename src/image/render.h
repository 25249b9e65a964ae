/*
 * render.h
 *		Lazy images become bytes: one request for any number of them.
 */
#ifndef IMGEXPORT_IMAGE_RENDER_H
#define IMGEXPORT_IMAGE_RENDER_H

#include "image/lazy.h"
#include "wire/frame.h"

/* A FRAME_RENDER ready to be sent, by a session or by the worker. */
typedef struct RenderMessage
{
	uint8 *body; /* in the current memory context */
	Size size;
	int fd_count;
	int fds[FRAME_MAX_FDS]; /* render_message_close() closes those that are ours */
	bool owned[FRAME_MAX_FDS];
} RenderMessage;

void render_message_build(RenderMessage *message, LazyImage *const *images, int count,
						  bool keep_going);
void render_message_close(RenderMessage *message);

/* One rendered image, as render_images() gives it. */
typedef struct Rendering
{
	bytea *data; /* NULL: it failed and keep_going was asked for; a WARNING has told */
	char format[16];
	int width;
	int height;
	int pages;
} Rendering;

void render_images(LazyImage *const *images, int count, bool keep_going, Rendering *results);

#endif
