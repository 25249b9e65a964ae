/*
 * reply.c
 *		What goes back to the server.
 */
#include <unistd.h>

#include "codec/reply.h"
#include "wire/exit.h"
#include "wire/frame.h"

static uint8_t body[FRAME_MAX_BYTES];
static Packer packer;

static Packer *
start(void)
{
	packer_init(&packer, body, sizeof body);
	return &packer;
}

/* A server that is gone needs no answer, and a codec without a server is not needed. */
static void
send_reply(FrameType type, uint32_t id, int fd)
{
	if (packer.overflow || frame_send(WIRE_SOCKET_FD, type, id, body, packer.used, &fd,
									  fd < 0 ? 0 : 1) != FRAME_OK)
		_exit(EXIT_PROTOCOL);
}

/* A finished image; fd stays the caller's to close. */
void
reply_output(uint32_t id, const Output *output, int fd)
{
	pack_output(start(), output);
	send_reply(FRAME_OUTPUT, id, fd);
}

void
reply_warning(uint32_t id, const char *message)
{
	Warning warning = {.output = -1, .message = message};

	pack_warning(start(), &warning);
	send_reply(FRAME_WARNING, id, -1);
}

void
reply_done(uint32_t id, const RenderDone *done)
{
	pack_render_done(start(), done);
	send_reply(FRAME_DONE, id, -1);
}

/* fd: the JSON, -1 where none was asked for */
void
reply_description(uint32_t id, const Description *description, int fd)
{
	pack_description(start(), description);
	send_reply(FRAME_DESCRIPTION, id, fd);
}

void
reply_hello(const char *about)
{
	Hello hello = {.version = WIRE_VERSION, .program = "imgexport-codec", .about = about};

	pack_hello(start(), &hello);
	send_reply(FRAME_HELLO, 0, -1);
}

/* output, step: -1 where it is about none */
void
reply_failure(uint32_t id, const Problem *problem, int output, int step, const char *step_name)
{
	Failure failure = {.kind = problem->kind != 0 ? problem->kind : FAILURE_INTERNAL,
					   .output = output,
					   .step = step,
					   .step_name = step_name,
					   .message = problem->message,
					   .detail = problem->detail,
					   .hint = problem->hint};

	pack_failure(start(), &failure);
	send_reply(FRAME_ERROR, id, -1);
}
