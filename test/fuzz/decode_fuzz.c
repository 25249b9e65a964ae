/*
 * decode_fuzz.c
 *		A file from outside: decoded to its last pixel, and stripped.
 */
#include "codec/decode.h"
#include "codec/strip.h"
#include "fuzz.h"

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	fuzz_start_vips();
	return 0;
}

static void
decode_all(Request *request, const SourceBytes *source)
{
	Problem problem = {0};
	Canvas canvas = {.request = request, .problem = &problem};
	Pipeline pipeline = {0};
	Pipeline *pipelines[] = {&pipeline};

	if (decode(&canvas, source, pipelines, 1) == 0)
		canvas_to_memory(&canvas);
	canvas_clear(&canvas);
}

static void
strip(const SourceBytes *source)
{
	Problem problem = {0};
	const Format *format = decode_format(source, &problem);
	GByteArray *result = g_byte_array_new();

	if (format != NULL)
		strip_file(format, source, 255, &problem, result);
	g_byte_array_free(result, TRUE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static RenderRequest message;
	static Request request;
	SourceBytes source = {.bytes = data, .length = size};

	fuzz_request(&request, &message);
	decode_all(&request, &source);
	strip(&source);
	vips_error_clear();
	return 0;
}
