/*
 * share.c
 *		One decode for a source that a request uses more than once.
 *
 * A photograph laid over its own blurred self is one file and two pipelines: both start
 * from the same decoded image.  What is decoded may depend on the pipeline (a JPEG is decoded
 * smaller for one that begins with a resize), and only pipelines that would decode the same
 * by themselves share it: what comes out of one does not depend on the others.
 */
#include "codec/share.h"
#include "codec/decode.h"

typedef struct SharedSource
{
	int source; /* the first with these bytes */
	int shrink;
	int decodes;		  /* how often it would be decoded, if each did it for itself */
	bool rendered;		  /* outputs of the request start from it */
	GPtrArray *pipelines; /* that start from it, borrowed */
	Canvas decoded;		  /* owned; without an image until somebody asked */
} SharedSource;

struct Sharing
{
	GMutex lock;		 /* outputs are made side by side */
	GArray *groups;		 /* of SharedSource */
	GHashTable *numbers; /* of a pipeline: its group's, counted from 1 */
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

static SharedSource *
group_at(const Request *request, int number)
{
	return &g_array_index(request->sharing->groups, SharedSource, number);
}

/* The number of a group, which is new where there was none. */
static int
find_group(Request *request, int source, int shrink)
{
	SharedSource added = {.source = source, .shrink = shrink};
	int count = (int) request->sharing->groups->len;

	for (int i = 0; i < count; i++)
		if (group_at(request, i)->source == source && group_at(request, i)->shrink == shrink)
			return i;
	added.pipelines = g_ptr_array_new();
	g_array_append_val(request->sharing->groups, added);
	return count;
}

/*
 * Note a pipeline and those among its arguments.
 *
 * output	whether it is one of the request: these are rendered group by group, from one
 *			decoded image
 */
static void
note_pipeline(Request *request, const Pipeline *pipeline, bool output)
{
	int number = find_group(request, same_source(request, pipeline->source),
							decode_shrink(&request->sources[pipeline->source], pipeline));
	SharedSource *group = group_at(request, number);

	g_hash_table_insert(request->sharing->numbers, (gpointer) pipeline,
						GINT_TO_POINTER(number + 1));
	g_ptr_array_add(group->pipelines, (gpointer) pipeline);
	group->decodes += !output || !group->rendered;
	group->rendered = group->rendered || output;
	for (int i = 0; i < pipeline->step_count; i++)
		for (int j = 0; j < pipeline->steps[i].argument_count; j++)
			if (pipeline->steps[i].arguments[j].type == ARGUMENT_IMAGE)
				note_pipeline(request, pipeline->steps[i].arguments[j].value.image, false);
}

/*
 * See what a request will decode.
 *
 * pipelines	count of them; NULLs are left out
 */
void
share_plan(Request *request, Pipeline *const *pipelines, int count)
{
	request->sharing = g_new0(struct Sharing, 1);
	request->sharing->groups = g_array_new(FALSE, FALSE, sizeof(SharedSource));
	request->sharing->numbers = g_hash_table_new(NULL, NULL);
	g_mutex_init(&request->sharing->lock);
	for (int i = 0; i < count; i++)
		if (pipelines[i] != NULL)
			note_pipeline(request, pipelines[i], true);
}

/* Pipelines of one number start from the same decoded image. */
int
share_group(const Request *request, const Pipeline *pipeline)
{
	return GPOINTER_TO_INT(g_hash_table_lookup(request->sharing->numbers, pipeline)) - 1;
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
 * pipelines	count of them, of one group
 * Returns		0, or -1 with the problem noted; the canvas is to be cleared either way
 */
int
share_decode(Canvas *canvas, Pipeline *const *pipelines, int count)
{
	Request *request = canvas->request;
	Problem *problem = canvas->problem;
	const SourceBytes *source = &request->sources[pipelines[0]->source];
	SharedSource *shared;
	int failed;

	if (request->sharing == NULL)
		return decode(canvas, source, pipelines, count);
	shared = group_at(request, share_group(request, pipelines[0]));
	if (shared->decodes <= 1)
		return decode(canvas, source, pipelines, count);
	g_mutex_lock(&request->sharing->lock);
	failed = decode_once(canvas, shared, source);
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
	for (int i = 0; i < (int) request->sharing->groups->len; i++)
	{
		SharedSource *shared = group_at(request, i);

		canvas_clear(&shared->decoded);
		g_ptr_array_free(shared->pipelines, TRUE);
	}
	g_array_free(request->sharing->groups, TRUE);
	g_hash_table_destroy(request->sharing->numbers);
	g_mutex_clear(&request->sharing->lock);
	g_free(request->sharing);
	request->sharing = NULL;
}
