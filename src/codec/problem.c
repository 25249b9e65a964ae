/*
 * problem.c
 *		What went wrong in a request.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <vips/vips.h>

#include "codec/problem.h"
#include "codec/shortage.h"

/* Something was stopped because the request's time was over. */
static atomic_bool late;

/* The deadline has stopped something: what fails from here on fails because of that. */
void
problem_note_late(void)
{
	atomic_store(&late, true);
}

/* A request starts: what the one before ran into is forgotten. */
void
problem_forget(void)
{
	atomic_store(&late, false);
	shortage_forget();
}

static void
note(Problem *problem, FailureKind kind, const char *message, const char *hint)
{
	problem->kind = kind;
	problem->latest = false;
	problem->detail[0] = '\0';
	snprintf(problem->message, sizeof problem->message, "%s", message);
	snprintf(problem->hint, sizeof problem->hint, "%s", hint);
}

/* What is behind any failure of a request that ran out of memory or time; false: neither. */
static bool
note_cause(Problem *problem, FailureKind kind)
{
	if (kind == FAILURE_TIMEOUT || kind == FAILURE_MEMORY)
		return false;
	if (shortage_happened())
		note(problem, FAILURE_MEMORY, "image codec process ran out of memory",
			 "A smaller image needs less; imgexport.codec_memory sets the limit.");
	else if (atomic_load(&late))
		note(problem, FAILURE_TIMEOUT, "image was not finished in time",
			 "imgexport.codec_timeout sets the limit.");
	else
		return false;
	return true;
}

/*
 * Note a problem, unless an earlier one was noted: that is the cause.  So is a lack of memory
 * or time, whatever the library that met it makes of it.
 *
 * Returns	-1
 */
int
problem_set(Problem *problem, FailureKind kind, const char *format, ...)
{
	va_list arguments;

	problem->latest = false;
	if (problem->kind != 0 || note_cause(problem, kind))
		return -1;
	note(problem, kind, "", "");
	problem->latest = true;
	va_start(arguments, format);
	vsnprintf(problem->message, sizeof problem->message, format, arguments);
	va_end(arguments);
	return -1;
}

/* Say more of the problem that was just set. */
void
problem_detail(Problem *problem, const char *format, ...)
{
	va_list arguments;

	if (!problem->latest)
		return;
	va_start(arguments, format);
	vsnprintf(problem->detail, sizeof problem->detail, format, arguments);
	va_end(arguments);
}

void
problem_hint(Problem *problem, const char *format, ...)
{
	va_list arguments;

	if (!problem->latest)
		return;
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

/*
 * Note what libvips reports, as detail of a message of ours; its error buffer is empty afterwards.
 *
 * kind		what it is, unless memory or time ran out
 */
int
problem_of_vips(Problem *problem, FailureKind kind, const char *message)
{
	char *text = vips_error_buffer_copy();

	problem_set(problem, kind, "%s", message);
	g_strstrip(text);
	g_strdelimit(text, "\n\r\t", ' ');
	if (text[0] != '\0')
		problem_detail(problem, "libvips says: %s", text);
	g_free(text);
	return -1;
}
