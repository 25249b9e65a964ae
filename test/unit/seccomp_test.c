/*
 * seccomp_test.c
 *		The sandbox's filter by itself, without Landlock: every system call by its number, and
 *		every call that does many things by each of its commands and flags.
 *
 * What is open is repeated here by name, so that a call or a command which somebody adds to the
 * filter has to be added here as well.  A call is refused when the filter answers EPERM (EACCES
 * for files, ENOSYS for clone3) or ends the process; the arguments are such that the kernel
 * itself would answer otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/locks.h"
#include "tap.h"

#define SYSCALLS 512

/* uretprobe and uprobe: the kernel keeps them from every filter, as they work from its own code alone. */
#define is_of_kernel(number) ((number) == 335 || (number) == 336)
#define NO_SECCOMP 90

typedef bool (*Check)(const SandboxProfile *profile);

static const char *const readable[] = {"/etc/hosts", NULL};
static const SandboxProfile codec = {.network = false, .readable = NULL};
static const SandboxProfile net = {.network = true, .readable = readable};
static char *scratch; /* a page of memory to make calls with */
static int memfd;

static const char *const open_calls[] = {"brk",
										 "munmap",
										 "mlock",
										 "munlock",
										 "read",
										 "readv",
										 "write",
										 "writev",
										 "pread64",
										 "preadv",
										 "pwrite64",
										 "lseek",
										 "close",
										 "dup",
										 "dup2",
										 "dup3",
										 "fstat",
										 "ftruncate",
										 "pipe2",
										 "eventfd2",
										 "poll",
										 "ppoll",
										 "select",
										 "pselect6",
										 "epoll_create1",
										 "epoll_ctl",
										 "epoll_wait",
										 "epoll_pwait",
										 "sendmsg",
										 "recvmsg",
										 "recvfrom",
										 "getsockname",
										 "getpeername",
										 "shutdown",
										 "set_robust_list",
										 "rseq",
										 "sched_yield",
										 "getcpu",
										 "exit",
										 "exit_group",
										 "set_tid_address",
										 "rt_sigaction",
										 "rt_sigprocmask",
										 "rt_sigreturn",
										 "sigaltstack",
										 "restart_syscall",
										 "getpid",
										 "gettid",
										 "getppid",
										 "getuid",
										 "geteuid",
										 "getgid",
										 "getegid",
										 "nanosleep",
										 "gettimeofday",
										 "time",
										 "times",
										 "getrusage",
										 "sysinfo",
										 "uname",
										 "getrandom",
										 NULL};
static const char *const open_to_net[] = {"connect",   "sendmmsg",	 "recvmmsg", "stat",
										  "lstat",	   "newfstatat", "statx",	 "access",
										  "faccessat", "faccessat2", "readlink", "readlinkat",
										  "getcwd",	   "getdents64", NULL};

/* These do not come back, or not as themselves. */
static const char *const not_tried[] = {
	"exit", "exit_group", "rt_sigreturn", "restart_syscall", "close", "read", NULL};
static const char *const deadly[] = {"execve",
									 "execveat",
									 "fork",
									 "vfork",
									 "ptrace",
									 "process_vm_readv",
									 "process_vm_writev",
									 "process_madvise",
									 "pidfd_getfd",
									 "bpf",
									 "kexec_load",
									 "init_module",
									 "finit_module",
									 "mount",
									 "umount2",
									 "pivot_root",
									 "unshare",
									 "setns",
									 "chroot",
									 "keyctl",
									 "add_key",
									 "perf_event_open",
									 "userfaultfd",
									 "io_uring_setup",
									 "open_by_handle_at",
									 "bind",
									 "listen",
									 "accept",
									 "accept4",
									 NULL};

static bool
has(const char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* Run a check in a process behind the filter alone; returns its exit code, or 1000 + signal. */
static int
behind(const SandboxProfile *profile, Check check)
{
	pid_t child = fork();
	int status;

	if (child == 0)
	{
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (!sandbox_seccomp(profile))
			_exit(NO_SECCOMP);
		_exit(check(profile) ? 0 : 1);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool
is_refused(long result)
{
	return result == -1 && (errno == EPERM || errno == EACCES || errno == ENOSYS);
}

static bool
said(bool right, const char *what, unsigned long value, bool open)
{
	if (!right)
		printf("# %s %#lx %s\n", what, value, open ? "is refused" : "is let through");
	fflush(stdout);
	return right;
}

/* Every system call of this architecture but the deadly ones, with arguments of -1. */
static bool
calls_by_number(const SandboxProfile *profile)
{
	bool right = true;

	for (int number = 0; number < SYSCALLS; number++)
	{
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
		bool open = name != NULL &&
					(has(open_calls, name) || (profile->network && has(open_to_net, name)));

		if (!is_of_kernel(number) &&
			(name == NULL || (!has(deadly, name) && !has(not_tried, name))))
		{
			errno = 0;
			right &= said(is_refused(syscall(number, -1L, -1L, -1L, -1L, -1L, -1L)) != open,
						  name ? name : "call", (unsigned long) number, open);
		}
		free(name);
	}
	return right;
}

static int deadly_number;

static bool
deadly_call(const SandboxProfile *profile)
{
	(void) profile;
	syscall(deadly_number, -1L, -1L, -1L, -1L, -1L, -1L);
	return false;
}

/* The same calls by numbers of another architecture's table. */
static bool
foreign_call(const SandboxProfile *profile)
{
	(void) profile;
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L /* getpid of i386 */) : "memory");
	printf("# a call of i386 answers %ld\n", result);
#else
	kill(getpid(), SIGSYS);
#endif
	return false;
}

static bool
x32_call(const SandboxProfile *profile)
{
	(void) profile;
	syscall(0x40000000L | SYS_getpid);
	return false;
}

/*
 * One argument of a call through all its values, or through all its bits.
 *
 * open		the values, or the one base and the bits that may be added to it
 */
typedef struct Sweep
{
	const char *name;
	long call;
	int index;
	unsigned long first;
	unsigned long last;
	unsigned long open[12];
	int count;
} Sweep;

static long
call_with(const Sweep *sweep, const unsigned long *arguments, unsigned long value)
{
	unsigned long a[6];

	memcpy(a, arguments, sizeof a);
	a[sweep->index] = value;
	errno = 0;
	return syscall(sweep->call, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static bool
is_open(const Sweep *sweep, unsigned long value)
{
	for (int i = 0; i < sweep->count; i++)
		if (sweep->open[i] == value)
			return true;
	return false;
}

static bool
try_values(const Sweep *sweep, const unsigned long *arguments)
{
	bool right = true;

	for (unsigned long value = sweep->first;; value++)
	{
		bool open = is_open(sweep, value);

		right &= said(is_refused(call_with(sweep, arguments, value)) != open, sweep->name,
					  value, open);
		/* The upper half of a register is no way around the filter either. */
		if (open)
			right &= said(is_refused(call_with(sweep, arguments, value | 1UL << 40)),
						  sweep->name, value | 1UL << 40, false);
		if (value == sweep->last)
			return right;
	}
}

static bool
try_bits(const Sweep *sweep, const unsigned long *arguments)
{
	unsigned long must = sweep->first;
	unsigned long may = sweep->last;
	bool right = said(!is_refused(call_with(sweep, arguments, must)), sweep->name, must, true);

	for (int bit = 0; bit < 64; bit++)
	{
		unsigned long flag = 1UL << bit;
		unsigned long value = must ^ flag;
		bool open = (must & flag) == 0 && (may & flag) != 0;

		right &= said(is_refused(call_with(sweep, arguments, value)) != open, sweep->name,
					  value, open);
	}
	return right;
}

#define VALUES(call, index, from, to, ...)                                                     \
	&(const Sweep)                                                                             \
	{                                                                                          \
#call, SYS_##call, index, from, to,                                                    \
			{__VA_ARGS__ }, sizeof((unsigned long[]){__VA_ARGS__}) / sizeof(unsigned long)     \
	}
#define BITS(call, index, must, may)                                                           \
	&(const Sweep)                                                                             \
	{                                                                                          \
#call, SYS_##call, index, must, may, {0 }, 0                                           \
	}
#define NOTHING ~0UL
#define ARGS(...) ((const unsigned long[6]){__VA_ARGS__})

static bool
memory_commands(const SandboxProfile *profile)
{
	unsigned long page = (unsigned long) scratch;
	bool right = true;

	(void) profile;
	right &= try_bits(BITS(mmap, 3, MAP_PRIVATE,
						   MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS | MAP_NORESERVE |
							   MAP_POPULATE | MAP_STACK | MAP_DENYWRITE),
					  ARGS(page, 4096, PROT_READ, 0, NOTHING, 0));
	right &= try_bits(BITS(mmap, 2, 0, PROT_READ | PROT_WRITE | PROT_EXEC),
					  ARGS(page, 4096, 0, MAP_PRIVATE, NOTHING, 0));
	right &= try_bits(BITS(mprotect, 2, 0, PROT_READ | PROT_WRITE | PROT_EXEC),
					  ARGS(page + 4096, 4096, 0));
	right &= try_bits(BITS(mremap, 3, 0, MREMAP_MAYMOVE), ARGS(page + 4096, 4096, 4096, 0, 0));
	right &= try_values(VALUES(madvise, 2, 0, 110, 0, 1, 2, 3, 4, MADV_FREE, MADV_HUGEPAGE,
							   MADV_NOHUGEPAGE, MADV_DONTDUMP),
						ARGS(page + 4096, 4096, 0));
	right &= try_bits(BITS(memfd_create, 1, 0, MFD_CLOEXEC | MFD_ALLOW_SEALING), ARGS(page, 0));
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	right &= try_values(VALUES(membarrier, 0, 0, 1024, MEMBARRIER_CMD_QUERY,
							   MEMBARRIER_CMD_PRIVATE_EXPEDITED,
							   MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED),
						ARGS(0, 0, 0));
	return right;
}

static bool
descriptor_commands(const SandboxProfile *profile)
{
	unsigned long fd = (unsigned long) memfd;
	bool right = true;

	right &= try_values(VALUES(fcntl, 1, 0, 1200, F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD,
							   F_GETFL, F_SETFL, F_ADD_SEALS, F_GET_SEALS),
						ARGS(fd, 0, 0));
	right &= try_bits(BITS(fcntl, 2, 0, O_ACCMODE | O_NONBLOCK), ARGS(fd, F_SETFL, 0));
	right &= try_bits(BITS(close_range, 2, 0, 0), ARGS(100000, 100001, 0));
	for (unsigned long group = 0; group < 0x100; group++)
		right &= profile->network && group == (FIONBIO >> 8)
					 ? try_values(VALUES(ioctl, 1, group << 8, (group << 8) + 0xff, FIONBIO),
								  ARGS(fd, 0, NOTHING))
					 : try_values(VALUES(ioctl, 1, group << 8, (group << 8) + 0xff, NOTHING),
								  ARGS(fd, 0, NOTHING));
	right &= said(is_refused(call_with(VALUES(ioctl, 1, 0, 0, 0), ARGS(fd, 0, 0),
									   0x40086602UL /* FS_IOC_SETFLAGS */)),
				  "ioctl", 0x40086602UL, false);
	return right;
}

static void *
nothing(void *argument)
{
	return argument;
}

static bool
thread_commands(const SandboxProfile *profile)
{
	const unsigned long must = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
	const unsigned long may = CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
							  CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED;
	unsigned long word = (unsigned long) scratch;
	pthread_t thread;
	bool right = true;

	(void) profile;
	memset(scratch, 0, 4096);
	/* What is open would make a thread, which pthread_create does better. */
	for (int bit = 0; bit < 64; bit++)
		if ((may & 1UL << bit) == 0)
			right &= said(is_refused(syscall(SYS_clone, must ^ 1UL << bit, 0, 0, 0, 0)),
						  "clone", must ^ 1UL << bit, false);
	right &= said(is_refused(syscall(SYS_clone3, scratch, 88)), "clone3", 0, false);
	right &= said(pthread_create(&thread, NULL, nothing, NULL) == 0 &&
					  pthread_join(thread, NULL) == 0,
				  "pthread_create", 0, true);
	for (unsigned long flags = 0; flags <= 384; flags += 128)
	{
		const Sweep futex = {"futex", SYS_futex, 1, flags, flags + 127, {0}, 7};
		Sweep sweep = futex;
		const unsigned long operations[] = {FUTEX_WAIT,		   FUTEX_WAKE,	  FUTEX_REQUEUE,
											FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_BITSET,
											FUTEX_WAKE_BITSET};

		for (int i = 0; i < 7; i++)
			sweep.open[i] = operations[i] | flags;
		/* With the wrong clock flag the kernel itself says ENOSYS. */
		if ((flags & FUTEX_CLOCK_REALTIME) == 0)
			right &= try_values(&sweep, ARGS(word, 0, 1, 0, word + 64, 0));
	}
	right &= said(!is_refused(syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME,
									  1, 0, 0, 0)),
				  "futex", FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, true);
	right &= try_values(VALUES(prctl, 0, 0, 200, PR_SET_NAME), ARGS(0, NOTHING, 0, 0, 0));
	right &= try_values(VALUES(arch_prctl, 0, 0x1000, 0x1010, NOTHING), ARGS(0, word));
	right &= try_values(VALUES(sched_getaffinity, 0, 0, 100, 0), ARGS(0, 8, NOTHING));
	return right;
}

static bool
process_commands(const SandboxProfile *profile)
{
	unsigned long self = (unsigned long) getpid();
	unsigned long parent = (unsigned long) getppid();
	bool right = true;

	(void) profile;
	right &= said(!is_refused(syscall(SYS_tgkill, self, self, 0)), "tgkill", self, true);
	right &= said(is_refused(syscall(SYS_tgkill, parent, parent, 0)), "tgkill", parent, false);
	right &= said(!is_refused(syscall(SYS_prlimit64, 0, 7, 0, scratch)), "prlimit64", 0, true);
	right &=
		said(is_refused(syscall(SYS_prlimit64, 0, 7, scratch, 0)), "prlimit64 sets", 0, false);
	right &= said(is_refused(syscall(SYS_prlimit64, parent, 7, 0, scratch)), "prlimit64",
				  parent, false);
	for (long call = 0; call < 3; call++)
	{
		const long calls[] = {SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep};
		const char *const names[] = {"clock_gettime", "clock_getres", "clock_nanosleep"};

		for (long clock = -64; clock < 32; clock++)
		{
			errno = 0;
			/* clock_nanosleep: flags 0, a bad pointer; the others: a bad pointer at once. */
			syscall(calls[call], clock, call == 2 ? 0L : -1L, -1L, 0L);
			right &= said((errno == EPERM) == (clock < 0 || clock > CLOCK_TAI), names[call],
						  (unsigned long) clock, clock >= 0 && clock <= CLOCK_TAI);
		}
	}
	return right;
}

/* Sockets: of all families and types, what TCP and UDP need, and nothing for the codec. */
static bool
socket_commands(const SandboxProfile *profile)
{
	bool right = true;

	for (unsigned long family = 0; family < 50; family++)
		for (unsigned long type = 0; type < 16; type++)
			for (unsigned long protocol = 0; protocol < 18; protocol++)
			{
				bool inet = family == AF_INET || family == AF_INET6;
				bool open =
					profile->network && inet &&
					((type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
					 (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)));
				long fd;
				int ends[2];

				errno = 0;
				fd = syscall(SYS_socket, family, type, protocol);
				right &= said((errno == EPERM) == !open, "socket",
							  family << 16 | type << 8 | protocol, open);
				if (fd >= 0)
					close((int) fd);
				errno = 0;
				open = profile->network && family == AF_UNIX && type == SOCK_STREAM &&
					   protocol == 0;
				right &=
					said((syscall(SYS_socketpair, family, type, protocol, ends) == 0) == open,
						 "socketpair", family << 16 | type << 8 | protocol, open);
				if (open)
				{
					close(ends[0]);
					close(ends[1]);
				}
			}
	right &=
		said(is_refused(syscall(SYS_socket, AF_INET, SOCK_STREAM, 262)), "MPTCP", 262, false);
	for (unsigned long bit = 4; bit < 64; bit++)
	{
		bool open =
			profile->network && (1UL << bit == SOCK_CLOEXEC || 1UL << bit == SOCK_NONBLOCK);
		long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM | 1UL << bit, 0);

		right &= said((fd >= 0) == open, "socket type", 1UL << bit, open);
		if (fd >= 0)
			close((int) fd);
	}
	return right;
}

typedef struct Option
{
	int level;
	int name;
} Option;

static const Option settable[] = {
	{SOL_SOCKET, SO_KEEPALIVE},	  {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_KEEPIDLE},
	{IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_IP, IP_RECVERR},	  {IPPROTO_IPV6, IPV6_RECVERR},
	{IPPROTO_IPV6, IPV6_V6ONLY},
};
static const Option gettable[] = {{SOL_SOCKET, SO_ERROR}, {SOL_SOCKET, SO_TYPE}};

static bool
is_option(const Option *options, size_t count, int level, int name)
{
	for (size_t i = 0; i < count; i++)
		if (options[i].level == level && options[i].name == name)
			return true;
	return false;
}

static bool
option_commands(const SandboxProfile *profile)
{
	bool right = true;

	for (int level = -1; level < 300; level++)
		for (int name = 0; name < 130; name++)
		{
			bool set = profile->network && is_option(settable, 7, level, name);
			bool get = profile->network && is_option(gettable, 2, level, name);

			errno = 0;
			syscall(SYS_setsockopt, -1, level, name, scratch, 4);
			right &= said((errno == EPERM) == !set, "setsockopt",
						  (unsigned long) (level << 16 | name), set);
			errno = 0;
			syscall(SYS_getsockopt, -1, level, name, scratch, scratch);
			right &= said((errno == EPERM) == !get, "getsockopt",
						  (unsigned long) (level << 16 | name), get);
		}
	/* Nothing goes to an address: over a connected socket or not at all. */
	right &= said(is_refused(syscall(SYS_sendto, memfd, scratch, 1, 0, scratch, 16)),
				  "sendto an address", 0, false);
	right &= said(is_refused(syscall(SYS_sendto, memfd, scratch, 1, 0, 0, 16)),
				  "sendto a length", 0, false);
	errno = 0;
	syscall(SYS_sendto, memfd, scratch, 1, 0, 0, 0);
	return right & said(errno == ENOTSOCK, "sendto the peer", 0, true);
}

static bool
file_commands(const SandboxProfile *profile)
{
	const unsigned long reading =
		O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_PATH;
	unsigned long path = (unsigned long) "imgexport/is/not/there";
	unsigned long empty = (unsigned long) "";
	bool right = true;

	if (profile->readable != NULL)
	{
		right &= try_bits(BITS(openat, 2, O_RDONLY, reading), ARGS((unsigned) AT_FDCWD, path));
#ifdef SYS_open
		right &= try_bits(BITS(open, 1, O_RDONLY, reading), ARGS(path));
#endif
		return right;
	}
	for (int bit = 0; bit < 64; bit++)
		right &= said(is_refused(syscall(SYS_openat, AT_FDCWD, path, 1UL << bit, 0)), "openat",
					  1UL << bit, false);
	right &= said(is_refused(syscall(SYS_newfstatat, AT_FDCWD, "/", scratch, 0)), "newfstatat",
				  0, false);
	right &= said(syscall(SYS_newfstatat, memfd, empty, scratch, AT_EMPTY_PATH) == 0,
				  "newfstatat", AT_EMPTY_PATH, true);
	right &= said(is_refused(syscall(SYS_statx, AT_FDCWD, "/", 0, 0xfff, scratch)), "statx", 0,
				  false);
	return right;
}

/* What shared or growing memory would be: none of it counts against RLIMIT_DATA. */
static bool
uncounted_memory(const SandboxProfile *profile)
{
	(void) profile;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) ==
			   MAP_FAILED &&
		   mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0) == MAP_FAILED &&
		   mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1,
				0) == MAP_FAILED &&
		   mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN,
				-1, 0) == MAP_FAILED &&
		   mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) == MAP_FAILED &&
		   is_refused(syscall(SYS_shmget, 0, 4096, 01000 | 0600)) &&
		   is_refused(syscall(SYS_memfd_secret, 0));
}

static void
test_profile(const SandboxProfile *profile, const char *name)
{
	static const struct
	{
		const char *name;
		Check check;
	} checks[] = {
		{"each system call by its number", calls_by_number},
		{"memory by each flag and advice", memory_commands},
		{"descriptors by each command", descriptor_commands},
		{"threads, futexes and prctl by each command", thread_commands},
		{"processes, limits and clocks", process_commands},
		{"sockets by family, type and protocol", socket_commands},
		{"socket options and addresses", option_commands},
		{"files by each flag", file_commands},
		{"memory that no limit counts", uncounted_memory},
	};

	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
	{
		int outcome = behind(profile, checks[i].check);

		ok(outcome == 0, "H5: %s, seccomp alone: %s (%d)", name, checks[i].name, outcome);
	}
	for (const char *const *call = deadly; *call != NULL; call++)
	{
		int outcome;

		deadly_number = seccomp_syscall_resolve_name(*call);
		if (deadly_number < 0)
			continue;
		outcome = behind(profile, deadly_call);
		ok(outcome == 1000 + SIGSYS, "H5: %s: %s ends the process (%d)", name, *call, outcome);
	}
	ok(behind(profile, foreign_call) == 1000 + SIGSYS,
	   "H5: %s: so does a call of another architecture", name);
	ok(behind(profile, x32_call) == 1000 + SIGSYS, "H5: %s: and one of the x32 table", name);
}

int
main(void)
{
	scratch = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memfd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	test_profile(&codec, "codec");
	test_profile(&net, "net");
	return tap_done();
}
