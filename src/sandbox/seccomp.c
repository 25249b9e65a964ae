/*
 * seccomp.c
 *		The second lock: no system call but those of work on memory, descriptors and threads.
 *
 * What is not listed fails with EPERM, so that a library that only tries goes on;
 * what nothing here ever has a reason to try ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/locks.h"

#define CALL(name) SCMP_SYS(name)

/*
 * Executable memory stays allowed: libvips compiles its loops with ORC.  It is no
 * way out by itself, since nothing that could be called from it is open.
 */
static const int allowed[] = {
	/* memory */
	CALL(brk),
	CALL(mmap),
	CALL(munmap),
	CALL(mremap),
	CALL(mprotect),
	CALL(madvise),
	CALL(memfd_create),
	CALL(membarrier),
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
	CALL(close_range),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(fstat),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(fcntl),
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
	CALL(sendto),
	CALL(recvfrom),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(shutdown),
	/* threads */
	CALL(futex),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(getcpu),
	CALL(exit),
	CALL(exit_group),
	CALL(set_tid_address),
	CALL(arch_prctl),
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
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(clock_nanosleep),
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
	CALL(accept),
	CALL(accept4),
};

static const int network[] = {
	CALL(connect),
	CALL(setsockopt),
	CALL(sendmmsg),
	CALL(recvmmsg),
};

static bool
add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
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

#define ADD_ALL(filter, action, calls)                                                         \
	add_all(filter, action, calls, sizeof(calls) / sizeof((calls)[0]))

/* Not F_SETOWN, by which the kernel would signal others in our name. */
static const scmp_datum_t fcntl_commands[] = {
	F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_ADD_SEALS, F_GET_SEALS};

static bool
add_fcntl(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < sizeof fcntl_commands / sizeof fcntl_commands[0]; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(fcntl), 1,
							 SCMP_A1(SCMP_CMP_EQ, fcntl_commands[i])) != 0)
			return false;
	return true;
}

/* Threads yes, processes no; clone3 hides its flags, and glibc does without it. */
static bool
add_threads(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(clone), 1,
							SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) == 0 &&
		   seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0) == 0;
}

/* Signals to itself alone (abort), its own limits to look at alone. */
static bool
add_self(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(tgkill), 1,
							SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) getpid())) == 0 &&
		   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0),
							SCMP_A2(SCMP_CMP_EQ, 0)) == 0 &&
		   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(prctl), 1,
							SCMP_A0(SCMP_CMP_EQ, 15 /* PR_SET_NAME */)) == 0;
}

/* The size of a descriptor: glibc asks newfstatat with an empty path. */
static bool
add_fstat(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(newfstatat), 1,
							SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH)) == 0 &&
		   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(statx), 1,
							SCMP_A2(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH)) == 0;
}

/* Opening to read; every way to write, create or cut a file is refused. */
static bool
add_reading(scmp_filter_ctx filter)
{
	const scmp_datum_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;

	return ADD_ALL(filter, SCMP_ACT_ALLOW, readable_files) &&
		   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(openat), 1,
							SCMP_A2(SCMP_CMP_MASKED_EQ, writing, 0)) == 0 &&
		   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(open), 1,
							SCMP_A1(SCMP_CMP_MASKED_EQ, writing, 0)) == 0;
}

/* TCP and UDP, nothing raw; the type's upper bits are flags. */
static bool
add_socket(scmp_filter_ctx filter, int family)
{
	static const scmp_datum_t types[] = {SOCK_STREAM, SOCK_DGRAM};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socket), 2,
							 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) family),
							 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, types[i])) != 0)
			return false;
	return true;
}

/* Without AF_NETLINK getaddrinfo cannot ask for the interfaces, and takes all for there. */
static bool
add_network(scmp_filter_ctx filter)
{
	return ADD_ALL(filter, SCMP_ACT_ALLOW, network) && add_socket(filter, AF_INET) &&
		   add_socket(filter, AF_INET6) &&
		   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(ioctl), 1,
							SCMP_A1(SCMP_CMP_EQ, FIONBIO)) == 0 &&
		   seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(socketpair), 0) == 0;
}

static bool
add_rules(scmp_filter_ctx filter, const SandboxProfile *profile)
{
	bool reads = profile->readable != NULL && profile->readable[0] != NULL;

	return ADD_ALL(filter, SCMP_ACT_ALLOW, allowed) &&
		   ADD_ALL(filter, SCMP_ACT_KILL_PROCESS, deadly) && add_threads(filter) &&
		   add_fcntl(filter) && add_self(filter) &&
		   (reads ? add_reading(filter)
				  : ADD_ALL(filter, SCMP_ACT_ERRNO(EACCES), no_files) && add_fstat(filter)) &&
		   (!profile->network || add_network(filter));
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
			 add_rules(filter, profile) && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return closed;
}
