/*
 * source.c
 *		The bytes of an image, shared by the lazy images that start from them.
 *
 * A copy of a lazy image shares its sources, so the bytes live in a context of
 * their own and are counted; the last image that lets go frees them.
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "utils/memutils.h"

#include "helper/bulk.h"
#include "image/source.h"
#include "wire/memfd.h"

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

/*
 * The bytes of a value, detoasted straight into memory of their own.
 *
 * image	a bytea of any kind, not NULL
 * Returns	a source that the caller releases
 * Errors	IX001 these bytes are no image
 */
ImageSource *
image_source(Datum image)
{
	ImageSource *source = new_source();

	PG_TRY();
	{
		MemoryContext before = MemoryContextSwitchTo(source->context);

		source->bytes = (bytea *) pg_detoast_datum_copy((struct varlena *) DatumGetPointer(image));
		MemoryContextSwitchTo(before);
		source->length = VARSIZE(source->bytes) - VARHDRSZ;
		require_image((uint8 *) VARDATA(source->bytes), source->length);
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
 * The bytes of a sealed memfd, which belongs to the source from here on, also when this raises.
 *
 * Errors	IX001 these bytes are no image
 */
ImageSource *
image_source_of_memfd(int fd, uint64 length)
{
	ImageSource *source = new_source();
	uint8 head[FORMAT_HEAD_BYTES];
	Size size = Min(length, sizeof head);

	source->fd = fd;
	source->length = length;
	PG_TRY();
	{
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
		close(source->fd);
	MemoryContextDelete(source->context);
}

/* The bytes: borrowed where they are in memory, else a copy in the current context. */
bytea *
image_source_read(const ImageSource *source)
{
	return source->bytes != NULL ? source->bytes : bulk_read(source->fd, source->length);
}
