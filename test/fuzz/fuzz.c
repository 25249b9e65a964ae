/*
 * fuzz.c
 *		What the fuzz targets share.
 */
#include "fuzz.h"
#include "codec/format.h"

/* As src/codec/main.c starts it, with one thread, so that a run can be repeated. */
void
fuzz_start_vips(void)
{
	g_setenv("VIPS_WARNING", "0", TRUE);
	if (VIPS_INIT("fuzz") != 0)
		abort();
	vips_cache_set_max(0);
	vips_concurrency_set(1);
	vips_block_untrusted_set(TRUE);
	formats_allow("jpeg,png,webp,gif,tiff,heif");
}

/* A request with limits that keep an input short. */
void
fuzz_request(Request *request, RenderRequest *message)
{
	*message =
		(RenderRequest){.limits = {.max_pixels = 250000, .max_pages = 20, .time_ms = 5000}};
	*request = (Request){.message = message};
	request_start(request, message->limits.time_ms);
}
