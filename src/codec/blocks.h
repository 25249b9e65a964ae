/*
 * blocks.h
 *		What an image carries besides EXIF: colour profile, IPTC, XMP.
 */
#ifndef IMGEXPORT_CODEC_BLOCKS_H
#define IMGEXPORT_CODEC_BLOCKS_H

#include <stddef.h>

#include "codec/json.h"

void icc_describe(Json *json, const unsigned char *data, size_t size);
void iptc_describe(Json *json, const unsigned char *data, size_t size);
void xmp_describe(Json *json, const char *data, size_t size);

#endif
