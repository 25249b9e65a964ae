/*
 * servicestep.c
 *		The step "service" while a job's recipe is evaluated.
 *
 * The first time it says what is to be asked, and the recipe stops there; when it was
 * answered the recipe is evaluated again, and the step stands for the answer.  An analysis
 * changes no pixel, so nothing behind it has to wait.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "image/sent.h"
#include "image/step.h"
#include "image/stepcall.h"
#include "queue/calls.h"
#include "queue/worker.h"

/* Numbers of a fallback's steps begin behind all numbers that a recipe's own may have. */
#define FALLBACK_STEPS 1000
#define FALLBACK_MAX_STEP 1000000

static WorkerStatement plan_statement = {
	"SELECT kind, image_format, max_side, apply, metadata_key, parameters_in_full, concurrency"
	" FROM imgexport.service_plan($1, $2, $3)",
	3,
	{TEXTOID, JSONBOID, REGROLEOID},
	NULL};

/* An argument in the memory of what keeps it; NULL: it is not given, or null. */
static char *
text_argument_in(MemoryContext owner, JsonbContainer *arguments, const char *name)
{
	MemoryContext before = MemoryContextSwitchTo(owner);
	JsonbValue *value = step_argument(arguments, name);
	char *text = NULL;

	if (value != NULL && value->type != jbvNull)
		text = pnstrdup(value->val.string.val, value->val.string.len);
	MemoryContextSwitchTo(before);
	return text;
}

static Jsonb *
json_argument_in(MemoryContext owner, JsonbContainer *arguments, const char *name)
{
	MemoryContext before = MemoryContextSwitchTo(owner);
	JsonbValue *value = step_argument(arguments, name);
	Jsonb *json = NULL;

	if (value != NULL && value->type != jbvNull)
		json = JsonbValueToJsonb(value);
	MemoryContextSwitchTo(before);
	return json;
}

static ServiceCall *
plan_call(Task *task, int output, int step, JsonbContainer *arguments, Datum image)
{
	ServiceCall *call = calls_new(task, output, step);
	MemoryContext owner = task->context;
	char *on_error = text_argument_in(owner, arguments, STEP_ON_ERROR);
	bool is_null;
	Datum max_side;
	char *kind;

	call->service = text_argument_in(owner, arguments, "name");
	if (call->service == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"name\" of step \"service\" must not be null")));
	call->parameters = json_argument_in(owner, arguments, "parameters");
	call->fallback = json_argument_in(owner, arguments, "fallback");
	worker_execute(&plan_statement,
				   (Datum[]){CStringGetTextDatum(call->service),
							 JsonbPGetDatum(call->parameters), ObjectIdGetDatum(task->role)},
				   call->parameters == NULL ? " n " : NULL);
	kind = worker_text(0, 1);
	call->is_analysis = strcmp(kind, "analysis") == 0;
	call->may_skip = on_error != NULL ? strcmp(on_error, STEP_ON_ERROR_SKIP) == 0
									  : strcmp(kind, "background") == 0;
	max_side = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &is_null);
	call->apply = worker_text_in(owner, 0, 4);
	call->metadata_key = worker_text_in(owner, 0, 5);
	call->image = sent_image_in(owner, lazy_image(image, owner), worker_text(0, 2),
								is_null ? 0 : DatumGetInt32(max_side));
	call->parameters = worker_varlena_in(owner, 0, 6);
	call->concurrency =
		DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 7, &is_null));
	/* Last, as any of this may fail, and what a task's calls are is looked at then, too. */
	calls_add(call);
	return call;
}

/* What it makes of the image; a mask that turns out to be damaged may be left out. */
static Datum
apply_answer(const ServiceCall *call, Datum image)
{
	LazyImage *answer =
		lazy_image_of_memfd(call->result, call->result_length, CurrentMemoryContext);

	return lazy_image_datum(sent_with_answer(lazy_image(image, CurrentMemoryContext), answer,
											 call->apply, call->may_skip));
}

/* What it was answered, or what is done without; false: a fallback's step waits in its turn. */
static bool
apply_outcome(const ServiceCall *call, Datum *image, const RecipeContext *context)
{
	RecipeContext fallback = *context;

	if (call->result >= 0)
		*image = apply_answer(call, *image);
	if (call->result >= 0 || call->fallback == NULL)
		return true;
	if (call->step >= FALLBACK_MAX_STEP)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("fallbacks of services are nested too deeply")));
	fallback.first_step = (call->step + 1) * FALLBACK_STEPS;
	return recipe_apply(image, call->fallback, &fallback);
}

/*
 * A RecipeContext's service: its service_argument is the task.
 *
 * image	becomes what the step makes of it
 * Returns	false: it is to be asked first, and the recipe stops here
 * Errors	42704, 42501, 22023 as imgexport.service_plan
 */
bool
service_step(const RecipeContext *context, int step, JsonbContainer *arguments, Datum *image)
{
	Task *task = context->service_argument;
	ServiceCall *call = calls_find(task, context->output, step);

	if (call == NULL)
		call = plan_call(task, context->output, step, arguments, *image);
	if (call->state != CALL_DONE)
		return call->is_analysis;
	return apply_outcome(call, image, context);
}
