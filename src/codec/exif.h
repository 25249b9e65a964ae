/*
 * exif.h
 *		What a camera wrote into an image.
 */
#ifndef IMGEXPORT_CODEC_EXIF_H
#define IMGEXPORT_CODEC_EXIF_H

#include <libexif/exif-data.h>

#include "codec/json.h"

/* What stands before an EXIF block in a JPEG. */
#define EXIF_HEADER "Exif\0"
#define EXIF_HEADER_BYTES 6

ExifData *exif_read(const void *data, size_t size, ExifLog *log);
void exif_describe(Json *json, const void *data, size_t size, GPtrArray *warnings);

#endif
