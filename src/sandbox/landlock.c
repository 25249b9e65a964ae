/*
 * landlock.c
 *		The first lock: no path but the listed ones, and no TCP but what is allowed.
 *
 * Source	Linux Documentation/userspace-api/landlock.rst.  The interface has no
 *			wrapper in glibc, and Debian 12's headers stop at its second version,
 *			so the newer constants are repeated here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/locks.h"

/* Rights on files by the version that brought them; a ruleset handles all that exist. */
#define FS_RIGHTS_V1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define FS_WRITE (UINT64_C(1) << 1)
#define FS_READ (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_REMOVE_DIR (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR (UINT64_C(1) << 7)
#define FS_STORE                                                                               \
	(FS_WRITE | FS_READ | FS_READ_DIR | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |         \
	 FS_MAKE_REG)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define RULE_NET_PORT 2
#define SCOPE_ALL UINT64_C(3) /* abstract Unix sockets and signals of others */

/* struct landlock_ruleset_attr as of version 6; older kernels take a shorter one. */
typedef struct RulesetAttributes
{
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
} RulesetAttributes;

static size_t
attributes_size(int abi)
{
	if (abi >= 6)
		return 3 * sizeof(uint64_t);
	return (abi >= 4 ? 2 : 1) * sizeof(uint64_t);
}

static RulesetAttributes
attributes_for(int abi, const SandboxProfile *profile)
{
	RulesetAttributes attributes = {.handled_access_fs = FS_RIGHTS_V1};

	if (abi >= 2)
		attributes.handled_access_fs |= FS_REFER;
	if (abi >= 3)
		attributes.handled_access_fs |= FS_TRUNCATE;
	if (abi >= 5)
		attributes.handled_access_fs |= FS_IOCTL_DEV;
	if (abi >= 4)
		attributes.handled_access_net =
			NET_BIND_TCP | (profile->network && profile->ports == NULL ? 0 : NET_CONNECT_TCP);
	if (abi >= 6)
		attributes.scoped = SCOPE_ALL;
	return attributes;
}

/* struct landlock_net_port_attr of version 4 */
typedef struct PortRule
{
	uint64_t allowed_access;
	uint64_t port;
} PortRule;

/* Allow something with one path; one that does not exist needs no rule. */
static bool
allow_path(int ruleset, const char *path, uint64_t access)
{
	struct stat status;
	struct landlock_path_beneath_attr rule = {.allowed_access = access};
	bool allowed;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == EACCES;
	if (access == FS_READ && fstat(rule.parent_fd, &status) == 0 && S_ISDIR(status.st_mode))
		rule.allowed_access |= FS_READ_DIR;
	allowed =
		syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	close(rule.parent_fd);
	return allowed;
}

static bool
allow_paths(int ruleset, const char *const *paths, uint64_t access)
{
	for (; paths != NULL && *paths != NULL; paths++)
		if (!allow_path(ruleset, *paths, access))
			return false;
	return true;
}

/* Allow connecting to ports; a kernel that cannot tell ports allows all. */
static bool
allow_ports(int ruleset, int abi, const uint16_t *ports)
{
	for (; abi >= 4 && ports != NULL && *ports != 0; ports++)
	{
		PortRule rule = {.allowed_access = NET_CONNECT_TCP, .port = *ports};

		if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
			return false;
	}
	return true;
}

/* Landlock holds for the calling thread and its children: others would stay free. */
static bool
is_single_threaded(void)
{
	struct stat status;

	/* A directory's link count is two and one for each folder in it. */
	return stat("/proc/self/task", &status) == 0 && status.st_nlink == 3;
}

/*
 * Close this lock.  The process must have one thread and NO_NEW_PRIVS.
 *
 * Returns	the interface's version that is in force; 0 when the kernel has none or
 *			refused
 */
int
sandbox_landlock(const SandboxProfile *profile)
{
	int abi =
		(int) syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	RulesetAttributes attributes;
	int ruleset;
	bool closed;

	if (abi < 1 || !is_single_threaded())
		return 0;
	attributes = attributes_for(abi, profile);
	ruleset = (int) syscall(SYS_landlock_create_ruleset, &attributes, attributes_size(abi), 0);
	if (ruleset < 0)
		return 0;
	closed = allow_paths(ruleset, profile->readable, FS_READ) &&
			 allow_paths(ruleset, profile->writable, FS_WRITE | FS_MAKE_REG) &&
			 allow_paths(ruleset, profile->stores, FS_STORE) &&
			 allow_ports(ruleset, abi, profile->ports) &&
			 syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	return closed ? abi : 0;
}
