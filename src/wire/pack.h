/*
 * pack.h
 *		Numbers and texts in a bounded buffer: the alphabet of all messages.
 *
 * Both sides run on one machine, so numbers keep its byte order.  Packing past
 * the end and unpacking past the end set a sticky flag and change nothing
 * else: a message is written or read in one straight line and the flag is
 * looked at once, at its end.
 */
#ifndef IMGEXPORT_WIRE_PACK_H
#define IMGEXPORT_WIRE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Packer
{
	uint8_t *data; /* the caller's buffer */
	size_t size;   /* its bytes */
	size_t used;
	bool overflow; /* something did not fit, or a text could not be sent */
} Packer;

typedef struct Unpacker
{
	const uint8_t *data; /* the caller's buffer */
	size_t size;
	size_t used;
	bool failed; /* a read went past the end or met a malformed text */
} Unpacker;

void packer_init(Packer *packer, void *data, size_t size);
void pack_u8(Packer *packer, uint8_t value);
void pack_u16(Packer *packer, uint16_t value);
void pack_u32(Packer *packer, uint32_t value);
void pack_u64(Packer *packer, uint64_t value);
void pack_f64(Packer *packer, double value);
void pack_text(Packer *packer, const char *text);
void pack_bytes(Packer *packer, const void *bytes, size_t size);
size_t pack_u32_later(Packer *packer);
void pack_u32_at(Packer *packer, size_t position, uint32_t value);

void unpacker_init(Unpacker *unpacker, const void *data, size_t size);
uint8_t unpack_u8(Unpacker *unpacker);
uint16_t unpack_u16(Unpacker *unpacker);
uint32_t unpack_u32(Unpacker *unpacker);
uint64_t unpack_u64(Unpacker *unpacker);
double unpack_f64(Unpacker *unpacker);
const char *unpack_text(Unpacker *unpacker);
const char *unpack_word(Unpacker *unpacker);
const void *unpack_bytes(Unpacker *unpacker, size_t size);
bool unpack_finished(const Unpacker *unpacker);

#endif
