/*
 * steps.c
 *		From a step's name to what makes it.
 */
#include <string.h>

#include "codec/pages.h"
#include "codec/request.h"
#include "codec/steps.h"

/* What a step does with the pages of an animation. */
typedef enum PageRule
{
	EACH_PAGE, /* it knows one picture, and is made page by page */
	TOGETHER,  /* it takes them all, one below another */
	BY_ALL,	   /* likewise, and decides by all of them what it does */
	BY_FORMAT, /* likewise, and drops all but the first for a format that holds one */
	OF_PAGES,  /* likewise, and pages are what it is about, of documents too */
	FIRST_PAGE /* it looks at the first one only */
} PageRule;

static const struct
{
	const char *name;
	StepHandler run;
	PageRule rule;
} steps[] = {
	{"animate", step_animate, TOGETHER},
	{"autocrop", step_autocrop, BY_ALL},
	{"blur", step_blur, EACH_PAGE},
	{"blurhash", step_blurhash, FIRST_PAGE},
	{"composite", step_composite, EACH_PAGE},
	{"compress", step_compress, BY_FORMAT},
	{"convert", step_convert, BY_FORMAT},
	{"crop", step_crop, EACH_PAGE},
	{"crop_to", step_crop_to, EACH_PAGE},
	{"dominant_color", step_dominant_color, FIRST_PAGE},
	{"extend", step_extend, EACH_PAGE},
	{"flatten", step_flatten, TOGETHER},
	{"flip", step_flip, EACH_PAGE},
	{"flop", step_flop, TOGETHER},
	{"gamma", step_gamma, TOGETHER},
	{"grayscale", step_grayscale, TOGETHER},
	{"histogram", step_histogram, FIRST_PAGE},
	{"mask", step_mask, EACH_PAGE},
	{"modulate", step_modulate, TOGETHER},
	{"montage", step_montage, FIRST_PAGE},
	{"negate", step_negate, TOGETHER},
	{"normalise_contrast", step_normalise_contrast, BY_ALL},
	{"normalize", step_normalize, EACH_PAGE},
	{"optimize", step_optimize, TOGETHER},
	{"orient", step_orient, EACH_PAGE},
	{"overlay", step_overlay, EACH_PAGE},
	{"page", step_page, OF_PAGES},
	{"palette", step_palette, FIRST_PAGE},
	{"phash", step_phash, FIRST_PAGE},
	{"preview", step_preview, FIRST_PAGE},
	{"redact", step_redact, EACH_PAGE},
	{"remove_background", step_remove_background, EACH_PAGE},
	{"resize", step_resize, EACH_PAGE},
	{"rotate", step_rotate, EACH_PAGE},
	{"round_corners", step_round_corners, EACH_PAGE},
	{"shadow", step_shadow, EACH_PAGE},
	{"sharpen", step_sharpen, EACH_PAGE},
	{"similarity", step_similarity, FIRST_PAGE},
	{"sprite", step_sprite, OF_PAGES},
	{"strip", step_strip, TOGETHER},
	{"thumbhash", step_thumbhash, FIRST_PAGE},
	{"thumbnail", step_thumbnail, BY_FORMAT},
	{"tint", step_tint, TOGETHER},
	{"trim", step_trim, BY_ALL},
	{"vips", step_vips, EACH_PAGE},
	{"watermark", step_watermark, EACH_PAGE},
	{"watermark_text", step_watermark_text, EACH_PAGE},
};

/* Where a step stands in the table; -1: nowhere. */
static int
find_step(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
		if (strcmp(steps[i].name, name) == 0)
			return (int) i;
	return -1;
}

/* The name of a step by its place in the table; NULL: there are no more. */
const char *
step_name(int index)
{
	return index < (int) G_N_ELEMENTS(steps) ? steps[index].name : NULL;
}

/* The format that a step gives the image; NULL: it gives it none. */
static const Format *
named_format(const Step *step)
{
	for (int i = 0; i < step->argument_count; i++)
		if (step->arguments[i].type == ARGUMENT_TEXT &&
			strcmp(step->arguments[i].name, "format") == 0)
			return format_by_name(step->arguments[i].value.text);
	return NULL;
}

/*
 * Does a pipeline look at more than the first page of its source?
 *
 * Decoding one page of many is what makes a thumbnail of an animation cheap.
 */
bool
steps_want_pages(const Pipeline *pipeline, const Format *source)
{
	if (source->pages == PAGES_ONE)
		return false;
	for (int i = 0; i < pipeline->step_count; i++)
	{
		const Step *step = &pipeline->steps[i];
		int at = find_step(step->name);

		if (at < 0 || steps[at].rule == FIRST_PAGE)
			return false;
		if (steps[at].rule == OF_PAGES)
			return true;
		if (source->pages != PAGES_ANIMATION)
			continue;
		if (steps[at].rule == BY_FORMAT && named_format(step) != NULL &&
			named_format(step)->pages != PAGES_ANIMATION)
			return false;
		if (steps[at].rule == BY_ALL)
			return true;
	}
	return source->pages == PAGES_ANIMATION;
}

static int
run_by_rule(Canvas *canvas, Arguments *arguments, int at)
{
	if (steps[at].rule == EACH_PAGE)
		return pages_each(canvas, arguments, steps[at].run);
	if (steps[at].rule == FIRST_PAGE && pages_keep(canvas, 0) != 0)
		return -1;
	return steps[at].run(canvas, arguments);
}

static int
run_required(Canvas *canvas, const Step *step)
{
	StepMemory memory = {0};
	Arguments arguments;
	int at = find_step(step->name);
	int failed;

	if (at < 0)
		return problem_set(canvas->problem, FAILURE_ARGUMENT, "there is no step \"%.100s\"",
						   step->name);
	if (canvas->report != NULL)
		return problem_set(canvas->problem, FAILURE_ARGUMENT,
						   "no step can follow one that makes no image");
	arguments_init(&arguments, step, canvas->problem);
	canvas->memory = &memory;
	failed = run_by_rule(canvas, &arguments, at);
	canvas->memory = NULL;
	step_memory_clear(&memory);
	if (failed != 0 || canvas_admit(canvas) != 0)
		return -1;
	/* From here on the picture is what it is, not what was left out in decoding. */
	canvas->full_width = 0;
	canvas->full_height = 0;
	return arguments_finish(&arguments);
}

/* What goes wrong in a step that may be left out becomes a warning; some things do not. */
static bool
is_skipped(Request *request, const Step *step, const Problem *problem)
{
	/* Neither time nor memory comes back by leaving something out. */
	if (problem->kind == FAILURE_TIMEOUT || problem->kind == FAILURE_MEMORY)
		return false;
	request_warn(request, "step %s was skipped: %s", step->name, problem->message);
	return true;
}

/*
 * Make a step that may be left out.  Everything is computed before and after it, so that
 * what goes wrong within it is known to be its own, and not that of the others.
 */
static int
run_optional(Canvas *canvas, const Step *step)
{
	Problem problem = {0};
	Canvas attempt;

	if (canvas_to_memory(canvas) != 0)
		return -1;
	attempt = canvas_branch(canvas);
	attempt.problem = &problem;
	if (run_required(&attempt, step) != 0 || canvas_to_memory(&attempt) != 0)
	{
		canvas_clear(&attempt);
		if (is_skipped(canvas->request, step, &problem))
			return 0;
		*canvas->problem = problem;
		return -1;
	}
	attempt.problem = canvas->problem;
	canvas_clear(canvas);
	*canvas = attempt;
	return 0;
}

/*
 * What of a file's metadata a step "strip" keeps, for a file that is copied without an image
 * being decoded.
 */
int
step_strip_keeps(Request *request, const Step *step, Problem *problem, unsigned *keep)
{
	Problem own = {0};
	Canvas none = {.request = request, .problem = &own};
	Arguments arguments;

	arguments_init(&arguments, step, &own);
	if (step_strip(&none, &arguments) != 0 || arguments_finish(&arguments) != 0)
	{
		none.encode.keep = 0;
		if (!step_is_optional(step) || !is_skipped(request, step, &own))
		{
			*problem = own;
			return -1;
		}
	}
	*keep = none.encode.keep;
	return 0;
}

/* Make one step; 0, or -1 with the problem noted. */
int
step_run(Canvas *canvas, const Step *step)
{
	return step_is_optional(step) ? run_optional(canvas, step) : run_required(canvas, step);
}
