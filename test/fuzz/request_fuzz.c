/*
 * request_fuzz.c
 *		Every message of the wire from bytes that nobody packed.
 */
#include <stdlib.h>

#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static RenderRequest render;
	DescribeRequest describe;
	FetchRequest fetch;
	Fetched fetched;
	Hello hello;
	Failure failure;
	Output output;
	Warning warning;
	RenderDone done;
	Description description;

	if (size == 0)
		return 0;
	switch (data[0] % 10)
	{
		case 0:
			if (unpack_render_request(data + 1, size - 1, &render))
				for (int i = 0; i < render.pipeline_count; i++)
					pipeline_free(pipeline_unpack(render.pipelines[i].data,
												  render.pipelines[i].size,
												  render.source_count));
			break;
		case 1:
			unpack_describe_request(data + 1, size - 1, &describe);
			break;
		case 2:
			unpack_fetch_request(data + 1, size - 1, &fetch);
			break;
		case 3:
			unpack_fetched(data + 1, size - 1, &fetched);
			break;
		case 4:
			unpack_hello(data + 1, size - 1, &hello);
			break;
		case 5:
			unpack_failure(data + 1, size - 1, &failure);
			break;
		case 6:
			unpack_output(data + 1, size - 1, &output);
			break;
		case 7:
			unpack_warning(data + 1, size - 1, &warning);
			break;
		case 8:
			unpack_render_done(data + 1, size - 1, &done);
			break;
		default:
			unpack_description(data + 1, size - 1, &description);
	}
	return 0;
}
