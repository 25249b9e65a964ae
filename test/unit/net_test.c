/*
 * net_test.c
 *		imgexport-net and addresses that must be refused, by number, name and odd spelling.
 *
 * It runs in a network namespace of its own, without routes: a guard that failed would
 * reach nothing.  argv[1] is the program, default build/imgexport-net.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "wire/frame.h"
#include "wire/message.h"

static Frame frame;
static int socket_fd;

static pid_t
start(const char *program)
{
	int pair[2];
	pid_t child;

	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	child = fork();
	if (child == 0)
	{
		dup2(pair[1], WIRE_SOCKET_FD);
		close_range(WIRE_SOCKET_FD + 1, ~0U, 0);
		execl(program, program, "--sandbox=prefer", "--idle=60", NULL);
		_exit(127);
	}
	close(pair[1]);
	socket_fd = pair[0];
	return child;
}

/* Fetch a URL; returns the kind of failure, 0 when it came. */
static FailureKind
fetch(const char *url, Failure *failure)
{
	static uint8_t body[FRAME_MAX_BYTES];
	FetchRequest request = {.url = url,
							.method = "GET",
							.headers = "",
							.connect_timeout_ms = 1000,
							.timeout_ms = 1500,
							.max_bytes = 1000,
							.max_redirects = 3,
							.allowed_hosts = "",
							.allowed_networks = ""};
	Packer packer;

	packer_init(&packer, body, sizeof body);
	pack_fetch_request(&packer, &request);
	frame_send(socket_fd, FRAME_FETCH, 1, body, packer.used, NULL, 0);
	if (frame_receive(socket_fd, &frame) != FRAME_OK)
		return FAILURE_INTERNAL;
	frame_close_fds(&frame);
	if (frame.type != FRAME_ERROR || !unpack_failure(frame.body, frame.size, failure))
		return 0;
	return failure->kind;
}

static const char *const refused[] = {
	"http://127.0.0.1/",	   "http://127.1/",
	"http://2130706433/",	   "http://0x7f000001/",
	"http://0177.0.0.1/",	   "http://0/",
	"http://[::1]/",		   "http://[::ffff:127.0.0.1]/",
	"http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/",
	"http://[2002:7f00:1::]/", "http://localhost/",
	"http://10.0.0.1/",		   "http://172.16.0.1/",
	"http://192.168.1.1/",	   "http://100.64.0.1/",
	"http://169.254.169.254/", "http://[fe80::1]/",
	"http://[fd00:ec2::254]/", "http://[fc00::1]/",
	"http://224.0.0.1/",	   "http://[ff02::1]/",
	"http://255.255.255.255/", "https://127.0.0.1/",
};

/* Names and U+2460 and its like, which libcurl's IDN turns into digits: refused, or not found. */
static const char *const odd[] = {
	"http://LOCALHOST./",
	"http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.\xe2\x93\xaa.\xe2\x93\xaa.\xe2\x91\xa0/",
	"http://"
	"\xe2\x93\x9b\xe2\x93\x9e\xe2\x93\x92\xe2\x93\x90\xe2\x93\x9b\xe2\x93\x97\xe2\x93\x9e\xe2"
	"\x93\xa2\xe2\x93\xa3/",
};

static const char *const malformed[] = {
	"",
	"nonsense",
	"file:///etc/passwd",
	"ftp://127.0.0.1/",
	"gopher://127.0.0.1/",
	"http://user:password@127.0.0.1/",
	"http://",
	"javascript:alert(1)",
};

int
main(int argc, char **argv)
{
	Failure failure;
	pid_t child;
	int status;

	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
	{
		ok(true, "# skip no network namespace is to be had here");
		return tap_done();
	}
	child = start(argc > 1 ? argv[1] : "build/imgexport-net");
	ok(frame_receive(socket_fd, &frame) == FRAME_OK && frame.type == FRAME_HELLO,
	   "it says HELLO");
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
	{
		FailureKind kind = fetch(refused[i], &failure);

		ok(kind == FAILURE_REFUSED, "%s is refused", refused[i]);
	}
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
	{
		FailureKind kind = fetch(odd[i], &failure);

		ok(kind == FAILURE_REFUSED || kind == FAILURE_TRANSFER || kind == FAILURE_ARGUMENT,
		   "odd spelling %zu leads nowhere", i + 1);
	}
	for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
		ok(fetch(malformed[i], &failure) == FAILURE_ARGUMENT, "\"%s\" is no URL for us",
		   malformed[i]);
	ok(fetch("http://8.8.8.8/", &failure) == FAILURE_TRANSFER,
	   "a public address is tried, and there is no route to it");
	fetch("http://169.254.169.254/secret?token=abc", &failure);
	ok(strstr(failure.message, "token") == NULL && strstr(failure.detail, "token") == NULL,
	   "what is said of a URL does not have its query");
	frame_send(socket_fd, FRAME_RENDER, 1, NULL, 0, NULL, 0);
	waitpid(child, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 73, "what is no request of its ends it");
	return tap_done();
}
