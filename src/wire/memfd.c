/*
 * memfd.c
 *		Sealed anonymous files.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/memfd.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* One call moves at most this much, so that a signal is seen between two. */
#define CHUNK_BYTES ((size_t) 64 << 20)

/* A new, empty, close-on-exec memfd that the caller owns; -1 with errno. */
int
memfd_new(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* Write size bytes at the file's position; false with errno (EFBIG past RLIMIT_FSIZE). */
bool
memfd_append(int fd, const void *data, size_t size)
{
	const char *next = data;

	while (size > 0)
	{
		ssize_t written = write(fd, next, size < CHUNK_BYTES ? size : CHUNK_BYTES);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		next += written;
		size -= (size_t) written;
	}
	return true;
}

/* Make the content final: nobody, its maker included, can change it from here on. */
bool
memfd_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS) == 0;
}

/*
 * Is this really a memfd whose content is final?  Other descriptors have no seals.
 *
 * size		where to put its length in bytes; from here on a constant
 */
bool
memfd_is_sealed(int fd, uint64_t *size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) != 0)
		return false;
	*size = (uint64_t) status.st_size;
	return true;
}

/* Read exactly size bytes from offset; false with errno, or 0 where the file is shorter. */
bool
memfd_read(int fd, uint64_t offset, void *data, size_t size)
{
	char *next = data;

	while (size > 0)
	{
		ssize_t got = pread(fd, next, size < CHUNK_BYTES ? size : CHUNK_BYTES, (off_t) offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			return false;
		next += got;
		offset += (uint64_t) got;
		size -= (size_t) got;
	}
	return true;
}

/*
 * Map a sealed memfd of size > 0 bytes for reading; NULL with errno.  Private, because
 * Linux before 6.7 refuses even read-only shared mappings of a file sealed against writing.
 */
const void *
memfd_map(int fd, uint64_t size)
{
	void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);

	return data == MAP_FAILED ? NULL : data;
}

/* Undo memfd_map. */
void
memfd_unmap(const void *data, uint64_t size)
{
	munmap((void *) data, size);
}
