/*
 * frame.c
 *		Frames over a socket pair.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wire/frame.h"

typedef struct FrameHeader
{
	uint16_t type;
	uint16_t fd_count;
	uint32_t id;
	uint32_t size; /* of the body; must agree with the datagram's length */
} FrameHeader;

static FrameStatus
status_of_errno(void)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return FRAME_AGAIN;
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		return FRAME_CLOSED;
	return FRAME_BROKEN;
}

/*
 * Send one frame.  The descriptors are duplicated by the kernel and stay the caller's.
 *
 * socket	blocking or not; without room on a non-blocking one FRAME_AGAIN is returned
 * body		size bytes, at most FRAME_MAX_BYTES
 * fds		fd_count descriptors, at most FRAME_MAX_FDS; NULL where there are none
 * Source	unix(7), cmsg(3)
 */
FrameStatus
frame_send(int socket, uint16_t type, uint32_t id, const void *body, size_t size,
		   const int *fds, int fd_count)
{
	FrameHeader header = {.type = type, .fd_count = (uint16_t) fd_count, .id = id};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FRAME_MAX_FDS * sizeof(int))];
	struct iovec parts[2] = {{.iov_base = &header, .iov_len = sizeof header},
							 {.iov_base = (void *) body, .iov_len = size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = size > 0 ? 2 : 1};
	ssize_t sent;

	if (size > FRAME_MAX_BYTES || fd_count < 0 || fd_count > FRAME_MAX_FDS)
		return FRAME_BROKEN;
	header.size = (uint32_t) size;
	if (fd_count > 0)
	{
		struct cmsghdr *cmsg;

		memset(control, 0, sizeof control);
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE((size_t) fd_count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN((size_t) fd_count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, (size_t) fd_count * sizeof(int));
	}

	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? status_of_errno() : FRAME_OK;
}

/* Take the descriptors out of the control data; they are ours from here on. */
static void
collect_fds(struct msghdr *message, Frame *frame)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg != NULL;
		 cmsg = CMSG_NXTHDR(message, cmsg))
	{
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++)
		{
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof fd);
			if (frame->fd_count < FRAME_MAX_FDS)
				frame->fds[frame->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

/*
 * Receive one frame.  On FRAME_OK the caller owns its descriptors (close-on-exec);
 * on anything else there are none.
 *
 * FRAME_BROKEN	the datagram is not a frame, was cut off, or its descriptors were
 */
FrameStatus
frame_receive(int socket, Frame *frame)
{
	FrameHeader header;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FRAME_MAX_FDS * sizeof(int))];
	struct iovec parts[2] = {{.iov_base = &header, .iov_len = sizeof header},
							 {.iov_base = frame->body, .iov_len = FRAME_MAX_BYTES}};
	struct msghdr message = {.msg_iov = parts,
							 .msg_iovlen = 2,
							 .msg_control = control,
							 .msg_controllen = sizeof control};
	ssize_t received;

	frame->fd_count = 0;
	do
		received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return status_of_errno();
	/* Whatever came with it is ours now, also with nothing, which is how an end looks too. */
	collect_fds(&message, frame);
	if (received == 0 && frame->fd_count == 0)
		return FRAME_CLOSED;
	if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
		(size_t) received < sizeof header || header.size != (size_t) received - sizeof header ||
		header.fd_count != frame->fd_count)
	{
		frame_close_fds(frame);
		return FRAME_BROKEN;
	}
	frame->type = header.type;
	frame->id = header.id;
	frame->size = header.size;
	return FRAME_OK;
}

/* Close the descriptors a frame still owns. */
void
frame_close_fds(Frame *frame)
{
	for (int i = 0; i < frame->fd_count; i++)
		if (frame->fds[i] >= 0)
			close(frame->fds[i]);
	frame->fd_count = 0;
}

/* Take a descriptor out of a frame: the caller's from here on.  -1 when there is none. */
int
frame_take_fd(Frame *frame, int index)
{
	int fd;

	if (index < 0 || index >= frame->fd_count)
		return -1;
	fd = frame->fds[index];
	frame->fds[index] = -1;
	return fd;
}
