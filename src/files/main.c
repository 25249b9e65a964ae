/*
 * main.c
 *		imgexport-files: files of stores are written and removed here, and only here.
 *
 * Started by the server with its socket as WIRE_SOCKET_FD; it locks itself in, so that it reaches
 * nothing but the directories of stores, and says HELLO.  One request after another: a disk that
 * is slow, or that hangs, holds up this process and nobody else.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/place.h"
#include "sandbox/program.h"
#include "wire/exit.h"
#include "wire/frame.h"
#include "wire/memfd.h"

#define STORES_MAX 64

static const char *stores[STORES_MAX + 1];

/* The list, one path a line, into an array; more than fit are no stores. */
static void
read_stores(char *list)
{
	char *path;
	int count = 0;

	while (count < STORES_MAX && (path = strsep(&list, "\n")) != NULL)
		if (path[0] != '\0')
			stores[count++] = path;
}

static void
send(FrameType type, uint32_t id, const Packer *packer)
{
	if (packer->overflow)
		_exit(EXIT_PROTOCOL);
	if (frame_send(WIRE_SOCKET_FD, type, id, packer->data, packer->used, NULL, 0) != FRAME_OK)
		_exit(EXIT_QUIET);
}

static void
hello(const SandboxState *sandbox)
{
	char about[256];
	uint8_t buffer[1024];
	Packer packer;
	Hello message = {.version = WIRE_VERSION, .program = "imgexport-files", .about = about};

	snprintf(about, sizeof about,
			 "{\"program\":\"imgexport-files\",\"version\":\"%s\","
			 "\"sandbox\":{\"landlock_abi\":%d,\"seccomp\":%s}}",
			 IMGEXPORT_VERSION, sandbox->landlock_abi, sandbox->seccomp ? "true" : "false");
	packer_init(&packer, buffer, sizeof buffer);
	pack_hello(&packer, &message);
	send(FRAME_HELLO, 0, &packer);
}

static void
reply(uint32_t id, bool good, const Problem *problem)
{
	static uint8_t buffer[4096];
	Packer packer;
	Failure failure = {
		.kind = problem->kind, .output = -1, .step = -1, .message = problem->message};

	packer_init(&packer, buffer, sizeof buffer);
	if (!good)
		pack_failure(&packer, &failure);
	send(good ? FRAME_STORED : FRAME_ERROR, id, &packer);
}

/* A request to write has the bytes with it, sealed, and as many as it says. */
static bool
has_bytes(const Frame *frame, const FileRequest *request)
{
	uint64_t size;

	return frame->fd_count == 1 && memfd_is_sealed(frame->fds[0], &size) &&
		   size == request->length;
}

static void
answer(const Frame *frame)
{
	FileRequest request;
	Problem problem = {0};
	bool good;

	if (!unpack_file_request(frame->body, frame->size, &request))
		_exit(EXIT_PROTOCOL);
	if (frame->type == FRAME_STORE && has_bytes(frame, &request))
		good = place_write(stores, &request, frame->fds[0], &problem);
	else if (frame->type == FRAME_REMOVE && frame->fd_count == 0)
		good = place_remove(stores, &request, &problem);
	else
		_exit(EXIT_PROTOCOL);
	reply(frame->id, good, &problem);
}

/* Wait for the next request; leaves when there will be none. */
static void
receive(Frame *frame, int idle_s)
{
	struct pollfd waited = {.fd = WIRE_SOCKET_FD, .events = POLLIN};

	if (poll(&waited, 1, idle_s * 1000) == 0)
		_exit(EXIT_QUIET);
	switch (frame_receive(WIRE_SOCKET_FD, frame))
	{
		case FRAME_OK:
			return;
		case FRAME_CLOSED:
			_exit(EXIT_QUIET);
		default:
			_exit(EXIT_PROTOCOL);
	}
}

int
main(int argc, char **argv)
{
	static Frame frame;
	ProgramArguments arguments = program_start(argc, argv);
	SandboxProfile profile = {.readable = stores, .stores = stores};
	SandboxState sandbox;

	read_stores(arguments.stores);
	sandbox_enter(&profile, arguments.sandbox, &sandbox);
	hello(&sandbox);
	for (;;)
	{
		receive(&frame, arguments.idle_s);
		answer(&frame);
		frame_close_fds(&frame);
	}
}
