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
PG_FUNCTION_INFO_V1(imgexport_is_recipe);

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

/* A step to be made, for what may catch its error. */
typedef struct StepAttempt
{
	int number;
	const char *name;
	JsonbContainer *arguments;
	bool optional;
	Datum image; /* before, and then after it */
	bool stops;	 /* the result is not here yet */
	const RecipeContext *context;
} StepAttempt;

static void
make_step(void *argument)
{
	StepAttempt *attempt = argument;
	const RecipeContext *context = attempt->context;
	StepFunction function;

	if (context->checking == RECIPE_CHECK_SHAPE && step_is_qualified(attempt->name))
		return;
	step_function_find(attempt->name, &function);
	if (context->foreign != NULL && !function.appends)
		attempt->stops =
			!context->foreign(context, attempt->number, attempt->name, attempt->arguments,
							  attempt->optional, &attempt->image);
	else
		attempt->image = step_call(&function, attempt->arguments, attempt->image,
								   attempt->optional, context);
}

/*
 * Make a step that may be left out.  What its function raises is caught here; what the
 * codec finds when it renders the step is caught there.
 */
static void
make_optional(StepAttempt *attempt)
{
	const RecipeContext *context = attempt->context;
	Datum before = attempt->image;
	HelperError *error;
	char *message;

	/* A copy, as a step that fails may leave its image half changed. */
	attempt->image = lazy_image_datum(
		lazy_image_copy(lazy_image(before, CurrentMemoryContext), CurrentMemoryContext));
	/* A parallel worker has no subtransactions. */
	if (IsInParallelMode())
	{
		make_step(attempt);
		return;
	}
	error = run_guarded(make_step, attempt, CurrentMemoryContext);
	if (error == NULL)
		return;
	attempt->image = before;
	message = psprintf("step %s was skipped: %s", attempt->name, error->message);
	if (context->skipped != NULL)
		context->skipped(context->skipped_argument, message);
	else
		ereport(WARNING, (errmsg("%s", message)));
}

static void check_fallback(JsonbContainer *arguments, RecipeCheck check);

/* A step that asks a service; false: the recipe stops here for now. */
static bool
ask_service(int number, JsonbContainer *arguments, Datum *image, const RecipeContext *context)
{
	RecipeContext checking = {.checking = RECIPE_CHECK_ALL, .role = context->role};
	StepFunction function;

	step_function_find(STEP_SERVICE, &function);
	step_call(&function, arguments, (Datum) 0, false, &checking);
	check_fallback(arguments, RECIPE_CHECK_ALL);
	return context->service(context, number, arguments, image);
}

/*
 * Run a recipe: call each step's function on what the one before returned.
 *
 * image	lazy or plain, becomes the last function's result, usually lazy; with
 *			context->checking it is not looked at
 * Returns	false: a service or another process has to answer first, and the image is what
 *			there is before that
 * Errors	22023 the recipe is not one, 42501 a function may not be called, and
 *			whatever the functions raise
 */
bool
recipe_apply(Datum *image, Jsonb *recipe, const RecipeContext *context)
{
	StepPosition position;
	ErrorContextCallback callback = {
		.previous = error_context_stack, .callback = tell_position, .arg = &position};
	StepAttempt attempt = {.image = *image, .context = context};
	int count;

	check_stack_depth();
	require_array(recipe);
	count = JB_ROOT_COUNT(recipe);
	for (int i = 0; i < count && !attempt.stops; i++)
	{
		JsonbValue *step = getIthJsonbValueFromContainer(&recipe->root, i);

		attempt.number = context->first_step + i;
		attempt.name = read_step(step, i, &attempt.arguments);
		attempt.optional = read_on_error(attempt.arguments, i);
		position = (StepPosition){.index = i, .name = attempt.name};
		error_context_stack = &callback;
		if (context->service != NULL && strcmp(attempt.name, STEP_SERVICE) == 0)
			attempt.stops =
				!ask_service(attempt.number, attempt.arguments, &attempt.image, context);
		else if (attempt.optional && context->checking == RECIPE_RUN)
			make_optional(&attempt);
		else
			make_step(&attempt);
		if (context->checking != RECIPE_RUN && strcmp(attempt.name, STEP_SERVICE) == 0)
			check_fallback(attempt.arguments, context->checking);
		error_context_stack = callback.previous;
	}
	*image = attempt.image;
	return !attempt.stops;
}

/* Raise what recipe_apply would raise before it calls anything. */
void
recipe_check(Jsonb *recipe, RecipeCheck check)
{
	RecipeContext context = {.checking = check};
	Datum nothing = (Datum) 0;

	recipe_apply(&nothing, recipe, &context);
}

/* What a service step falls back to is a recipe as well. */
static void
check_fallback(JsonbContainer *arguments, RecipeCheck check)
{
	JsonbValue *fallback = step_argument(arguments, "fallback");

	if (fallback != NULL && fallback->type != jbvNull)
		recipe_check(JsonbValueToJsonb(fallback), check);
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
	Datum image = PG_GETARG_DATUM(0);

	recipe_apply(&image, PG_GETARG_JSONB_P(1), &context);
	PG_RETURN_DATUM(image);
}

/* imgexport.validate_recipe(recipe jsonb) returns boolean: true, or an error */
Datum
imgexport_validate_recipe(PG_FUNCTION_ARGS)
{
	recipe_check(PG_GETARG_JSONB_P(0), RECIPE_CHECK_ALL);
	PG_RETURN_BOOL(true);
}

/* imgexport.is_recipe(recipe jsonb) returns boolean: true, or an error */
Datum
imgexport_is_recipe(PG_FUNCTION_ARGS)
{
	recipe_check(PG_GETARG_JSONB_P(0), RECIPE_CHECK_SHAPE);
	PG_RETURN_BOOL(true);
}
