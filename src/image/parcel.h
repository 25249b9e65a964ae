/*
 * parcel.h
 *		Lazy images on their way between two processes of the server: a frame's body and memfds.
 */
#ifndef IMGEXPORT_IMAGE_PARCEL_H
#define IMGEXPORT_IMAGE_PARCEL_H

#include "image/lazy.h"
#include "wire/frame.h"
#include "wire/pipeline.h"

/* The sources of a parcel, numbered; an answer names those of its request by their number. */
typedef struct ParcelSources
{
	int count;
	ImageSource *sources[PIPELINE_MAX_SOURCES]; /* borrowed: images keep them */
} ParcelSources;

/* A parcel while it is packed, until it was sent. */
typedef struct Parcel
{
	Packer packer;
	uint8 *body; /* in the memory context of parcel_begin() */
	int fd_count;
	int fds[FRAME_MAX_FDS]; /* fds[0] is ours; the rest the sources' */
	bool is_open;			/* fds[0] is to be closed */
	uint64 used;			/* of fds[0] */
	const ParcelSources *known;
	ParcelSources own;
} Parcel;

/* A parcel while it is unpacked.  Nothing that it says is believed. */
typedef struct ParcelReader
{
	Unpacker unpacker;
	const Frame *frame; /* borrowed */
	const ParcelSources *known;
	ParcelSources own;
} ParcelReader;

void parcel_begin(Parcel *parcel, const ParcelSources *known);
void parcel_put_image(Parcel *parcel, const LazyImage *image);
void parcel_put_bytes(Parcel *parcel, const void *bytes, Size size);
void parcel_end(Parcel *parcel);
void parcel_close(Parcel *parcel);

void parcel_open(ParcelReader *reader, const Frame *frame, const ParcelSources *known);
LazyImage *parcel_take_image(ParcelReader *reader, MemoryContext parent);
bytea *parcel_take_bytes(ParcelReader *reader);

#endif
