/*
 * metadata.h
 *		What of a source's metadata goes into an output.
 */
#ifndef IMGEXPORT_CODEC_METADATA_H
#define IMGEXPORT_CODEC_METADATA_H

#include "codec/canvas.h"

enum
{
	KEEP_ICC = 1,		/* a profile: sRGB, which is what the pixels are in */
	KEEP_COPYRIGHT = 2, /* of EXIF: copyright and artist */
	KEEP_EXIF = 4,		/* all but place, thumbnail and the maker's own */
	KEEP_XMP = 8,
	KEEP_IPTC = 16,
	KEEP_GPS = 32 /* with exif or xmp: the place too */
};

int metadata_read_keep(const char *words, Problem *problem, unsigned *keep);
const void *metadata_blob(const VipsImage *image, const char *name, size_t *size);
GByteArray *metadata_reduce_exif(const void *data, size_t size, unsigned keep,
								 bool orientation);
bool metadata_keeps_xmp(unsigned keep, const void *data, size_t size);
bool metadata_names_a_place(const void *data, size_t size);
void metadata_attach(Canvas *canvas, VipsImage *image, unsigned keep);

#endif
