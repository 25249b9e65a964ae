/*
 * turns.c
 *		Whose function is evaluated next, and of whom enough wait.
 *
 * An evaluation waits in line with those of its role; roles without an evaluator stand in line by
 * the evaluation that has waited longest.  A role that has had its turn goes to the line's end.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queue/evaluation.h"
#include "queue/worker.h"

/* So many jobs of an owner, or bytes of them, may wait for his functions; others are not claimed. */
#define HELD_MAX_TASKS 8
#define HELD_MAX_BYTES ((uint64) 64 << 20)

static bool
wants_evaluator(const Task *task)
{
	return task->state == TASK_EVALUATING;
}

/* Those of a role that wait stand at the end of the queue of roles. */
void
turns_requeue(Oid role)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_iter iter;
	ListCell *cell;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (wants_evaluator(task) && task->role == role)
			foreach (cell, task->evaluations)
				((Evaluation *) lfirst(cell))->waiting_since = now;
	}
}

/* All that wait for a role's evaluator fail: it does not end, and there is no other. */
void
turns_fail(Oid role)
{
	dlist_iter iter;
	ListCell *cell;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (!wants_evaluator(task) || task->role != role)
			continue;
		foreach (cell, task->evaluations)
		{
			Evaluation *evaluation = lfirst(cell);
			MemoryContext before;

			if (evaluation->state != EVALUATION_WAITING)
				continue;
			before = MemoryContextSwitchTo(task->context);
			evaluation_settle(
				evaluation,
				helper_error(
					ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, true,
					psprintf("step %s cannot be evaluated: a function of its role does "
							 "not end",
							 evaluation->name),
					NULL, NULL));
			MemoryContextSwitchTo(before);
		}
	}
}

/* The evaluation that has waited longest, of a role or of those that have no evaluator. */
Evaluation *
turns_next(Oid role)
{
	Evaluation *next = NULL;
	dlist_iter iter;
	ListCell *cell;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (!wants_evaluator(task) ||
			(OidIsValid(role) ? task->role != role : evaluators_have(task->role)))
			continue;
		foreach (cell, task->evaluations)
		{
			Evaluation *evaluation = lfirst(cell);

			if (evaluation->state == EVALUATION_WAITING &&
				(next == NULL || evaluation->waiting_since < next->waiting_since))
				next = evaluation;
		}
	}
	return next;
}

/* Does an owner have as many jobs waiting for his functions as may be held for that? */
static bool
is_crowded(const char *owner)
{
	int count = 0;
	uint64 bytes = 0;
	dlist_iter iter;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);

		if (!wants_evaluator(task) || strcmp(task->owner, owner) != 0)
			continue;
		count++;
		bytes += task->source.length + task->base.length;
	}
	return count >= HELD_MAX_TASKS || bytes >= HELD_MAX_BYTES;
}

/* Owners of whom no further job is to be claimed, as an array of texts. */
Datum
turns_crowded_owners(void)
{
	List *owners = NIL;
	ArrayBuildState *array = NULL;
	dlist_iter iter;
	ListCell *cell;

	dlist_foreach(iter, &worker.tasks)
	{
		Task *task = dlist_container(Task, link, iter.cur);
		bool seen = !wants_evaluator(task);

		foreach (cell, owners)
			seen |= strcmp(lfirst(cell), task->owner) == 0;
		if (!seen)
			owners = lappend(owners, task->owner);
	}
	foreach (cell, owners)
		if (is_crowded(lfirst(cell)))
			array = accumArrayResult(array, CStringGetTextDatum(lfirst(cell)), false, TEXTOID,
									 CurrentMemoryContext);
	return array == NULL ? PointerGetDatum(construct_empty_array(TEXTOID))
						 : makeArrayResult(array, CurrentMemoryContext);
}
