/*
 * imgexport-net.c
 *		A network process that lies, dies, hangs or takes what it is not given.
 *
 * It is started as .../LIE/imgexport-net: the name of the folder says which lie.  Before the
 * lie it says HELLO and takes one request, as the real one does; after it it waits to be killed.
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
static Packer packer;

static Packer *
start(void)
{
	packer_init(&packer, body, sizeof body);
	return &packer;
}

static void
send_frame(FrameType type, uint32_t id, const int *fds, int fd_count)
{
	frame_send(WIRE_SOCKET_FD, type, id, body, packer.used, fds, fd_count);
}

static void
hello(void)
{
	Hello message = {.version = WIRE_VERSION, .program = "imgexport-net", .about = "{}"};

	pack_hello(start(), &message);
	send_frame(FRAME_HELLO, 0, NULL, 0);
}

static int
file(int sealed)
{
	int fd = memfd_new("lie");

	memfd_append(fd, "0123456789", 10);
	if (sealed)
		memfd_seal(fd);
	return fd;
}

static Fetched
fetched(void)
{
	return (Fetched){.http_status = 200,
					 .url = "http://127.0.0.1/",
					 .content_type = "image/png",
					 .etag = "\"lie\"",
					 .length = 10};
}

static void
answer(const Fetched *message, const int *fds, int fd_count)
{
	pack_fetched(start(), message);
	send_frame(FRAME_FETCHED, request.id, fds, fd_count);
}

static void
answer_one(Fetched message, int fd)
{
	answer(&message, &fd, fd < 0 ? 0 : 1);
}

static void
fail(Failure failure, int fd)
{
	pack_failure(start(), &failure);
	send_frame(FRAME_ERROR, request.id, &fd, fd < 0 ? 0 : 1);
}

static Failure
failure(void)
{
	return (Failure){.kind = FAILURE_TRANSFER,
					 .output = -1,
					 .step = -1,
					 .step_name = "",
					 .message = "nothing came",
					 .detail = "",
					 .hint = ""};
}

static void
lie_wrong_length(void)
{
	Fetched message = fetched();

	message.length = 11;
	answer_one(message, file(1));
}

static void
lie_longer_than_allowed(void)
{
	Fetched message = fetched();
	int fd = memfd_new("lie");

	message.length = (uint64_t) 512 << 20;
	if (ftruncate(fd, (off_t) message.length) != 0)
		_exit(1);
	memfd_seal(fd);
	answer_one(message, fd);
}

static void
lie_unsealed(void)
{
	answer_one(fetched(), file(0));
}

static void
lie_pipe(void)
{
	int ends[2];

	if (pipe(ends) == 0)
		answer_one(fetched(), ends[0]);
}

static void
lie_no_descriptor(void)
{
	answer_one(fetched(), -1);
}

static void
lie_two_descriptors(void)
{
	int fds[2] = {file(1), file(1)};
	Fetched message = fetched();

	answer(&message, fds, 2);
}

static void
lie_wrong_status(void)
{
	Fetched message = fetched();

	message.http_status = 404;
	answer_one(message, file(1));
}

static void
lie_etag(void)
{
	Fetched message = fetched();

	message.etag = "\"\xff\xfe</ETag>\n\"";
	answer_one(message, file(1));
}

static void
lie_unknown_id(void)
{
	request.id += 1000;
	answer_one(fetched(), file(1));
}

static void
lie_id_zero(void)
{
	request.id = 0;
	answer_one(fetched(), file(1));
}

static void
lie_twice(void)
{
	fail(failure(), -1);
	fail(failure(), -1);
}

static void
lie_failure_with_descriptor(void)
{
	fail(failure(), file(1));
}

static void
lie_failure_of_step(void)
{
	Failure message = failure();

	message.step = 4;
	message.step_name = "\xc3";
	fail(message, -1);
}

static void
lie_failure_kind(void)
{
	Failure message = failure();

	message.kind = 200;
	fail(message, -1);
}

static void
lie_failure_status(void)
{
	Failure message = failure();

	message.http_status = 65000;
	fail(message, -1);
}

/* Taken, but what it says has to be harmless where it is shown and kept. */
static void
lie_text(void)
{
	Failure message = failure();

	message.message = "\x1b[2Jnothing \xc3\x28 came\nERROR:  and another thing";
	message.detail = "\xff\xff";
	message.retry_after_s = 2000000000;
	fail(message, -1);
}

static void
lie_long_text(void)
{
	static char text[60000];
	Failure message = failure();

	memset(text, 'x', sizeof text - 1);
	message.message = text;
	fail(message, -1);
}

static void
lie_output(void)
{
	Output message = {.index = 0, .format = "png", .width = 1, .height = 1, .length = 10};
	int fd = file(1);

	pack_output(start(), &message);
	send_frame(FRAME_OUTPUT, request.id, &fd, 1);
}

static void
lie_hello_again(void)
{
	hello();
}

static void
lie_garbage(void)
{
	send(WIRE_SOCKET_FD, "garbage that is no frame at all", 31, 0);
}

static void
lie_garbage_body(void)
{
	int fd = file(1);

	memset(body, 0xff, 100);
	frame_send(WIRE_SOCKET_FD, FRAME_FETCHED, request.id, body, 100, &fd, 1);
}

/* Datagrams that are no frames, with all the descriptors that fit or more. */
static void
send_descriptors(size_t bytes, int count)
{
	char control[CMSG_SPACE(253 * sizeof(int))];
	int fds[253];
	struct iovec part = {.iov_base = body, .iov_len = bytes};
	struct msghdr message = {.msg_iov = &part,
							 .msg_iovlen = 1,
							 .msg_control = control,
							 .msg_controllen = CMSG_SPACE((size_t) count * sizeof(int))};
	struct cmsghdr *cmsg;

	memset(control, 0, sizeof control);
	fds[0] = file(1);
	for (int i = 1; i < count; i++)
		fds[i] = fds[0];
	cmsg = CMSG_FIRSTHDR(&message);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN((size_t) count * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, (size_t) count * sizeof(int));
	sendmsg(WIRE_SOCKET_FD, &message, MSG_NOSIGNAL);
}

static void
lie_empty_with_descriptors(void)
{
	send_descriptors(0, 30);
}

static void
lie_many_descriptors(void)
{
	send_descriptors(12, 253);
}

static void
lie_short_with_descriptors(void)
{
	send_descriptors(3, 30);
}

static void
lie_flood(void)
{
	for (;;)
		fail(failure(), -1);
}

static void
lie_flood_of_hellos(void)
{
	for (;;)
		hello();
}

static void
lie_silence(void)
{
	for (;;)
		pause();
}

static void
lie_stop(void)
{
	raise(SIGSTOP);
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

static const struct
{
	const char *name;
	void (*tell)(void);
} lies[] = {
	{"wrong_length", lie_wrong_length},
	{"longer_than_allowed", lie_longer_than_allowed},
	{"unsealed", lie_unsealed},
	{"pipe", lie_pipe},
	{"no_descriptor", lie_no_descriptor},
	{"two_descriptors", lie_two_descriptors},
	{"wrong_status", lie_wrong_status},
	{"etag", lie_etag},
	{"unknown_id", lie_unknown_id},
	{"id_zero", lie_id_zero},
	{"twice", lie_twice},
	{"failure_with_descriptor", lie_failure_with_descriptor},
	{"failure_of_step", lie_failure_of_step},
	{"failure_kind", lie_failure_kind},
	{"failure_status", lie_failure_status},
	{"text", lie_text},
	{"long_text", lie_long_text},
	{"output", lie_output},
	{"hello_again", lie_hello_again},
	{"garbage", lie_garbage},
	{"garbage_body", lie_garbage_body},
	{"empty_with_descriptors", lie_empty_with_descriptors},
	{"many_descriptors", lie_many_descriptors},
	{"short_with_descriptors", lie_short_with_descriptors},
	{"flood", lie_flood},
	{"flood_of_hellos", lie_flood_of_hellos},
	{"silence", lie_silence},
	{"stop", lie_stop},
	{"close", lie_close},
	{"exit", lie_exit},
	{"segv", lie_segv},
	{"kill", lie_kill},
};

int
main(int argc, char **argv)
{
	char *lie = basename(dirname(strdup(argv[0])));

	(void) argc;
	hello();
	if (frame_receive(WIRE_SOCKET_FD, &request) != FRAME_OK)
		_exit(EXIT_QUIET);
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
		if (strcmp(lies[i].name, lie) == 0)
			lies[i].tell();
	for (;;)
		pause();
}
