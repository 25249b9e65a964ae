/*
 * bulk.c
 *		Image bytes between the server's memory and memfds.
 *
 * A memfd that came from a helper is read with pread, never mapped: there is
 * then nothing the helper could do to the file that reaches this process.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "compat.h"
#include "helper/bulk.h"
#include "helper/errors.h"
#include "wire/memfd.h"

/* A new memfd, the caller's to close.  Errors: 53000 no descriptor or memory left. */
int
bulk_new(void)
{
	int fd = memfd_new("imgexport");

	if (fd < 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not create memory for an image: %m")));
	return fd;
}

/* Append bytes.  Errors: 53000; the descriptor stays the caller's. */
void
bulk_append(int fd, const void *data, Size size)
{
	if (!memfd_append(fd, data, size))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not write %zu bytes of an image to memory: %m", size)));
}

/* Make it fit to be sent. */
void
bulk_seal(int fd)
{
	if (!memfd_seal(fd))
		elog(ERROR, "could not seal a memory file: %m");
}

/* A sealed memfd of these bytes, the caller's to close.  Errors: 53000. */
int
bulk_of(const void *data, Size size)
{
	int fd = bulk_new();

	PG_TRY();
	{
		bulk_append(fd, data, size);
		bulk_seal(fd);
	}
	PG_CATCH();
	{
		close(fd);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return fd;
}

/* Another descriptor of a memfd, the caller's to close.  Errors: 53000. */
int
bulk_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not keep an image in memory: %m")));
	return copy;
}

/* Bytes in so many memfds together. */
uint64
bulk_sizes(const int *fds, int count)
{
	uint64 sum = 0;
	struct stat status;

	for (int i = 0; i < count; i++)
		if (fstat(fds[i], &status) == 0)
			sum += (uint64) status.st_size;
	return sum;
}

/* Is this what a helper may send: a sealed memfd of exactly length bytes? */
bool
bulk_is_valid(int fd, uint64 length)
{
	uint64 size;

	return fd >= 0 && memfd_is_sealed(fd, &size) && size == length;
}

/*
 * A helper's result as a bytea in the current memory context; fd stays the caller's.
 *
 * length	as the helper said and bulk_is_valid() confirmed
 * Errors	IX003 longer than a bytea can be
 */
bytea *
bulk_read(int fd, uint64 length)
{
	bytea *result;

	if (length > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_IMAGE_LIMIT),
				 errmsg("image of " UINT64_FORMAT " bytes is too large for a bytea", length)));
	result = palloc(length + VARHDRSZ);
	SET_VARSIZE(result, length + VARHDRSZ);
	if (!memfd_read(fd, 0, VARDATA(result), length))
		elog(ERROR, "could not read a result of " UINT64_FORMAT " bytes: %m", length);
	return result;
}

/* Likewise, in the memory of what keeps it. */
bytea *
bulk_read_in(MemoryContext owner, int fd, uint64 length)
{
	MemoryContext before = MemoryContextSwitchTo(owner);
	bytea *result = bulk_read(fd, length);

	MemoryContextSwitchTo(before);
	return result;
}
