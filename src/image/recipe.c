/*
 * recipe.c
 *		Steps as JSON: [{"resize": {"width": 600}}, {"blur": {"sigma": 2}}, "flip"].
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "compat.h"
#include "helper/guarded.h"
#include "image/recipe.h"
#include "image/step.h"
#include "image/stepcall.h"
#include "wire/pipeline.h"

PG_FUNCTION_INFO_V1(img_apply);
PG_FUNCTION_INFO_V1(imgexport_validate_recipe);

/* A recipe nobody writes by hand; every step costs a look-up and a piece of a frame. */
#define RECIPE_MAX_STEPS 200

/* The step that may have to wait. */
#define STEP_SERVICE "service"

/* Of two names, how many letters apart may one be taken for the other? */
#define NEAREST_MAX_DISTANCE 3

/* The candidate that was most likely meant; NULL when none comes near. */
const char *
nearest_name(const char *name, const char *const *candidates, int count)
{
	const char *nearest = NULL;
	int best = NEAREST_MAX_DISTANCE + 1;
	int length = strlen(name);

	if (length > 100)
		return NULL;
	for (int i = 0; i < count; i++)
	{
		int distance = varstr_levenshtein(name, length, candidates[i], strlen(candidates[i]), 1,
										  1, 1, true);

		if (distance < best)
		{
			best = distance;
			nearest = candidates[i];
		}
	}
	return nearest;
}

pg_noreturn static void
raise_shape(int index, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("step %d of the recipe %s", index + 1, what),
			 errhint("A recipe is an array of steps like {\"resize\": {\"width\": 600}}.")));
}

static void
require_array(Jsonb *recipe)
{
	if (!JB_ROOT_IS_ARRAY(recipe) || JB_ROOT_IS_SCALAR(recipe))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("recipe must be a JSON array"),
			 errhint("A recipe is an array of steps like {\"resize\": {\"width\": 600}}.")));
	if (JB_ROOT_COUNT(recipe) > RECIPE_MAX_STEPS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("recipe has %u steps, more than %d", JB_ROOT_COUNT(recipe),
							   RECIPE_MAX_STEPS)));
}

/*
 * Name and arguments of one step: "flip" or {"resize": {"width": 600}}.
 *
 * arguments	set to NULL where there are none
 */
static char *
read_step(JsonbValue *step, int index, JsonbContainer **arguments)
{
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;

	*arguments = NULL;
	if (step->type == jbvString)
		return pnstrdup(step->val.string.val, step->val.string.len);
	if (step->type != jbvBinary || !JsonContainerIsObject(step->val.binary.data))
		raise_shape(index, "is neither a name nor an object");
	if (JsonContainerSize(step->val.binary.data) != 1)
		raise_shape(index, "must have exactly one key, the name of the step");
	iterator = JsonbIteratorInit(step->val.binary.data);
	JsonbIteratorNext(&iterator, &key, true); /* WJB_BEGIN_OBJECT */
	JsonbIteratorNext(&iterator, &key, true);
	JsonbIteratorNext(&iterator, &value, true);
	if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
		*arguments = value.val.binary.data;
	else if (value.type != jbvNull)
		raise_shape(index, "must have an object of arguments");
	return pnstrdup(key.val.string.val, key.val.string.len);
}

typedef struct StepPosition
{
	int index;
	const char *name;
} StepPosition;

static void
tell_position(void *argument)
{
	StepPosition *position = argument;

	errcontext("step %d of the recipe, %s", position->index + 1, position->name);
}

/* A step's "on_error": may it be left out when it fails? */
static bool
read_on_error(JsonbContainer *arguments, int index)
{
	JsonbValue *value = step_argument(arguments, STEP_ON_ERROR);
	char *choice;

	if (value == NULL)
		return false;
	if (value->type != jbvString)
		raise_shape(index, "must have \"skip\" or \"fail\" as its on_error");
	choice = pnstrdup(value->val.string.val, value->val.string.len);
	if (strcmp(choice, STEP_ON_ERROR_SKIP) != 0 && strcmp(choice, "fail") != 0)
		raise_shape(index, "must have \"skip\" or \"fail\" as its on_error");
	return strcmp(choice, STEP_ON_ERROR_SKIP) == 0;
}

/* The call of one step, for what may catch its error. */
typedef struct StepAttempt
{
	const char *name;
	JsonbContainer *arguments;
	Datum image;
	const RecipeContext *context;
} StepAttempt;

static void
call_attempt(void *argument)
{
	StepAttempt *attempt = argument;
	bool before = step_set_optional(true);

	PG_TRY();
	{
		attempt->image =
			step_call(attempt->name, attempt->arguments, attempt->image, attempt->context);
	}
	PG_FINALLY();
	{
		step_set_optional(before);
	}
	PG_END_TRY();
}

/*
 * Call a step that may be left out.  What its function raises is caught here; what the
 * codec finds when it renders the step is caught there.
 */
static Datum
call_optional(const char *name, JsonbContainer *arguments, Datum image,
			  const RecipeContext *context)
{
	StepAttempt attempt = {name, arguments, image, context};
	HelperError *error;
	char *message;

	if (context->checking)
		return step_call(name, arguments, image, context);
	/* A copy, as a step that fails may leave its image half changed. */
	attempt.image = lazy_image_datum(
		lazy_image_copy(lazy_image(image, CurrentMemoryContext), CurrentMemoryContext));
	/* A parallel worker has no subtransactions. */
	if (IsInParallelMode())
	{
		call_attempt(&attempt);
		return attempt.image;
	}
	error = run_guarded(call_attempt, &attempt, CurrentMemoryContext);
	if (error == NULL)
		return attempt.image;
	message = psprintf("step %s was skipped: %s", name, error->message);
	if (context->skipped != NULL)
		context->skipped(context->skipped_argument, message);
	else
		ereport(WARNING, (errmsg("%s", message)));
	return image;
}

static void check_fallback(JsonbContainer *arguments);

/* A step that asks a service; false: the recipe stops here for now. */
static bool
ask_service(int number, JsonbContainer *arguments, Datum *image, const RecipeContext *context)
{
	RecipeContext checking = {.checking = true};

	step_call(STEP_SERVICE, arguments, (Datum) 0, &checking);
	check_fallback(arguments);
	return context->service(context, number, arguments, image);
}

/*
 * Run a recipe: call each step's function on what the one before returned.
 *
 * image	lazy or plain; with context->checking it is not looked at
 * Returns	the last function's result, usually lazy; where a service has to answer first,
 *			what there is before it
 * Errors	22023 the recipe is not one, 42501 a function may not be called, and
 *			whatever the functions raise
 */
Datum
recipe_apply(Datum image, Jsonb *recipe, const RecipeContext *context)
{
	StepPosition position;
	ErrorContextCallback callback = {
		.previous = error_context_stack, .callback = tell_position, .arg = &position};
	int count;

	check_stack_depth();
	require_array(recipe);
	count = JB_ROOT_COUNT(recipe);
	for (int i = 0; i < count; i++)
	{
		JsonbValue *step = getIthJsonbValueFromContainer(&recipe->root, i);
		JsonbContainer *arguments;
		char *name = read_step(step, i, &arguments);

		position = (StepPosition){.index = i, .name = name};
		error_context_stack = &callback;
		if (context->service != NULL && strcmp(name, STEP_SERVICE) == 0)
		{
			if (!ask_service(context->first_step + i, arguments, &image, context))
				i = count;
		}
		else if (read_on_error(arguments, i))
			image = call_optional(name, arguments, image, context);
		else
			image = step_call(name, arguments, image, context);
		if (context->checking && strcmp(name, STEP_SERVICE) == 0)
			check_fallback(arguments);
		error_context_stack = callback.previous;
	}
	return image;
}

/* Raise what recipe_apply would raise before it calls anything. */
void
recipe_check(Jsonb *recipe)
{
	RecipeContext context = {.checking = true};

	recipe_apply((Datum) 0, recipe, &context);
}

/* What a service step falls back to is a recipe as well. */
static void
check_fallback(JsonbContainer *arguments)
{
	JsonbValue *fallback = step_argument(arguments, "fallback");

	if (fallback != NULL && fallback->type != jbvNull)
		recipe_check(JsonbValueToJsonb(fallback));
}

/* Does a valid recipe have a step of this name? */
bool
recipe_has_step(Jsonb *recipe, const char *name)
{
	int count;

	require_array(recipe);
	count = JB_ROOT_COUNT(recipe);
	for (int i = 0; i < count; i++)
	{
		JsonbContainer *arguments;

		if (strcmp(read_step(getIthJsonbValueFromContainer(&recipe->root, i), i, &arguments),
				   name) == 0)
			return true;
	}
	return false;
}

/* img_apply(image bytea, recipe jsonb) returns bytea */
Datum
img_apply(PG_FUNCTION_ARGS)
{
	RecipeContext context = {0};

	PG_RETURN_DATUM(recipe_apply(PG_GETARG_DATUM(0), PG_GETARG_JSONB_P(1), &context));
}

/* imgexport.validate_recipe(recipe jsonb) returns boolean: true, or an error */
Datum
imgexport_validate_recipe(PG_FUNCTION_ARGS)
{
	recipe_check(PG_GETARG_JSONB_P(0));
	PG_RETURN_BOOL(true);
}
