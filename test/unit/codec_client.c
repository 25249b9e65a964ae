/*
 * codec_client.c
 *		The server's side of the wire, as small as tests need it.
 */
#include "codec_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/memfd.h"

static Frame frame;
static uint8_t body[FRAME_MAX_BYTES];

/* Start build/imgexport-codec (or $CODEC) and wait for its HELLO; false: there was none. */
bool
codec_start(Codec *codec, const char *const *arguments)
{
	const char *program = getenv("CODEC") != NULL ? getenv("CODEC") : "build/imgexport-codec";
	Hello hello;
	int pair[2];

	memset(codec, 0, sizeof *codec);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	codec->pid = fork();
	if (codec->pid == 0)
	{
		if (pair[1] == WIRE_SOCKET_FD)
			pair[1] = dup(pair[1]);
		dup2(pair[1], WIRE_SOCKET_FD);
		execv(program, (char *const *) arguments);
		_exit(127);
	}
	close(pair[1]);
	codec->socket = pair[0];
	if (frame_receive(codec->socket, &frame) != FRAME_OK || frame.type != FRAME_HELLO ||
		!unpack_hello(frame.body, frame.size, &hello) || hello.version != WIRE_VERSION)
		return false;
	snprintf(codec->about, sizeof codec->about, "%s", hello.about);
	return true;
}

/* How the program ended: its exit code, or minus the signal. */
int
codec_wait(Codec *codec)
{
	int status;

	waitpid(codec->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Close the socket, and see how the program ends. */
int
codec_stop(Codec *codec)
{
	close(codec->socket);
	return codec_wait(codec);
}

/* Send any frame. */
bool
codec_send(Codec *codec, uint16_t type, const void *data, size_t size, const int *fds,
		   int fd_count)
{
	return frame_send(codec->socket, type, ++codec->last_id, data, size, fds, fd_count) ==
		   FRAME_OK;
}

/* Begin a pipeline. */
void
recipe_start(Recipe *recipe, int source)
{
	packer_init(&recipe->packer, recipe->data, sizeof recipe->data);
	pack_pipeline_header(&recipe->packer, source, 0);
	recipe->step_count = 0;
}

/* Add a step; its arguments are packed by the caller after this. */
void
recipe_step(Recipe *recipe, const char *name, int arguments)
{
	recipe->step_count++;
	pack_step(&recipe->packer, name, arguments);
}

/* Finish it: its size in bytes. */
size_t
recipe_end(Recipe *recipe)
{
	uint16_t count = (uint16_t) recipe->step_count;

	memcpy(recipe->data + 2, &count, sizeof count);
	return recipe->packer.used;
}

/* A request with limits that nothing reasonable meets. */
void
request_init(Request *request, Bytes source)
{
	memset(request, 0, sizeof *request);
	request->limits =
		(RenderLimits){.max_pixels = 100000000, .max_pages = 1000, .time_ms = 60000};
	request->sources[0] = source;
	request->source_count = 1;
}

/* A sealed memfd of these bytes. */
int
bytes_to_memfd(Bytes bytes)
{
	int fd = memfd_new("test");

	memfd_append(fd, bytes.data, bytes.size);
	memfd_seal(fd);
	return fd;
}

static Bytes
take_bytes(Frame *from, uint64_t length)
{
	Bytes bytes = {NULL, 0};
	uint64_t size;

	if (from->fd_count < 1 || !memfd_is_sealed(from->fds[0], &size) || size < length)
		return bytes;
	bytes.data = malloc(length + 1);
	bytes.size = length;
	memfd_read(from->fds[0], 0, bytes.data, length);
	bytes.data[length] = '\0';
	return bytes;
}

static void
take_failure(Refusal *refusal)
{
	Failure failure;

	if (!unpack_failure(frame.body, frame.size, &failure))
		return;
	refusal->kind = failure.kind;
	refusal->output = failure.output;
	refusal->step = failure.step;
	snprintf(refusal->step_name, sizeof refusal->step_name, "%s", failure.step_name);
	snprintf(refusal->message, sizeof refusal->message, "%s", failure.message);
	snprintf(refusal->detail, sizeof refusal->detail, "%s", failure.detail);
	snprintf(refusal->hint, sizeof refusal->hint, "%s", failure.hint);
}

static void
take_output(Result *result)
{
	Answer *answer = &result->answers[result->answer_count];
	Output output;

	if (result->answer_count == CLIENT_MAX_ANSWERS ||
		!unpack_output(frame.body, frame.size, &output))
		return;
	result->answer_count++;
	answer->output = output.index;
	answer->width = output.width;
	answer->height = output.height;
	snprintf(answer->format, sizeof answer->format, "%s", output.format);
	answer->bytes = take_bytes(&frame, output.length);
}

/* Take one frame of the answer; false when it was the last. */
static bool
take_frame(Codec *codec, Request *request, Result *result)
{
	Warning warning;

	if (frame_receive(codec->socket, &frame) != FRAME_OK)
	{
		result->alive = false;
		return false;
	}
	switch (frame.type)
	{
		case FRAME_OUTPUT:
			take_output(result);
			break;
		case FRAME_WARNING:
			if (unpack_warning(frame.body, frame.size, &warning))
				snprintf(result->warning, sizeof result->warning, "%s", warning.message);
			result->warning_count++;
			break;
		case FRAME_ERROR:
			if (result->refusal_count < CLIENT_MAX_ANSWERS)
				take_failure(&result->refusals[result->refusal_count++]);
			if (!request->keep_going)
				return false;
			break;
		default:
			result->done = frame.type == FRAME_DONE &&
						   unpack_render_done(frame.body, frame.size, &result->timing);
			return false;
	}
	frame_close_fds(&frame);
	return true;
}

/* Render, and collect what comes. */
void
codec_render(Codec *codec, Request *request, Result *result)
{
	static RenderRequest message;
	int fds[4];
	Packer packer;

	memset(result, 0, sizeof *result);
	memset(&message, 0, sizeof message);
	message.limits = request->limits;
	message.keep_going = request->keep_going;
	message.source_count = request->source_count;
	for (int i = 0; i < request->source_count; i++)
	{
		fds[i] = bytes_to_memfd(request->sources[i]);
		message.sources[i] = (Source){.fd = i, .offset = 0, .length = request->sources[i].size};
	}
	message.pipeline_count = request->recipe_count;
	for (int i = 0; i < request->recipe_count; i++)
	{
		message.pipelines[i].data = request->recipes[i]->data;
		message.pipelines[i].size = (uint32_t) recipe_end(request->recipes[i]);
	}
	packer_init(&packer, body, sizeof body);
	pack_render_request(&packer, &message);
	result->alive =
		codec_send(codec, FRAME_RENDER, body, packer.used, fds, request->source_count);
	for (int i = 0; i < request->source_count; i++)
		close(fds[i]);
	while (result->alive && take_frame(codec, request, result))
		;
}

/* Free the images of a result. */
void
result_free(Result *result)
{
	for (int i = 0; i < result->answer_count; i++)
		free(result->answers[i].bytes.data);
	result->answer_count = 0;
}

/* Describe; false with the refusal filled in (kind 0: the codec is gone). */
bool
codec_describe(Codec *codec, Bytes beginning, uint64_t total, bool metadata,
			   Description *description, char *json, size_t json_size, Refusal *refusal)
{
	DescribeRequest message = {
		.limits = {.max_pixels = 100000000, .max_pages = 1000, .time_ms = 10000},
		.detail = metadata ? DESCRIBE_METADATA : DESCRIBE_INFO,
		.total_length = total,
		.source = {.fd = 0, .offset = 0, .length = beginning.size}};
	int fd = bytes_to_memfd(beginning);
	Packer packer;

	memset(refusal, 0, sizeof *refusal);
	packer_init(&packer, body, sizeof body);
	pack_describe_request(&packer, &message);
	codec_send(codec, FRAME_DESCRIBE, body, packer.used, &fd, 1);
	close(fd);
	if (frame_receive(codec->socket, &frame) != FRAME_OK)
		return false;
	if (frame.type == FRAME_ERROR)
	{
		take_failure(refusal);
		return false;
	}
	if (frame.type != FRAME_DESCRIPTION ||
		!unpack_description(frame.body, frame.size, description))
		return false;
	if (metadata && description->complete)
	{
		Bytes bytes = take_bytes(&frame, description->json_length);

		snprintf(json, json_size, "%s", bytes.data != NULL ? (char *) bytes.data : "");
		free(bytes.data);
	}
	frame_close_fds(&frame);
	return true;
}
