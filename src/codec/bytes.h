/*
 * bytes.h
 *		Numbers as file formats write them.
 */
#ifndef IMGEXPORT_CODEC_BYTES_H
#define IMGEXPORT_CODEC_BYTES_H

#include <stddef.h>

/* The highest byte first; count of them, at most 8. */
static inline size_t
big_endian(const unsigned char *bytes, int count)
{
	size_t value = 0;

	for (int i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* The lowest byte first. */
static inline size_t
little_endian(const unsigned char *bytes, int count)
{
	size_t value = 0;

	for (int i = count; i-- > 0;)
		value = value << 8 | bytes[i];
	return value;
}

#endif
