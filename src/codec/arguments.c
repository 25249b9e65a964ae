/*
 * arguments.c
 *		A step's arguments by name, with their ranges.
 */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "codec/arguments.h"
#include "codec/color.h"

void
arguments_init(Arguments *arguments, const Step *step, Problem *problem)
{
	*arguments = (Arguments){.step = step, .problem = problem};
}

/*
 * The next argument of a name, now used.
 *
 * after	the one before it; NULL: from the first
 * Returns	NULL: there are no more
 */
const Argument *
arguments_next(Arguments *arguments, const char *name, const Argument *after)
{
	const Argument *all = arguments->step->arguments;

	for (int i = after == NULL ? 0 : (int) (after - all) + 1;
		 i < arguments->step->argument_count && i < ARGUMENTS_MAX; i++)
		if (strcmp(all[i].name, name) == 0)
		{
			arguments->used[i] = true;
			return &all[i];
		}
	return NULL;
}

/* An argument by name, now used; NULL: absent. */
const Argument *
argument_find(Arguments *arguments, const char *name)
{
	return arguments_next(arguments, name, NULL);
}

static int
wrong_type(Arguments *arguments, const char *name, const char *type)
{
	return problem_set(arguments->problem, FAILURE_ARGUMENT, "%s must be %s", name, type);
}

int
argument_int(Arguments *arguments, const char *name, int low, int high, int fallback,
			 int *value)
{
	const Argument *argument = argument_find(arguments, name);

	*value = fallback;
	if (argument == NULL)
		return 0;
	if (argument->type != ARGUMENT_INT)
		return wrong_type(arguments, name, "an integer");
	if (argument->value.integer < low || argument->value.integer > high)
		return problem_set(arguments->problem, FAILURE_ARGUMENT,
						   "%s must be between %d and %d, not %lld", name, low, high,
						   (long long) argument->value.integer);
	*value = (int) argument->value.integer;
	return 0;
}

int
argument_float(Arguments *arguments, const char *name, double low, double high, double fallback,
			   double *value)
{
	const Argument *argument = argument_find(arguments, name);

	*value = fallback;
	if (argument == NULL)
		return 0;
	if (argument->type == ARGUMENT_INT)
		*value = (double) argument->value.integer;
	else if (argument->type == ARGUMENT_FLOAT)
		*value = argument->value.number;
	else
		return wrong_type(arguments, name, "a number");
	if (!(*value >= low && *value <= high))
		return problem_set(arguments->problem, FAILURE_ARGUMENT,
						   "%s must be between %g and %g, not %g", name, low, high, *value);
	return 0;
}

int
argument_bool(Arguments *arguments, const char *name, bool fallback, bool *value)
{
	const Argument *argument = argument_find(arguments, name);

	*value = fallback;
	if (argument == NULL)
		return 0;
	if (argument->type != ARGUMENT_BOOL)
		return wrong_type(arguments, name, "true or false");
	*value = argument->value.boolean;
	return 0;
}

int
argument_text(Arguments *arguments, const char *name, const char *fallback, const char **value)
{
	const Argument *argument = argument_find(arguments, name);

	*value = fallback;
	if (argument == NULL)
		return 0;
	if (argument->type != ARGUMENT_TEXT)
		return wrong_type(arguments, name, "a text");
	*value = argument->value.text;
	return 0;
}

/*
 * One of a list of words.
 *
 * choices	ends with NULL
 * value	where to put the index of the word
 */
int
argument_choice(Arguments *arguments, const char *name, const char *const *choices,
				int fallback, int *value)
{
	const char *text;
	char *list;

	if (argument_text(arguments, name, choices[fallback], &text) != 0)
		return -1;
	for (*value = 0; choices[*value] != NULL; (*value)++)
		if (strcmp(choices[*value], text) == 0)
			return 0;
	list = g_strjoinv(", ", (char **) choices);
	problem_set(arguments->problem, FAILURE_ARGUMENT, "%s must not be \"%.100s\"", name, text);
	problem_hint(arguments->problem, "It is one of %s.", list);
	g_free(list);
	return -1;
}

/* A CSS colour; components are 0 to 255, alpha too. */
int
argument_color(Arguments *arguments, const char *name, const char *fallback, double rgba[4])
{
	const char *text;

	if (argument_text(arguments, name, fallback, &text) != 0)
		return -1;
	if (color_parse(text, rgba))
		return 0;
	problem_set(arguments->problem, FAILURE_ARGUMENT, "%s must be a color, not \"%.100s\"",
				name, text);
	problem_hint(arguments->problem,
				 "Colors are written as in CSS: #rrggbb, #rrggbbaa or a name.");
	return -1;
}

/* An image among the arguments, borrowed; NULL: absent. */
const Pipeline *
argument_image(Arguments *arguments, const char *name)
{
	const Argument *argument = argument_find(arguments, name);

	if (argument == NULL || argument->type != ARGUMENT_IMAGE)
		return NULL;
	return argument->value.image;
}

/* Every argument has to have been asked for. */
int
arguments_finish(Arguments *arguments)
{
	for (int i = 0; i < arguments->step->argument_count; i++)
		if (strcmp(arguments->step->arguments[i].name, STEP_ON_ERROR) != 0 &&
			(i >= ARGUMENTS_MAX || !arguments->used[i]))
			return problem_set(arguments->problem, FAILURE_ARGUMENT,
							   "%s does not take an argument \"%.100s\"", arguments->step->name,
							   arguments->step->arguments[i].name);
	return 0;
}
