/*
 * vips.c
 *		An operation of libvips by its name, through its introspection.
 *
 * Which operations and arguments may be named is said in operations.c.
 */
#include <string.h>

#include "codec/filter.h"
#include "codec/pages.h"
#include "codec/steps.h"
#include "codec/steps/operations.h"

#define ARGUMENT_PREFIX "args."

typedef struct Call
{
	Canvas *canvas;
	Arguments *arguments;
	const Operation *allowed;
	VipsOperation *operation;
	VipsImage *other; /* owned; NULL: none was given */
	int images;		  /* inputs set so far */
	VipsImage *drawn; /* owned: an image that the operation draws on; NULL: it makes one */
} Call;

static int
open_operation(Call *call, const char *name)
{
	call->allowed = operation_find(name);
	if (call->allowed != NULL && (call->operation = vips_operation_new(name)) != NULL)
		return 0;
	vips_error_clear();
	problem_set(call->canvas->problem, FAILURE_ARGUMENT, "img_vips has no operation \"%.100s\"",
				name);
	problem_hint(call->canvas->problem, "doc/images.md lists its operations.");
	return -1;
}

static bool
is_image_input(const GParamSpec *property, VipsArgumentFlags flags)
{
	return (flags & VIPS_ARGUMENT_INPUT) != 0 &&
		   (g_type_is_a(property->value_type, VIPS_TYPE_IMAGE) ||
			g_type_is_a(property->value_type, VIPS_TYPE_ARRAY_IMAGE));
}

/* An operation that takes a list takes both images, or one. */
static void
set_image_list(Call *call, const char *name)
{
	VipsImage *images[2] = {call->canvas->image, call->other};
	VipsArrayImage *list = vips_array_image_new(images, call->other != NULL ? 2 : 1);

	g_object_set(call->operation, name, list, NULL);
	vips_area_unref(VIPS_AREA(list));
	call->images = 2;
}

/* The first image goes to the first input, the other one to the second that is required. */
static void *
set_images(VipsObject *object, GParamSpec *property, VipsArgumentClass *class,
		   VipsArgumentInstance *instance, void *a, void *b)
{
	Call *call = a;
	VipsImage *image = call->images == 0 ? call->canvas->image : call->other;

	(void) instance;
	(void) b;
	if (!is_image_input(property, class->flags) ||
		(class->flags & VIPS_ARGUMENT_REQUIRED) == 0 || call->images > 1 || image == NULL)
		return NULL;
	if (g_type_is_a(property->value_type, VIPS_TYPE_ARRAY_IMAGE))
	{
		set_image_list(call, property->name);
		return NULL;
	}
	if ((class->flags & VIPS_ARGUMENT_MODIFY) != 0)
	{
		call->drawn = vips_image_copy_memory(image);
		if (call->drawn == NULL)
			return call;
		image = call->drawn;
	}
	g_object_set(object, property->name, image, NULL);
	call->images++;
	return NULL;
}

/* A value as libvips reads it from a command line, where arrays are parted by spaces. */
static char *
value_text(const Argument *argument)
{
	char digits[G_ASCII_DTOSTR_BUF_SIZE];

	switch (argument->type)
	{
		case ARGUMENT_BOOL:
			return g_strdup(argument->value.boolean ? "true" : "false");
		case ARGUMENT_INT:
			return g_strdup_printf("%" G_GINT64_FORMAT, (gint64) argument->value.integer);
		case ARGUMENT_FLOAT:
			return g_strdup(g_ascii_dtostr(digits, sizeof digits, argument->value.number));
		default:
			return g_strdelimit(g_strdup(argument->value.text), ",", ' ');
	}
}

static bool
is_plain(GType type)
{
	return type == G_TYPE_BOOLEAN || type == G_TYPE_INT || type == G_TYPE_UINT64 ||
		   type == G_TYPE_DOUBLE || g_type_is_a(type, G_TYPE_ENUM) ||
		   g_type_is_a(type, G_TYPE_FLAGS) || g_type_is_a(type, VIPS_TYPE_ARRAY_DOUBLE) ||
		   g_type_is_a(type, VIPS_TYPE_ARRAY_INT);
}

static int
set_value(Call *call, const Argument *argument)
{
	const char *name = argument->name + strlen(ARGUMENT_PREFIX);
	GParamSpec *property;
	VipsArgumentClass *class;
	VipsArgumentInstance *instance;
	char *text;
	int failed;

	if (argument->type == ARGUMENT_IMAGE || !operation_takes(call->allowed, name) ||
		vips_object_get_argument(VIPS_OBJECT(call->operation), name, &property, &class,
								 &instance) != 0 ||
		(class->flags & VIPS_ARGUMENT_INPUT) == 0 || !is_plain(property->value_type))
	{
		vips_error_clear();
		return problem_set(call->canvas->problem, FAILURE_ARGUMENT,
						   "operation has no argument \"%.100s\" that can be given", name);
	}
	text = value_text(argument);
	failed = vips_object_set_argument_from_string(VIPS_OBJECT(call->operation), name, text);
	g_free(text);
	if (failed != 0)
		return problem_of_vips(call->canvas->problem, FAILURE_ARGUMENT,
							   "an argument of the operation is not what it should be");
	return 0;
}

static int
set_values(Call *call)
{
	const Step *step = call->arguments->step;

	for (int i = 0; i < step->argument_count; i++)
	{
		const Argument *argument = &step->arguments[i];

		if (strncmp(argument->name, ARGUMENT_PREFIX, strlen(ARGUMENT_PREFIX)) != 0)
			continue;
		argument_find(call->arguments, argument->name);
		if (set_value(call, argument) != 0)
			return -1;
	}
	return 0;
}

/* Noise is the same each time, or a function of it would not be immutable. */
static void
fix_seed(VipsOperation *operation)
{
	if (g_object_class_find_property(G_OBJECT_GET_CLASS(operation), "seed") != NULL &&
		!vips_object_argument_isset(VIPS_OBJECT(operation), "seed"))
		g_object_set(operation, "seed", 1, NULL);
}

static void *
find_output(VipsObject *object, GParamSpec *property, VipsArgumentClass *class,
			VipsArgumentInstance *instance, void *result, void *b)
{
	VipsImage **image = result;

	(void) b;
	if ((class->flags & VIPS_ARGUMENT_OUTPUT) == 0 || !instance->assigned ||
		!g_type_is_a(property->value_type, VIPS_TYPE_IMAGE))
		return NULL;
	g_object_get(object, property->name, image, NULL);
	return *image;
}

/* Build the operation; some compute at once, others when their pixels are wanted. */
static int
build(Call *call)
{
	int failed;

	filter_begin(call->canvas->image);
	failed = vips_cache_operation_buildp(&call->operation);
	filter_end();
	return failed;
}

static int
run(Call *call)
{
	Canvas *canvas = call->canvas;
	VipsImage *made = NULL;

	if (vips_argument_map(VIPS_OBJECT(call->operation), set_images, call, NULL) != NULL)
		return problem_of_vips(canvas->problem, FAILURE_MALFORMED, "image is damaged");
	if (set_values(call) != 0)
		return -1;
	fix_seed(call->operation);
	if (build(call) != 0)
		return problem_of_vips(canvas->problem, FAILURE_ARGUMENT, "operation failed");
	vips_argument_map(VIPS_OBJECT(call->operation), find_output, &made, NULL);
	vips_object_unref_outputs(VIPS_OBJECT(call->operation));
	if (made == NULL && call->drawn != NULL)
	{
		made = call->drawn;
		g_object_ref(made);
	}
	if (made == NULL)
		return problem_set(canvas->problem, FAILURE_ARGUMENT, "operation makes no image");
	return canvas_replace(canvas, &made, 0, "change") != 0 ? -1 : canvas_admit(canvas);
}

/* operation: by libvips' name; args.<name>: its arguments; other: a second image */
int
step_vips(Canvas *canvas, Arguments *arguments)
{
	Call call = {.canvas = canvas, .arguments = arguments};
	Canvas other = {0};
	const char *name;
	int failed = 0;

	if (argument_text(arguments, "operation", "", &name) != 0 ||
		canvas_to_memory(canvas) != 0 || open_operation(&call, name) != 0)
		return -1;
	if (argument_find(arguments, "other") != NULL)
	{
		failed = layer_get(canvas, arguments, "other", &other);
		call.other = other.image;
	}
	if (failed == 0)
		failed = run(&call);
	g_object_unref(call.operation);
	VIPS_UNREF(call.drawn);
	canvas_clear(&other);
	return failed;
}
