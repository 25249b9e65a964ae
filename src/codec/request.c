/*
 * request.c
 *		A request in work.
 */
#include "codec/request.h"
#include "wire/memfd.h"

/* More of them say nothing new. */
#define WARNINGS_MAX 100

/* Reported before the server's own patience ends, which costs the process its life. */
#define REPORT_SHARE 0.95

/* A descriptor of the frame as memory, mapped once. */
static const void *
map_descriptor(Request *request, const Frame *frame, int index, uint64_t *size)
{
	if (index < 0 || index >= frame->fd_count || !memfd_is_sealed(frame->fds[index], size))
		return NULL;
	if (*size == 0)
		return "";
	for (; request->map_count <= index; request->map_count++)
		request->maps[request->map_count].data = NULL;
	if (request->maps[index].data == NULL)
	{
		request->maps[index].data = memfd_map(frame->fds[index], *size);
		request->maps[index].size = *size;
	}
	return request->maps[index].data;
}

/*
 * Find the bytes of a source.  They stay until request_unmap.
 *
 * Returns	0, or -1 when the server sent what it did not say
 */
int
request_map_source(Request *request, const Frame *frame, const Source *source,
				   SourceBytes *bytes, Problem *problem)
{
	uint64_t size;
	const unsigned char *data = map_descriptor(request, frame, source->fd, &size);

	if (data == NULL || source->offset > size || source->length > size - source->offset)
		return problem_set(problem, FAILURE_INTERNAL, "a source is not what the request says");
	bytes->bytes = data + source->offset;
	bytes->length = source->length;
	return 0;
}

void
request_unmap(Request *request)
{
	for (int i = 0; i < request->map_count; i++)
		if (request->maps[i].data != NULL)
			memfd_unmap(request->maps[i].data, request->maps[i].size);
	request->map_count = 0;
}

/* The clock starts. */
void
request_start(Request *request, uint32_t time_ms)
{
	problem_forget();
	request->map_count = 0;
	request->largest_pixels = 0;
	request->deadline_us = g_get_monotonic_time() + (gint64) (time_ms * REPORT_SHARE * 1000);
}

bool
request_is_late(const Request *request)
{
	return g_get_monotonic_time() > request->deadline_us;
}

static void
on_progress(VipsImage *image, VipsProgress *progress, Request *request)
{
	(void) progress;
	if (!request_is_late(request))
		return;
	problem_note_late();
	vips_image_set_kill(image, TRUE);
}

/*
 * An image whose evaluation stops when the time is over.  It is another one: outputs that
 * are made side by side evaluate the same image, and libvips keeps progress in the image.
 *
 * Returns	the caller's to unref; NULL with libvips' error set
 */
VipsImage *
request_watch(Request *request, VipsImage *image)
{
	VipsImage *watched;

	if (vips_copy(image, &watched, NULL) != 0)
		return NULL;
	vips_image_set_progress(watched, TRUE);
	g_signal_connect(watched, "eval", G_CALLBACK(on_progress), request);
	return watched;
}

/* The image computed and in memory, the caller's to unref; NULL with libvips' error set. */
VipsImage *
request_copy_memory(Request *request, VipsImage *image)
{
	VipsImage *watched = request_watch(request, image);
	VipsImage *memory = watched == NULL ? NULL : vips_image_copy_memory(watched);

	VIPS_UNREF(watched);
	return memory;
}

/* Note what the request goes on without; each is told once, however many outputs it is of. */
void
request_warn(Request *request, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_mutex_lock(&request->lock);
	if (request->warnings == NULL)
		request->warnings = g_ptr_array_new_with_free_func(g_free);
	if (request->warnings->len >= WARNINGS_MAX ||
		g_ptr_array_find_with_equal_func(request->warnings, text, g_str_equal, NULL))
		g_free(text);
	else
		g_ptr_array_add(request->warnings, text);
	g_mutex_unlock(&request->lock);
}

void
request_clear_warnings(Request *request)
{
	if (request->warnings != NULL)
		g_ptr_array_free(request->warnings, TRUE);
	request->warnings = NULL;
}
