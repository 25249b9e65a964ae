/*
 * render.c
 *		Lazy images become bytes.
 *
 * A request names its sources by index.  Images with the same history share a run of
 * sources, and by that the codec knows which of their steps are the same work.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"

#include "compat.h"
#include "helper/bulk.h"
#include "helper/presentable.h"
#include "helper/session.h"
#include "image/render.h"
#include "settings.h"
#include "wire/message.h"

/* Of one request. */
#define WARNINGS_MAX 100

/* The sources of a request while it is put together. */
typedef struct SourceTable
{
	int count;
	ImageSource *sources[PIPELINE_MAX_SOURCES];
} SourceTable;

/* Does the run of sources from first on begin with, or continue as, those of the image? */
static bool
run_fits(const SourceTable *table, int first, const LazyImage *image)
{
	int have = Min(table->count - first, lazy_image_source_count(image));

	for (int i = 0; i < have; i++)
		if (table->sources[first + i] != lazy_image_source(image, i))
			return false;
	return true;
}

/*
 * Give an image its run of sources; *last_run is where the newest run starts.
 * Only the newest run can grow, for it is at the end of the table.
 */
static int
place_sources(SourceTable *table, const LazyImage *image, int *last_run)
{
	int first = *last_run;

	if (table->count == 0 || !run_fits(table, first, image))
		first = *last_run = table->count;
	for (int i = table->count - first; i < lazy_image_source_count(image); i++)
	{
		if (table->count == PIPELINE_MAX_SOURCES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("one request takes at most %d images", PIPELINE_MAX_SOURCES)));
		table->sources[table->count++] = lazy_image_source(image, i);
	}
	return first;
}

/* Where an earlier entry of the table has the same bytes; -1: nowhere. */
static int
find_source(const SourceTable *table, int index)
{
	for (int i = 0; i < index; i++)
		if (table->sources[i] == table->sources[index])
			return i;
	return -1;
}

/* Append the bytes of a source to the request's own memfd. */
static void
send_bytes(RenderMessage *message, const ImageSource *source, uint64 *used, Source *place)
{
	*place = (Source){.fd = 0, .offset = *used, .length = source->length};
	bulk_append(message->fds[0], VARDATA(source->bytes), source->length);
	*used += source->length;
}

/* Pass a source's own memfd on. */
static void
send_memfd(RenderMessage *message, const ImageSource *source, Source *place)
{
	if (message->fd_count == FRAME_MAX_FDS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("one request takes at most %d fetched images", FRAME_MAX_FDS - 1)));
	*place = (Source){.fd = message->fd_count, .offset = 0, .length = source->length};
	message->fds[message->fd_count++] = source->fd;
}

static void
send_sources(RenderMessage *message, const SourceTable *table, RenderRequest *request)
{
	uint64 used = 0;

	message->fds[0] = bulk_new();
	message->own_fd = true;
	message->fd_count = 1;
	for (int i = 0; i < table->count; i++)
	{
		int same = find_source(table, i);

		if (same >= 0)
			request->sources[i] = request->sources[same];
		else if (table->sources[i]->bytes != NULL)
			send_bytes(message, table->sources[i], &used, &request->sources[i]);
		else
			send_memfd(message, table->sources[i], &request->sources[i]);
	}
	request->source_count = table->count;
	bulk_seal(message->fds[0]);
}

static void
send_pipelines(RenderMessage *message, LazyImage *const *images, int count,
			   RenderRequest *request, SourceTable *table)
{
	uint8 *buffer = palloc(FRAME_MAX_BYTES);
	Size used = 0;
	int last_run = 0;

	for (int i = 0; i < count; i++)
	{
		int first = place_sources(table, images[i], &last_run);
		Size size = lazy_image_pack(images[i], first, buffer + used, FRAME_MAX_BYTES - used);

		request->pipelines[i].data = buffer + used;
		request->pipelines[i].size = size;
		used += size;
	}
	request->pipeline_count = count;
}

/*
 * Put a request together.
 *
 * images		count of them, borrowed while the message is in use
 * keep_going	one that fails is reported, and the others come
 * Errors		54000 too many or too long, 53000 no memory or descriptor left
 */
void
render_message_build(RenderMessage *message, LazyImage *const *images, int count,
					 bool keep_going)
{
	RenderRequest *request = palloc(sizeof *request);
	SourceTable *table = palloc0(sizeof *table);
	Packer packer;

	if (count < 1 || count > PIPELINE_MAX_STEPS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("one request makes between 1 and %d images, not %d",
							   PIPELINE_MAX_STEPS, count)));
	memset(message, 0, sizeof *message);
	request->limits = (RenderLimits){.max_pixels = settings.max_pixels,
									 .max_pages = settings.max_pages,
									 .time_ms = settings.codec_timeout_ms};
	request->keep_going = keep_going;
	send_pipelines(message, images, count, request, table);
	PG_TRY();
	{
		send_sources(message, table, request);
		message->body = palloc(FRAME_MAX_BYTES);
		packer_init(&packer, message->body, FRAME_MAX_BYTES);
		pack_render_request(&packer, request);
		if (packer.overflow)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("one request takes at most %d bytes of steps", FRAME_MAX_BYTES)));
		message->size = packer.used;
	}
	PG_CATCH();
	{
		render_message_close(message);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pfree(request);
	pfree(table);
}

/* Close what the message owns, once it was sent or given up. */
void
render_message_close(RenderMessage *message)
{
	if (message->own_fd)
		close(message->fds[0]);
	message->own_fd = false;
}

/* Expect the answer to a message of count images; lives in the current memory context. */
void
render_answer_init(RenderAnswer *answer, int count, bool keep_going)
{
	memset(answer, 0, sizeof *answer);
	answer->count = count;
	answer->keep_going = keep_going;
	answer->renderings = palloc0(count * sizeof(Rendering));
}

static const char *
take_output(RenderAnswer *answer, const Frame *frame)
{
	Output output;
	Rendering *rendering;

	if (!unpack_output(frame->body, frame->size, &output) || output.index < 0 ||
		output.index >= answer->count)
		return "an output that was not asked for";
	rendering = &answer->renderings[output.index];
	if (rendering->data != NULL || rendering->error != NULL)
		return "one output twice";
	if (frame->fd_count != 1 || !bulk_is_valid(frame->fds[0], output.length))
		return "an output that is not what it said";
	if (output.length > MaxAllocSize - VARHDRSZ)
	{
		rendering->error =
			helper_error(ERRCODE_IMAGE_LIMIT, false,
						 psprintf("image of " UINT64_FORMAT " bytes is too large for a bytea",
								  output.length),
						 NULL, NULL);
		return NULL;
	}
	rendering->data = bulk_read(frame->fds[0], output.length);
	presentable_copy(rendering->format, output.format, sizeof rendering->format);
	rendering->width = output.width;
	rendering->height = output.height;
	rendering->pages = output.pages;
	rendering->encode_us = output.encode_us;
	return NULL;
}

/* A failed output is one among others where that was asked for, and else the end. */
static const char *
take_failure(RenderAnswer *answer, const Frame *frame, bool *finished)
{
	Failure failure;
	HelperError *error;

	if (!unpack_failure(frame->body, frame->size, &failure) || failure.output >= answer->count)
		return "a failure that is none";
	error = helper_error_of_failure(&failure);
	if (answer->keep_going && failure.output >= 0)
	{
		Rendering *rendering = &answer->renderings[failure.output];

		if (rendering->data != NULL || rendering->error != NULL)
			return "one output twice";
		rendering->error = error;
	}
	else
	{
		answer->error = error;
		*finished = true;
	}
	return NULL;
}

static const char *
take_warning(RenderAnswer *answer, const Frame *frame)
{
	Warning warning;

	if (!unpack_warning(frame->body, frame->size, &warning))
		return "a warning that is none";
	/* An honest codec says no more, and one that does not stop is ended by its deadline. */
	if (list_length(answer->warnings) >= WARNINGS_MAX)
		return NULL;
	answer->warnings = lappend(answer->warnings, presentable_ascii(warning.message));
	return NULL;
}

static const char *
take_done(RenderAnswer *answer, const Frame *frame)
{
	RenderDone done;

	if (!unpack_render_done(frame->body, frame->size, &done))
		return "an end that is none";
	for (int i = 0; i < answer->count; i++)
		if (answer->renderings[i].data == NULL && answer->renderings[i].error == NULL)
			return "an end before all outputs";
	answer->decode_us = done.decode_us;
	answer->process_us = done.process_us;
	answer->encode_us = done.encode_us;
	return NULL;
}

/*
 * Take one frame of the answer in, in the current memory context.
 *
 * broken	set to what no honest codec sends, else NULL
 * Returns	true when nothing more is to come
 */
bool
render_answer_take(RenderAnswer *answer, const Frame *frame, const char **broken)
{
	bool finished = false;

	switch (frame->type)
	{
		case FRAME_OUTPUT:
			*broken = take_output(answer, frame);
			break;
		case FRAME_ERROR:
			*broken = take_failure(answer, frame, &finished);
			break;
		case FRAME_WARNING:
			*broken = take_warning(answer, frame);
			break;
		case FRAME_DONE:
			*broken = take_done(answer, frame);
			finished = true;
			break;
		default:
			*broken = "an answer of an unknown kind";
	}
	return finished;
}

static void
session_answer(const Frame *frame, void *state, bool *finished)
{
	const char *broken;

	*finished = render_answer_take(state, frame, &broken);
	if (broken != NULL)
		session_broken(broken);
}

static void
exchange(RenderMessage *message, RenderAnswer *answer)
{
	PG_TRY();
	{
		session_request(HELPER_CODEC, FRAME_RENDER, message->body, message->size, message->fds,
						message->fd_count, settings.codec_timeout_ms, session_answer, answer);
	}
	PG_CATCH();
	{
		render_message_close(message);
		PG_RE_THROW();
	}
	PG_END_TRY();
	render_message_close(message);
}

/*
 * Render images in this session's codec; results are made in the current memory context.
 *
 * keep_going	a failed one leaves its error in results, and the others come; otherwise
 *				the first failure is raised
 * Errors		IX001 damaged, IX002 unsupported, IX003 over a limit, IX004 out of time,
 *				IX007 the codec died, 22023 an argument, 0A000 not in this format
 */
void
render_images(LazyImage *const *images, int count, bool keep_going, Rendering *results)
{
	RenderMessage message;
	RenderAnswer answer;
	ListCell *cell;

	render_message_build(&message, images, count, keep_going);
	render_answer_init(&answer, count, keep_going);
	exchange(&message, &answer);
	foreach (cell, answer.warnings)
		ereport(WARNING, (errmsg("%s", (char *) lfirst(cell))));
	if (answer.error != NULL)
		helper_error_raise(answer.error);
	for (int i = 0; i < count && !keep_going; i++)
		if (answer.renderings[i].error != NULL)
			helper_error_raise(answer.renderings[i].error);
	memcpy(results, answer.renderings, count * sizeof *results);
	pfree(message.body);
}
