/*
 * memory.c
 *		What another process holds in memory, as the kernel sees it.
 *
 * RLIMIT_DATA limits private memory alone.  Shared memory and memfds are not private: the
 * former is in /proc/PID/status, the latter behind the descriptors in /proc/PID/fd, whether
 * or not anybody has mapped them.  A memfd that is mapped and closed would be in neither, so
 * the sandbox refuses shared mappings, and what is mapped privately is the server's.
 *
 * Source	proc(5)
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper/memory.h"

/* One descriptor's file is counted once, up to so many files. */
#define FILES_MAX 256

/* The number of kilobytes in a line of /proc/PID/status; 0 where there is none. */
static uint64
line_kb(const char *status, const char *name)
{
	const char *line = strstr(status, name);

	return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10);
}

static bool
read_status(pid_t pid, char *status, size_t size)
{
	char path[64];
	int fd;
	ssize_t got;

	snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, status, size - 1);
	close(fd);
	status[got > 0 ? got : 0] = '\0';
	return got > 0;
}

/* Bytes in files without a name that a process has open: memfds, and what was deleted. */
static uint64
open_files(pid_t pid)
{
	char path[64];
	ino_t seen[FILES_MAX];
	int count = 0;
	uint64 bytes = 0;
	DIR *folder;
	struct dirent *entry;

	snprintf(path, sizeof path, "/proc/%d/fd", (int) pid);
	folder = opendir(path);
	if (folder == NULL)
		return 0;
	while ((entry = readdir(folder)) != NULL)
	{
		struct stat status;
		int same = 0;

		if (fstatat(dirfd(folder), entry->d_name, &status, 0) != 0 ||
			!S_ISREG(status.st_mode) || status.st_nlink > 0)
			continue;
		while (same < count && seen[same] != status.st_ino)
			same++;
		if (same < count)
			continue;
		if (count < FILES_MAX)
			seen[count++] = status.st_ino;
		bytes += (uint64) status.st_blocks * 512;
	}
	closedir(folder);
	return bytes;
}

/*
 * Bytes of memory that a child of the same user holds: private, swapped out, shared, and in
 * memfds.  0 where /proc does not say.  Never raises.
 */
uint64
process_memory(pid_t pid)
{
	char status[8192];
	uint64 files;
	uint64 shared;

	if (!read_status(pid, status, sizeof status))
		return 0;
	files = open_files(pid);
	/* What is mapped of a memfd is in both. */
	shared = line_kb(status, "\nRssShmem:") * 1024;
	return (line_kb(status, "\nRssAnon:") + line_kb(status, "\nVmSwap:")) * 1024 +
		   Max(files, shared);
}
