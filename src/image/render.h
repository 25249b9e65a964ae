/*
 * render.h
 *		Lazy images become bytes: one request for any number of them.
 */
#ifndef IMGEXPORT_IMAGE_RENDER_H
#define IMGEXPORT_IMAGE_RENDER_H

#include "nodes/pg_list.h"

#include "helper/errors.h"
#include "image/lazy.h"
#include "wire/frame.h"

/* A FRAME_RENDER ready to be sent, by a session or by the worker. */
typedef struct RenderMessage
{
	uint8 *body; /* in the current memory context */
	Size size;
	int fd_count;
	int fds[FRAME_MAX_FDS]; /* fds[0] is ours to close, where own_fd; the rest the sources' */
	bool own_fd;
} RenderMessage;

void render_message_build(RenderMessage *message, LazyImage *const *images, int count,
						  bool keep_going);
void render_message_close(RenderMessage *message);

/* One rendered image. */
typedef struct Rendering
{
	bytea *data; /* NULL: it failed, and error says why */
	HelperError *error;
	char format[16];
	int width;
	int height;
	int pages;
	int encode_us;
} Rendering;

/* What came back for one RenderMessage; frames are given to it as they arrive. */
typedef struct RenderAnswer
{
	int count;
	Rendering *renderings; /* count of them */
	bool keep_going;
	HelperError *error; /* the whole request failed */
	List *warnings;		/* of char * */
	int decode_us;
	int process_us;
	int encode_us;
} RenderAnswer;

void render_answer_init(RenderAnswer *answer, int count, bool keep_going);
bool render_answer_take(RenderAnswer *answer, const Frame *frame, const char **broken);

void render_images(LazyImage *const *images, int count, bool keep_going, Rendering *results);

#endif
