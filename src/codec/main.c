/*
 * main.c
 *		imgexport-codec: every byte of image data is decoded, worked on and encoded here.
 *
 * Started by the server with its socket as WIRE_SOCKET_FD; it locks itself in, says
 * HELLO, and answers one request after another until the socket is closed or nothing
 * came for a while.
 */
#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <vips/vips.h>

#include "codec/describe.h"
#include "codec/format.h"
#include "codec/render.h"
#include "codec/reply.h"
#include "codec/shortage.h"
#include "sandbox/program.h"
#include "wire/exit.h"
#include "wire/frame.h"

/* One image's buffers are reused for the next; what is not, goes back in the first pause. */
#define REUSE_BYTES (32 << 20)
#define TRIM_AFTER_MS 500

/* What Pango and Fontconfig read when a text is rendered; nothing else can be opened. */
static const char *const font_paths[] = {"/usr/share/fonts",
										 "/usr/local/share/fonts",
										 "/etc/fonts",
										 "/usr/share/fontconfig",
										 "/usr/share/xml/fontconfig",
										 "/var/cache/fontconfig",
										 NULL};

/* GLib's log goes nowhere; when GLib cannot allocate it says so here, and aborts next. */
static GLogWriterOutput
on_log(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data)
{
	(void) fields;
	(void) count;
	(void) data;
	if ((level & G_LOG_LEVEL_ERROR) != 0 && shortage_happened())
		_exit(EXIT_OUT_OF_MEMORY);
	return G_LOG_WRITER_HANDLED;
}

static void
start_libvips(const char *loaders)
{
	mallopt(M_MMAP_THRESHOLD, REUSE_BYTES);
	mallopt(M_TRIM_THRESHOLD, 8 * REUSE_BYTES);
	/* There will be no files, so no image may be put into one. */
	g_setenv("VIPS_DISC_THRESHOLD", "1000g", TRUE);
	g_log_set_writer_func(on_log, NULL, NULL);
	if (VIPS_INIT("imgexport-codec") != 0)
		_exit(EXIT_START);
	vips_cache_set_max(0);
	vips_block_untrusted_set(TRUE);
	formats_allow(loaders);
}

static char *
about(const SandboxState *sandbox)
{
	char *loaders = formats_list(true);
	char *savers = formats_list(false);
	char *json = g_strdup_printf(
		"{\"program\":\"imgexport-codec\",\"version\":\"%s\",\"libvips\":\"%d.%d.%d\","
		"\"sandbox\":{\"landlock_abi\":%d,\"seccomp\":%s},\"loaders\":%s,\"savers\":%s}",
		IMGEXPORT_VERSION, vips_version(0), vips_version(1), vips_version(2),
		sandbox->landlock_abi, sandbox->seccomp ? "true" : "false", loaders, savers);

	g_free(loaders);
	g_free(savers);
	return json;
}

static void
answer(const Frame *frame)
{
	switch (frame->type)
	{
		case FRAME_RENDER:
			render_answer(frame);
			break;
		case FRAME_DESCRIBE:
			describe_answer(frame);
			break;
		default:
			_exit(EXIT_PROTOCOL);
	}
}

/* Wait for the next request; leaves when there will be none. */
static void
receive(Frame *frame, int idle_s)
{
	struct pollfd waited = {.fd = WIRE_SOCKET_FD, .events = POLLIN};

	if (poll(&waited, 1, TRIM_AFTER_MS) == 0)
	{
		malloc_trim(0);
		if (poll(&waited, 1, idle_s * 1000) == 0)
			_exit(EXIT_QUIET);
	}
	switch (frame_receive(WIRE_SOCKET_FD, frame))
	{
		case FRAME_OK:
			return;
		case FRAME_CLOSED:
			_exit(EXIT_QUIET);
		default:
			_exit(EXIT_PROTOCOL);
	}
}

int
main(int argc, char **argv)
{
	static Frame frame;
	ProgramArguments arguments = program_start(argc, argv);
	SandboxProfile profile = {.network = false, .readable = font_paths};
	SandboxState sandbox;
	char *text;

	shortage_start();
	start_libvips(arguments.loaders);
	sandbox_enter(&profile, arguments.sandbox, &sandbox);
	text = about(&sandbox);
	reply_hello(text);
	g_free(text);
	for (;;)
	{
		receive(&frame, arguments.idle_s);
		answer(&frame);
		frame_close_fds(&frame);
	}
}
