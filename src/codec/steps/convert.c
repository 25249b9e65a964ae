/*
 * convert.c
 *		The format that the image goes out in; the last one of a pipeline holds.
 */
#include <string.h>

#include "codec/metadata.h"
#include "codec/optimize.h"
#include "codec/pages.h"
#include "codec/steps.h"

#define OPTION_PREFIX "options."

static int
read_format(Canvas *canvas, Arguments *arguments, const Format **format)
{
	const char *name;

	if (argument_text(arguments, "format", NULL, &name) != 0)
		return -1;
	*format = name != NULL ? format_by_name(name) : encode_format(canvas);
	if (*format != NULL)
		return 0;
	problem_set(canvas->problem, FAILURE_ARGUMENT, "format \"%.100s\" cannot be written", name);
	problem_hint(canvas->problem, "Formats are jpeg, png, webp, avif, heif, gif and tiff.");
	return -1;
}

static int
read_quality(Canvas *canvas, Arguments *arguments)
{
	if (argument_int(arguments, "quality", 0, 100, -1, &canvas->encode.quality) != 0)
		return -1;
	/* 0 is the scale's end in other systems; encoders start at 1. */
	if (canvas->encode.quality == 0)
		canvas->encode.quality = 1;
	if (canvas->encode.quality < 0)
		canvas->encode.quality = 0;
	return 0;
}

static int
read_options(Canvas *canvas, Arguments *arguments, const Format *format)
{
	canvas->encode.option_count = 0;
	for (int i = 0; i < arguments->step->argument_count; i++)
	{
		const Argument *option = &arguments->step->arguments[i];

		if (strncmp(option->name, OPTION_PREFIX, strlen(OPTION_PREFIX)) != 0 ||
			strcmp(option->name, OPTION_PREFIX "background") == 0 ||
			strcmp(option->name, OPTION_PREFIX "keep") == 0)
			continue;
		argument_find(arguments, option->name);
		if (canvas->encode.option_count == ENCODE_MAX_OPTIONS)
			return problem_set(canvas->problem, FAILURE_ARGUMENT, "more than %d options",
							   ENCODE_MAX_OPTIONS);
		if (encode_check_option(canvas, format, option) != 0)
			return -1;
		canvas->encode.options[canvas->encode.option_count++] = option;
	}
	return 0;
}

/*
 * What the format does to pixels happens here and not at the end, so that a later step
 * finds the same as it would after writing and reading the file.
 */
int
step_convert(Canvas *canvas, Arguments *arguments)
{
	const Format *format;
	const char *keep;
	double background[4];

	if (read_format(canvas, arguments, &format) != 0 || read_quality(canvas, arguments) != 0 ||
		read_options(canvas, arguments, format) != 0 ||
		argument_text(arguments, OPTION_PREFIX "keep", "", &keep) != 0 ||
		metadata_read_keep(keep, canvas->problem, &canvas->encode.keep) != 0 ||
		argument_color(arguments, OPTION_PREFIX "background", "white", background) != 0)
		return -1;
	if (argument_find(arguments, "format") != NULL)
		canvas->encode.format = format;
	if (format->pages != PAGES_ANIMATION && pages_keep(canvas, 0) != 0)
		return -1;
	return format->alpha ? 0 : canvas_flatten(canvas, background);
}

/* The same format, smaller. */
int
step_compress(Canvas *canvas, Arguments *arguments)
{
	return step_convert(canvas, arguments);
}

/* Looked for when the image is written: a step that follows would change what was found. */
int
step_optimize(Canvas *canvas, Arguments *arguments)
{
	int max_bytes;

	if (argument_int(arguments, "max_bytes", 0, INT_MAX, 0, &max_bytes) != 0 ||
		argument_float(arguments, "min_ssim", 0, 1, 0, &canvas->encode.min_ssim) != 0)
		return -1;
	canvas->encode.max_bytes = max_bytes;
	if (max_bytes == 0 && canvas->encode.min_ssim == 0)
		canvas->encode.min_ssim = OPTIMIZE_DEFAULT_SSIM;
	return 0;
}

/*
 * Alone on a file it never comes here: the file is copied without its metadata.  Among
 * other steps it says what of the metadata goes out.
 */
int
step_strip(Canvas *canvas, Arguments *arguments)
{
	const char *keep;

	if (argument_text(arguments, "keep", "", &keep) != 0)
		return -1;
	return metadata_read_keep(keep, canvas->problem, &canvas->encode.keep);
}
