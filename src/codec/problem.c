/*
 * problem.c
 *		What went wrong in a request.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <vips/vips.h>

#include "codec/problem.h"

/* Note a problem, unless an earlier one was noted: that is the cause.  Returns -1. */
int
problem_set(Problem *problem, FailureKind kind, const char *format, ...)
{
	va_list arguments;

	if (problem->kind != 0)
		return -1;
	problem->kind = kind;
	problem->detail[0] = '\0';
	problem->hint[0] = '\0';
	va_start(arguments, format);
	vsnprintf(problem->message, sizeof problem->message, format, arguments);
	va_end(arguments);
	return -1;
}

void
problem_detail(Problem *problem, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem->detail, sizeof problem->detail, format, arguments);
	va_end(arguments);
}

void
problem_hint(Problem *problem, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem->hint, sizeof problem->hint, format, arguments);
	va_end(arguments);
}

/* There is no memory left within the limit.  Returns -1. */
int
problem_out_of_memory(Problem *problem)
{
	problem_set(problem, FAILURE_MEMORY, "image codec process ran out of memory");
	problem_hint(problem, "A smaller image needs less; imgexport.codec_memory sets the limit.");
	return -1;
}

/* libvips says "killed" where our deadline stopped it, and names the call that found no memory. */
static FailureKind
kind_of_text(const char *text, FailureKind kind)
{
	if (strstr(text, "killed") != NULL)
		return FAILURE_TIMEOUT;
	if (strstr(text, "out of memory") != NULL || strstr(text, "memory allocation") != NULL ||
		strstr(text, "Insufficient memory") != NULL)
		return FAILURE_MEMORY;
	return kind;
}

/*
 * Note what libvips reports, as detail of a message of ours; its error buffer is empty afterwards.
 *
 * kind		what it is where libvips' text does not say better
 */
int
problem_of_vips(Problem *problem, FailureKind kind, const char *message)
{
	char *text = vips_error_buffer_copy();
	FailureKind found = kind_of_text(text, kind);

	if (found == FAILURE_TIMEOUT)
	{
		problem_set(problem, found, "image was not finished in time");
		problem_hint(problem, "imgexport.codec_timeout sets the limit.");
	}
	else if (found == FAILURE_MEMORY && kind != FAILURE_MEMORY)
		problem_out_of_memory(problem);
	else if (problem->kind == 0)
	{
		problem_set(problem, found, "%s", message);
		g_strstrip(text);
		g_strdelimit(text, "\n\r\t", ' ');
		if (text[0] != '\0')
			problem_detail(problem, "libvips says: %s", text);
	}
	g_free(text);
	return -1;
}
