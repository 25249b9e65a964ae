/*
 * place.c
 *		Files of stores: written so that they are there whole or not at all, and never outside
 *		the store's directory.
 *
 * A key is walked part by part from the root's descriptor and no symbolic link is followed
 * on the way, so that it cannot lead out, whatever others put there meanwhile.  Only
 * directories of imgexport.store_directories can be roots; those who may change a store's
 * row need not be those who may write to the server's files.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/place.h"
#include "wire/frame.h"
#include "wire/memfd.h"

#define UNFINISHED_SUFFIX ".unfinished"

/* Bytes that are copied at a time. */
#define CHUNK (256 * 1024)

/* A directory on the way to a file, and the last part of its key. */
typedef struct Place
{
	int directory; /* -1: it is not there */
	const char *name;
	mode_t mode; /* of directories: the root's; of files the same without its x */
	char key[FRAME_MAX_BYTES];
} Place;

static FailureKind
kind_of(int error)
{
	switch (error)
	{
		case ENOSPC:
		case EDQUOT:
			return FAILURE_DISK_FULL;
		case EACCES:
		case EPERM:
		case EROFS:
		case ELOOP:
		case ENOTDIR:
			return FAILURE_DENIED;
		case ENOMEM:
			return FAILURE_MEMORY;
		default:
			return FAILURE_IO;
	}
}

__attribute__((format(printf, 3, 4))) static bool
fail(Problem *problem, FailureKind kind, const char *format, ...)
{
	va_list arguments;

	problem->kind = kind;
	va_start(arguments, format);
	vsnprintf(problem->message, sizeof problem->message, format, arguments);
	va_end(arguments);
	return false;
}

static bool
fail_file(Problem *problem, const char *what, const char *key)
{
	return fail(problem, kind_of(errno), "could not %s \"%s\": %s", what, key, strerror(errno));
}

static bool
is_beneath(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	while (length > 1 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 &&
		   (path[length] == '\0' || path[length] == '/' || length == 1);
}

/* The root's descriptor; its symbolic links are the administrator's, and the list is of what
 * they lead to. */
static bool
open_root(const char *const *stores, const char *root, Place *place, Problem *problem)
{
	char path[PATH_MAX];
	struct stat status;

	if (realpath(root, path) == NULL)
		return fail(problem, kind_of(errno), "could not find directory \"%s\" of a store: %s",
					root, strerror(errno));
	while (*stores != NULL && !is_beneath(path, *stores))
		stores++;
	if (*stores == NULL)
		return fail(problem, FAILURE_DENIED,
					"directory \"%s\" is not one that stores may be in", path);
	place->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (place->directory < 0 || fstat(place->directory, &status) != 0)
		return fail(problem, kind_of(errno), "could not open directory \"%s\" of a store: %s",
					path, strerror(errno));
	place->mode = status.st_mode & 0777;
	return true;
}

static bool
is_plain_part(const char *part)
{
	return part[0] != '\0' && part[0] != '.' && strlen(part) < NAME_MAX - 40;
}

/* What place_write has begun, and a crash has left. */
static bool
is_unfinished(const char *part)
{
	const char *end = strrchr(part, '.');

	return part[0] == '.' && end != part && end != NULL && strcmp(end, UNFINISHED_SUFFIX) == 0;
}

/* Into a directory; one that is not there is made, to stay, or it is the end of the walk. */
static bool
step_into(Place *place, const char *part, bool make, const char *key, Problem *problem)
{
	bool made = make && mkdirat(place->directory, part, 0700) == 0;
	int next = openat(place->directory, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (next < 0 && errno == ENOENT && !make)
	{
		close(place->directory);
		place->directory = -1;
		return true;
	}
	if (next < 0)
		return fail(problem, kind_of(errno),
					"could not open directory \"%s\" on the way to \"%s\": %s", part, key,
					strerror(errno));
	/* As the root is, which may be closed to us for a moment; a directory of ours never is. */
	if (made && (fchmod(next, place->mode | 0700) != 0 || fsync(place->directory) != 0))
	{
		fail_file(problem, "make directory", part);
		close(next);
		return false;
	}
	close(place->directory);
	place->directory = next;
	return true;
}

/* Walk to the directory of a key.  It is closed by place_leave, whatever this returns. */
static bool
walk(const char *const *stores, const char *root, const char *key, bool make, Place *place,
	 Problem *problem)
{
	char *rest = place->key;
	char *part;

	place->directory = -1;
	if (!open_root(stores, root, place, problem))
		return false;
	snprintf(place->key, sizeof place->key, "%s", key);
	part = strsep(&rest, "/");
	for (; rest != NULL && is_plain_part(part); part = strsep(&rest, "/"))
	{
		if (!step_into(place, part, make, key, problem))
			return false;
		if (place->directory < 0)
			return true;
	}
	if (rest != NULL || !(is_plain_part(part) || is_unfinished(part)))
		return fail(problem, FAILURE_DENIED, "key \"%s\" is no plain relative path", key);
	place->name = part;
	return true;
}

static void
leave(Place *place)
{
	if (place->directory >= 0)
		close(place->directory);
}

static bool
write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0)
	{
		ssize_t written = write(fd, bytes, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			errno = written == 0 ? ENOSPC : errno;
			return false;
		}
		bytes += written;
		length -= (size_t) written;
	}
	return true;
}

static bool
copy(int fd, int source, uint64_t length)
{
	static char chunk[CHUNK];

	for (uint64_t done = 0; done < length;)
	{
		size_t size = length - done < CHUNK ? (size_t) (length - done) : CHUNK;

		if (!memfd_read(source, done, chunk, size) || !write_all(fd, chunk, size))
			return false;
		done += size;
	}
	return true;
}

static bool
write_in(const Place *place, const FileRequest *request, int source, Problem *problem)
{
	char unfinished[NAME_MAX];
	int fd;
	bool good;

	snprintf(unfinished, sizeof unfinished, ".%.200s.%d" UNFINISHED_SUFFIX, place->name,
			 (int) getpid());
	/* One that a crash has left is of no use. */
	(void) unlinkat(place->directory, unfinished, 0);
	fd = openat(place->directory, unfinished,
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_file(problem, "create", request->key);
	good = copy(fd, source, request->length) && fchmod(fd, place->mode & 0666) == 0 &&
		   fsync(fd) == 0 &&
		   renameat(place->directory, unfinished, place->directory, place->name) == 0 &&
		   fsync(place->directory) == 0;
	if (!good)
	{
		fail_file(problem, "write", request->key);
		(void) unlinkat(place->directory, unfinished, 0);
	}
	close(fd);
	return good;
}

/*
 * Write a file under the root, in place of one that is there.
 *
 * It is written under another name, which begins with a dot and so is no key, brought to
 * disk, and renamed; a crash leaves the old file, the new one, or one that is unfinished.
 *
 * stores	directories that may hold roots, NULL-terminated
 * source	a sealed memfd of request->length bytes
 */
bool
place_write(const char *const *stores, const FileRequest *request, int source, Problem *problem)
{
	static Place place;
	bool good = walk(stores, request->root, request->key, true, &place, problem) &&
				write_in(&place, request, source, problem);

	leave(&place);
	return good;
}

/* Remove the directories above a file that hold nothing any more, as far as the root. */
static void
remove_empty(const char *const *stores, const FileRequest *request)
{
	static Place place;
	static char path[FRAME_MAX_BYTES];
	Problem ignored;
	char *slash;
	bool gone = true;

	snprintf(path, sizeof path, "%s", request->key);
	while (gone && (slash = strrchr(path, '/')) != NULL)
	{
		*slash = '\0';
		gone = walk(stores, request->root, path, false, &place, &ignored) &&
			   place.directory >= 0 && unlinkat(place.directory, place.name, AT_REMOVEDIR) == 0;
		leave(&place);
	}
}

/* Remove a file under the root; one that is not there is gone already. */
bool
place_remove(const char *const *stores, const FileRequest *request, Problem *problem)
{
	static Place place;
	bool good = walk(stores, request->root, request->key, false, &place, problem);

	if (good && place.directory >= 0 && unlinkat(place.directory, place.name, 0) != 0 &&
		errno != ENOENT)
		good = fail_file(problem, "remove", request->key);
	leave(&place);
	if (good)
		remove_empty(stores, request);
	return good;
}
