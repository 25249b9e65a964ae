/*
 * pack.c
 *		Numbers and texts in a bounded buffer.
 */
#include <string.h>

#include "wire/pack.h"

/* Start an empty packer on a buffer that the caller owns and keeps. */
void
packer_init(Packer *packer, void *data, size_t size)
{
	packer->data = data;
	packer->size = size;
	packer->used = 0;
	packer->overflow = false;
}

/* Append bytes as they are; too many set the overflow flag. */
void
pack_bytes(Packer *packer, const void *bytes, size_t size)
{
	if (packer->overflow || size > packer->size - packer->used)
	{
		packer->overflow = true;
		return;
	}
	if (size > 0)
		memcpy(packer->data + packer->used, bytes, size);
	packer->used += size;
}

void
pack_u8(Packer *packer, uint8_t value)
{
	pack_bytes(packer, &value, sizeof value);
}

void
pack_u16(Packer *packer, uint16_t value)
{
	pack_bytes(packer, &value, sizeof value);
}

void
pack_u32(Packer *packer, uint32_t value)
{
	pack_bytes(packer, &value, sizeof value);
}

void
pack_u64(Packer *packer, uint64_t value)
{
	pack_bytes(packer, &value, sizeof value);
}

void
pack_f64(Packer *packer, double value)
{
	pack_bytes(packer, &value, sizeof value);
}

/* Append a text: its length without the terminator, its bytes, the terminator.  NULL is "". */
void
pack_text(Packer *packer, const char *text)
{
	size_t length;

	if (text == NULL)
		text = "";
	length = strlen(text);
	if (length > UINT32_MAX - 1)
	{
		packer->overflow = true;
		return;
	}
	pack_u32(packer, (uint32_t) length);
	pack_bytes(packer, text, length + 1);
}

/* Leave room for a number that is known later; returns where, for pack_u32_at. */
size_t
pack_u32_later(Packer *packer)
{
	size_t position = packer->used;

	pack_u32(packer, 0);
	return position;
}

/* Fill in a number that pack_u32_later left room for. */
void
pack_u32_at(Packer *packer, size_t position, uint32_t value)
{
	if (packer->overflow)
		return;
	memcpy(packer->data + position, &value, sizeof value);
}

/* Start reading a buffer that the caller owns and keeps. */
void
unpacker_init(Unpacker *unpacker, const void *data, size_t size)
{
	unpacker->data = data;
	unpacker->size = size;
	unpacker->used = 0;
	unpacker->failed = false;
}

/* The next bytes, in place; NULL (and the flag) when there are not as many. */
const void *
unpack_bytes(Unpacker *unpacker, size_t size)
{
	const uint8_t *bytes = unpacker->data + unpacker->used;

	if (unpacker->failed || size > unpacker->size - unpacker->used)
	{
		unpacker->failed = true;
		return NULL;
	}
	unpacker->used += size;
	return bytes;
}

/* Copy a number out, or leave the zero that is there. */
static void
unpack_number(Unpacker *unpacker, void *value, size_t size)
{
	const void *bytes = unpack_bytes(unpacker, size);

	if (bytes != NULL)
		memcpy(value, bytes, size);
}

uint8_t
unpack_u8(Unpacker *unpacker)
{
	uint8_t value = 0;

	unpack_number(unpacker, &value, sizeof value);
	return value;
}

uint16_t
unpack_u16(Unpacker *unpacker)
{
	uint16_t value = 0;

	unpack_number(unpacker, &value, sizeof value);
	return value;
}

uint32_t
unpack_u32(Unpacker *unpacker)
{
	uint32_t value = 0;

	unpack_number(unpacker, &value, sizeof value);
	return value;
}

uint64_t
unpack_u64(Unpacker *unpacker)
{
	uint64_t value = 0;

	unpack_number(unpacker, &value, sizeof value);
	return value;
}

double
unpack_f64(Unpacker *unpacker)
{
	double value = 0;

	unpack_number(unpacker, &value, sizeof value);
	return value;
}

/* A text in place, terminated and without a zero byte inside; "" when there is none. */
const char *
unpack_text(Unpacker *unpacker)
{
	size_t length = unpack_u32(unpacker);
	const char *text = unpack_bytes(unpacker, length + 1);

	if (text == NULL)
		return "";
	if (text[length] != '\0' || memchr(text, '\0', length) != NULL)
	{
		unpacker->failed = true;
		return "";
	}
	return text;
}

/* Likewise, of printable ASCII alone: fit for any encoding, a header and a line of a log. */
const char *
unpack_word(Unpacker *unpacker)
{
	const char *text = unpack_text(unpacker);

	for (const char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
		{
			unpacker->failed = true;
			return "";
		}
	return text;
}

/* Was everything read, and nothing past the end? */
bool
unpack_finished(const Unpacker *unpacker)
{
	return !unpacker->failed && unpacker->used == unpacker->size;
}
