/*
 * steps.c
 *		From a step's name to what makes it.
 */
#include <string.h>

#include "codec/steps.h"

static const struct
{
	const char *name;
	int (*run)(Canvas *canvas, Arguments *arguments);
} steps[] = {
	{"blur", step_blur},		   {"composite", step_composite}, {"convert", step_convert},
	{"crop", step_crop},		   {"flip", step_flip},			  {"flop", step_flop},
	{"normalize", step_normalize}, {"preview", step_preview},	  {"resize", step_resize},
	{"rotate", step_rotate},	   {"thumbnail", step_thumbnail},
};

/* Make one step; 0, or -1 with the problem noted. */
int
step_run(Canvas *canvas, const Step *step)
{
	Arguments arguments;

	arguments_init(&arguments, step, canvas->problem);
	for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
		if (strcmp(steps[i].name, step->name) == 0)
		{
			if (steps[i].run(canvas, &arguments) != 0)
				return -1;
			/* From here on the picture is what it is, not what was left out in decoding. */
			canvas->full_width = 0;
			canvas->full_height = 0;
			return arguments_finish(&arguments);
		}
	return problem_set(canvas->problem, FAILURE_ARGUMENT, "there is no step \"%.100s\"",
					   step->name);
}
