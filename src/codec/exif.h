/*
 * exif.h
 *		What a camera wrote into an image.
 */
#ifndef IMGEXPORT_CODEC_EXIF_H
#define IMGEXPORT_CODEC_EXIF_H

#include "codec/json.h"

void exif_describe(Json *json, const void *data, size_t size, GPtrArray *warnings);

#endif
