/*
 * heif_check.h
 *		Did the HEIF writer really write an image?
 */
#ifndef IMGEXPORT_CODEC_HEIF_CHECK_H
#define IMGEXPORT_CODEC_HEIF_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool heif_check(const uint8_t *data, size_t size, bool alpha);

#endif
