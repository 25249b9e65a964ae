/*
 * seccomp.c
 *		The second lock: no system call but those that work on memory, descriptors and threads.
 *
 * A call that is not listed fails with EPERM, so that a library that only tries goes on; a
 * call that nothing here ever has a reason to make ends the process.  A call that does many
 * things (fcntl, mmap, futex ...) is never listed by its name alone: a rule says which of
 * its commands and flags are open, so that a command of a newer kernel stays closed.
 *
 * The kernel's filter cannot follow pointers.  What is behind one (a path, an address) is
 * the matter of Landlock, or of not having the call.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/locks.h"

#define CALL(name) SCMP_SYS(name)

/* Calls of which every argument is harmless, whatever it is. */
static const int allowed[] = {
	/* memory */
	CALL(brk),
	CALL(munmap),
	CALL(mlock),
	CALL(munlock),
	/* descriptors */
	CALL(read),
	CALL(readv),
	CALL(write),
	CALL(writev),
	CALL(pread64),
	CALL(preadv),
	CALL(pwrite64),
	CALL(lseek),
	CALL(close),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(fstat),
	CALL(ftruncate),
	CALL(pipe2),
	CALL(eventfd2),
	CALL(poll),
	CALL(ppoll),
	CALL(select),
	CALL(pselect6),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	/* the socket that is there already */
	CALL(sendmsg),
	CALL(recvmsg),
	CALL(recvfrom),
	CALL(getsockname),
	CALL(getpeername),
	CALL(shutdown),
	/* threads */
	CALL(set_robust_list),
	CALL(rseq),
	CALL(sched_yield),
	CALL(getcpu),
	CALL(exit),
	CALL(exit_group),
	CALL(set_tid_address),
	/* signals */
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigaltstack),
	CALL(restart_syscall),
	/* who, when, how much */
	CALL(getpid),
	CALL(gettid),
	CALL(getppid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(nanosleep),
	CALL(gettimeofday),
	CALL(time),
	CALL(times),
	CALL(getrusage),
	CALL(sysinfo),
	CALL(uname),
	CALL(getrandom),
};

/* Looking for a file is no crime: the answer is that there is none to be had. */
static const int no_files[] = {
	CALL(open),		CALL(openat),	  CALL(openat2),   CALL(stat),
	CALL(lstat),	CALL(access),	  CALL(faccessat), CALL(faccessat2),
	CALL(readlink), CALL(readlinkat), CALL(getcwd),	   CALL(getdents64),
};

/* Of these, what only looks; Landlock decides which paths. */
static const int readable_files[] = {
	CALL(stat),		  CALL(lstat),	   CALL(newfstatat), CALL(statx),
	CALL(access),	  CALL(faccessat), CALL(faccessat2), CALL(readlink),
	CALL(readlinkat), CALL(getcwd),	   CALL(getdents64),
};

static const int deadly[] = {
	CALL(execve),
	CALL(execveat),
	CALL(fork),
	CALL(vfork),
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(process_madvise),
	CALL(pidfd_getfd),
	CALL(bpf),
	CALL(kexec_load),
	CALL(init_module),
	CALL(finit_module),
	CALL(mount),
	CALL(umount2),
	CALL(pivot_root),
	CALL(unshare),
	CALL(setns),
	CALL(chroot),
	CALL(keyctl),
	CALL(add_key),
	CALL(perf_event_open),
	CALL(userfaultfd),
	CALL(io_uring_setup),
	CALL(open_by_handle_at),
	CALL(bind),
	CALL(listen),
};

/* What only a server does: with sockets that others connect to, and signals that it waits for. */
static const int serving[] = {
	CALL(accept),
	CALL(accept4),
};

static const int waiting[] = {
	CALL(rt_sigtimedwait),
	CALL(rt_sigpending),
};

static const int network[] = {
	CALL(connect),
	CALL(sendmmsg),
	CALL(recvmmsg),
};

/* A call that is open where its arguments meet all conditions. */
typedef struct Rule
{
	int call;
	unsigned int count;
	struct scmp_arg_cmp conditions[3];
} Rule;

/* Argument index equals a value, is at most a value, or has no bit but the open ones. */
#define IS(index, value)                                                                       \
	{                                                                                          \
		index, SCMP_CMP_EQ, (scmp_datum_t) (value), 0                                          \
	}
#define AT_MOST(index, value)                                                                  \
	{                                                                                          \
		index, SCMP_CMP_LE, (scmp_datum_t) (value), 0                                          \
	}
#define BITS(index, must, may)                                                                 \
	{                                                                                          \
		index, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t) (may), (scmp_datum_t) (must)                \
	}

/* Flags of memory that counts against RLIMIT_DATA: shared and growing maps would not. */
#define MAP_FLAGS                                                                              \
	(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE |          \
	 MAP_STACK | MAP_DENYWRITE)
#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

/* What pthread_create asks for: a thread in every respect, and no namespace. */
#define THREAD_MUST (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define THREAD_MAY                                                                             \
	(CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID |                 \
	 CLONE_CHILD_CLEARTID | CLONE_DETACHED)

/* Flags of a futex's operation, beside the operation. */
#define FUTEX_FLAGS (FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)

/*
 * Executable memory stays allowed: libvips compiles its loops with ORC.  It is no way out by
 * itself, since nothing that could be called from it is open.
 */
static const Rule rules[] = {
	{CALL(mmap), 2, {BITS(2, 0, PROT_ALL), BITS(3, MAP_PRIVATE, MAP_FLAGS)}},
	{CALL(mprotect), 1, {BITS(2, 0, PROT_ALL)}},
	{CALL(mremap), 1, {BITS(3, 0, MREMAP_MAYMOVE)}},
	{CALL(madvise), 1, {AT_MOST(2, MADV_DONTNEED)}}, /* NORMAL, RANDOM, SEQUENTIAL, WILLNEED */
	{CALL(madvise), 1, {IS(2, MADV_FREE)}},
	{CALL(madvise), 1, {IS(2, MADV_HUGEPAGE)}},
	{CALL(madvise), 1, {IS(2, MADV_NOHUGEPAGE)}},
	{CALL(madvise), 1, {IS(2, MADV_DONTDUMP)}},
	{CALL(memfd_create), 1, {BITS(1, 0, MFD_CLOEXEC | MFD_ALLOW_SEALING)}},
	{CALL(membarrier), 1, {IS(0, MEMBARRIER_CMD_QUERY)}},
	{CALL(membarrier), 1, {IS(0, MEMBARRIER_CMD_PRIVATE_EXPEDITED)}},
	{CALL(membarrier), 1, {IS(0, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)}},
	{CALL(close_range), 1, {IS(2, 0)}},
	/* Not F_SETOWN, F_SETSIG and O_ASYNC, by which the kernel signals others in our name. */
	{CALL(fcntl), 1, {IS(1, F_DUPFD)}},
	{CALL(fcntl), 1, {IS(1, F_DUPFD_CLOEXEC)}},
	{CALL(fcntl), 1, {IS(1, F_GETFD)}},
	{CALL(fcntl), 1, {IS(1, F_SETFD)}},
	{CALL(fcntl), 1, {IS(1, F_GETFL)}},
	{CALL(fcntl), 2, {IS(1, F_SETFL), BITS(2, 0, O_ACCMODE | O_NONBLOCK | O_LARGEFILE)}},
	{CALL(fcntl), 1, {IS(1, F_ADD_SEALS)}},
	{CALL(fcntl), 1, {IS(1, F_GET_SEALS)}},
	/* Answers go to whom the socket belongs, never to an address. */
	{CALL(sendto), 2, {IS(4, 0), IS(5, 0)}},
	{CALL(futex), 1, {BITS(1, FUTEX_WAIT, FUTEX_FLAGS)}},
	{CALL(futex), 1, {BITS(1, FUTEX_WAKE, FUTEX_FLAGS)}},
	{CALL(futex), 1, {BITS(1, FUTEX_REQUEUE, FUTEX_FLAGS)}},
	{CALL(futex), 1, {BITS(1, FUTEX_CMP_REQUEUE, FUTEX_FLAGS)}},
	{CALL(futex), 1, {BITS(1, FUTEX_WAKE_OP, FUTEX_FLAGS)}},
	{CALL(futex), 1, {BITS(1, FUTEX_WAIT_BITSET, FUTEX_FLAGS)}},
	{CALL(futex), 1, {BITS(1, FUTEX_WAKE_BITSET, FUTEX_FLAGS)}},
	{CALL(clone), 1, {BITS(0, THREAD_MUST, THREAD_MAY)}},
	/* Clocks of the system and its own, not those of other processes. */
	{CALL(clock_gettime), 1, {AT_MOST(0, CLOCK_TAI)}},
	{CALL(clock_getres), 1, {AT_MOST(0, CLOCK_TAI)}},
	{CALL(clock_nanosleep), 1, {AT_MOST(0, CLOCK_TAI)}},
	{CALL(prctl), 1, {IS(0, PR_SET_NAME)}},
	/* Limits are read, not set, and its own alone. */
	{CALL(prlimit64), 2, {IS(0, 0), IS(2, 0)}},
	{CALL(sched_getaffinity), 1, {IS(0, 0)}},
};

/* The size of a descriptor: glibc asks newfstatat with an empty path. */
static const Rule size_rules[] = {
	{CALL(newfstatat), 1, {BITS(3, AT_EMPTY_PATH, 0)}},
	{CALL(statx), 1, {BITS(2, AT_EMPTY_PATH, AT_STATX_SYNC_TYPE)}},
};

/* Opening to read; every way to write, create or cut a file is refused. */
#define READING                                                                                \
	(O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_LARGEFILE | O_PATH)
static const Rule reading_rules[] = {
	{CALL(openat), 1, {BITS(2, O_RDONLY, READING)}},
	{CALL(open), 1, {BITS(1, O_RDONLY, READING)}},
};

/*
 * TCP and UDP over IP, nothing raw and no other protocol.  AF_UNIX only as a connected pair of
 * streams, which can send nowhere else: libcurl wakes itself with it.  Without AF_NETLINK
 * getaddrinfo cannot list the interfaces, and takes all of them for present.
 */
#define SOCKET_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define SOCKET(family, type, protocol)                                                         \
	{                                                                                          \
		CALL(socket), 3,                                                                       \
		{                                                                                      \
			IS(0, family), BITS(1, type, SOCKET_FLAGS), IS(2, protocol)                        \
		}                                                                                      \
	}
#define OPTION(level, name)                                                                    \
	{                                                                                          \
		CALL(setsockopt), 2,                                                                   \
		{                                                                                      \
			IS(1, level), IS(2, name)                                                          \
		}                                                                                      \
	}
static const Rule network_rules[] = {
	SOCKET(AF_INET, SOCK_STREAM, 0),
	SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET, SOCK_DGRAM, 0),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	SOCKET(AF_INET6, SOCK_STREAM, 0),
	SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET6, SOCK_DGRAM, 0),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	{CALL(socketpair), 3, {IS(0, AF_UNIX), BITS(1, SOCK_STREAM, SOCKET_FLAGS), IS(2, 0)}},
	{CALL(ioctl), 1, {IS(1, FIONBIO)}},
	OPTION(SOL_SOCKET, SO_KEEPALIVE),
	OPTION(IPPROTO_TCP, TCP_NODELAY),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
	OPTION(IPPROTO_IP, IP_RECVERR),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	{CALL(getsockopt), 2, {IS(1, SOL_SOCKET), IS(2, SO_ERROR)}},
	{CALL(getsockopt), 2, {IS(1, SOL_SOCKET), IS(2, SO_TYPE)}},
};

/* A stream alone: the system's log and its kind listen to datagrams. */
static const Rule local_rules[] = {
	SOCKET(AF_UNIX, SOCK_STREAM, 0),
};

static const Rule serving_rules[] = {
	OPTION(SOL_SOCKET, SO_LINGER),
};

/* Of a database's connection. */
static const Rule database_rules[] = {
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT),
	{CALL(getsockopt), 2, {IS(1, SOL_SOCKET), IS(2, SO_PEERCRED)}},
};

/* Making a file and writing at its end; Landlock decides where. */
static const Rule appending_rules[] = {
	{CALL(openat), 1, {BITS(2, O_WRONLY | O_CREAT | O_APPEND, O_CLOEXEC)}},
};

/* Files that are made whole beside what they replace, and folders for them. */
#define STORING (O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_LARGEFILE)
static const int storing[] = {
	CALL(fsync), CALL(mkdirat), CALL(unlinkat), CALL(renameat), CALL(renameat2),
};
static const Rule storing_rules[] = {
	{CALL(openat), 1, {BITS(2, O_WRONLY | O_CREAT | O_EXCL, STORING)}},
	{CALL(fchmod), 1, {BITS(1, 0, 0777)}},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool
add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		/* A call that this architecture does not have needs no rule. */
		if (calls[i] == __NR_SCMP_ERROR)
			continue;
		if (seccomp_rule_add(filter, action, calls[i], 0) != 0)
			return false;
	}
	return true;
}

static bool
add_rules(scmp_filter_ctx filter, const Rule *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, table[i].call, table[i].count,
								   table[i].conditions) != 0)
			return false;
	return true;
}

#define ADD_CALLS(filter, action, calls) add_calls(filter, action, calls, COUNT(calls))
#define ADD_RULES(filter, table) add_rules(filter, table, COUNT(table))

/* What depends on this process, or is answered otherwise: clone3 hides its flags, and glibc does without. */
static bool
add_self(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(tgkill), 1,
							SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) getpid())) == 0 &&
		   seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0) == 0;
}

static bool
add_files(scmp_filter_ctx filter, bool reads)
{
	return reads ? ADD_CALLS(filter, SCMP_ACT_ALLOW, readable_files) &&
					   ADD_RULES(filter, reading_rules)
				 : ADD_CALLS(filter, SCMP_ACT_ERRNO(EACCES), no_files) &&
					   ADD_RULES(filter, size_rules);
}

/* A server takes connections, and asks a database over others. */
static bool
add_serving(scmp_filter_ctx filter, const SandboxProfile *profile)
{
	if (!profile->serves)
		return ADD_CALLS(filter, SCMP_ACT_KILL_PROCESS, serving);
	return ADD_CALLS(filter, SCMP_ACT_ALLOW, serving) &&
		   ADD_CALLS(filter, SCMP_ACT_ALLOW, waiting) && ADD_RULES(filter, serving_rules) &&
		   ADD_RULES(filter, database_rules) &&
		   (!profile->local || ADD_RULES(filter, local_rules)) &&
		   (profile->writable == NULL || profile->writable[0] == NULL ||
			ADD_RULES(filter, appending_rules));
}

static bool
add_all(scmp_filter_ctx filter, const SandboxProfile *profile)
{
	bool reads = profile->readable != NULL && profile->readable[0] != NULL;

	return ADD_CALLS(filter, SCMP_ACT_ALLOW, allowed) &&
		   ADD_CALLS(filter, SCMP_ACT_KILL_PROCESS, deadly) && ADD_RULES(filter, rules) &&
		   add_self(filter) && add_files(filter, reads) && add_serving(filter, profile) &&
		   (profile->stores == NULL ||
			(ADD_CALLS(filter, SCMP_ACT_ALLOW, storing) && ADD_RULES(filter, storing_rules))) &&
		   (!profile->network ||
			(ADD_CALLS(filter, SCMP_ACT_ALLOW, network) && ADD_RULES(filter, network_rules)));
}

/*
 * Close this lock, for all threads.  Returns false when the kernel or libseccomp cannot.
 */
bool
sandbox_seccomp(const SandboxProfile *profile)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool closed;

	if (filter == NULL)
		return false;
	closed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
			 /* Calls by another architecture's numbers have no rules of ours. */
			 seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
			 add_all(filter, profile) && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return closed;
}
