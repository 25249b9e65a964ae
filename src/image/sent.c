/*
 * sent.c
 *		Images as services get them, and what their answers make of them: the same for a job
 *		and for a session, or they would not know each other's answers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "image/sent.h"
#include "image/step.h"

PG_FUNCTION_INFO_V1(imgexport_service_image);
PG_FUNCTION_INFO_V1(imgexport_apply_answer);

static void
append_resize(LazyImage *image, int side)
{
	StepArgument arguments[] = {{"width", INT4OID, false, Int32GetDatum(side)},
								{"height", INT4OID, false, Int32GetDatum(side)},
								{"fit", TEXTOID, false, CStringGetTextDatum("inside")},
								{"enlarge", BOOLOID, false, BoolGetDatum(false)}};

	step_append(image, "resize", arguments, lengthof(arguments), false);
}

/*
 * An image in the format that a service takes.
 *
 * max_side	it is brought inside so many pixels; 0: it stays as large as it is
 * Returns	another image, in the memory of what keeps it
 */
LazyImage *
sent_image_in(MemoryContext owner, const LazyImage *image, const char *format, int max_side)
{
	LazyImage *sent = lazy_image_copy(image, owner);
	StepArgument convert = {"format", TEXTOID, false, CStringGetTextDatum(format)};

	if (max_side > 0)
		append_resize(sent, max_side);
	step_append(sent, "convert", &convert, 1, false);
	return sent;
}

static void
append_alpha_only(LazyImage *image)
{
	Datum args = DirectFunctionCall1(jsonb_in, CStringGetDatum("{\"band\": 3}"));
	StepArgument arguments[] = {
		{"operation", TEXTOID, false, CStringGetTextDatum("extract_band")},
		{"args", JSONBOID, false, args}};

	step_append(image, "vips", arguments, lengthof(arguments), false);
}

/*
 * What an image becomes by a service's answer.
 *
 * answer	may be changed
 * apply	image: the answer; mask, alpha: the image, cut out by it or by its alpha
 * optional	a mask that turns out to be damaged is left out
 * Returns	one of both, or another image in the current memory context
 */
LazyImage *
sent_with_answer(const LazyImage *image, LazyImage *answer, const char *apply, bool optional)
{
	StepArgument mask = {"mask", BYTEAOID, false, 0};
	LazyImage *cut;

	if (strcmp(apply, "image") == 0)
		return answer;
	if (strcmp(apply, "alpha") == 0)
		append_alpha_only(answer);
	cut = lazy_image_copy(image, CurrentMemoryContext);
	mask.value = lazy_image_datum(answer);
	step_append(cut, "mask", &mask, 1, optional);
	return cut;
}

/* imgexport.service_image(image bytea, format text, max_side int) returns bytea */
Datum
imgexport_service_image(PG_FUNCTION_ARGS)
{
	LazyImage *image;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	image = lazy_image(PG_GETARG_DATUM(0), CurrentMemoryContext);
	PG_RETURN_DATUM(lazy_image_datum(sent_image_in(CurrentMemoryContext, image,
												   text_to_cstring(PG_GETARG_TEXT_PP(1)),
												   PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2))));
}

/* imgexport.apply_answer(image bytea, answer bytea, apply text) returns bytea */
Datum
imgexport_apply_answer(PG_FUNCTION_ARGS)
{
	LazyImage *image = lazy_image(PG_GETARG_DATUM(0), CurrentMemoryContext);
	LazyImage *answer = lazy_image(PG_GETARG_DATUM(1), CurrentMemoryContext);

	PG_RETURN_DATUM(
		lazy_image_datum(sent_with_answer(image, lazy_image_copy(answer, CurrentMemoryContext),
										  text_to_cstring(PG_GETARG_TEXT_PP(2)), false)));
}
