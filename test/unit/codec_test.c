/*
 * codec_test.c
 *		imgexport-codec from the outside: what it makes of images, and of what are none.
 *
 * Writes TAP.  Pictures are made here with libvips; nothing is read from files but what
 * exiftool needs.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vips/vips.h>

#include "codec_client.h"
#include "tap.h"
#include "wire/exit.h"

static const char *const usual[] = {"imgexport-codec", "--sandbox=prefer",
									"--loaders=jpeg,png,webp,gif,tiff,heif", "--idle=60", NULL};

static Codec codec;

/* Reporting ------------------------------------------------------------------ */

static void
explain(const Result *result)
{
	if (!result->alive)
		printf("# the codec is gone: %d\n", codec_wait(&codec));
	for (int i = 0; i < result->refusal_count; i++)
		printf("# kind %d, output %d, step %d %s: %s; %s; %s\n", result->refusals[i].kind,
			   result->refusals[i].output, result->refusals[i].step,
			   result->refusals[i].step_name, result->refusals[i].message,
			   result->refusals[i].detail, result->refusals[i].hint);
}

static void
revive(const Result *result)
{
	if (!result->alive && !codec_start(&codec, usual))
		printf("Bail out! the codec does not start any more\n"), exit(1);
}

/* Pictures ------------------------------------------------------------------- */

typedef enum Kind
{
	GREY = 1,
	GREY_ALPHA = 2,
	RGB = 3,
	RGBA = 4
} Kind;

/* Something with edges, ramps and, in the last band of two or four, holes. */
static VipsImage *
picture(Kind kind, int width, int height)
{
	uint8_t *pixels = malloc((size_t) width * height * kind);
	VipsImage *image;
	VipsImage *named;

	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			for (int band = 0; band < (int) kind; band++)
			{
				bool alpha = band == (int) kind - 1 && kind % 2 == 0;
				int value = alpha
								? (x / 7 + y / 5) % 4 * 85
								: x * (band + 2) + y * (3 - band) + ((x / 9 + y / 9) % 2) * 90;

				pixels[((size_t) y * width + x) * kind + band] = (uint8_t) value;
			}
	image = vips_image_new_from_memory_copy(pixels, (size_t) width * height * kind, width,
											height, kind, VIPS_FORMAT_UCHAR);
	free(pixels);
	vips_copy(image, &named, "interpretation",
			  kind < RGB ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL);
	g_object_unref(image);
	return named;
}

static Bytes
save(VipsImage *image, const char *suffix)
{
	Bytes bytes = {NULL, 0};
	void *data = NULL;

	if (vips_image_write_to_buffer(image, suffix, &data, &bytes.size, NULL) != 0)
		printf("# %s: %s\n", suffix, vips_error_buffer());
	bytes.data = data;
	return bytes;
}

static Bytes
picture_as(Kind kind, int width, int height, const char *suffix)
{
	VipsImage *image = picture(kind, width, height);
	Bytes bytes = save(image, suffix);

	g_object_unref(image);
	return bytes;
}

static VipsImage *
load(Bytes bytes)
{
	return vips_image_new_from_buffer(bytes.data, bytes.size, "", NULL);
}

/* The largest difference of two images' samples; 999 when they are of different shape. */
static int
difference(Bytes a, Bytes b)
{
	VipsImage *image[2] = {load(a), load(b)};
	uint8_t *pixels[2];
	size_t size[2];
	int most = 999;

	if (image[0] != NULL && image[1] != NULL && image[0]->Xsize == image[1]->Xsize &&
		image[0]->Bands == image[1]->Bands)
	{
		pixels[0] = vips_image_write_to_memory(image[0], &size[0]);
		pixels[1] = vips_image_write_to_memory(image[1], &size[1]);
		if (size[0] == size[1])
		{
			most = 0;
			for (size_t i = 0; i < size[0]; i++)
				most = MAX(most, abs(pixels[0][i] - pixels[1][i]));
		}
		g_free(pixels[0]);
		g_free(pixels[1]);
	}
	for (int i = 0; i < 2; i++)
		if (image[i] != NULL)
			g_object_unref(image[i]);
	return most;
}

/* Steps, written as text ------------------------------------------------------ */

/* A value that is a number, true, false, "base" (source 1) or text. */
static void
add_argument(Recipe *recipe, char *name, const char *value)
{
	static Recipe base;
	char *end;
	double number = strtod(value, &end);

	if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
		pack_argument_bool(&recipe->packer, name, *value == 't');
	else if (strcmp(value, "base") == 0)
	{
		recipe_start(&base, 0);
		pack_argument_image(&recipe->packer, name, 1, base.data, recipe_end(&base));
	}
	else if (*end != '\0' || *value == '\0')
		pack_argument_text(&recipe->packer, name, value);
	else if (strchr(value, '.') != NULL)
		pack_argument_float(&recipe->packer, name, number);
	else
		pack_argument_int(&recipe->packer, name, (int64_t) number);
}

/* "resize width=3 height=4" */
static void
add_step(Recipe *recipe, const char *text)
{
	char **words = g_strsplit(text, " ", -1);

	recipe_step(recipe, words[0], (int) g_strv_length(words) - 1);
	for (int i = 1; words[i] != NULL; i++)
	{
		char *value = strchr(words[i], '=');

		*value++ = '\0';
		add_argument(recipe, words[i], value);
	}
	g_strfreev(words);
}

/* Steps separated by ", ". */
static void
write_recipe(Recipe *recipe, const char *text)
{
	char **steps = g_strsplit(text, ", ", -1);

	recipe_start(recipe, 0);
	for (int i = 0; steps[i] != NULL; i++)
		if (*steps[i] != '\0')
			add_step(recipe, steps[i]);
	g_strfreev(steps);
}

static Bytes base_image;

static void
render(Bytes source, const char *steps, Result *result)
{
	static Recipe recipe;
	Request request;

	request_init(&request, source);
	if (base_image.data != NULL)
		request.sources[request.source_count++] = base_image;
	write_recipe(&recipe, steps);
	request.recipes[request.recipe_count++] = &recipe;
	codec_render(&codec, &request, result);
}

/* Tests ---------------------------------------------------------------------- */

static void
test_hello(void)
{
	ok(strstr(codec.about, "\"program\":\"imgexport-codec\"") != NULL, "HELLO says who it is");
	ok(strstr(codec.about, "\"loaders\":[\"jpeg\",\"png\",\"webp\",\"gif\",\"tiff\"") != NULL,
	   "HELLO lists loaders");
	printf("# %s\n", codec.about);
}

static const struct
{
	const char *steps;
	uint32_t width;
	uint32_t height;
	const char *format;
} sizes[] = {
	{"", 120, 80, "png"},
	{"resize width=60", 60, 40, "png"},
	{"resize height=60", 90, 60, "png"},
	{"resize", 120, 80, "png"},
	{"resize width=50 height=50", 50, 50, "png"},
	{"resize width=50 height=50 gravity=attention", 50, 50, "png"},
	{"resize width=50 height=50 gravity=entropy", 50, 50, "png"},
	{"resize width=50 height=50 gravity=southeast", 50, 50, "png"},
	{"resize width=50 height=50 fit=contain", 50, 50, "png"},
	{"resize width=50 height=50 fit=fill", 50, 50, "png"},
	{"resize width=50 height=50 fit=inside", 50, 33, "png"},
	{"resize width=50 height=50 fit=outside", 75, 50, "png"},
	{"resize width=240 height=240 fit=inside", 240, 160, "png"},
	{"resize width=240 height=240 fit=inside enlarge=false", 120, 80, "png"},
	{"resize width=240 height=60 enlarge=false", 120, 60, "png"},
	{"resize width=240 height=240 fit=contain enlarge=false", 240, 240, "png"},
	{"resize width=240 height=60 fit=fill enlarge=false", 120, 60, "png"},
	{"resize width=1 height=1", 1, 1, "png"},
	{"thumbnail", 120, 80, "png"},
	{"thumbnail width=30", 30, 20, "png"},
	{"thumbnail height=20", 30, 20, "png"},
	{"thumbnail width=30 format=webp quality=50", 30, 20, "webp"},
	{"normalize width=64 height=64", 64, 64, "png"},
	{"normalize", 120, 80, "png"},
	{"crop x=10 y=20 width=30 height=40", 30, 40, "png"},
	{"blur", 120, 80, "png"},
	{"blur sigma=30", 120, 80, "png"},
	{"rotate angle=90", 80, 120, "png"},
	{"rotate angle=-90.0", 80, 120, "png"},
	{"rotate angle=180", 120, 80, "png"},
	{"rotate angle=360", 120, 80, "png"},
	{"flip, flop", 120, 80, "png"},
	{"composite base=base", 120, 80, "png"},
	{"composite base=base fit=contain", 120, 80, "png"},
	{"composite base=base x=-10 y=70", 90, 90, "png"},
	{"composite base=base blend=multiply", 120, 80, "png"},
	{"convert format=jpg", 120, 80, "jpeg"},
	{"convert format=jpeg quality=50 options.progressive=true options.subsampling=4:4:4", 120,
	 80, "jpeg"},
	{"convert format=webp options.lossless=true options.effort=0", 120, 80, "webp"},
	{"convert format=webp options.near_lossless=true", 120, 80, "webp"},
	{"convert format=avif options.effort=0", 120, 80, "avif"},
	{"convert format=heif", 120, 80, "heif"},
	{"convert format=gif options.colors=16", 120, 80, "gif"},
	{"convert format=tiff options.compression=deflate", 120, 80, "tiff"},
	{"convert format=png options.palette=true options.colors=16", 120, 80, "png"},
	{"convert format=jpeg, resize width=20", 20, 13, "jpeg"},
	{"convert format=jpeg, convert format=png", 120, 80, "png"},
	{"preview columns=40", 40, 27, "report"},
	{"crop_to aspect=1:1", 80, 80, "png"},
	{"crop_to aspect=3:1 gravity=attention", 120, 40, "png"},
	{"extend north=5 east=6 south=7 west=8", 134, 92, "png"},
	{"extend north=50 mode=mirror", 120, 130, "png"},
	{"orient orientation=6", 80, 120, "png"},
	{"flatten background=red", 120, 80, "png"},
	{"sharpen", 120, 80, "png"},
	{"sharpen sigma=2.0", 120, 80, "png"},
	{"grayscale", 120, 80, "png"},
	{"negate", 120, 80, "png"},
	{"negate alpha=false", 120, 80, "png"},
	{"gamma", 120, 80, "png"},
	{"modulate brightness=1.2 saturation=0.5 hue=90", 120, 80, "png"},
	{"tint color=red", 120, 80, "png"},
	{"normalise_contrast", 120, 80, "png"},
	{"round_corners", 120, 80, "png"},
	{"redact x=-5 y=70 width=50 height=50", 120, 80, "png"},
	{"redact x=5 y=5 width=50 height=50 style=pixelate", 120, 80, "png"},
	{"redact x=5 y=5 width=50 height=50 style=blur", 120, 80, "png"},
	{"overlay mark=base", 120, 80, "png"},
	{"overlay mark=base tile=true blend=multiply opacity=0.5", 120, 80, "png"},
	{"watermark mark=base", 120, 80, "png"},
	{"watermark_text text=hello font=sans", 120, 80, "png"},
	{"shadow", 160, 120, "png"},
	{"shadow shape=box blur=0", 160, 120, "png"},
	{"mask mask=base", 120, 80, "png"},
	{"remove_background", 120, 80, "png"},
	{"remove_background tolerance=30.0 feather=2.0 holes=true", 120, 80, "png"},
	{"vips operation=gaussblur args.sigma=2.0", 120, 80, "png"},
	{"page page=0", 120, 80, "png"},
	{"sprite columns=2", 120, 80, "png"},
	{"montage image=base columns=2 cell_width=30 cell_height=30", 60, 30, "png"},
	{"animate image=base delay_ms=40", 120, 80, "webp"},
	{"compress", 120, 80, "png"},
	{"strip", 120, 80, "png"},
	{"blurhash", 120, 80, "report"},
	{"thumbhash", 100, 67, "report"},
	{"phash", 32, 32, "report"},
	{"dominant_color", 120, 80, "report"},
	{"palette", 120, 80, "report"},
	{"histogram bins=4", 120, 80, "report"},
	{"similarity b=base", 120, 80, "report"},
};

static void
test_sizes(void)
{
	for (Kind kind = GREY; kind <= RGBA; kind++)
	{
		Bytes source = picture_as(kind, 120, 80, ".png");

		for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
		{
			static Result result;
			const Answer *answer = &result.answers[0];

			render(source, sizes[i].steps, &result);
			ok(result.done && result.answer_count == 1 && answer->width == sizes[i].width &&
				   answer->height == sizes[i].height &&
				   strcmp(answer->format, sizes[i].format) == 0,
			   "%d bands: %s", kind, sizes[i].steps);
			explain(&result);
			if (result.answer_count > 0)
				printf("# %ux%u %s %zu bytes\n", answer->width, answer->height, answer->format,
					   answer->bytes.size);
			revive(&result);
			result_free(&result);
		}
		g_free(source.data);
	}
}

static const struct
{
	const char *steps;
	FailureKind kind;
	const char *message;
} refusals[] = {
	{"sharpenn", FAILURE_ARGUMENT, "there is no step \"sharpenn\""},
	{"blur sigma=0.1", FAILURE_ARGUMENT, "sigma must be between 0.3 and 1000, not 0.1"},
	{"blur sigma=wide", FAILURE_ARGUMENT, "sigma must be a number"},
	{"blur radius=3", FAILURE_ARGUMENT, "blur does not take an argument \"radius\""},
	{"resize width=0", FAILURE_ARGUMENT, "width must be between 1 and 100000, not 0"},
	{"resize width=1.5", FAILURE_ARGUMENT, "width must be an integer"},
	{"resize width=3 fit=crop", FAILURE_ARGUMENT, "fit must not be \"crop\""},
	{"resize width=3 enlarge=1", FAILURE_ARGUMENT, "enlarge must be true or false"},
	{"resize width=3 background=#12", FAILURE_ARGUMENT, "background must be a color"},
	{"resize width=100000 height=100000", FAILURE_LIMIT, "pixels, more than 100000000"},
	{"resize width=90000", FAILURE_LIMIT, "pixels, more than 100000000"},
	{"crop x=100 y=0 width=21 height=1", FAILURE_ARGUMENT, "is not inside the image"},
	{"convert format=jpeg quality=250", FAILURE_ARGUMENT,
	 "quality must be between 0 and 100, not 250"},
	{"convert format=bmp", FAILURE_ARGUMENT, "format \"bmp\" cannot be written"},
	{"convert format=ansi", FAILURE_ARGUMENT, "format \"ansi\" cannot be written"},
	{"convert format=png options.foo=1", FAILURE_ARGUMENT, "format png has no option \"foo\""},
	{"convert format=jpeg options.lossless=true", FAILURE_ARGUMENT,
	 "format jpeg has no option \"lossless\""},
	{"convert format=jpeg options.keep=exfi", FAILURE_ARGUMENT, "keep must not name \"exfi\""},
	{"crop_to aspect=wide", FAILURE_ARGUMENT, "aspect must not be \"wide\""},
	{"crop_to aspect=16:0", FAILURE_ARGUMENT, "aspect must not be"},
	{"trim threshold=256", FAILURE_ARGUMENT, "threshold must be between 0 and 255"},
	{"extend north=-1", FAILURE_ARGUMENT, "north must be between"},
	{"extend north=100000 west=100000", FAILURE_LIMIT, "image would have"},
	{"orient orientation=9", FAILURE_ARGUMENT, "orientation must be between 1 and 8"},
	{"normalise_contrast lower=60 upper=40", FAILURE_ARGUMENT, "lower must be less"},
	{"redact x=500 y=500 width=5 height=5", FAILURE_ARGUMENT, "does not touch the image"},
	{"watermark_text text=x font=Nonesuch", FAILURE_ARGUMENT, "there is no font \"Nonesuch\""},
	{"watermark_text text=", FAILURE_ARGUMENT, "text must not be empty"},
	{"vips operation=system", FAILURE_ARGUMENT, "img_vips has no operation \"system\""},
	{"vips operation=jpegload", FAILURE_ARGUMENT, "img_vips has no operation"},
	{"vips operation=gaussblur args.sigmaa=2", FAILURE_ARGUMENT, "no argument \"sigmaa\""},
	{"vips operation=avg", FAILURE_ARGUMENT, "img_vips has no operation"},
	{"vips operation=cast args.format=complex", FAILURE_UNSUPPORTED, "not a picture"},
	{"page page=1", FAILURE_ARGUMENT, "image has no page 1"},
	{"optimize max_bytes=20", FAILURE_LIMIT, "cannot be written in 20 bytes"},
	{"phash, flip", FAILURE_ARGUMENT, "no step can follow"},
	{"histogram bins=7", FAILURE_ARGUMENT, "bins must be a power of two"},
	{"composite", FAILURE_ARGUMENT, "base must be an image"},
	{"composite base=3", FAILURE_ARGUMENT, "base must be an image"},
	{"preview columns=501", FAILURE_ARGUMENT, "columns must be between 1 and 500, not 501"},
	{"resize width=20000 height=2000 fit=fill, convert format=webp", FAILURE_LIMIT,
	 "webp holds at most 16383 pixels a side"},
};

static void
test_refusals(void)
{
	Bytes source = picture_as(RGB, 120, 80, ".png");

	for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
	{
		static Result result;

		render(source, refusals[i].steps, &result);
		ok(result.alive && !result.done && result.refusal_count == 1 &&
			   result.refusals[0].kind == refusals[i].kind &&
			   strstr(result.refusals[0].message, refusals[i].message) != NULL,
		   "refused: %s", refusals[i].steps);
		explain(&result);
		revive(&result);
		result_free(&result);
	}
	g_free(source.data);
}

/* Whole against one by one ------------------------------------------------------ */

static const char *const chainable[] = {
	"resize width=77",
	"resize width=150 height=61 fit=cover",
	"resize width=61 height=97 fit=contain background=#ff8800",
	"resize width=61 height=97 fit=contain background=#12345680",
	"resize width=130 height=90 fit=fill kernel=cubic",
	"resize width=60 height=60 gravity=attention",
	"resize height=64 kernel=nearest",
	"resize width=200 enlarge=false fit=inside",
	"thumbnail width=90",
	"normalize width=80 height=70 fit=contain background=#336699",
	"crop x=3 y=5 width=40 height=37",
	"blur sigma=1.5",
	"blur sigma=4",
	"rotate angle=90",
	"rotate angle=37.5",
	"rotate angle=-15 background=#aabbcc",
	"rotate angle=200 background=#808080",
	"flip",
	"flop",
	"composite base=base",
	"composite base=base opacity=0.35 x=4 y=-6 gravity=southeast",
	"composite base=base blend=multiply opacity=0.9",
	"composite base=base blend=screen fit=contain",
	"convert format=jpeg options.background=#204060",
	"convert format=png options.compression=1",
	"crop_to aspect=4:3",
	"trim",
	"autocrop padding=3",
	"extend north=5 west=8",
	"extend south=9 east=4 background=#10203040",
	"extend south=9 mode=mirror",
	"orient orientation=7",
	"flatten background=#ff0000",
	"sharpen",
	"sharpen sigma=1.5",
	"grayscale",
	"negate",
	"negate alpha=false",
	"gamma gamma=1.7",
	"modulate brightness=1.1 saturation=0.7 hue=33",
	"tint color=#40c080",
	"normalise_contrast",
	"round_corners radius=9",
	"redact x=2 y=2 width=20 height=20 color=#00ff00",
	"redact x=2 y=2 width=20 height=20 style=pixelate",
	"overlay mark=base gravity=northeast",
	"overlay mark=base blend=dest-out opacity=0.5",
	"overlay mark=base tile=true",
	"watermark mark=base",
	"watermark_text text=tree",
	"shadow",
	"shadow shape=box blur=3",
	"mask mask=base",
	"remove_background",
	"remove_background feather=1.0 holes=true",
	"vips operation=gaussblur args.sigma=2.0",
	"vips operation=sobel",
	"montage image=base columns=1",
};

#define CHAIN_STEPS 4

/* The steps one by one, through PNG; false when one fails. */
static bool
render_single(Bytes source, const char *const *steps, int count, Bytes *last)
{
	static Result result;
	Bytes now = {g_memdup2(source.data, source.size), source.size};

	for (int i = 0; i < count; i++)
	{
		char text[256];

		/* As the next function would get it: always as PNG. */
		snprintf(text, sizeof text, "%s, convert format=png options.compression=1", steps[i]);
		render(now, text, &result);
		g_free(now.data);
		if (result.answer_count != 1)
		{
			explain(&result);
			revive(&result);
			return false;
		}
		now.data = g_memdup2(result.answers[0].bytes.data, result.answers[0].bytes.size);
		now.size = result.answers[0].bytes.size;
		result_free(&result);
	}
	*last = now;
	return true;
}

static bool
compare_chain(Bytes source, const char *const *steps, int count, char *text, size_t size)
{
	static Result result;
	Bytes single;
	int differ = -1;

	text[0] = '\0';
	for (int i = 0; i < count; i++)
		snprintf(text + strlen(text), size - strlen(text), "%s, ", steps[i]);
	snprintf(text + strlen(text), size - strlen(text), "convert format=png");
	render(source, text, &result);
	if (!render_single(source, steps, count, &single))
		return result.answer_count == 0;
	if (result.answer_count == 1)
		differ = difference(result.answers[0].bytes, single);
	g_free(single.data);
	explain(&result);
	revive(&result);
	result_free(&result);
	if (differ != 0)
		printf("# differs by %d\n", differ);
	return differ == 0;
}

static void
test_chains(int rounds)
{
	GRand *random = g_rand_new_with_seed(20240517);

	for (Kind kind = GREY; kind <= RGBA; kind++)
	{
		Bytes source = picture_as(kind, 121, 83, ".png");
		int wrong = 0;

		for (int i = 0; i < rounds; i++)
		{
			const char *steps[CHAIN_STEPS];
			char text[1024];
			int count = g_rand_int_range(random, 2, CHAIN_STEPS + 1);

			for (int j = 0; j < count; j++)
				steps[j] =
					chainable[g_rand_int_range(random, 0, (int) G_N_ELEMENTS(chainable))];
			if (!compare_chain(source, steps, count, text, sizeof text))
			{
				printf("# %s\n", text);
				wrong++;
			}
		}
		ok(wrong == 0, "%d chains of steps on %d bands give the pixels of single steps", rounds,
		   kind);
		g_free(source.data);
	}
	g_rand_free(random);
}

/* Sizes on both sides of where threads and vector code begin, none of which divide. */
static void
test_large_chains(void)
{
	static const char *const chains[][4] = {
		{"resize width=917", "rotate angle=3.3", "blur sigma=2", "resize width=511 height=401"},
		{"resize width=77", "resize width=1201", "blur sigma=2", "resize width=93"},
	};
	Bytes source = picture_as(RGB, 1501, 1003, ".png");
	char text[512];

	for (size_t i = 0; i < G_N_ELEMENTS(chains); i++)
		ok(compare_chain(source, chains[i], 4, text, sizeof text),
		   "large: %s gives the pixels of single steps", text);
	g_free(source.data);
}

/* Our own PNG writer: the same pixels at every level, and never larger at a higher one. */
static void
test_png(void)
{
	static const char *const levels[] = {"compression=0", "compression=1", "compression=6",
										 "compression=9", "effort=12"};
	static const int sides[][2] = {{1, 1}, {3, 1}, {1, 7}, {121, 83}, {640, 400}};

	for (Kind kind = GREY; kind <= RGBA; kind++)
		for (size_t side = 0; side < G_N_ELEMENTS(sides); side++)
		{
			Bytes source = picture_as(kind, sides[side][0], sides[side][1], ".png");
			size_t last = SIZE_MAX;
			bool same = true;
			bool smaller = true;

			for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
			{
				static Result result;
				char text[64];

				snprintf(text, sizeof text, "convert format=png options.%s", levels[i]);
				render(source, text, &result);
				same = same && result.answer_count == 1 &&
					   difference(result.answers[0].bytes, source) == 0;
				smaller =
					smaller && result.answer_count == 1 && result.answers[0].bytes.size <= last;
				last = result.answer_count == 1 ? result.answers[0].bytes.size : 0;
				result_free(&result);
			}
			ok(same, "png of %d bands, %d x %d: the same pixels at all levels", kind,
			   sides[side][0], sides[side][1]);
			ok(smaller, "png of %d bands, %d x %d: no level makes it larger", kind,
			   sides[side][0], sides[side][1]);
			g_free(source.data);
		}
}

/* A document is its first picture, also beside an output that asks for another one. */
static void
test_document(void)
{
	static Result result;
	static Recipe recipes[2];
	VipsImage *two = picture(RGB, 40, 60);
	VipsImage *pages;
	Request request;
	Bytes tiff;

	vips_copy(two, &pages, NULL);
	vips_image_set_int(pages, VIPS_META_PAGE_HEIGHT, 30);
	tiff = save(pages, ".tif");
	request_init(&request, tiff);
	write_recipe(&recipes[0], "page page=1");
	write_recipe(&recipes[1], "flip");
	request.recipes[request.recipe_count++] = &recipes[0];
	request.recipes[request.recipe_count++] = &recipes[1];
	codec_render(&codec, &request, &result);
	ok(result.answer_count == 2 && strcmp(result.answers[0].format, "tiff") == 0 &&
		   strcmp(result.answers[1].format, "tiff") == 0 && result.answers[1].height == 30,
	   "a page of a document, and beside it the document's first");
	explain(&result);
	result_free(&result);
	g_object_unref(two);
	g_object_unref(pages);
	g_free(tiff.data);
}

/* Damage ----------------------------------------------------------------------- */

static const char *const suffixes[] = {
	".jpg",	 ".jpg[interlace]", ".png",	 ".png[interlace]",		   ".gif",
	".webp", ".webp[lossless]", ".tiff", ".tiff[compression=lzw]", ".avif",
	".heic"};

static bool
refused_as(Bytes source, FailureKind kind)
{
	static Result result;
	bool right;

	render(source, "convert format=png options.compression=1", &result);
	right = result.alive && result.answer_count == 0 && result.refusal_count == 1 &&
			result.refusals[0].kind == kind;
	if (!right)
		explain(&result);
	revive(&result);
	result_free(&result);
	return right;
}

static void
test_damage(void)
{
	static const double parts[] = {0.002, 0.1, 0.5, 0.9, 0.995};

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
	{
		Bytes whole = picture_as(RGB, 300, 200, suffixes[i]);

		for (size_t j = 0; j < G_N_ELEMENTS(parts); j++)
		{
			Bytes part = {whole.data, MAX((size_t) ((double) whole.size * parts[j]), 12)};

			ok(refused_as(part, FAILURE_MALFORMED),
			   "%s cut off after %zu of %zu bytes is malformed", suffixes[i], part.size,
			   whole.size);
		}
		g_free(whole.data);
	}
}

/* Whatever comes out, the codec is still there. */
static void
test_noise(int rounds)
{
	GRand *random = g_rand_new_with_seed(42);

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
	{
		Bytes whole = picture_as(RGBA, 64, 48, suffixes[i]);
		int gone = 0;

		for (int j = 0; j < rounds; j++)
		{
			static Result result;
			Bytes noisy = {g_memdup2(whole.data, whole.size), whole.size};
			int count = g_rand_int_range(random, 1, 12);

			for (int k = 0; k < count; k++)
				noisy.data[g_rand_int_range(random, 0, (int) noisy.size)] =
					(uint8_t) g_rand_int_range(random, 0, 256);
			render(noisy, "resize width=20, convert format=png", &result);
			gone += result.alive ? 0 : 1;
			if (!result.alive)
				explain(&result);
			revive(&result);
			result_free(&result);
			g_free(noisy.data);
		}
		ok(gone == 0, "%d noisy %s do not kill the codec", rounds, suffixes[i]);
		g_free(whole.data);
	}
	g_rand_free(random);
}

static uint32_t
crc(const uint8_t *data, size_t size)
{
	uint32_t sum = 0xFFFFFFFF;

	for (size_t i = 0; i < size; i++)
	{
		sum ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320 : 0);
	}
	return ~sum;
}

/* A PNG that says it has so many pixels, and has none. */
static Bytes
promising_png(uint32_t width, uint32_t height)
{
	static uint8_t data[] =
		"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\0\0\0\0\0\x08\x02\0\0\0\0\0\0\0"
		"\0\0\0\x08IDAT\x78\x9C\x01\0\0\xFF\xFF\0\0\0\0\0";
	uint32_t sum;

	for (int i = 0; i < 4; i++)
	{
		data[16 + i] = (uint8_t) (width >> (24 - 8 * i));
		data[20 + i] = (uint8_t) (height >> (24 - 8 * i));
	}
	sum = crc(data + 12, 17);
	for (int i = 0; i < 4; i++)
		data[29 + i] = (uint8_t) (sum >> (24 - 8 * i));
	return (Bytes){data, sizeof data - 1};
}

static void
test_limits(void)
{
	static Result result;
	static Recipe recipe;
	VipsImage *one = picture(RGB, 40, 90);
	VipsImage *pages;
	Request request;
	Bytes gif;

	render(promising_png(50000, 50000), "resize width=10", &result);
	ok(result.refusal_count == 1 && result.refusals[0].kind == FAILURE_LIMIT &&
		   strcmp(result.refusals[0].message,
				  "image has 50000 x 50000 = 2500000000 pixels, more than 100000000") == 0 &&
		   strstr(result.refusals[0].hint, "imgexport.max_pixels") != NULL,
	   "a bomb is refused by its header");
	explain(&result);
	revive(&result);

	vips_copy(one, &pages, NULL);
	vips_image_set_int(pages, VIPS_META_PAGE_HEIGHT, 30);
	gif = save(pages, ".gif");
	request_init(&request, gif);
	request.limits.max_pages = 2;
	write_recipe(&recipe, "flip");
	request.recipes[request.recipe_count++] = &recipe;
	codec_render(&codec, &request, &result);
	ok(result.refusal_count == 1 && result.refusals[0].kind == FAILURE_LIMIT &&
		   strcmp(result.refusals[0].message, "image has 3 pages, more than 2") == 0,
	   "too many pages are refused");
	explain(&result);

	request.limits.max_pages = 3;
	request.limits.max_pixels = 3000;
	codec_render(&codec, &request, &result);
	ok(result.refusal_count == 1 &&
		   strcmp(result.refusals[0].message,
				  "image has 3 pages of 40 x 30 = 3600 pixels, more than 3000") == 0,
	   "pixels of all pages count");
	explain(&result);

	request.limits.max_pixels = 1000000;
	codec_render(&codec, &request, &result);
	ok(result.answer_count == 1 && result.answers[0].height == 30,
	   "an animation is turned page by page");
	result_free(&result);
	g_object_unref(one);
	g_object_unref(pages);
	g_free(gif.data);
}

static void
test_timeout(void)
{
	static Result result;
	static Recipe recipe;
	Bytes source = picture_as(RGBA, 2000, 2000, ".png[compression=1]");
	Request request;

	request_init(&request, source);
	request.limits.time_ms = 40;
	write_recipe(&recipe, "blur sigma=15, rotate angle=10");
	request.recipes[request.recipe_count++] = &recipe;
	codec_render(&codec, &request, &result);
	ok(result.alive && result.refusal_count == 1 && result.refusals[0].kind == FAILURE_TIMEOUT,
	   "the codec reports that time is over");
	explain(&result);
	revive(&result);
	result_free(&result);
	g_free(source.data);
}

static void
test_nothing(void)
{
	Bytes text = {(uint8_t *) "this is a long enough text, and no image at all by any magic",
				  60};
	Bytes svg = {(uint8_t *) "<svg xmlns='http://www.w3.org/2000/svg'/>", 41};
	Bytes csv = {(uint8_t *) "1,2,3\n4,5,6\n7,8,9\n", 18};
	Bytes ppm = {(uint8_t *) "P6 1 1 255\n123", 14};

	ok(refused_as((Bytes){text.data, 0}, FAILURE_MALFORMED), "nothing is malformed");
	ok(refused_as((Bytes){text.data, 1}, FAILURE_MALFORMED), "one byte is malformed");
	ok(refused_as(text, FAILURE_MALFORMED), "text is malformed");
	ok(refused_as(csv, FAILURE_MALFORMED), "CSV is no image, whatever libvips thinks");
	ok(refused_as(ppm, FAILURE_MALFORMED), "PPM is no image, whatever libvips thinks");
	ok(refused_as(svg, FAILURE_UNSUPPORTED), "SVG is refused by its name");
}

/* Outputs ------------------------------------------------------------------------ */

static void
test_outputs(void)
{
	static const char *const recipes[] = {
		"resize width=60, convert format=png", "resize width=60, convert format=jpeg",
		"resize width=60, blur sigma=900000", "resize width=60, convert format=webp quality=0",
		"crop x=0 y=0 width=10 height=10"};
	static Recipe built[G_N_ELEMENTS(recipes)];
	static Result result;
	static Result alone;
	Bytes source = picture_as(RGB, 120, 80, ".png");
	Request request;

	request_init(&request, source);
	request.keep_going = true;
	for (size_t i = 0; i < G_N_ELEMENTS(recipes); i++)
	{
		write_recipe(&built[i], recipes[i]);
		request.recipes[request.recipe_count++] = &built[i];
	}
	codec_render(&codec, &request, &result);
	ok(result.done && result.answer_count == 4, "four outputs of five come");
	ok(result.refusal_count == 1 && result.refusals[0].output == 2 &&
		   result.refusals[0].step == 1 && strcmp(result.refusals[0].step_name, "blur") == 0,
	   "the fifth is an error with its index and step");
	explain(&result);
	render(source, recipes[0], &alone);
	ok(alone.answer_count == 1 && result.answer_count > 0 && result.answers[0].output == 0 &&
		   difference(alone.answers[0].bytes, result.answers[0].bytes) == 0,
	   "an output among others is the same as alone");
	result_free(&alone);
	result_free(&result);

	request.keep_going = false;
	codec_render(&codec, &request, &result);
	ok(result.alive && !result.done && result.refusal_count == 1,
	   "without keep_going the first failure ends it");
	result_free(&result);
	render(source, "flip", &result);
	ok(result.done, "and the next request is answered");
	result_free(&result);
	g_free(source.data);
}

/* Decoding ----------------------------------------------------------------------- */

static void
test_orientations(void)
{
	for (int orientation = 1; orientation <= 8; orientation++)
	{
		static Result result;
		VipsImage *image = picture(RGB, 60, 40);
		VipsImage *marked;
		VipsImage *upright;
		Bytes source;
		Bytes expected;

		vips_copy(image, &marked, NULL);
		vips_image_set_int(marked, VIPS_META_ORIENTATION, orientation);
		vips_autorot(marked, &upright, NULL);
		source = save(marked, ".tiff");
		expected = save(upright, ".png[strip]");
		render(source, "convert format=png", &result);
		ok(result.answer_count == 1 && difference(result.answers[0].bytes, expected) == 0,
		   "orientation %d is applied", orientation);
		explain(&result);
		result_free(&result);
		render(source, "resize width=10, convert format=png", &result);
		ok(result.answer_count == 1 && result.answers[0].width == 10 &&
			   result.answers[0].height == (orientation < 5 ? 7 : 15),
		   "orientation %d is applied after a resize", orientation);
		explain(&result);
		result_free(&result);
		g_free(source.data);
		g_free(expected.data);
		g_object_unref(image);
		g_object_unref(marked);
		g_object_unref(upright);
	}
}

/* One colour through a kind of file: is it that colour again? */
static void
check_colour(VipsImage *image, const char *suffix, const int *expected, int bands,
			 int tolerance, const char *name)
{
	static Result result;
	Bytes source = save(image, suffix);
	VipsImage *out;
	bool right = false;

	render(source, "convert format=png", &result);
	if (result.answer_count == 1 && (out = load(result.answers[0].bytes)) != NULL)
	{
		double *values = NULL;
		int count = 0;

		vips_getpoint(out, &values, &count, 3, 3, NULL);
		right = count == bands && out->BandFmt == VIPS_FORMAT_UCHAR;
		for (int i = 0; i < count && i < 4; i++)
			right &= fabs(values[i] - expected[i]) <= tolerance;
		if (!right)
			for (int i = 0; i < count; i++)
				printf("# band %d is %g\n", i, values[i]);
		g_free(values);
		g_object_unref(out);
	}
	ok(right, "%s", name);
	explain(&result);
	result_free(&result);
	g_free(source.data);
}

static VipsImage *
plain(const double *values, int bands, VipsBandFormat format, VipsInterpretation interpretation)
{
	double zeros[5] = {0};
	double ones[5] = {1, 1, 1, 1, 1};
	VipsImage *black;
	VipsImage *filled;
	VipsImage *cast;
	VipsImage *named;

	vips_black(&black, 16, 16, "bands", bands, NULL);
	for (int i = 0; i < bands; i++)
		zeros[i] = values[i];
	vips_linear(black, &filled, ones, zeros, bands, NULL);
	vips_cast(filled, &cast, format, NULL);
	vips_copy(cast, &named, "interpretation", interpretation, NULL);
	g_object_unref(black);
	g_object_unref(filled);
	g_object_unref(cast);
	return named;
}

static void
test_colours(void)
{
	VipsImage *image;
	VipsImage *other;

	image = plain((double[]){65535, 32896, 257, 32896}, 4, VIPS_FORMAT_USHORT,
				  VIPS_INTERPRETATION_RGB16);
	check_colour(image, ".png", (int[]){255, 128, 1, 128}, 4, 0, "16 bits with alpha");
	vips_icc_export(image, &other, "output_profile", "srgb", "depth", 16, NULL);
	g_object_unref(image);
	if (other != NULL)
		g_object_unref(other);

	image = plain((double[]){32896, 32896}, 2, VIPS_FORMAT_USHORT, VIPS_INTERPRETATION_GREY16);
	check_colour(image, ".png", (int[]){128, 128}, 2, 0, "16 bits of grey with alpha");
	g_object_unref(image);

	image = plain((double[]){0, 0, 0, 0}, 4, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_CMYK);
	check_colour(image, ".tiff", (int[]){255, 255, 255}, 3, 3, "CMYK white without a profile");
	check_colour(image, ".jpg", (int[]){255, 255, 255}, 3, 3, "CMYK white in JPEG");
	g_object_unref(image);

	image = plain((double[]){255, 0, 0}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB);
	vips_icc_transform(image, &other, "p3", "input_profile", "srgb", NULL);
	check_colour(other, ".png", (int[]){255, 0, 0}, 3, 3, "Display P3 by its profile");
	g_object_unref(other);
	g_object_unref(image);

	image = plain((double[]){0.5, 0.5, 0.5}, 3, VIPS_FORMAT_FLOAT, VIPS_INTERPRETATION_scRGB);
	check_colour(image, ".tiff", (int[]){188, 188, 188}, 3, 1, "linear float");
	g_object_unref(image);

	image = plain((double[]){255, 0, 0}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB);
	check_colour(image, ".gif", (int[]){255, 0, 0, 255}, 4, 0, "a palette");
	g_object_unref(image);

	image = plain((double[]){255}, 1, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_B_W);
	check_colour(image, ".tiff[bitdepth=1]", (int[]){255}, 1, 0, "one bit");
	g_object_unref(image);
}

/* 70 % of 200 and 30 % of 100, without and with transparency. */
static void
test_composite(void)
{
	static Result result;
	VipsImage *above =
		plain((double[]){200, 5, 255}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB);
	VipsImage *below =
		plain((double[]){100, 0, 255}, 3, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB);
	Bytes source = save(above, ".png");
	Bytes kept = base_image;
	VipsImage *out;
	double *values = NULL;
	int count = 0;

	base_image = save(below, ".png");
	render(source, "composite base=base", &result);
	out = result.answer_count == 1 ? load(result.answers[0].bytes) : NULL;
	if (out != NULL)
		vips_getpoint(out, &values, &count, 3, 3, NULL);
	ok(count == 3 && values[0] == 170 && values[1] == 4 && values[2] == 255,
	   "composite mixes exactly: 170, 3.5 is 4, 255");
	explain(&result);
	g_free(values);
	if (out != NULL)
		g_object_unref(out);
	result_free(&result);
	g_free(base_image.data);
	base_image = kept;
	g_free(source.data);
	g_object_unref(above);
	g_object_unref(below);
}

static void
test_round_trips(void)
{
	static const char *const formats[] = {"jpeg", "png", "webp", "gif", "tiff", "avif", "heif"};
	Bytes source = picture_as(RGBA, 96, 64, ".png");

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
	{
		static Result there;
		static Result back;
		char steps[80];

		snprintf(steps, sizeof steps, "convert format=%s", formats[i]);
		render(source, steps, &there);
		ok(there.answer_count == 1, "to %s", formats[i]);
		explain(&there);
		revive(&there);
		if (there.answer_count == 1)
		{
			render(there.answers[0].bytes, "flip, flip", &back);
			ok(back.answer_count == 1 && strcmp(back.answers[0].format, formats[i]) == 0 &&
				   back.answers[0].width == 96,
			   "and from %s to %s", formats[i], formats[i]);
			explain(&back);
			revive(&back);
			result_free(&back);
		}
		result_free(&there);
	}
	g_free(source.data);
}

/* What JPEG cannot hold becomes PNG. */
static void
test_output_format(void)
{
	static Result result;
	Bytes source = picture_as(RGB, 60, 40, ".jpg");

	render(source, "resize width=30", &result);
	ok(result.answer_count == 1 && strcmp(result.answers[0].format, "jpeg") == 0,
	   "JPEG stays JPEG");
	result_free(&result);
	render(source, "rotate angle=45", &result);
	ok(result.answer_count == 1 && strcmp(result.answers[0].format, "png") == 0,
	   "JPEG with transparency becomes PNG");
	result_free(&result);
	render(source, "rotate angle=45 background=white", &result);
	ok(result.answer_count == 1 && strcmp(result.answers[0].format, "jpeg") == 0,
	   "on an opaque background it stays JPEG");
	result_free(&result);
	g_free(source.data);
}

/* Descriptions --------------------------------------------------------------------- */

static char json[1 << 20];

static void
test_describe(void)
{
	Description description;
	Refusal refusal;

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
	{
		Bytes whole = picture_as(RGBA, 300, 200, suffixes[i]);
		bool right = true;

		ok(codec_describe(&codec, whole, whole.size, true, &description, json, sizeof json,
						  &refusal) &&
			   description.complete && description.width == 300 && description.height == 200 &&
			   description.pages == 1 && description.orientation == 1 &&
			   description.has_alpha == (strncmp(suffixes[i], ".jpg", 4) != 0),
		   "%s is described", suffixes[i]);
		for (size_t size = 0; size < whole.size && right; size = size * 2 + 1)
		{
			Bytes part = {whole.data, size};

			right = codec_describe(&codec, part, whole.size, false, &description, json,
								   sizeof json, &refusal) &&
					(!description.complete ||
					 (description.width == 300 && description.height == 200));
			if (!right)
				printf("# %zu bytes: %s\n", size, refusal.message);
		}
		ok(right, "beginnings of %s are right or incomplete", suffixes[i]);
		g_free(whole.data);
	}
}

static void
test_describe_slices(void)
{
	static const char *const early[] = {".jpg", ".png"};
	Description description;
	Refusal refusal;

	for (size_t i = 0; i < G_N_ELEMENTS(early); i++)
	{
		Bytes whole = picture_as(RGB, 1000, 800, early[i]);
		Bytes part = {whole.data, 4096};

		ok(codec_describe(&codec, part, whole.size, true, &description, json, sizeof json,
						  &refusal) &&
			   description.complete && description.width == 1000,
		   "4 kB are enough for %s", early[i]);
		g_free(whole.data);
	}
	ok(!codec_describe(&codec, (Bytes){(uint8_t *) "GIF89a", 6}, 6, false, &description, json,
					   sizeof json, &refusal) &&
		   refusal.kind == FAILURE_MALFORMED,
	   "half a header that is the whole is malformed");
}

static const char *const exif_expected[] = {
	"\"taken_at\":\"2024-05-17T12:34:56.123+02:00\"",
	"\"make\":\"Canon\",\"model\":\"EOS R5\",\"lens\":\"RF 50mm\"",
	"\"exposure_time\":\"1/250\",\"exposure_seconds\":0.004",
	"\"iso\":400",
	"\"f_number\":1.8",
	"\"latitude\":-33.8688,\"longitude\":151.2093,\"altitude\":-12.5",
	"\"orientation\":6",
	"\"width\":40,\"height\":60",
	"\"Artist\":\"M\u00fcller \\\"x\\\"\"",
	"\"iptc\":{\"keywords\":[\"a\"]},\"xmp\":{\"dc:title\":\"b\"}",
};

static const char exiftool[] =
	"exiftool -q -overwrite_original -Make=Canon '-Model=EOS R5 ' '-LensModel=RF 50mm' "
	"-FNumber=1.8 -ExposureTime=1/250 -ISO=400 -ExifIFD:Flash#=1 '-Artist=M\u00fcller \"x\"' "
	"'-DateTimeOriginal=2024:05:17 12:34:56' -SubSecTimeOriginal=123 "
	"-OffsetTimeOriginal=+02:00 -GPSLatitude=33.8688 -GPSLatitudeRef=S "
	"-GPSLongitude=151.2093 -GPSLongitudeRef=E -GPSAltitude=12.5 "
	"'-GPSAltitudeRef=Below Sea Level' -GPSDateStamp=2024:05:17 -GPSTimeStamp=10:34:56 "
	"-Orientation#=6 -IPTC:Keywords=a -XMP:Title=b ";

static void
test_metadata(void)
{
	char name[] = "/tmp/codec_test_XXXXXX.jpg";
	char command[2048];
	int fd = mkstemps(name, 4);
	Bytes source = picture_as(RGB, 60, 40, ".jpg");
	Description description;
	Refusal refusal;
	gsize size;

	if (write(fd, source.data, source.size) < 0)
		printf("# cannot write %s\n", name);
	close(fd);
	g_free(source.data);
	snprintf(command, sizeof command, "%s %s", exiftool, name);
	if (system(command) != 0)
		printf("# exiftool is missing or failed\n");
	if (!g_file_get_contents(name, (char **) &source.data, &size, NULL))
		return;
	source.size = size;
	unlink(name);
	ok(codec_describe(&codec, source, source.size, true, &description, json, sizeof json,
					  &refusal),
	   "metadata comes");
	for (size_t i = 0; i < G_N_ELEMENTS(exif_expected); i++)
		if (!ok(strstr(json, exif_expected[i]) != NULL, "metadata has %s", exif_expected[i]))
			printf("# %s\n", json);
	/* Broken EXIF is a warning at most. */
	for (size_t i = 30; i < 600 && i < source.size; i += 7)
	{
		source.data[i] ^= 0x5A;
		if (!codec_describe(&codec, source, source.size, true, &description, json, sizeof json,
							&refusal) &&
			refusal.kind == 0)
			break;
		source.data[i] ^= 0x5A;
	}
	ok(refusal.kind != 0 || description.complete, "broken EXIF kills nothing");
	g_free(source.data);
}

/* The program ---------------------------------------------------------------------- */

/* What is no message ends the program; a pipeline that is none is an error. */
static void
test_protocol(void)
{
	static uint8_t body[FRAME_MAX_BYTES];
	GRand *random = g_rand_new_with_seed(7);
	static Result result;
	Bytes source = picture_as(GREY, 20, 20, ".png");
	int crashed = 0;
	Codec victim;

	codec_start(&victim, usual);
	codec_send(&victim, 99, "x", 1, NULL, 0);
	ok(codec_wait(&victim) == EXIT_PROTOCOL, "an unknown frame ends it");
	close(victim.socket);
	for (int i = 0; i < 12; i++)
	{
		size_t size = (size_t) g_rand_int_range(random, 0, 200);
		int fd = bytes_to_memfd(source);
		int code;

		for (size_t j = 0; j < size; j++)
			body[j] = (uint8_t) g_rand_int_range(random, 0, 256);
		codec_start(&victim, usual);
		codec_send(&victim, i % 2 ? FRAME_RENDER : FRAME_DESCRIBE, body, size, &fd, 1);
		close(fd);
		code = codec_stop(&victim);
		crashed += code == EXIT_PROTOCOL || code == EXIT_QUIET ? 0 : 1;
	}
	ok(crashed == 0, "frames of noise end it in order");

	for (int i = 0; i < 3; i++)
	{
		static const uint8_t absurd[3][16] = {{0, 0, 0xFF, 0xFF, 1, 2, 3},
											  {9, 0, 0, 0},
											  {0, 0, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 'a'}};
		Request request;
		Recipe recipe;

		request_init(&request, source);
		recipe_start(&recipe, 0);
		memcpy(recipe.data, absurd[i], 16);
		recipe.packer.used = 16;
		memcpy(&recipe.step_count, &(int){absurd[i][2] | absurd[i][3] << 8}, sizeof(int));
		request.recipes[request.recipe_count++] = &recipe;
		codec_render(&codec, &request, &result);
		ok(!result.alive && result.refusal_count == 0, "an absurd pipeline ends it");
		explain(&result);
		revive(&result);
	}
	g_rand_free(random);
	g_free(source.data);
}

static void
test_ends(void)
{
	static const char *const impatient[] = {"imgexport-codec", "--idle=1", "--sandbox=prefer",
											NULL};
	static const char *const few[] = {"imgexport-codec", "--loaders=png", "--sandbox=prefer",
									  NULL};
	static Result result;
	Bytes jpeg = picture_as(RGB, 20, 20, ".jpg");
	Codec kept = codec;
	Codec other;

	codec_start(&other, usual);
	kill(other.pid, SIGTERM);
	ok(codec_wait(&other) == EXIT_QUIET, "SIGTERM ends it quietly");
	close(other.socket);
	codec_start(&other, impatient);
	ok(codec_wait(&other) == EXIT_QUIET, "it leaves when nothing comes");
	close(other.socket);

	codec_start(&codec, few);
	render(jpeg, "flip", &result);
	ok(result.refusal_count == 1 && result.refusals[0].kind == FAILURE_UNSUPPORTED,
	   "a loader that is not listed is not used");
	explain(&result);
	codec_stop(&codec);
	codec = kept;
	g_free(jpeg.data);
}

/* The server limits what a helper may write. */
static void
test_file_size(void)
{
	static Result result;
	struct rlimit old;
	struct rlimit small;
	Bytes source = picture_as(RGB, 100, 100, ".png");
	Codec kept = codec;

	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 2000;
	setrlimit(RLIMIT_FSIZE, &small);
	codec_start(&codec, usual);
	setrlimit(RLIMIT_FSIZE, &old);
	render(source, "convert format=tiff options.compression=none", &result);
	ok(result.alive && result.refusal_count == 1 && result.refusals[0].kind == FAILURE_LIMIT,
	   "a result that is too large is refused");
	explain(&result);
	codec_stop(&codec);
	codec = kept;
	g_free(source.data);
}

int
main(void)
{
	if (VIPS_INIT("codec_test") != 0 || !codec_start(&codec, usual))
	{
		printf("Bail out! no codec\n");
		return 1;
	}
	signal(SIGXFSZ, SIG_IGN);
	base_image = picture_as(RGBA, 90, 90, ".png");
	test_hello();
	test_sizes();
	test_refusals();
	test_chains(60);
	test_large_chains();
	test_png();
	test_document();
	test_damage();
	test_noise(60);
	test_limits();
	test_timeout();
	test_nothing();
	test_outputs();
	test_orientations();
	test_colours();
	test_composite();
	test_round_trips();
	test_output_format();
	test_describe();
	test_describe_slices();
	test_metadata();
	test_protocol();
	test_ends();
	test_file_size();
	ok(codec_stop(&codec) == EXIT_QUIET, "the codec leaves when the socket is closed");
	return tap_done();
}
