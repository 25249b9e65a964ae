/*
 * source.c
 *		The bytes of an image, shared by the lazy images that start from them.
 *
 * A copy of a lazy image shares its sources, so the bytes live in a context of
 * their own and are counted; the last image that lets go frees them.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/detoast.h"
#include "fmgr.h"
#include "utils/memutils.h"

#include "compat.h"
#include "helper/bulk.h"
#include "image/source.h"
#include "wire/memfd.h"
#include "wire/sniff.h"

/* Descriptors are scarce: a query may hold many images, and memory serves as well. */
#define MEMFD_MAX 16

static int memfds = 0; /* that sources of this process hold */

static ImageSource *
new_source(void)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "imgexport source", ALLOCSET_SMALL_SIZES);
	ImageSource *source = MemoryContextAllocZero(context, sizeof *source);

	source->references = 1;
	source->context = context;
	source->fd = -1;
	return source;
}

static void
require_image(const uint8 *head, Size size)
{
	HelperError *error = format_error(head, size);

	if (error != NULL)
		helper_error_raise(error);
}

/* From this size on, bytes go to a memfd at once, and never through this process' memory. */
#define MEMFD_MIN_BYTES (256 * 1024)

/* As much of a stored value is taken at once: it stays in the processor's cache. */
#define SLICE_BYTES (256 * 1024)

/* A large value stored out of line and uncompressed can be read piece by piece. */
static bool
is_sliceable(struct varlena *value)
{
	struct varatt_external toast;

	if (!VARATT_IS_EXTERNAL_ONDISK(value))
		return false;
	VARATT_EXTERNAL_GET_POINTER(toast, value);
	return !VARATT_EXTERNAL_IS_COMPRESSED(toast) &&
		   toast.va_rawsize - VARHDRSZ >= MEMFD_MIN_BYTES;
}

/* Copy a stored value into a sealed memfd, which belongs to the source from its first byte. */
static void
read_slices(ImageSource *source, struct varlena *value)
{
	source->length = toast_raw_datum_size(PointerGetDatum(value)) - VARHDRSZ;
	source->fd = bulk_new();
	memfds++;
	for (uint64 at = 0; at < source->length; at += SLICE_BYTES)
	{
		struct varlena *slice = pg_detoast_datum_slice(value, at, SLICE_BYTES);

		if (at == 0)
			require_image((uint8 *) VARDATA_ANY(slice), VARSIZE_ANY_EXHDR(slice));
		bulk_append(source->fd, VARDATA_ANY(slice), VARSIZE_ANY_EXHDR(slice));
		pfree(slice);
	}
	bulk_seal(source->fd);
}

static void
read_whole(ImageSource *source, struct varlena *value)
{
	MemoryContext before = MemoryContextSwitchTo(source->context);

	source->bytes = (bytea *) pg_detoast_datum_copy(value);
	MemoryContextSwitchTo(before);
	source->length = VARSIZE(source->bytes) - VARHDRSZ;
	require_image((uint8 *) VARDATA(source->bytes), source->length);
}

/*
 * The bytes of a value, in memory or in a memfd of their own.
 *
 * image	a bytea of any kind, not NULL
 * Returns	a source that the caller releases
 * Errors	IX001 these bytes are no image
 */
ImageSource *
image_source(Datum image)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(image);
	ImageSource *source = new_source();

	PG_TRY();
	{
		if (is_sliceable(value) && memfds < MEMFD_MAX)
			read_slices(source, value);
		else
			read_whole(source, value);
	}
	PG_CATCH();
	{
		image_source_release(source);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return source;
}

/*
 * The bytes of a sealed memfd, which stays the caller's: the source has a descriptor of its own.
 *
 * Errors	IX001 these bytes are no image, 53000
 */
ImageSource *
image_source_of_memfd(int fd, uint64 length)
{
	ImageSource *source = new_source();
	uint8 head[SNIFF_BYTES];
	Size size = Min(length, sizeof head);

	source->length = length;
	PG_TRY();
	{
		source->fd = bulk_dup(fd);
		memfds++;
		if (!memfd_read(fd, 0, head, size))
			elog(ERROR, "could not read an image from memory: %m");
		require_image(head, size);
	}
	PG_CATCH();
	{
		image_source_release(source);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return source;
}

void
image_source_share(ImageSource *source)
{
	source->references++;
}

/* Let go; the last one frees it.  Runs in reset callbacks, so it never raises. */
void
image_source_release(ImageSource *source)
{
	if (--source->references > 0)
		return;
	if (source->fd >= 0)
	{
		close(source->fd);
		memfds--;
	}
	MemoryContextDelete(source->context);
}

/* The bytes: borrowed where they are in memory, else a copy in the current context. */
bytea *
image_source_read(const ImageSource *source)
{
	return source->bytes != NULL ? source->bytes : bulk_read(source->fd, source->length);
}
