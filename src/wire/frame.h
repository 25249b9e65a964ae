/*
 * frame.h
 *		Frames over a socket pair: one datagram each, descriptors attached.
 *
 * The socket is AF_UNIX, SOCK_SEQPACKET: the kernel keeps the boundaries, a
 * frame arrives whole or not at all, and a peer's death is an end of file.
 * Bulk data never travels in a frame but in memfds (memfd.h) beside it.
 */
#ifndef IMGEXPORT_WIRE_FRAME_H
#define IMGEXPORT_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* Both sides compare it at the start; any change of a message raises it. */
#define WIRE_VERSION 5

#define FRAME_MAX_BYTES (64 * 1024) /* of a frame's body */
#define FRAME_MAX_FDS 32			/* the kernel's own limit is 253 */

/* The descriptor under which a helper program finds its socket. */
#define WIRE_SOCKET_FD 3

typedef enum FrameType
{
	FRAME_HELLO = 1,   /* helper -> server: version and what it is */
	FRAME_RENDER,	   /* server -> codec */
	FRAME_OUTPUT,	   /* codec -> server: one finished image */
	FRAME_WARNING,	   /* helper -> server */
	FRAME_DONE,		   /* codec -> server: the RENDER is over */
	FRAME_DESCRIBE,	   /* server -> codec */
	FRAME_DESCRIPTION, /* codec -> server */
	FRAME_FETCH,	   /* server -> net */
	FRAME_FETCHED,	   /* net -> server */
	FRAME_CANCEL,	   /* server -> net: forget the request with this id */
	FRAME_ERROR,	   /* helper -> server: the request with this id failed */
	FRAME_STORE,	   /* server -> files: write a file */
	FRAME_REMOVE,	   /* server -> files */
	FRAME_STORED	   /* files -> server: it is written, or gone */
} FrameType;

typedef struct Frame
{
	uint16_t type; /* FrameType; as received, so any value */
	uint32_t id;   /* of the request; an answer repeats it */
	uint32_t size; /* bytes in body */
	int fd_count;
	int fds[FRAME_MAX_FDS]; /* owned by whoever holds the frame */
	_Alignas(8) uint8_t body[FRAME_MAX_BYTES];
} Frame;

typedef enum FrameStatus
{
	FRAME_OK,
	FRAME_AGAIN,  /* nothing there, or no room, without waiting */
	FRAME_CLOSED, /* the other side is gone */
	FRAME_BROKEN  /* not a frame of ours: stop talking to this peer */
} FrameStatus;

FrameStatus frame_send(int socket, uint16_t type, uint32_t id, const void *body, size_t size,
					   const int *fds, int fd_count);
FrameStatus frame_receive(int socket, Frame *frame);
void frame_close_fds(Frame *frame);
int frame_take_fd(Frame *frame, int index);

#endif
