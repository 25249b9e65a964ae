/*
 * pipeline_fuzz.c
 *		A pipeline from bytes that nobody packed; the first is how many sources there are.
 */
#include "wire/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		pipeline_free(pipeline_unpack(data + 1, size - 1, data[0]));
	return 0;
}
