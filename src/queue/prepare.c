/*
 * prepare.c
 *		From a job's recipe to a request for the codec.
 *
 * Only the extension's own steps are evaluated here; steps that are anybody's functions wait for
 * an evaluator (evaluation.c), and services for their answers.
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/guarded.h"
#include "image/step.h"
#include "queue/calls.h"
#include "queue/evaluation.h"
#include "queue/worker.h"
#include "wire/sniff.h"

static WorkerStep prepare_step = {.activity = "evaluate recipes"};

static WorkerStatement preset_statement = {
	"SELECT recipe, outputs, expires_in, store FROM imgexport.preset WHERE name = $1",
	1,
	{TEXTOID},
	NULL};

/* In a transaction: is there the preset of a job that failed before it was asked for? */
void
prepare_look_for_preset(void *argument)
{
	Task *task = argument;
	Datum values[] = {CStringGetTextDatum(task->preset)};

	task->preset_exists = worker_execute(&preset_statement, values, NULL) > 0;
}

/* What the job leaves out, its preset says. */
static void
apply_preset(Task *task)
{
	Datum values[] = {CStringGetTextDatum(task->preset)};
	MemoryContext owner = task->context;

	if (worker_execute(&preset_statement, values, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("preset \"%s\" does not exist", task->preset)));
	task->preset_exists = true;
	if (task->recipe == NULL)
		task->recipe = worker_varlena_in(owner, 0, 1);
	if (task->outputs == NULL)
		task->outputs = worker_varlena_in(owner, 0, 2);
	if (task->own_expires_in == NULL)
		task->expires_in = worker_interval_in(owner, 0, 3);
	if (task->own_store == NULL)
		task->store = worker_text_in(owner, 0, 4);
}

static LazyImage *
image_of(const TaskInput *input)
{
	return lazy_image_of_memfd(input->fd, input->length, input->task->context);
}

/* A base that is no image is left out, and the job says so. */
static bool
base_image(Task *task, Datum *base)
{
	uint8 start[SNIFF_BYTES];
	int fd = task->base.fd;
	ssize_t got;

	if (fd < 0)
		return false;
	got = pread(fd, start, sizeof start, 0);
	if (got <= 0 || sniff_format(start, got) == NULL)
	{
		task_warn(task, "base was skipped: it is no image");
		return false;
	}
	*base = lazy_image_datum(image_of(&task->base));
	return true;
}

/*
 * The recipe on the source; a base that no step of it asks for goes under the result.
 *
 * Returns	NULL: something has to be answered first
 */
static LazyImage *
apply_recipe(Task *task, RecipeContext *context)
{
	Datum image = lazy_image_datum(image_of(&task->source));
	LazyImage *result;

	task->source_bytes = task->source.length;
	if (task->recipe != NULL && !recipe_apply(&image, task->recipe, context))
		return NULL;
	result = lazy_image(image, task->context);
	if (context->has_base &&
		(task->recipe == NULL || !recipe_has_step(task->recipe, "composite")))
	{
		StepArgument base = {"base", BYTEAOID, false, context->base};

		step_append(result, "composite", &base, 1, true);
	}
	return result;
}

static void
name_outputs(Task *task, LazyImage *image, const RecipeContext *context)
{
	if (task->outputs != NULL)
		task->output_count = outputs_apply(image, task->outputs, context, &task->images);
	else
	{
		task->output_count = 1;
		task->images = MemoryContextAlloc(task->context, sizeof *task->images);
		task->images[0] = (NamedImage){.name = "output", .image = image};
	}
}

static void
build_request(Task *task)
{
	LazyImage **images = palloc(task->output_count * sizeof *images);

	for (int i = 0; i < task->output_count; i++)
		images[i] = task->images[i].image;
	render_message_build(&task->message, images, task->output_count, true);
	render_answer_init(&task->answer, task->output_count, true);
}

static void
note_skipped(void *argument, const char *message)
{
	task_warn(argument, "%s", message);
}

/* The role whose job it is.  Errors: 42704 it was dropped. */
static Oid
role_of(const Task *task)
{
	Oid role = roles_owner(task->owner);

	if (!OidIsValid(role))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("role \"%s\" does not exist any more", task->owner)));
	return role;
}

/*
 * The recipe, as far as it goes: up to the first steps that somebody else has to answer, or to
 * the end, with what they have answered.
 */
static void
evaluate(void *argument)
{
	Task *task = argument;
	RecipeContext context = {.output = -1,
							 .skipped = note_skipped,
							 .skipped_argument = task,
							 .service = service_step,
							 .service_argument = task,
							 .foreign = foreign_step,
							 .foreign_argument = task};
	LazyImage *image;

	if (task->preset != NULL)
		apply_preset(task);
	context.role = task->role = role_of(task);
	context.has_base = base_image(task, &context.base);
	context.base_skipped = task->wants_base && !context.has_base;
	task->output_count = 0;
	image = apply_recipe(task, &context);
	if (image != NULL)
		name_outputs(task, image, &context);
	if (evaluations_are_open(task))
		return;
	if (calls_are_open(task))
	{
		task->output_count = 0;
		calls_build_request(task);
		return;
	}
	build_request(task);
	/* What services have made may turn out to be no image; then it begins once more. */
	if (task->calls == NIL)
		task_close_inputs(task);
}

static void
prepare(Task *task)
{
	HelperError *error = run_guarded(evaluate, task, task->context);

	if (error == NULL)
	{
		task->state = evaluations_are_open(task) ? TASK_EVALUATING : TASK_WAITING;
		task->backoff = (Backoff){0};
	}
	else if (!task_put_off(task, error))
		task_fail(task, error);
}

static bool
is_ready(const Task *task)
{
	return task->state == TASK_READY && task_is_due(task);
}

static void
prepare_all(void *argument)
{
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (is_ready(task))
			prepare(task);
	}
}

/* Evaluate the recipes of all jobs whose bytes are here, in one transaction. */
void
prepare_ready(void)
{
	if (prepare_wait_ms() == 0)
		(void) step_run(&prepare_step, prepare_all, NULL);
}

/* How long until a recipe can be evaluated; -1: there is none. */
long
prepare_wait_ms(void)
{
	long shortest = -1;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		long wait_ms;

		if (task->state != TASK_READY)
			continue;
		wait_ms = backoff_wait_ms(&task->backoff);
		shortest = shortest < 0 ? wait_ms : Min(shortest, wait_ms);
	}
	return backoff_or(&prepare_step.backoff, shortest);
}
