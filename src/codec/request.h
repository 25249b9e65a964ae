/*
 * request.h
 *		A request in work: its sources, mapped, and its deadline.
 */
#ifndef IMGEXPORT_CODEC_REQUEST_H
#define IMGEXPORT_CODEC_REQUEST_H

#include <vips/vips.h>

#include "codec/problem.h"
#include "wire/frame.h"

typedef struct SourceBytes
{
	const unsigned char *bytes;
	size_t length;
} SourceBytes;

typedef struct Request
{
	const RenderRequest *message;
	uint32_t id;
	SourceBytes sources[PIPELINE_MAX_SOURCES];
	int map_count;
	struct
	{
		const void *data;
		uint64_t size;
	} maps[FRAME_MAX_FDS];
	gint64 deadline_us;		 /* monotonic */
	gint64 largest_pixels;	 /* of the images decoded so far */
	struct Sharing *sharing; /* NULL: each decode is for itself */
	GMutex lock;			 /* of largest_pixels and warnings: outputs are made side by side */
	GPtrArray *warnings;	 /* of char *; NULL: none */
} Request;

int request_map_source(Request *request, const Frame *frame, const Source *source,
					   SourceBytes *bytes, Problem *problem);
void request_unmap(Request *request);
void request_start(Request *request, uint32_t time_ms);
VipsImage *request_watch(Request *request, VipsImage *image);
VipsImage *request_copy_memory(Request *request, VipsImage *image);
bool request_is_late(const Request *request);
void request_warn(Request *request, const char *format, ...) G_GNUC_PRINTF(2, 3);
void request_clear_warnings(Request *request);

#endif
