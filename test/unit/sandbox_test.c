/*
 * sandbox_test.c
 *		What a helper program cannot do any more, by each lock alone and by both.
 *
 * Each attempt is made in a child process linked like the helper, which closes the lock
 * and then tries.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/readable.h"
#include "sandbox/locks.h"
#include "tap.h"

enum
{
	NO_LANDLOCK = 90,
	NO_SECCOMP,
	DONE,
	REFUSED
};

typedef bool (*Attempt)(void);

static const char *const readable[] = {"/etc/hosts", NULL};
static const SandboxProfile codec = {.network = false, .readable = NULL};
static const SandboxProfile net = {.network = true, .readable = readable};
static char *data_file; /* stands for a file of the data directory */
static int listener;
static int listener_port;

typedef enum Locks
{
	LANDLOCK = 1,
	SECCOMP = 2
} Locks;

/* Make an attempt behind locks; returns an exit code of above, or 1000 + the signal that ended it. */
static int
behind(const SandboxProfile *profile, int locks, Attempt attempt)
{
	pid_t child = fork();
	int status;

	if (child == 0)
	{
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if ((locks & LANDLOCK) != 0 && sandbox_landlock(profile) == 0)
			_exit(NO_LANDLOCK);
		if ((locks & SECCOMP) != 0 && !sandbox_seccomp(profile))
			_exit(NO_SECCOMP);
		_exit(attempt() ? DONE : REFUSED);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool
open_data_file(void)
{
	return open(data_file, O_RDONLY) >= 0;
}

static bool
write_data_file(void)
{
	return open(data_file, O_WRONLY | O_TRUNC) >= 0;
}

static bool
create_file(void)
{
	return open("/tmp/imgexport_sandbox_test", O_CREAT | O_RDWR, 0600) >= 0;
}

static bool
open_hosts(void)
{
	return open("/etc/hosts", O_RDONLY) >= 0;
}

static bool
open_passwd(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool
connect_to_listener(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
								  .sin_port = htons((uint16_t) listener_port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof address) == 0;
}

static bool
bind_socket(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof address) == 0;
}

static bool
unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool
execute(void)
{
	char *const arguments[] = {"true", NULL};
	pid_t child = vfork();
	int status;

	if (child == 0)
	{
		execv("/bin/true", arguments);
		_exit(1);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool
execute_here(void)
{
	char *const arguments[] = {"sh", "-c", "exit 92", NULL};

	execv("/bin/sh", arguments);
	return false;
}

static bool
fork_process(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	return child > 0;
}

static bool
signal_parent(void)
{
	return kill(getppid(), 0) == 0;
}

static bool
trace_parent(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0;
}

static void *
nothing(void *argument)
{
	return argument;
}

static bool
work(void)
{
	pthread_t thread;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *memory =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memory[0] = 1;
	return fd >= 0 && write(fd, memory, 1000) == 1000 &&
		   fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 &&
		   pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static void
refused(const SandboxProfile *profile, int locks, Attempt attempt, const char *name)
{
	int outcome = behind(profile, locks, attempt);

	ok(outcome == REFUSED || outcome == 1000 + SIGSYS, "%s (%s)", name,
	   outcome == REFUSED		  ? "fails"
	   : outcome == 1000 + SIGSYS ? "is killed"
								  : "HAPPENS");
}

static void
listen_on_loopback(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(fd, (struct sockaddr *) &address, size);
	listen(fd, 10);
	getsockname(fd, (struct sockaddr *) &address, &size);
	listener = fd;
	listener_port = ntohs(address.sin_port);
}

static void
test_codec(void)
{
	refused(&codec, LANDLOCK, open_data_file, "Landlock: opening a file");
	refused(&codec, LANDLOCK, write_data_file, "Landlock: writing a file");
	refused(&codec, LANDLOCK, create_file, "Landlock: creating a file");
	refused(&codec, LANDLOCK, execute_here, "Landlock: executing a program");
	refused(&codec, SECCOMP, open_data_file, "seccomp: opening a file");
	refused(&codec, SECCOMP, write_data_file, "seccomp: writing a file");
	refused(&codec, SECCOMP, create_file, "seccomp: creating a file");
	refused(&codec, SECCOMP, connect_to_listener, "seccomp: connecting a socket");
	refused(&codec, SECCOMP, unix_socket, "seccomp: making a Unix socket");
	refused(&codec, SECCOMP, execute, "seccomp: starting a program");
	refused(&codec, SECCOMP, execute_here, "seccomp: executing a program");
	refused(&codec, SECCOMP, fork_process, "seccomp: forking");
	refused(&codec, SECCOMP, signal_parent, "seccomp: signalling the server");
	refused(&codec, SECCOMP, trace_parent, "seccomp: tracing the server");
	ok(behind(&codec, LANDLOCK | SECCOMP, work) == DONE,
	   "memory, memfds and threads still work");
}

static bool
list_tls(void)
{
	return open("/etc/ssl", O_RDONLY | O_DIRECTORY) >= 0;
}

static bool
list_certificates(void)
{
	return open("/etc/ssl/certs", O_RDONLY | O_DIRECTORY) >= 0;
}

static bool
read_key(void)
{
	return open("/etc/ssl/private/ssl-cert-snakeoil.key", O_RDONLY) >= 0;
}

/* What the real program may read: certificates, and nothing that lies next to them. */
static void
test_readable(void)
{
	static const char *const never[] = {"/etc/ssl/private",
										"/etc/pki/tls/private",
										"/etc/shadow",
										"/etc/postgresql",
										"/var/lib/postgresql",
										"/home",
										"/root",
										"/proc",
										"/tmp"};
	const SandboxProfile real = {.network = true, .readable = net_readable(NULL)};

	for (const char *const *path = real.readable; *path != NULL; path++)
		for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
			if (strncmp(never[i], *path, strlen(*path)) == 0 ||
				strncmp(*path, never[i], strlen(never[i])) == 0)
				ok(false, "E6: %s opens %s", *path, never[i]);
	refused(&real, LANDLOCK, list_tls, "E6: Landlock: the folder that private keys are in");
	refused(&real, LANDLOCK, read_key, "E6: Landlock: the server's private key");
	refused(&real, LANDLOCK, open_passwd, "E6: Landlock: a file that TLS does not need");
	refused(&real, LANDLOCK, open_data_file, "E6: Landlock: a file of the data directory");
	if (access("/etc/ssl/certs", R_OK) == 0)
		ok(behind(&real, LANDLOCK | SECCOMP, list_certificates) == DONE,
		   "E6: certificates can be read");
}

static void
test_net(void)
{
	refused(&net, LANDLOCK, open_passwd, "Landlock: opening a file that is not listed");
	refused(&net, LANDLOCK | SECCOMP, open_data_file,
			"both: opening a file of the data directory");
	refused(&net, SECCOMP, write_data_file, "seccomp: writing a file");
	refused(&net, SECCOMP, create_file, "seccomp: creating a file");
	refused(&net, SECCOMP, bind_socket, "seccomp: binding a socket");
	refused(&net, SECCOMP, execute, "seccomp: starting a program");
	refused(&net, SECCOMP, unix_socket, "seccomp: making a Unix socket");
	refused(&net, SECCOMP, signal_parent, "seccomp: signalling the server");
	ok(behind(&net, LANDLOCK | SECCOMP, open_hosts) == DONE, "a listed file can be read");
	ok(behind(&net, LANDLOCK | SECCOMP, connect_to_listener) == DONE,
	   "a socket can be connected");
}

/* A server that others connect to: it takes connections, and reaches its database alone. */
static bool
accept_connection(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(listener_port)};
	int client = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(client, (struct sockaddr *) &address, sizeof address) == 0 &&
		   accept4(listener, NULL, NULL, SOCK_CLOEXEC) >= 0;
}

static bool
append_to_log(void)
{
	FILE *log = fopen("/tmp/imgexport_sandbox_log/access.log", "a");

	return log != NULL && fputs("line\n", log) >= 0 && fclose(log) == 0;
}

static bool
append_elsewhere(void)
{
	return open(data_file, O_WRONLY | O_CREAT | O_APPEND, 0600) >= 0;
}

static bool
read_log(void)
{
	return open("/tmp/imgexport_sandbox_log/access.log", O_RDONLY) >= 0;
}

static bool
listen_elsewhere(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd >= 0 && listen(fd, 1) == 0;
}

static bool
send_local_datagram(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0) >= 0;
}

static bool
wait_for_signal(void)
{
	struct timespec moment = {.tv_nsec = 1};
	sigset_t none;

	sigemptyset(&none);
	return sigtimedwait(&none, NULL, &moment) < 0 && errno == EAGAIN;
}

static void
test_httpd(void)
{
	static const char *const logs[] = {"/tmp/imgexport_sandbox_log", NULL};
	const uint16_t ports[] = {(uint16_t) listener_port, 0};
	const uint16_t other[] = {1, 0};
	SandboxProfile httpd = {.network = true,
							.serves = true,
							.local = true,
							.speaks = true,
							.ports = ports,
							.readable = readable,
							.writable = logs};
	SandboxProfile away = httpd;

	away.ports = other;
	away.local = false;
	away.writable = NULL;
	mkdir(logs[0], 0700);
	ok(behind(&httpd, LANDLOCK | SECCOMP, accept_connection) == DONE,
	   "httpd: a connection is accepted, and its port connected to");
	ok(behind(&httpd, LANDLOCK | SECCOMP, append_to_log) == DONE, "httpd: its log is written");
	ok(behind(&httpd, LANDLOCK | SECCOMP, unix_socket) == DONE,
	   "httpd: a local stream is open");
	ok(behind(&httpd, LANDLOCK | SECCOMP, wait_for_signal) == DONE,
	   "httpd: it waits for signals");
	ok(behind(&httpd, LANDLOCK | SECCOMP, work) == DONE, "httpd: memory and threads work");
	refused(&away, SECCOMP, unix_socket, "httpd, seccomp: a local stream that is not named");
	refused(&away, SECCOMP, append_to_log, "httpd, seccomp: writing where it has no log");
	refused(&httpd, SECCOMP, send_local_datagram, "httpd, seccomp: the system's log");
	refused(&httpd, SECCOMP, bind_socket, "httpd, seccomp: binding a socket");
	refused(&httpd, SECCOMP, listen_elsewhere, "httpd, seccomp: listening elsewhere");
	refused(&httpd, SECCOMP, write_data_file, "httpd, seccomp: overwriting a file");
	refused(&httpd, SECCOMP, create_file, "httpd, seccomp: creating a file to read and write");
	refused(&httpd, SECCOMP, execute, "httpd, seccomp: starting a program");
	refused(&httpd, SECCOMP, fork_process, "httpd, seccomp: forking");
	refused(&httpd, SECCOMP, signal_parent, "httpd, seccomp: signalling another process");
	refused(&httpd, SECCOMP, trace_parent, "httpd, seccomp: tracing another process");
	refused(&httpd, LANDLOCK, open_data_file, "httpd, Landlock: reading a file");
	refused(&httpd, LANDLOCK, append_elsewhere,
			"httpd, Landlock: appending to a file elsewhere");
	refused(&httpd, LANDLOCK, read_log, "httpd, Landlock: reading its own log");
	refused(&httpd, LANDLOCK, open_passwd,
			"httpd, Landlock: reading a file that is not listed");
	/* Kernels before 6.7 cannot tell ports. */
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 4)
		refused(&away, LANDLOCK, connect_to_listener,
				"httpd, Landlock: connecting to another port");
	unlink("/tmp/imgexport_sandbox_log/access.log");
	rmdir(logs[0]);
}

int
main(void)
{
	char name[] = "/tmp/imgexport_data_XXXXXX";

	data_file = name;
	close(mkstemp(data_file));
	listen_on_loopback();
	ok(behind(&codec, 0, open_data_file) == DONE && behind(&codec, 0, create_file) == DONE &&
		   behind(&codec, 0, connect_to_listener) == DONE &&
		   behind(&codec, 0, signal_parent) == DONE && behind(&codec, 0, execute) == DONE &&
		   behind(&codec, 0, fork_process) == DONE && behind(&codec, 0, unix_socket) == DONE,
	   "without a lock all of it happens");
	if (behind(&codec, LANDLOCK, work) == NO_LANDLOCK)
		ok(true, "# skip this kernel has no Landlock");
	else
	{
		test_codec();
		test_net();
		test_httpd();
		test_readable();
	}
	unlink(data_file);
	unlink("/tmp/imgexport_sandbox_test");
	return tap_done();
}
