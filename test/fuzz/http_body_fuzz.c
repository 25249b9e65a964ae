/*
 * http_body_fuzz.c
 *		Bodies, in chunks and in one: how they are cut on their way makes no difference.
 */
#include <stdlib.h>
#include <string.h>

#include "httpd/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Read
{
	BodyStep end;
	size_t read;
	size_t length;
	uint64_t sum; /* of the data */
} Read;

static Read
read_body(const Request *request, const char *bytes, size_t size, size_t part)
{
	Body body;
	Read read = {BODY_MORE, 0, 0, 0};
	size_t here = 0;

	body_begin(&body, request);
	for (;;)
	{
		size_t used;

		read.end = body_step(&body, bytes + read.read, here - read.read, &used);
		if (used > here - read.read)
			abort();
		for (size_t i = 0; read.end == BODY_DATA && i < used; i++)
			read.sum = read.sum * 31 + (unsigned char) bytes[read.read + i];
		read.length += read.end == BODY_DATA ? used : 0;
		read.read += used;
		if (read.end == BODY_END || read.end == BODY_BAD)
			return read;
		if (read.end == BODY_MORE && read.read == here)
		{
			if (here == size)
				return read;
			here = size - here < part ? size : here + part;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Request request = {.body = BODY_CHUNKED};
	Read whole;
	Read parts;

	if (size < 1)
		return 0;
	if (data[0] & 1)
	{
		request.body = BODY_LENGTH;
		request.content_length = data[0] >> 1;
	}
	whole = read_body(&request, (const char *) data + 1, size - 1, SIZE_MAX);
	parts = read_body(&request, (const char *) data + 1, size - 1, 1 + (data[0] >> 3));
	if (whole.end != parts.end || whole.read != parts.read || whole.length != parts.length ||
		whole.sum != parts.sum || whole.length > size)
		abort();
	return 0;
}
