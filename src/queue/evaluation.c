/*
 * evaluation.c
 *		A step that is somebody's function, while a job's recipe is evaluated in the worker.
 *
 * Nothing of anybody's runs in the worker.  The first time the step says what is to be
 * evaluated, and the recipe stops there; when an evaluator has answered the recipe is evaluated
 * again, and the step stands for the answer.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "image/stepcall.h"
#include "queue/evaluation.h"
#include "queue/worker.h"

static Evaluation *
find_evaluation(const Task *task, int output, int step)
{
	ListCell *cell;

	foreach (cell, task->evaluations)
	{
		Evaluation *evaluation = lfirst(cell);

		if (evaluation->output == output && evaluation->step == step)
			return evaluation;
	}
	return NULL;
}

/* Pack what an evaluator has to know.  Errors: 53000, 54000. */
static void
pack_request(Evaluation *evaluation, JsonbContainer *arguments, int flags)
{
	Parcel *request = &evaluation->request;

	parcel_begin(request, NULL);
	pack_text(&request->packer, evaluation->name);
	pack_u8(&request->packer, flags);
	if (flags & EVALUATION_ARGUMENTS)
	{
		StringInfoData json;

		initStringInfo(&json);
		JsonbToCString(&json, arguments, VARSIZE(arguments));
		parcel_put_bytes(request, json.data, json.len);
		pfree(json.data);
	}
	parcel_put_image(request, evaluation->image);
	if (flags & EVALUATION_BASE)
		parcel_put_image(request, evaluation->base);
	parcel_end(request);
}

static Evaluation *
add_evaluation(const RecipeContext *context, int step, const char *name,
			   JsonbContainer *arguments, bool optional, Datum image)
{
	Task *task = context->foreign_argument;
	MemoryContext before = MemoryContextSwitchTo(task->context);
	Evaluation *evaluation = palloc0(sizeof *evaluation);
	int flags = (arguments != NULL ? EVALUATION_ARGUMENTS : 0) |
				(context->has_base ? EVALUATION_BASE : 0) |
				(context->base_skipped ? EVALUATION_BASE_SKIPPED : 0) |
				(optional ? EVALUATION_OPTIONAL : 0);

	evaluation->task = task;
	evaluation->output = context->output;
	evaluation->step = step;
	evaluation->name = pstrdup(name);
	evaluation->waiting_since = GetCurrentTimestamp();
	evaluation->image =
		lazy_image_copy(lazy_image(image, CurrentMemoryContext), CurrentMemoryContext);
	if (context->has_base)
		evaluation->base = lazy_image_copy(lazy_image(context->base, CurrentMemoryContext),
										   CurrentMemoryContext);
	/* In the list first: what packing opens is closed with the task. */
	task->evaluations = lappend(task->evaluations, evaluation);
	pack_request(evaluation, arguments, flags);
	MemoryContextSwitchTo(before);
	return evaluation;
}

pg_noreturn static void
raise_broken(const Evaluation *evaluation)
{
	ereport(ERROR,
			(errcode(ERRCODE_IMAGE_HELPER),
			 errmsg("evaluator has answered step %s with what is no image", evaluation->name)));
}

/* Errors: IX001 the function's bytes are no image, IX007 the answer is none. */
static void
read_answer(Evaluation *evaluation)
{
	MemoryContext before = MemoryContextSwitchTo(evaluation->task->context);
	ParcelReader reader;

	parcel_open(&reader, evaluation->answer, &evaluation->request.own);
	evaluation->result = parcel_take_image(&reader, CurrentMemoryContext);
	if (evaluation->result == NULL || !unpack_finished(&reader.unpacker))
		raise_broken(evaluation);
	frame_close_fds(evaluation->answer);
	pfree(evaluation->answer);
	evaluation->answer = NULL;
	MemoryContextSwitchTo(before);
}

/*
 * A RecipeContext's foreign: its foreign_argument is the task.
 *
 * Returns	false: an evaluator has to be asked first, and the recipe stops here
 * Errors	what the function has raised
 */
bool
foreign_step(const RecipeContext *context, int step, const char *name,
			 JsonbContainer *arguments, bool optional, Datum *image)
{
	Evaluation *evaluation = find_evaluation(context->foreign_argument, context->output, step);

	if (evaluation == NULL)
		evaluation = add_evaluation(context, step, name, arguments, optional, *image);
	if (evaluation->state != EVALUATION_DONE)
		return false;
	if (evaluation->error != NULL)
		helper_error_raise(evaluation->error);
	if (evaluation->result == NULL)
		read_answer(evaluation);
	*image = lazy_image_datum(lazy_image_copy(evaluation->result, evaluation->task->context));
	return true;
}

/* Has a step of the task no answer yet? */
bool
evaluations_are_open(const Task *task)
{
	ListCell *cell;

	foreach (cell, task->evaluations)
		if (((Evaluation *) lfirst(cell))->state != EVALUATION_DONE)
			return true;
	return false;
}

/*
 * It is answered, or it has failed; with the last one its recipe is evaluated again.
 *
 * error	in the task's context; NULL: its answer is there
 */
void
evaluation_settle(Evaluation *evaluation, HelperError *error)
{
	Task *task = evaluation->task;

	evaluation->state = EVALUATION_DONE;
	evaluation->error = error;
	parcel_close(&evaluation->request);
	if (task->state != TASK_EVALUATING || evaluations_are_open(task))
		return;
	task->state = TASK_READY;
	/* Jobs of its owner may have been passed over. */
	worker.look = true;
}

/* Close what they have open.  In a reset callback. */
void
evaluations_close(Task *task)
{
	ListCell *cell;

	foreach (cell, task->evaluations)
	{
		Evaluation *evaluation = lfirst(cell);

		parcel_close(&evaluation->request);
		if (evaluation->answer != NULL)
			frame_close_fds(evaluation->answer);
		evaluation->answer = NULL;
	}
}
