/*
 * problem.h
 *		What went wrong in a request, kept until it is reported.
 */
#ifndef IMGEXPORT_CODEC_PROBLEM_H
#define IMGEXPORT_CODEC_PROBLEM_H

#include "wire/message.h"

typedef struct Problem
{
	FailureKind kind; /* 0: nothing yet */
	bool latest;	  /* the last call of problem_set is what is noted: details go with it */
	char message[512];
	char detail[512];
	char hint[256];
} Problem;

int problem_set(Problem *problem, FailureKind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void problem_detail(Problem *problem, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void problem_hint(Problem *problem, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void problem_note_late(void);
void problem_forget(void);
int problem_out_of_memory(Problem *problem);
int problem_of_vips(Problem *problem, FailureKind kind, const char *message);

#endif
