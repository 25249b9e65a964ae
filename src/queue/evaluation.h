/*
 * evaluation.h
 *		Steps that are somebody's functions: what a job waits for, and the process that runs them.
 */
#ifndef IMGEXPORT_QUEUE_EVALUATION_H
#define IMGEXPORT_QUEUE_EVALUATION_H

#include "image/parcel.h"
#include "queue/task.h"

/* Sockets of evaluators that a worker may wait for, and the one that they come to. */
#define EVALUATORS_MAX 16

/* Frames between a worker and its evaluators; helpers know nothing of them. */
typedef enum EvaluationFrame
{
	FRAME_EVALUATE = 100, /* text step, u8 EvaluationFlags, [bytes arguments,] image[, base] */
	FRAME_EVALUATED,	  /* image */
	FRAME_FAILED		  /* u32 SQLSTATE, text message, text detail, text hint; "": none */
} EvaluationFrame;

typedef enum EvaluationFlags
{
	EVALUATION_ARGUMENTS = 1, /* it has arguments: JSON as text */
	EVALUATION_BASE = 2,	  /* there is a base */
	EVALUATION_BASE_SKIPPED = 4,
	EVALUATION_OPTIONAL = 8 /* what it appends may be left out */
} EvaluationFlags;

/* bgw_extra of an evaluator. */
typedef struct EvaluatorStart
{
	Oid database;
	Oid role;
	char socket[64]; /* abstract name of the worker's */
} EvaluatorStart;

typedef enum EvaluationState
{
	EVALUATION_WAITING, /* for an evaluator of its role */
	EVALUATION_SENT,
	EVALUATION_DONE
} EvaluationState;

/* A step that another process evaluates, known by where in the recipes it is. */
typedef struct Evaluation
{
	Task *task;
	int output; /* of which output, -1: of all */
	int step;
	char *name;
	EvaluationState state;
	TimestampTz waiting_since;
	LazyImage *image; /* as it is sent; keeps the sources of the request */
	LazyImage *base;  /* likewise; NULL: there is none */
	Parcel request;
	Frame *answer; /* as it came; NULL once it was read */
	HelperError *error;
	LazyImage *result;
} Evaluation;

/* evaluation.c */
bool foreign_step(const RecipeContext *context, int step, const char *name,
				  JsonbContainer *arguments, bool optional, Datum *image);
bool evaluations_are_open(const Task *task);
void evaluations_close(Task *task);
void evaluation_settle(Evaluation *evaluation, HelperError *error);

/* evaluators.c */
void evaluators_drop(const Task *task);
bool evaluators_have(Oid role);
void evaluators_advance(void);
long evaluators_wait_ms(void);
int evaluators_sockets(int *sockets, int room);

/* turns.c */
Evaluation *turns_next(Oid role);
void turns_requeue(Oid role);
void turns_fail(Oid role);
Datum turns_crowded_owners(void);

PGDLLEXPORT void imgexport_evaluator_main(Datum argument);

#endif
