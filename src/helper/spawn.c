/*
 * spawn.c
 *		Start a helper program with nothing but a socket and its limits.
 *
 * Between fork and exec the child is a copy of a backend: it may call nothing
 * but what signal-safety(7) lists, must not touch shared memory, and leaves by
 * _exit alone.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"

#include "helper/spawn.h"
#include "wire/exit.h"
#include "wire/frame.h"

/* More than all requests of one helper may take in turn: this is for one that runs wild. */
#define CPU_LIMIT_S 43200

static char *const environment[] = {"PATH=/usr/bin:/bin", "HOME=/", "LANG=C.UTF-8", NULL};

static void
child_limit(int resource, rlim_t value)
{
	struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

	/* Failing is not an answer: a helper without its limits must not start. */
	if (setrlimit(resource, &limit) != 0)
		_exit(EXIT_START);
}

static void
child_set_limits(const SpawnLimits *limits)
{
	child_limit(RLIMIT_CORE, 0);
	child_limit(RLIMIT_CPU, CPU_LIMIT_S);
	child_limit(RLIMIT_FSIZE, limits->file_bytes);
	child_limit(RLIMIT_STACK, limits->stack_bytes);
	child_limit(RLIMIT_NOFILE, limits->descriptors);
	if (limits->memory_bytes > 0)
		child_limit(RLIMIT_DATA, limits->memory_bytes);
}

/* If memory runs out, this process goes first; the server's own are worth more. */
static void
child_offer_to_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
	{
		if (write(fd, "1000", 4) != 4)
			_exit(EXIT_START);
		close(fd);
	}
}

/* Keep the socket as WIRE_SOCKET_FD, /dev/null as 0 and 1, the server's log as 2, and no more. */
static void
child_keep_descriptors(int socket)
{
	int null_fd = open("/dev/null", O_RDWR);

	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0)
		_exit(EXIT_START);
	if (socket == WIRE_SOCKET_FD)
	{
		if (fcntl(socket, F_SETFD, 0) != 0)
			_exit(EXIT_START);
	}
	else if (dup2(socket, WIRE_SOCKET_FD) < 0)
		_exit(EXIT_START);
	/* PostgreSQL 15 does not mark its descriptors close-on-exec. */
	if (close_range(WIRE_SOCKET_FD + 1, ~0U, 0) != 0)
		for (int fd = WIRE_SOCKET_FD + 1; fd < sysconf(_SC_OPEN_MAX); fd++)
			close(fd);
}

/* The server's handlers would run on the child's copy of its state: none may stay. */
static void
child_reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
child_become(const char *path, char *const argv[], const SpawnLimits *limits, int socket,
			 pid_t parent)
{
	child_reset_signals();
	/* pg_cancel_backend signals the whole process group; the helper is not its business. */
	setsid();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		_exit(EXIT_START);
	if (getppid() != parent)
		_exit(EXIT_QUIET);
	child_offer_to_oom_killer();
	child_keep_descriptors(socket);
	child_set_limits(limits);
	execve(path, argv, environment);
	_exit(127);
}

/*
 * Let a child write to files, or not: a helper that has nothing to do needs no memory, and a
 * limit that is there is held by the kernel, not by whoever looks.
 *
 * most_bytes	SpawnLimits.file_bytes, as it was started with
 */
void
spawn_allow_files(pid_t pid, uint64 most_bytes, bool allowed)
{
	struct rlimit limit = {.rlim_cur = allowed ? most_bytes : 0, .rlim_max = most_bytes};

	/* Where it has ended, so have its files; 0 would be this process. */
	if (pid > 0)
		(void) prlimit(pid, RLIMIT_FSIZE, &limit, NULL);
}

/*
 * Start a program as a child of this process.
 *
 * path		absolute
 * socket	where to put our end of its socket: non-blocking, close-on-exec, the
 *			caller's to close
 * Returns	its process id, the caller's to kill and wait for
 * Errors	53000 or 58030 when the system has no process or descriptor left
 */
pid_t
helper_spawn(const char *path, char *const argv[], const SpawnLimits *limits, int *socket)
{
	int pair[2];
	pid_t parent = getpid();
	pid_t child;
	sigset_t all;
	sigset_t before;
	int fork_errno;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not create a socket pair for \"%s\": %m", path)));
	fcntl(pair[0], F_SETFL, O_NONBLOCK);

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	if (child == 0)
		child_become(path, argv, limits, pair[1], parent);
	fork_errno = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);

	close(pair[1]);
	if (child < 0)
	{
		close(pair[0]);
		errno = fork_errno;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start \"%s\": %m", path)));
	}
	*socket = pair[0];
	return child;
}
