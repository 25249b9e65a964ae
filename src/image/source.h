/*
 * source.h
 *		The bytes of an image, shared by the lazy images that start from them.
 */
#ifndef IMGEXPORT_IMAGE_SOURCE_H
#define IMGEXPORT_IMAGE_SOURCE_H

#include "image/format.h"

typedef struct ImageSource
{
	int references;
	MemoryContext context; /* owns this and the bytes */
	bytea *bytes;		   /* NULL: they are in fd */
	int fd;				   /* a sealed memfd, -1 where there is none */
	uint64 length;
} ImageSource;

ImageSource *image_source(Datum image);
ImageSource *image_source_of_memfd(int fd, uint64 length);
void image_source_share(ImageSource *source);
void image_source_release(ImageSource *source);
bytea *image_source_read(const ImageSource *source);

#endif
