/*
 * imgexport-codec.c
 *		A codec that lies, dies or never answers, to show that the server survives it.
 *
 * It is started as .../LIE/imgexport-codec: the name of the folder says which lie.
 * Before the lie it says HELLO and takes one request, as the real one does.
 */
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/exit.h"
#include "wire/frame.h"
#include "wire/memfd.h"
#include "wire/message.h"

static Frame request;
static uint8_t body[FRAME_MAX_BYTES];

static void
hello(uint32_t version)
{
	Packer packer;
	Hello message = {.version = version, .program = "imgexport-codec", .about = "{}"};

	packer_init(&packer, body, sizeof body);
	pack_hello(&packer, &message);
	frame_send(WIRE_SOCKET_FD, FRAME_HELLO, 0, body, packer.used, NULL, 0);
}

static int
picture(int sealed)
{
	int fd = memfd_new("lie");

	memfd_append(fd, "0123456789", 10);
	if (sealed)
		memfd_seal(fd);
	return fd;
}

static void
output(int index, uint64_t length, int fd, uint32_t id)
{
	Packer packer;
	Output message = {.index = index, .format = "png", .width = 1, .height = 1, .pages = 1};

	message.length = length;
	packer_init(&packer, body, sizeof body);
	pack_output(&packer, &message);
	frame_send(WIRE_SOCKET_FD, FRAME_OUTPUT, id, body, packer.used, &fd, fd < 0 ? 0 : 1);
}

static void
done(uint32_t id)
{
	Packer packer;
	RenderDone message = {.decode_us = 1};

	packer_init(&packer, body, sizeof body);
	pack_render_done(&packer, &message);
	frame_send(WIRE_SOCKET_FD, FRAME_DONE, id, body, packer.used, NULL, 0);
}

static void
lie_wrong_length(void)
{
	output(0, 1000000, picture(1), request.id);
	done(request.id);
}

static void
lie_unsealed(void)
{
	output(0, 10, picture(0), request.id);
	done(request.id);
}

static void
lie_pipe(void)
{
	int ends[2];

	if (pipe(ends) == 0)
		output(0, 10, ends[0], request.id);
	pause();
}

static void
lie_no_descriptor(void)
{
	output(0, 10, -1, request.id);
	done(request.id);
}

static void
lie_wrong_index(void)
{
	output(5, 10, picture(1), request.id);
	done(request.id);
}

static void
lie_twice(void)
{
	output(0, 10, picture(1), request.id);
	output(0, 10, picture(1), request.id);
	done(request.id);
}

static void
lie_no_output(void)
{
	done(request.id);
}

static void
lie_wrong_id(void)
{
	output(0, 10, picture(1), request.id + 1);
	pause();
}

static void
lie_huge(void)
{
	int fd = memfd_new("lie");
	uint64_t length = (uint64_t) 1 << 30;

	if (ftruncate(fd, (off_t) length) != 0)
		_exit(1);
	memfd_seal(fd);
	output(0, length, fd, request.id);
	done(request.id);
}

static void
lie_garbage(void)
{
	send(WIRE_SOCKET_FD, "garbage that is no frame at all", 31, 0);
	pause();
}

static void
lie_garbage_body(void)
{
	frame_send(WIRE_SOCKET_FD, FRAME_OUTPUT, request.id, "xyz", 3, NULL, 0);
	pause();
}

static void
lie_unknown_type(void)
{
	frame_send(WIRE_SOCKET_FD, 4711, request.id, NULL, 0, NULL, 0);
	pause();
}

static void
lie_bad_failure(void)
{
	frame_send(WIRE_SOCKET_FD, FRAME_ERROR, request.id, "\377\377\377", 3, NULL, 0);
	pause();
}

static void
lie_flood(void)
{
	Packer packer;
	Warning message = {.output = -1, .message = "and another thing"};

	packer_init(&packer, body, sizeof body);
	pack_warning(&packer, &message);
	for (;;)
		frame_send(WIRE_SOCKET_FD, FRAME_WARNING, request.id, body, packer.used, NULL, 0);
}

static void
lie_close(void)
{
	close(WIRE_SOCKET_FD);
	pause();
}

static void
lie_exit(void)
{
	_exit(3);
}

static void
lie_segv(void)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}

static void
lie_kill(void)
{
	raise(SIGKILL);
}

static void
lie_hang(void)
{
	for (;;)
		pause();
}

static void
lie_out_of_memory(void)
{
	_exit(EXIT_OUT_OF_MEMORY);
}

static const struct
{
	const char *name;
	void (*tell)(void);
} lies[] = {
	{"wrong_length", lie_wrong_length},
	{"unsealed", lie_unsealed},
	{"pipe", lie_pipe},
	{"no_descriptor", lie_no_descriptor},
	{"wrong_index", lie_wrong_index},
	{"twice", lie_twice},
	{"no_output", lie_no_output},
	{"wrong_id", lie_wrong_id},
	{"huge", lie_huge},
	{"garbage", lie_garbage},
	{"garbage_body", lie_garbage_body},
	{"unknown_type", lie_unknown_type},
	{"bad_failure", lie_bad_failure},
	{"flood", lie_flood},
	{"close", lie_close},
	{"exit", lie_exit},
	{"segv", lie_segv},
	{"kill", lie_kill},
	{"hang", lie_hang},
	{"out_of_memory", lie_out_of_memory},
};

int
main(int argc, char **argv)
{
	char *lie = basename(dirname(strdup(argv[0])));

	if (argc < 1 || strcmp(lie, "no_hello") == 0)
		_exit(EXIT_START);
	hello(strcmp(lie, "old_version") == 0 ? WIRE_VERSION + 1 : WIRE_VERSION);
	if (frame_receive(WIRE_SOCKET_FD, &request) != FRAME_OK)
		_exit(EXIT_QUIET);
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
		if (strcmp(lies[i].name, lie) == 0)
			lies[i].tell();
	return 0;
}
