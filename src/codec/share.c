/*
 * share.c
 *		One decode for a source that a request looks at more than once.
 *
 * A photograph laid over its own blurred self is one file and two pipelines: both start
 * from the same decoded image, made as large as the more demanding of them needs it.
 */
#include "codec/share.h"
#include "codec/decode.h"

typedef struct SharedSource
{
	int decodes;		  /* how often it would be decoded, if each did it for itself */
	GPtrArray *pipelines; /* that start from it, borrowed */
	Canvas decoded;		  /* owned; without an image until somebody asked */
} SharedSource;

struct Sharing
{
	GMutex lock; /* outputs are made side by side */
	int count;
	SharedSource sources[];
};

/* The first source with the same bytes: a request names what two images have in common twice. */
static int
same_source(const Request *request, int source)
{
	int first = 0;

	while (request->sources[first].bytes != request->sources[source].bytes ||
		   request->sources[first].length != request->sources[source].length)
		first++;
	return first;
}

static void
note_pipeline(Request *request, const Pipeline *pipeline, bool decodes)
{
	SharedSource *shared = &request->sharing->sources[same_source(request, pipeline->source)];

	if (shared->pipelines == NULL)
		shared->pipelines = g_ptr_array_new();
	g_ptr_array_add(shared->pipelines, (gpointer) pipeline);
	shared->decodes += decodes;
	for (int i = 0; i < pipeline->step_count; i++)
		for (int j = 0; j < pipeline->steps[i].argument_count; j++)
			if (pipeline->steps[i].arguments[j].type == ARGUMENT_IMAGE)
				note_pipeline(request, pipeline->steps[i].arguments[j].value.image, true);
}

/*
 * See what a request will decode.
 *
 * pipelines	count of them; NULLs are left out.  Those of one source are decoded for together.
 */
void
share_plan(Request *request, Pipeline *const *pipelines, int count)
{
	bool seen[PIPELINE_MAX_SOURCES] = {false};
	int sources = request->message->source_count;

	request->sharing =
		g_malloc0(sizeof(struct Sharing) + (gsize) sources * sizeof(SharedSource));
	request->sharing->count = sources;
	g_mutex_init(&request->sharing->lock);
	for (int i = 0; i < count; i++)
		if (pipelines[i] != NULL)
		{
			note_pipeline(request, pipelines[i], !seen[pipelines[i]->source]);
			seen[pipelines[i]->source] = true;
		}
}

/* Decode for all that want it; the canvas' own problem is told what went wrong. */
static int
decode_once(Canvas *canvas, SharedSource *shared, const SourceBytes *source)
{
	Canvas decoded = {.request = canvas->request, .problem = canvas->problem};

	if (shared->decoded.image != NULL)
		return 0;
	if (decode(&decoded, source, (Pipeline *const *) shared->pipelines->pdata,
			   (int) shared->pipelines->len) != 0 ||
		canvas_to_memory(&decoded) != 0)
	{
		canvas_clear(&decoded);
		return -1;
	}
	shared->decoded = decoded;
	return 0;
}

/*
 * Decode a source, or take what was decoded already.
 *
 * canvas		with request and problem set, else empty
 * pipelines	count of them, which this decode is for
 * Returns		0, or -1 with the problem noted; the canvas is to be cleared either way
 */
int
share_decode(Canvas *canvas, int source, Pipeline *const *pipelines, int count)
{
	Request *request = canvas->request;
	Problem *problem = canvas->problem;
	SharedSource *shared;
	int failed;

	if (request->sharing == NULL)
		return decode(canvas, &request->sources[source], pipelines, count);
	shared = &request->sharing->sources[same_source(request, source)];
	if (shared->decodes <= 1)
		return decode(canvas, &request->sources[source], pipelines, count);
	g_mutex_lock(&request->sharing->lock);
	failed = decode_once(canvas, shared, &request->sources[source]);
	if (failed == 0)
	{
		*canvas = canvas_branch(&shared->decoded);
		canvas->problem = problem;
	}
	g_mutex_unlock(&request->sharing->lock);
	return failed;
}

/* Let go of what was decoded, once the request is answered. */
void
share_clear(Request *request)
{
	for (int i = 0; i < request->sharing->count; i++)
	{
		SharedSource *shared = &request->sharing->sources[i];

		canvas_clear(&shared->decoded);
		if (shared->pipelines != NULL)
			g_ptr_array_free(shared->pipelines, TRUE);
	}
	g_mutex_clear(&request->sharing->lock);
	g_free(request->sharing);
	request->sharing = NULL;
}
