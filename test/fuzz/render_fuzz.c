/*
 * render_fuzz.c
 *		Steps that nobody would write: names, arguments and values by the bytes of the input.
 */
#include <unistd.h>

#include "codec/decode.h"
#include "codec/encode.h"
#include "codec/render.h"
#include "codec/steps.h"
#include "fuzz.h"

#define MAX_STEPS 4
#define MAX_ARGUMENTS 6

static const char *const names[] = {"width",
									"height",
									"fit",
									"gravity",
									"kernel",
									"enlarge",
									"background",
									"x",
									"y",
									"sigma",
									"angle",
									"base",
									"mark",
									"mask",
									"b",
									"image",
									"other",
									"opacity",
									"blend",
									"tile",
									"scale",
									"margin",
									"text",
									"font",
									"size",
									"color",
									"format",
									"quality",
									"options.progressive",
									"options.colors",
									"options.keep",
									"options.lossless",
									"options.compression",
									"aspect",
									"threshold",
									"padding",
									"north",
									"east",
									"south",
									"west",
									"mode",
									"orientation",
									"gamma",
									"brightness",
									"saturation",
									"hue",
									"lower",
									"upper",
									"radius",
									"style",
									"blur",
									"dx",
									"dy",
									"extra",
									"shape",
									"tolerance",
									"feather",
									"page",
									"columns",
									"cell_width",
									"gap",
									"delay_ms",
									"operation",
									"args.sigma",
									"args.a",
									"args.b",
									"args.width",
									"args.height",
									"args.direction",
									"max_bytes",
									"min_ssim",
									"keep",
									"bins",
									"colors",
									"x_components",
									"invert",
									"alpha"};
static const char *const texts[] = {
	"cover",	  "contain",	 "fill",	  "inside", "attention", "entropy",	  "southeast",
	"nearest",	  "red",		 "#12345678", "over",	"multiply",	 "dest-in",	  "clear",
	"png",		  "jpeg",		 "webp",	  "gif",	"tiff",		 "16:9",	  "mirror",
	"pixelate",	  "box",		 "all",		  "exif",	"",			 "hello <b>", "sans",
	"gaussblur",  "rank",		 "embed",	  "join",	"linear",	 "invert",	  "rot45",
	"hist_find",  "falsecolour", "1 2 3",	  "-1",		"1e30",		 "nan",		  "mosaic",
	"draw_flood", "sobel",		 "crop",	  "zoom",	"subsample", "wrap"};

static SourceBytes sources[4];

typedef struct Input
{
	const uint8_t *data;
	size_t left;
} Input;

static uint8_t
take(Input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->data++;
}

/* A gradient with holes, one still and one of three pages. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const suffixes[] = {".png", ".webp[lossless,effort=0]", ".jpg", ".png"};
	VipsImage *index;
	VipsImage *bands;
	VipsImage *picture;

	(void) argc;
	(void) argv;
	fuzz_start_vips();
	for (int i = 0; i < 4; i++)
	{
		void *bytes;

		if (vips_xyz(&index, 24, 30, NULL) != 0 ||
			vips_linear1(index, &bands, 8, 5, "uchar", TRUE, NULL) != 0 ||
			vips_bandjoin2(bands, bands, &picture, NULL) != 0)
			abort();
		picture->Type = i == 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
		if (i == 3 || i == 2)
		{
			g_object_unref(picture);
			if (vips_extract_band(bands, &picture, 0, NULL) != 0)
				abort();
			picture->Type = VIPS_INTERPRETATION_B_W;
		}
		if (i == 1)
			vips_image_set_int(picture, VIPS_META_PAGE_HEIGHT, 10);
		if (vips_image_write_to_buffer(picture, suffixes[i], &bytes, &sources[i].length,
									   NULL) != 0)
			abort();
		sources[i].bytes = bytes;
	}
	return 0;
}

static void
fill_argument(Input *input, Argument *argument, Pipeline *image)
{
	argument->name = names[take(input) % G_N_ELEMENTS(names)];
	argument->type = (ArgumentType) (1 + take(input) % 5);
	switch (argument->type)
	{
		case ARGUMENT_BOOL:
			argument->value.boolean = take(input) % 2;
			break;
		case ARGUMENT_INT:
			argument->value.integer = (int8_t) take(input);
			if (take(input) % 8 == 0)
				argument->value.integer *= 100003;
			break;
		case ARGUMENT_FLOAT:
			argument->value.number = (int8_t) take(input) / 16.0;
			break;
		case ARGUMENT_TEXT:
			argument->value.text = texts[take(input) % G_N_ELEMENTS(texts)];
			break;
		default:
			image->source = take(input) % 4;
			argument->value.image = image;
	}
}

static void
run(Request *request, Pipeline *pipeline)
{
	Problem problem = {0};
	Canvas canvas = {.request = request, .problem = &problem};
	uint64_t length;
	int fd;

	if (render_pipeline(&canvas, pipeline) == 0 && encode(&canvas, &fd, &length) == 0)
		close(fd);
	canvas_clear(&canvas);
	vips_error_clear();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static RenderRequest message;
	static Request request;
	Input input = {.data = data, .left = size};
	Step steps[MAX_STEPS];
	Argument arguments[MAX_STEPS][MAX_ARGUMENTS];
	Pipeline images[MAX_STEPS][MAX_ARGUMENTS] = {0};
	Pipeline pipeline = {.steps = steps};
	int known = 0;

	while (step_name(known) != NULL)
		known++;
	fuzz_request(&request, &message);
	memcpy(request.sources, sources, sizeof sources);
	pipeline.source = take(&input) % 4;
	pipeline.step_count = take(&input) % (MAX_STEPS + 1);
	for (int i = 0; i < pipeline.step_count; i++)
	{
		steps[i] = (Step){.name = step_name(take(&input) % known),
						  .argument_count = take(&input) % (MAX_ARGUMENTS + 1),
						  .arguments = arguments[i]};
		for (int j = 0; j < steps[i].argument_count; j++)
			fill_argument(&input, &arguments[i][j], &images[i][j]);
	}
	run(&request, &pipeline);
	return 0;
}
