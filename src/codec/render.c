/*
 * render.c
 *		A request's pipelines, rendered.
 *
 * Pipelines of one decoded image that begin with the same steps are the tails of one
 * image: what they share is made once.
 */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "codec/decode.h"
#include "codec/pages.h"
#include "codec/render.h"
#include "codec/reply.h"
#include "codec/share.h"
#include "codec/shortage.h"
#include "codec/steps.h"
#include "codec/strip.h"
#include "wire/exit.h"

/* As many outputs as are written side by side, of images from so many pixels on. */
#define TAIL_THREADS 4
#define TAIL_BATCH 8
#define TAIL_THREAD_PIXELS 300000

/* Where in a pipeline the last failure was, for the report. */
typedef struct Position
{
	int step;
	const char *name;
} Position;

typedef struct Times
{
	gint64 decode_us;
	gint64 process_us;
	gint64 encode_us;
} Times;

static int
run_steps(Canvas *canvas, const Pipeline *pipeline, int first, int end, Position *position)
{
	for (int i = first; i < end; i++)
	{
		*position = (Position){.step = i, .name = pipeline->steps[i].name};
		if (step_run(canvas, &pipeline->steps[i]) != 0)
			return -1;
	}
	*position = (Position){.step = -1, .name = ""};
	return 0;
}

/* A source may have been opened with more pages than this one of its pipelines looks at. */
static int
keep_wanted_pages(Canvas *canvas, const Pipeline *pipeline)
{
	return steps_want_pages(pipeline, canvas->source) ? 0 : pages_keep(canvas, 0);
}

/*
 * Make the image of a whole pipeline, as an argument of another one.
 *
 * canvas	empty but for request and problem
 */
int
render_pipeline(Canvas *canvas, const Pipeline *pipeline)
{
	Position ignored;

	if (share_decode(canvas, (Pipeline *const *) &pipeline, 1) != 0 ||
		keep_wanted_pages(canvas, pipeline) != 0)
		return -1;
	return run_steps(canvas, pipeline, 0, pipeline->step_count, &ignored);
}

/* How many steps all pipelines begin with. */
static int
shared_steps(Pipeline *const *pipelines, int count)
{
	int shared = pipelines[0]->step_count;

	for (int i = 1; i < count; i++)
	{
		int same = 0;

		while (same < shared && same < pipelines[i]->step_count &&
			   step_equal(&pipelines[0]->steps[same], &pipelines[i]->steps[same]))
			same++;
		shared = same;
	}
	return shared;
}

/* One pipeline from where the trunk ends, and what became of it. */
typedef struct Tail
{
	const Canvas *trunk;
	const Pipeline *pipeline;
	int first; /* step of the pipeline that the trunk did not make */
	bool failed;
	Problem problem;
	Position position; /* of the failure */
	Output output;
	int fd; /* the finished image */
	gint64 process_us;
} Tail;

static void
make_tail(Tail *tail)
{
	gint64 start = g_get_monotonic_time();
	Canvas canvas = canvas_branch(tail->trunk);
	gint64 processed;

	canvas.problem = &tail->problem;
	tail->failed = keep_wanted_pages(&canvas, tail->pipeline) != 0 ||
				   run_steps(&canvas, tail->pipeline, tail->first, tail->pipeline->step_count,
							 &tail->position) != 0;
	processed = g_get_monotonic_time();
	tail->process_us = processed - start;
	if (!tail->failed)
		tail->failed = encode(&canvas, &tail->fd, &tail->output.length) != 0;
	/* Not every library says that it went on without the memory it asked for. */
	if (!tail->failed && shortage_happened())
	{
		close(tail->fd);
		tail->failed = problem_out_of_memory(&tail->problem) != 0;
	}
	if (!tail->failed)
	{
		tail->output.format = encode_format(&canvas)->name;
		tail->output.width = (uint32_t) canvas.image->Xsize;
		tail->output.height = (uint32_t) page_height(&canvas);
		tail->output.pages = (uint32_t) canvas.pages;
		tail->output.encode_us = (uint32_t) (g_get_monotonic_time() - processed);
	}
	canvas_clear(&canvas);
}

typedef struct TailQueue
{
	Tail *tails;
	int count;
	gint next;
} TailQueue;

static void
take_tails(TailQueue *queue)
{
	int index;

	while ((index = g_atomic_int_add(&queue->next, 1)) < queue->count)
		make_tail(&queue->tails[index]);
}

static gpointer
tail_thread(gpointer queue)
{
	take_tails(queue);
	vips_thread_shutdown();
	return NULL;
}

/*
 * Encoders use one core each, so several outputs of a large image are written side by
 * side; for a small one a thread would cost more than it saves.
 */
static void
make_tails(const Request *request, Tail *tails, int count)
{
	TailQueue queue = {.tails = tails, .count = count};
	GThread *threads[TAIL_THREADS];
	int others = VIPS_MIN(VIPS_MIN(count, (int) g_get_num_processors()), TAIL_THREADS) - 1;

	if (request->largest_pixels < TAIL_THREAD_PIXELS)
		others = 0;
	/* One that cannot be started leaves its work to the others. */
	for (int i = 0; i < others; i++)
		threads[i] = g_thread_try_new("tail", tail_thread, &queue, NULL);
	take_tails(&queue);
	for (int i = 0; i < others; i++)
		if (threads[i] != NULL)
			g_thread_join(threads[i]);
}

/* Send what became of a tail, unless the request is over; its failure may end it. */
static void
reply_tail(const Request *request, Tail *tail, bool *over)
{
	bool keep_going = request->message->keep_going;

	if (!*over && !tail->failed)
		reply_output(request->id, &tail->output, tail->fd);
	else if (!*over)
	{
		reply_failure(request->id, &tail->problem, keep_going ? tail->output.index : -1,
					  tail->position.step, tail->position.name);
		*over = !keep_going;
	}
	if (!tail->failed)
		close(tail->fd);
}

/*
 * Render the tails of one trunk, some at a time.
 *
 * outputs	the index that each pipeline has in the request
 * Returns	0, or -1 when the request is over: its failure was sent
 */
static int
render_tails(Canvas *trunk, Pipeline *const *pipelines, const int *outputs, int count,
			 int shared, Times *times)
{
	Tail tails[TAIL_BATCH];
	bool over = false;

	for (int done = 0; done < count && !over; done += TAIL_BATCH)
	{
		int batch = VIPS_MIN(TAIL_BATCH, count - done);

		for (int i = 0; i < batch; i++)
			tails[i] = (Tail){.trunk = trunk,
							  .pipeline = pipelines[done + i],
							  .first = shared,
							  .output.index = outputs[done + i]};
		make_tails(trunk->request, tails, batch);
		for (int i = 0; i < batch; i++)
		{
			times->process_us += tails[i].process_us;
			times->encode_us += tails[i].output.encode_us;
			reply_tail(trunk->request, &tails[i], &over);
		}
	}
	return over ? -1 : 0;
}

/* Render the pipelines that start from one decoded image. */
static int
render_group(Request *request, Pipeline *const *pipelines, const int *outputs, int count,
			 Times *times)
{
	Problem problem = {0};
	Canvas trunk = {.request = request, .problem = &problem};
	Position position = {.step = -1, .name = ""};
	int shared = count > 1 ? shared_steps(pipelines, count) : 0;
	gint64 start = g_get_monotonic_time();
	int failed = share_decode(&trunk, pipelines, count);

	if (failed == 0)
		failed = run_steps(&trunk, pipelines[0], 0, shared, &position);
	/* What all tails take up is reckoned once. */
	if (failed == 0 && count > 1)
		failed = shared > 0 ? canvas_to_pixels(&trunk) : canvas_to_memory(&trunk);
	times->decode_us += g_get_monotonic_time() - start;
	if (failed == 0)
		failed = render_tails(&trunk, pipelines, outputs, count, shared, times);
	else if (request->message->keep_going && request->message->pipeline_count > 1)
	{
		for (int i = 0; i < count; i++)
			reply_failure(request->id, &problem, outputs[i], position.step, position.name);
		failed = 0;
	}
	else
		reply_failure(request->id, &problem, -1, position.step, position.name);
	canvas_clear(&trunk);
	return failed;
}

/* Is taking metadata out all that a pipeline does? */
static bool
only_strips(const Pipeline *pipeline)
{
	return pipeline->step_count == 1 && strcmp(pipeline->steps[0].name, "strip") == 0;
}

/* Copy a file without its metadata; no pixel is decoded. */
static int
copy_stripped(Request *request, const Pipeline *pipeline, int index, Problem *problem)
{
	const SourceBytes *source = &request->sources[pipeline->source];
	const Format *format = decode_format(source, problem);
	Output output = {.index = index, .pages = 1};
	VipsImage *header = NULL;
	GByteArray *file;
	unsigned keep;
	int fd;

	if (format == NULL || step_strip_keeps(request, &pipeline->steps[0], problem, &keep) != 0 ||
		decode_header(format, source, problem, &header) != 0)
		return -1;
	output.format = format->name;
	output.width = (uint32_t) header->Xsize;
	output.height = (uint32_t) header->Ysize;
	output.pages = (uint32_t) vips_image_get_n_pages(header);
	g_object_unref(header);
	file = g_byte_array_new();
	if (strip_file(format, source, keep, problem, file) == 0 &&
		encode_to_memfd(problem, file->data, file->len, &fd) == 0)
	{
		output.length = file->len;
		reply_output(request->id, &output, fd);
		close(fd);
	}
	g_byte_array_free(file, TRUE);
	return problem->kind == 0 ? 0 : -1;
}

/* Answer what only strips, before the others are grouped by what they decode. */
static int
strip_files(Request *request, Pipeline **pipelines)
{
	for (int i = 0; i < request->message->pipeline_count; i++)
	{
		Problem problem = {0};

		if (!only_strips(pipelines[i]))
			continue;
		if (copy_stripped(request, pipelines[i], i, &problem) != 0)
		{
			reply_failure(request->id, &problem, request->message->keep_going ? i : -1, 0,
						  "strip");
			if (!request->message->keep_going)
				return -1;
		}
		pipeline_free(pipelines[i]);
		pipelines[i] = NULL;
	}
	return 0;
}

/* Take the pipelines that start from the same decoded image as the first one left. */
static int
take_group(const Request *request, Pipeline **all, int count, Pipeline **group, int *outputs)
{
	int taken = 0;
	int number = -1;

	for (int i = 0; i < count; i++)
	{
		if (all[i] == NULL || (number >= 0 && share_group(request, all[i]) != number))
			continue;
		number = share_group(request, all[i]);
		outputs[taken] = i;
		group[taken++] = all[i];
		all[i] = NULL;
	}
	return taken;
}

static uint64_t
peak_rss_bytes(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t) usage.ru_maxrss * 1024;
}

static void
render_all(Request *request, Pipeline **pipelines)
{
	static Pipeline *group[PIPELINE_MAX_STEPS];
	static int outputs[PIPELINE_MAX_STEPS];
	static Pipeline *left[PIPELINE_MAX_STEPS];
	Times times = {0};
	RenderDone done;
	int all = request->message->pipeline_count;
	int count;

	if (strip_files(request, pipelines) != 0)
		return;
	share_plan(request, pipelines, all);
	memcpy(left, pipelines, (size_t) all * sizeof left[0]);
	while ((count = take_group(request, left, all, group, outputs)) > 0)
		if (render_group(request, group, outputs, count, &times) != 0)
			return;
	done = (RenderDone){.decode_us = (uint32_t) times.decode_us,
						.process_us = (uint32_t) times.process_us,
						.encode_us = (uint32_t) times.encode_us,
						.peak_rss_bytes = peak_rss_bytes()};
	for (guint i = 0; request->warnings != NULL && i < request->warnings->len; i++)
		reply_warning(request->id, request->warnings->pdata[i]);
	reply_done(request->id, &done);
}

/* What no server of ours sends is no request: nothing is tried with it. */
static void
unpack_all(const RenderRequest *message, Pipeline **pipelines)
{
	for (int i = 0; i < message->pipeline_count; i++)
	{
		pipelines[i] = pipeline_unpack(message->pipelines[i].data, message->pipelines[i].size,
									   message->source_count);
		if (pipelines[i] == NULL)
			_exit(EXIT_PROTOCOL);
	}
}

/* Answer a FRAME_RENDER. */
void
render_answer(const Frame *frame)
{
	static RenderRequest message;
	static Pipeline *pipelines[PIPELINE_MAX_STEPS];
	static Request request;
	Problem problem = {0};

	if (!unpack_render_request(frame->body, frame->size, &message))
		_exit(EXIT_PROTOCOL);
	unpack_all(&message, pipelines);
	request.message = &message;
	request.id = frame->id;
	request_start(&request, message.limits.time_ms);
	for (int i = 0; i < message.source_count; i++)
		if (request_map_source(&request, frame, &message.sources[i], &request.sources[i],
							   &problem) != 0)
			_exit(EXIT_PROTOCOL);
	render_all(&request, pipelines);
	if (request.sharing != NULL)
		share_clear(&request);
	for (int i = 0; i < message.pipeline_count; i++)
		pipeline_free(pipelines[i]);
	for (int i = 0; i < message.pipeline_count; i++)
		pipelines[i] = NULL;
	request_clear_warnings(&request);
	request_unmap(&request);
	vips_error_clear();
}
