/*
 * outputs.c
 *		Named outputs as JSON, each a tail on one image.
 *
 *	"grid": {"steps": [...], "width": 600, "height": 400, "fit": "cover",
 *			 "format": "webp", "quality": 80, "options": {...}}
 *
 * Steps come first, then the size, then the format; every key may be left out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "compat.h"
#include "image/outputs.h"
#include "image/step.h"

PG_FUNCTION_INFO_V1(imgexport_validate_outputs);
PG_FUNCTION_INFO_V1(imgexport_are_outputs);

#define OUTPUTS_MAX 100
#define OUTPUT_NAME_MAX_BYTES 100

static const char *const keys[] = {"steps",	 "width",	"height", "fit",
								   "format", "quality", "options"};
static const char *const formats[] = {"jpeg", "jpg",  "png", "webp",
									  "avif", "heif", "gif", "tiff"};

/* The settings of one output, as SQL values. */
typedef struct OutputSpec
{
	char *name;
	Jsonb *steps;
	StepArgument resize[3];
	StepArgument convert[3];
} OutputSpec;

enum
{
	RESIZE_WIDTH,
	RESIZE_HEIGHT,
	RESIZE_FIT
};
enum
{
	CONVERT_FORMAT,
	CONVERT_QUALITY,
	CONVERT_OPTIONS
};

pg_noreturn static void
raise_key(const char *output, const char *key, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("\"%s\" of output \"%s\" must be %s", key, output, what)));
}

static void
set_integer(StepArgument *argument, const char *output, const char *key, JsonbValue *value)
{
	bool overflow = false;
	double number;

	if (value->type != jbvNumeric)
		raise_key(output, key, "an integer");
	number = DatumGetFloat8(
		DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
	overflow = number != (double) (int32) number;
	if (overflow)
		raise_key(output, key, "an integer");
	argument->value = Int32GetDatum((int32) number);
	argument->is_null = false;
}

static void
set_text(StepArgument *argument, const char *output, const char *key, JsonbValue *value)
{
	if (value->type != jbvString)
		raise_key(output, key, "a string");
	argument->value =
		PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len));
	argument->is_null = false;
}

static Jsonb *
json_of_kind(const char *output, const char *key, JsonbValue *value, bool array)
{
	if (value->type != jbvBinary || (array ? !JsonContainerIsArray(value->val.binary.data)
										   : !JsonContainerIsObject(value->val.binary.data)))
		raise_key(output, key, array ? "an array" : "an object");
	return JsonbValueToJsonb(value);
}

static void
set_key(OutputSpec *spec, const char *key, JsonbValue *value)
{
	if (strcmp(key, "steps") == 0)
		spec->steps = json_of_kind(spec->name, key, value, true);
	else if (strcmp(key, "width") == 0)
		set_integer(&spec->resize[RESIZE_WIDTH], spec->name, key, value);
	else if (strcmp(key, "height") == 0)
		set_integer(&spec->resize[RESIZE_HEIGHT], spec->name, key, value);
	else if (strcmp(key, "fit") == 0)
		set_text(&spec->resize[RESIZE_FIT], spec->name, key, value);
	else if (strcmp(key, "format") == 0)
		set_text(&spec->convert[CONVERT_FORMAT], spec->name, key, value);
	else if (strcmp(key, "quality") == 0)
		set_integer(&spec->convert[CONVERT_QUALITY], spec->name, key, value);
	else if (strcmp(key, "options") == 0)
	{
		spec->convert[CONVERT_OPTIONS].value =
			JsonbPGetDatum(json_of_kind(spec->name, key, value, false));
		spec->convert[CONVERT_OPTIONS].is_null = false;
	}
	else
	{
		const char *nearest = nearest_name(key, keys, lengthof(keys));

		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("output \"%s\" has no setting \"%s\"", spec->name, key),
						nearest ? errhint("Perhaps you meant \"%s\".", nearest) : 0));
	}
}

/* An output called by a format's name has that format, unless it says otherwise. */
static void
format_by_name(OutputSpec *spec)
{
	StepArgument *format = &spec->convert[CONVERT_FORMAT];

	for (size_t i = 0; i < lengthof(formats) && format->is_null; i++)
		if (strcmp(spec->name, formats[i]) == 0)
		{
			format->value = CStringGetTextDatum(formats[i]);
			format->is_null = false;
		}
}

static void
check_format(const OutputSpec *spec)
{
	const StepArgument *argument = &spec->convert[CONVERT_FORMAT];
	char *format;
	const char *nearest;

	if (argument->is_null)
		return;
	format = TextDatumGetCString(argument->value);
	for (size_t i = 0; i < lengthof(formats); i++)
		if (strcmp(format, formats[i]) == 0)
			return;
	nearest = nearest_name(format, formats, lengthof(formats));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("format \"%s\" of output \"%s\" cannot be written", format, spec->name),
			 nearest ? errhint("Perhaps you meant \"%s\".", nearest) : 0));
}

static OutputSpec *
read_output(const JsonbValue *name, JsonbValue *value)
{
	OutputSpec *spec = palloc0(sizeof *spec);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue item;
	char *key = NULL;

	spec->name = pnstrdup(name->val.string.val, name->val.string.len);
	spec->resize[RESIZE_WIDTH] = (StepArgument){"width", INT4OID, true, 0};
	spec->resize[RESIZE_HEIGHT] = (StepArgument){"height", INT4OID, true, 0};
	spec->resize[RESIZE_FIT] = (StepArgument){"fit", TEXTOID, true, 0};
	spec->convert[CONVERT_FORMAT] = (StepArgument){"format", TEXTOID, true, 0};
	spec->convert[CONVERT_QUALITY] = (StepArgument){"quality", INT4OID, true, 0};
	spec->convert[CONVERT_OPTIONS] = (StepArgument){"options", JSONBOID, true, 0};
	if (name->val.string.len < 1 || name->val.string.len > OUTPUT_NAME_MAX_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("name of an output must have 1 to %d bytes, not %d",
							   OUTPUT_NAME_MAX_BYTES, name->val.string.len)));
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("output \"%s\" must be an object", spec->name),
						errhint("{} takes the defaults.")));
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE && item.type != jbvNull)
			set_key(spec, key, &item);
	}
	format_by_name(spec);
	check_format(spec);
	return spec;
}

/* All outputs, in the order of their names. */
static List *
read_outputs(Jsonb *outputs)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue name = {0};
	JsonbValue value;
	List *specs = NIL;

	if (!JB_ROOT_IS_OBJECT(outputs) || JB_ROOT_COUNT(outputs) < 1 ||
		JB_ROOT_COUNT(outputs) > OUTPUTS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("outputs must be a JSON object of 1 to %d outputs", OUTPUTS_MAX),
				 errhint("{\"png\": {}, \"grid\": {\"format\": \"webp\", \"width\": 600}} "
						 "is one of two.")));
	iterator = JsonbIteratorInit(&outputs->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = value;
		else if (token == WJB_VALUE)
			specs = lappend(specs, read_output(&name, &value));
	}
	return specs;
}

static bool
has_any(const StepArgument *arguments, int count)
{
	for (int i = 0; i < count; i++)
		if (!arguments[i].is_null)
			return true;
	return false;
}

/* The image with one output's tail on it. */
static LazyImage *
apply_output(const LazyImage *image, const OutputSpec *spec, const RecipeContext *context,
			 int output)
{
	LazyImage *tail = lazy_image_copy(image, CurrentMemoryContext);
	RecipeContext own = *context;

	own.output = output;
	if (spec->steps != NULL)
	{
		Datum value = lazy_image_datum(tail);

		recipe_apply(&value, spec->steps, &own);
		tail = lazy_image(value, CurrentMemoryContext);
	}
	if (has_any(spec->resize, lengthof(spec->resize)))
		step_append(tail, "resize", spec->resize, lengthof(spec->resize), false);
	if (has_any(spec->convert, lengthof(spec->convert)))
		step_append(tail, "convert", spec->convert, lengthof(spec->convert), false);
	return tail;
}

/*
 * Put the tail of each output on an image, in the current memory context.
 *
 * image	not changed
 * result	where to put an array of named images
 * Returns	how many they are
 * Errors	22023 outputs are not what they should be, and what the steps raise
 */
int
outputs_apply(LazyImage *image, Jsonb *outputs, const RecipeContext *context,
			  NamedImage **result)
{
	List *specs = read_outputs(outputs);
	NamedImage *images = palloc0(list_length(specs) * sizeof *images);
	ListCell *cell;
	int count = 0;

	foreach (cell, specs)
	{
		const OutputSpec *spec = lfirst(cell);

		images[count].name = spec->name;
		images[count].image = apply_output(image, spec, context, count);
		count++;
	}
	*result = images;
	return count;
}

/* Raise what outputs_apply would raise before it calls anything. */
void
outputs_check(Jsonb *outputs, RecipeCheck check)
{
	ListCell *cell;

	foreach (cell, read_outputs(outputs))
	{
		const OutputSpec *spec = lfirst(cell);

		if (spec->steps != NULL)
			recipe_check(spec->steps, check);
	}
}

/* imgexport.validate_outputs(outputs jsonb) returns boolean: true, or an error */
Datum
imgexport_validate_outputs(PG_FUNCTION_ARGS)
{
	outputs_check(PG_GETARG_JSONB_P(0), RECIPE_CHECK_ALL);
	PG_RETURN_BOOL(true);
}

/* imgexport.are_outputs(outputs jsonb) returns boolean: true, or an error */
Datum
imgexport_are_outputs(PG_FUNCTION_ARGS)
{
	outputs_check(PG_GETARG_JSONB_P(0), RECIPE_CHECK_SHAPE);
	PG_RETURN_BOOL(true);
}
