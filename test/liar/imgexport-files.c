/*
 * imgexport-files.c
 *		A file process that lies, dies or hangs.
 *
 * It is started as .../LIE/imgexport-files: the name of the folder says which lie.  Before the
 * lie it says HELLO and takes one request, as the real one does; after it it waits to be killed.
 */
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "wire/exit.h"
#include "wire/frame.h"
#include "wire/memfd.h"
#include "wire/message.h"

static Frame request;
static uint8_t body[FRAME_MAX_BYTES];
static Packer packer;

static void
say(FrameType type, uint32_t id, int fd)
{
	frame_send(WIRE_SOCKET_FD, type, id, body, packer.used, &fd, fd < 0 ? 0 : 1);
}

static void
say_hello(void)
{
	Hello message = {.version = WIRE_VERSION, .program = "imgexport-files", .about = "{}"};

	packer_init(&packer, body, sizeof body);
	pack_hello(&packer, &message);
	say(FRAME_HELLO, 0, -1);
	packer_init(&packer, body, sizeof body);
}

static void
lie_unknown_id(void)
{
	say(FRAME_STORED, request.id + 1, -1);
}

static void
lie_id_zero(void)
{
	say(FRAME_STORED, 0, -1);
}

static void
lie_descriptor(void)
{
	say(FRAME_STORED, request.id, memfd_new("lie"));
}

static void
lie_body(void)
{
	pack_u32(&packer, 1);
	say(FRAME_STORED, request.id, -1);
}

static void
lie_kind(void)
{
	say(FRAME_FETCHED, request.id, -1);
}

static void
lie_garbage(void)
{
	pack_u32(&packer, 0xffffffff);
	say(FRAME_ERROR, request.id, -1);
}

static void
lie_hello_again(void)
{
	say_hello();
}

static void
lie_flood(void)
{
	for (;;)
		say(FRAME_STORED, request.id + 1, -1);
}

static void
lie_close(void)
{
	close(WIRE_SOCKET_FD);
}

static void
lie_exit(void)
{
	_exit(3);
}

static void
lie_kill(void)
{
	raise(SIGKILL);
}

static void
lie_silence(void)
{
}

static void
lie_stop(void)
{
	raise(SIGSTOP);
}

/* What nobody can tell from the truth, and then once more, which anybody can. */
static void
lie_twice(void)
{
	say(FRAME_STORED, request.id, -1);
	say(FRAME_STORED, request.id, -1);
}

static const struct
{
	const char *name;
	void (*tell)(void);
} lies[] = {
	{"unknown_id", lie_unknown_id},
	{"id_zero", lie_id_zero},
	{"descriptor", lie_descriptor},
	{"body", lie_body},
	{"kind", lie_kind},
	{"garbage", lie_garbage},
	{"hello_again", lie_hello_again},
	{"flood", lie_flood},
	{"close", lie_close},
	{"exit", lie_exit},
	{"kill", lie_kill},
	{"silence", lie_silence},
	{"stop", lie_stop},
	{"twice", lie_twice},
};

int
main(int argc, char **argv)
{
	char *lie = basename(dirname(strdup(argv[0])));

	(void) argc;
	say_hello();
	if (frame_receive(WIRE_SOCKET_FD, &request) != FRAME_OK)
		_exit(EXIT_QUIET);
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
		if (strcmp(lies[i].name, lie) == 0)
			lies[i].tell();
	for (;;)
		pause();
}
