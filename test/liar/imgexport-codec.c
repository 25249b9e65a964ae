/*
 * imgexport-codec.c
 *		A codec that lies, dies or never answers, to show that the server survives it.
 *
 * It is started as .../LIE/imgexport-codec: the name of the folder says which lie.
 * Before the lie it says HELLO and takes one request, as the real one does.
 */
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
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

/* Six times what it may have, in memory that RLIMIT_DATA does not count. */
#define MEGABYTE ((size_t) 1 << 20)
#define TAKEN_MB 600

static void
touch(char *memory, size_t size)
{
	if (memory == MAP_FAILED)
		_exit(EXIT_OUT_OF_MEMORY);
	for (size_t at = 0; at < size; at += 4096)
		memory[at] = 1;
}

static void
take_memfd(size_t megabytes)
{
	static char block[1 << 20];
	int fd = memfd_new("take");

	for (size_t i = 0; i < megabytes; i++)
		if (!memfd_append(fd, block, MEGABYTE))
			_exit(EXIT_OUT_OF_MEMORY);
}

static void
lie_take_memfd(void)
{
	take_memfd(TAKEN_MB);
	pause();
}

static void
lie_take_memfds(void)
{
	for (int i = 0; i < TAKEN_MB / 20; i++)
		take_memfd(20);
	pause();
}

static void
lie_take_mapped_memfd(void)
{
	int fd = memfd_new("take");

	if (ftruncate(fd, TAKEN_MB * MEGABYTE) != 0)
		_exit(EXIT_OUT_OF_MEMORY);
	touch(mmap(NULL, TAKEN_MB * MEGABYTE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
		  TAKEN_MB * MEGABYTE);
	close(fd);
	pause();
}

static void
lie_take_shared(void)
{
	touch(mmap(NULL, TAKEN_MB * MEGABYTE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0),
		  TAKEN_MB * MEGABYTE);
	pause();
}

static void
lie_take_sysv(void)
{
	int id = shmget(IPC_PRIVATE, TAKEN_MB * MEGABYTE, 0600);
	char *memory = shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	touch(memory, TAKEN_MB * MEGABYTE);
	pause();
}

static void
lie_take_growing(void)
{
	touch(mmap(NULL, TAKEN_MB * MEGABYTE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0),
		  TAKEN_MB * MEGABYTE);
	pause();
}

static void
lie_take_private(void)
{
	touch(mmap(NULL, TAKEN_MB * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0),
		  TAKEN_MB * MEGABYTE);
	pause();
}

static void *
take_stack(void *argument)
{
	volatile char stack[7 << 20];

	for (size_t at = 0; at < sizeof stack; at += 4096)
		stack[at] = 1;
	pause();
	return argument;
}

static void
lie_take_stacks(void)
{
	for (int i = 0; i < TAKEN_MB / 7; i++)
	{
		pthread_t thread;

		if (pthread_create(&thread, NULL, take_stack, NULL) != 0)
			_exit(EXIT_OUT_OF_MEMORY);
	}
	pause();
}

/* A little at first, and the rest once it has nothing to do. */
static void
lie_take_later(void)
{
	int fd = memfd_new("take");
	static char block[1 << 20];

	output(0, 10, picture(1), request.id);
	done(request.id);
	signal(SIGXFSZ, SIG_IGN);
	for (;;)
	{
		usleep(10000);
		(void) !write(fd, block, sizeof block);
	}
}

static const struct
{
	const char *name;
	void (*tell)(void);
} lies[] = {
	{"take_memfd", lie_take_memfd},
	{"take_memfds", lie_take_memfds},
	{"take_mapped_memfd", lie_take_mapped_memfd},
	{"take_shared", lie_take_shared},
	{"take_sysv", lie_take_sysv},
	{"take_growing", lie_take_growing},
	{"take_private", lie_take_private},
	{"take_stacks", lie_take_stacks},
	{"take_later", lie_take_later},
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
