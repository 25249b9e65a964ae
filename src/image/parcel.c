/*
 * parcel.c
 *		Lazy images on their way between two processes of the server.
 *
 *	parcel := item*				with numbers and texts of whoever sends it in between
 *	image  := u16 source count, source*, u32 size, pipeline
 *	source := u8 SOURCE_NEW, place | u8 SOURCE_OWN, u16 number | u8 SOURCE_KNOWN, u16 number
 *	bytes  := place
 *	place  := u16 descriptor of the frame, u64 offset, u64 length
 *
 * Bytes travel in sealed memfds.  What a process has sent it gets back as a number, so that a
 * source stays one source, which the codec decodes once.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"

#include "compat.h"
#include "helper/bulk.h"
#include "image/parcel.h"
#include "wire/memfd.h"

enum
{
	SOURCE_NEW,	 /* its bytes are in this parcel */
	SOURCE_OWN,	 /* it was in this parcel before */
	SOURCE_KNOWN /* it was in the parcel that this one answers */
};

/*
 * Begin to pack, in the current memory context.
 *
 * known	sources of the parcel that this one answers; NULL: it answers none
 * Errors	53000; close it where anything raises from here on
 */
void
parcel_begin(Parcel *parcel, const ParcelSources *known)
{
	memset(parcel, 0, sizeof *parcel);
	parcel->known = known;
	parcel->body = palloc(FRAME_MAX_BYTES);
	packer_init(&parcel->packer, parcel->body, FRAME_MAX_BYTES);
	parcel->fds[0] = bulk_new();
	parcel->is_open = true;
	parcel->fd_count = 1;
}

static void
put_place(Parcel *parcel, int fd, uint64 offset, uint64 length)
{
	pack_u16(&parcel->packer, fd);
	pack_u64(&parcel->packer, offset);
	pack_u64(&parcel->packer, length);
}

/* Errors: 53000 */
void
parcel_put_bytes(Parcel *parcel, const void *bytes, Size size)
{
	put_place(parcel, 0, parcel->used, size);
	bulk_append(parcel->fds[0], bytes, size);
	parcel->used += size;
}

static int
find_source(const ParcelSources *sources, const ImageSource *source)
{
	for (int i = 0; sources != NULL && i < sources->count; i++)
		if (sources->sources[i] == source)
			return i;
	return -1;
}

static void
put_numbered(Parcel *parcel, uint8 kind, int number)
{
	pack_u8(&parcel->packer, kind);
	pack_u16(&parcel->packer, number);
}

static void
put_source(Parcel *parcel, ImageSource *source)
{
	int known = find_source(parcel->known, source);
	int own = find_source(&parcel->own, source);

	if (known >= 0)
		put_numbered(parcel, SOURCE_KNOWN, known);
	else if (own >= 0)
		put_numbered(parcel, SOURCE_OWN, own);
	if (known >= 0 || own >= 0)
		return;
	if (parcel->own.count == PIPELINE_MAX_SOURCES ||
		(source->bytes == NULL && parcel->fd_count == FRAME_MAX_FDS))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("image is made of too many images")));
	parcel->own.sources[parcel->own.count++] = source;
	pack_u8(&parcel->packer, SOURCE_NEW);
	if (source->bytes != NULL)
		parcel_put_bytes(parcel, VARDATA(source->bytes), source->length);
	else
	{
		put_place(parcel, parcel->fd_count, 0, source->length);
		parcel->fds[parcel->fd_count++] = source->fd;
	}
}

/* Errors: 53000, 54000 too many images in it. */
void
parcel_put_image(Parcel *parcel, const LazyImage *image)
{
	uint8 *pipeline = palloc(FRAME_MAX_BYTES);
	Size size = lazy_image_pack(image, 0, pipeline, FRAME_MAX_BYTES);

	pack_u16(&parcel->packer, lazy_image_source_count(image));
	for (int i = 0; i < lazy_image_source_count(image); i++)
		put_source(parcel, lazy_image_source(image, i));
	pack_u32(&parcel->packer, size);
	pack_bytes(&parcel->packer, pipeline, size);
	pfree(pipeline);
}

/* It is complete, and can be sent.  Errors: 54000 it is too long. */
void
parcel_end(Parcel *parcel)
{
	if (parcel->packer.overflow)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("steps of an image take more than %d bytes", FRAME_MAX_BYTES)));
	bulk_seal(parcel->fds[0]);
}

/* Once it was sent, or given up. */
void
parcel_close(Parcel *parcel)
{
	if (parcel->is_open)
		close(parcel->fds[0]);
	parcel->is_open = false;
}

/*
 * Begin to unpack; the unpacker is for what the sender has put in between.
 *
 * frame	borrowed
 * known	sources of the parcel that this one answers; NULL: it answers none
 */
void
parcel_open(ParcelReader *reader, const Frame *frame, const ParcelSources *known)
{
	memset(reader, 0, sizeof *reader);
	unpacker_init(&reader->unpacker, frame->body, frame->size);
	reader->frame = frame;
	reader->known = known;
}

typedef struct Place
{
	int fd;
	uint64 size; /* of the memfd */
	uint64 offset;
	uint64 length;
} Place;

/* false: there are no such bytes */
static bool
take_place(ParcelReader *reader, Place *place)
{
	int index = unpack_u16(&reader->unpacker);

	place->offset = unpack_u64(&reader->unpacker);
	place->length = unpack_u64(&reader->unpacker);
	if (reader->unpacker.failed || index >= reader->frame->fd_count)
		return false;
	place->fd = reader->frame->fds[index];
	return memfd_is_sealed(place->fd, &place->size) && place->offset <= place->size &&
		   place->length <= place->size - place->offset;
}

static bytea *
read_place(const Place *place)
{
	bytea *bytes;

	if (place->length > MaxAllocSize - VARHDRSZ)
		return NULL;
	bytes = palloc(place->length + VARHDRSZ);
	SET_VARSIZE(bytes, place->length + VARHDRSZ);
	if (!memfd_read(place->fd, place->offset, VARDATA(bytes), place->length))
		return NULL;
	return bytes;
}

/* Bytes that were put into it, in the current memory context; NULL: they are not there. */
bytea *
parcel_take_bytes(ParcelReader *reader)
{
	Place place;

	return take_place(reader, &place) ? read_place(&place) : NULL;
}

/* A reference of the caller's; NULL: there is no such source.  Errors: IX001, 53000. */
static ImageSource *
take_new_source(ParcelReader *reader)
{
	ImageSource *source;
	Place place;
	bytea *bytes;

	if (reader->own.count == PIPELINE_MAX_SOURCES || !take_place(reader, &place))
		return NULL;
	if (place.offset == 0 && place.length == place.size)
		source = image_source_of_memfd(place.fd, place.length);
	else if ((bytes = read_place(&place)) != NULL)
	{
		source = image_source(PointerGetDatum(bytes));
		pfree(bytes);
	}
	else
		return NULL;
	reader->own.sources[reader->own.count++] = source;
	return source;
}

static ImageSource *
take_source(ParcelReader *reader)
{
	uint8 kind = unpack_u8(&reader->unpacker);
	const ParcelSources *sources = kind == SOURCE_KNOWN ? reader->known : &reader->own;
	int number;

	if (kind == SOURCE_NEW)
		return take_new_source(reader);
	number = unpack_u16(&reader->unpacker);
	if (kind > SOURCE_KNOWN || sources == NULL || reader->unpacker.failed ||
		number >= sources->count)
		return NULL;
	image_source_share(sources->sources[number]);
	return sources->sources[number];
}

/* The sources of an image, a reference of each; returns how many were taken before one failed. */
static int
take_sources(ParcelReader *reader, ImageSource **sources, int count)
{
	volatile int taken = 0;

	PG_TRY();
	{
		while (taken < count && (sources[taken] = take_source(reader)) != NULL)
			taken++;
	}
	PG_CATCH();
	{
		for (int i = 0; i < taken; i++)
			image_source_release(sources[i]);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return taken;
}

/*
 * An image that was put into it.
 *
 * Returns	NULL: there is none, or nothing that could be one
 * Errors	IX001 its bytes are no image, 53000
 */
LazyImage *
parcel_take_image(ParcelReader *reader, MemoryContext parent)
{
	ImageSource *sources[PIPELINE_MAX_SOURCES];
	int count = unpack_u16(&reader->unpacker);
	LazyImage *image = NULL;
	int taken;

	if (reader->unpacker.failed || count < 1 || count > PIPELINE_MAX_SOURCES)
		return NULL;
	taken = take_sources(reader, sources, count);
	if (taken == count)
	{
		Size size = unpack_u32(&reader->unpacker);
		const uint8 *pipeline = unpack_bytes(&reader->unpacker, size);

		if (pipeline != NULL)
			image = lazy_image_of_pipeline(sources, count, pipeline, size, parent);
	}
	/* The image has references of its own. */
	for (int i = 0; i < taken; i++)
		image_source_release(sources[i]);
	return image;
}
