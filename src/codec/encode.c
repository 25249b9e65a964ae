/*
 * encode.c
 *		From a canvas to the bytes of a file, in a sealed memfd.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "codec/canvas.h"
#include "codec/heif_check.h"
#include "codec/metadata.h"
#include "codec/optimize.h"
#include "codec/pages.h"
#include "codec/png_write.h"
#include "codec/request.h"
#include "codec/strip.h"
#include "wire/memfd.h"
#include "wire/pipeline.h"

#define OPTION_PREFIX "options."

/* What a user may say of how a format is written, and the saver's property it is. */
typedef struct Option
{
	const char *format;
	const char *name;
	ArgumentType type;
	double low;
	double high;
	const char *property;
} Option;

static const Option options[] = {
	{"jpeg", "progressive", ARGUMENT_BOOL, 0, 1, "interlace"},
	{"jpeg", "interlace", ARGUMENT_BOOL, 0, 1, "interlace"},
	{"jpeg", "subsampling", ARGUMENT_TEXT, 0, 0, "subsample-mode"},
	{"png", "progressive", ARGUMENT_BOOL, 0, 1, "interlace"},
	{"png", "interlace", ARGUMENT_BOOL, 0, 1, "interlace"},
	{"png", "compression", ARGUMENT_INT, 0, 9, "compression"},
	{"png", "effort", ARGUMENT_INT, 1, 12, NULL},
	{"png", "palette", ARGUMENT_BOOL, 0, 1, "palette"},
	{"png", "colors", ARGUMENT_INT, 2, 256, "bitdepth"},
	{"webp", "lossless", ARGUMENT_BOOL, 0, 1, "lossless"},
	{"webp", "near_lossless", ARGUMENT_BOOL, 0, 1, "near-lossless"},
	{"webp", "effort", ARGUMENT_INT, 0, 6, "effort"},
	{"webp", "alpha_quality", ARGUMENT_INT, 0, 100, "alpha-q"},
	{"webp", "smart_subsample", ARGUMENT_BOOL, 0, 1, "smart-subsample"},
	{"avif", "lossless", ARGUMENT_BOOL, 0, 1, "lossless"},
	{"avif", "effort", ARGUMENT_INT, 0, 9, "effort"},
	{"avif", "subsampling", ARGUMENT_TEXT, 0, 0, "subsample-mode"},
	{"heif", "lossless", ARGUMENT_BOOL, 0, 1, "lossless"},
	{"heif", "effort", ARGUMENT_INT, 0, 9, "effort"},
	{"heif", "subsampling", ARGUMENT_TEXT, 0, 0, "subsample-mode"},
	{"gif", "colors", ARGUMENT_INT, 2, 256, "bitdepth"},
	{"gif", "effort", ARGUMENT_INT, 1, 10, "effort"},
	{"tiff", "compression", ARGUMENT_TEXT, 0, 0, "compression"},
};

/* Words that an option takes, and libvips' values for them. */
typedef struct Word
{
	const char *property;
	const char *word;
	int value;
} Word;

static const Word words[] = {
	{"subsample-mode", "auto", VIPS_FOREIGN_SUBSAMPLE_AUTO},
	{"subsample-mode", "4:2:0", VIPS_FOREIGN_SUBSAMPLE_ON},
	{"subsample-mode", "4:4:4", VIPS_FOREIGN_SUBSAMPLE_OFF},
	{"compression", "none", VIPS_FOREIGN_TIFF_COMPRESSION_NONE},
	{"compression", "lzw", VIPS_FOREIGN_TIFF_COMPRESSION_LZW},
	{"compression", "deflate", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE},
	{"compression", "jpeg", VIPS_FOREIGN_TIFF_COMPRESSION_JPEG},
};

static const char *
option_name(const Argument *argument)
{
	return argument->name + strlen(OPTION_PREFIX);
}

static const Option *
find_option(const Format *format, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		if (strcmp(options[i].format, format->name) == 0 && strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static int
unknown_option(Canvas *canvas, const Format *format, const char *name)
{
	GString *known = g_string_new("It takes background, keep");

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		if (strcmp(options[i].format, format->name) == 0)
			g_string_append_printf(known, ", %s", options[i].name);
	problem_set(canvas->problem, FAILURE_ARGUMENT, "format %s has no option \"%.100s\"",
				format->name, name);
	problem_hint(canvas->problem, "%s.", known->str);
	g_string_free(known, TRUE);
	return -1;
}

static const Word *
find_word(const char *property, const char *text)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (strcmp(words[i].property, property) == 0 && strcmp(words[i].word, text) == 0)
			return &words[i];
	return NULL;
}

/*
 * Is this an option of the format, with a value in its range?
 *
 * option	an argument named "options.<name>"
 */
int
encode_check_option(Canvas *canvas, const Format *format, const Argument *option)
{
	const char *name = option_name(option);
	const Option *row = find_option(format, name);

	if (row == NULL)
		return unknown_option(canvas, format, name);
	if (option->type != row->type)
		return problem_set(canvas->problem, FAILURE_ARGUMENT, "option %s must be %s", name,
						   row->type == ARGUMENT_BOOL  ? "true or false"
						   : row->type == ARGUMENT_INT ? "an integer"
													   : "a text");
	if (row->type == ARGUMENT_INT &&
		(option->value.integer < row->low || option->value.integer > row->high))
		return problem_set(canvas->problem, FAILURE_ARGUMENT,
						   "option %s must be between %.0f and %.0f, not %lld", name, row->low,
						   row->high, (long long) option->value.integer);
	if (row->type == ARGUMENT_TEXT && find_word(row->property, option->value.text) == NULL)
		return problem_set(canvas->problem, FAILURE_ARGUMENT,
						   "option %s must not be \"%.100s\"", name, option->value.text);
	return 0;
}

/* The format an image goes out in: as asked, else its own, else PNG where that cannot hold it. */
const Format *
encode_format(const Canvas *canvas)
{
	if (canvas->report != NULL)
		return format_report;
	if (canvas->encode.format != NULL)
		return canvas->encode.format;
	if (canvas->pages > 1 && canvas->source->pages != PAGES_ANIMATION)
		return format_webp;
	if (canvas->source->saver == NULL ||
		(vips_image_hasalpha(canvas->image) && !canvas->source->alpha))
		return format_png;
	return canvas->source;
}

/* 2 to 256 colours as the bits that their numbers take. */
static int
bits_for(int64_t colours)
{
	int bits = 1;

	while (((int64_t) 1 << bits) < colours)
		bits *= 2;
	return bits;
}

static void
set_option(VipsOperation *saver, const Format *format, const Argument *argument)
{
	const Option *option = find_option(format, option_name(argument));

	if (option->property == NULL)
		return;
	switch (argument->type)
	{
		case ARGUMENT_BOOL:
			g_object_set(saver, option->property, argument->value.boolean, NULL);
			break;
		case ARGUMENT_INT:
			if (strcmp(option->property, "bitdepth") != 0)
				g_object_set(saver, option->property, (int) argument->value.integer, NULL);
			else
				g_object_set(saver, "bitdepth", bits_for(argument->value.integer), NULL);
			if (strcmp(option->name, "colors") == 0 && strcmp(format->name, "png") == 0)
				g_object_set(saver, "palette", TRUE, NULL);
			break;
		case ARGUMENT_TEXT:
			g_object_set(saver, option->property,
						 find_word(option->property, argument->value.text)->value, NULL);
			break;
		default:
			break;
	}
}

/* The defaults are literals of ours, not the library's, so that they stay what they are. */
static void
set_defaults(VipsOperation *saver, const Format *format, int quality)
{
	g_object_set(saver, "strip", TRUE, NULL);
	if (strcmp(format->name, "jpeg") == 0)
		g_object_set(saver, "Q", quality ? quality : 85, "optimize-coding", TRUE, NULL);
	else if (strcmp(format->name, "webp") == 0)
		g_object_set(saver, "Q", quality ? quality : 80, "effort", 4, NULL);
	else if (strcmp(format->name, "avif") == 0)
		g_object_set(saver, "Q", quality ? quality : 50, "effort", 2, "compression",
					 VIPS_FOREIGN_HEIF_COMPRESSION_AV1, NULL);
	else if (strcmp(format->name, "heif") == 0)
		g_object_set(saver, "Q", quality ? quality : 50, "compression",
					 VIPS_FOREIGN_HEIF_COMPRESSION_HEVC, NULL);
	else if (strcmp(format->name, "tiff") == 0)
		g_object_set(saver, "compression", VIPS_FOREIGN_TIFF_COMPRESSION_LZW, "Q",
					 quality ? quality : 85, NULL);
	else if (strcmp(format->name, "png") == 0)
	{
		g_object_set(saver, "compression", 9, NULL);
		/* A quality asked of a lossless format is the palette's. */
		if (quality > 0 && quality < 100)
			g_object_set(saver, "palette", TRUE, "Q", quality, NULL);
	}
}

static int
check_side(Canvas *canvas, const Format *format)
{
	int width = canvas->image->Xsize;
	int height = page_height(canvas);

	if (format->max_side_px == 0 ||
		(width <= format->max_side_px && height <= format->max_side_px))
		return 0;
	return problem_set(canvas->problem, FAILURE_LIMIT,
					   "%s holds at most %d pixels a side, not %d x %d", format->name,
					   format->max_side_px, width, height);
}

/* The image with what the file says besides pixels; the caller unrefs it. */
static VipsImage *
dress(Canvas *canvas)
{
	VipsImage *dressed = request_watch(canvas->request, canvas->image);

	if (dressed == NULL)
		return NULL;
	if (canvas->pages > 1)
		vips_image_set_int(dressed, VIPS_META_PAGE_HEIGHT, page_height(canvas));
	metadata_attach(canvas, dressed, canvas->encode.keep);
	return dressed;
}

static void
set_properties(Canvas *canvas, VipsOperation *saver, const Format *format, VipsImage *image,
			   int quality)
{
	unsigned keep = canvas->encode.keep;

	g_object_set(saver, "in", image, NULL);
	set_defaults(saver, format, quality);
	if (keep != 0)
		g_object_set(saver, "strip", FALSE, NULL);
	if ((keep & KEEP_ICC) != 0 &&
		g_object_class_find_property(G_OBJECT_GET_CLASS(saver), "profile") != NULL)
		g_object_set(saver, "profile", "srgb", NULL);
	for (int i = 0; i < canvas->encode.option_count && format == canvas->encode.format; i++)
		set_option(saver, format, canvas->encode.options[i]);
}

static int
run_saver(Canvas *canvas, VipsOperation *saver, const Format *format, VipsBlob **blob)
{
	char message[64];

	if (vips_cache_operation_buildp(&saver) != 0)
	{
		vips_object_unref_outputs(VIPS_OBJECT(saver));
		g_object_unref(saver);
		/* While rows are still being pulled from the file, what fails is most likely the file. */
		g_snprintf(message, sizeof message,
				   canvas->sequential ? "image is damaged" : "could not write %s",
				   format->name);
		return problem_of_vips(canvas->problem,
							   canvas->sequential ? FAILURE_MALFORMED : FAILURE_INTERNAL,
							   message);
	}
	g_object_get(saver, "buffer", blob, NULL);
	vips_object_unref_outputs(VIPS_OBJECT(saver));
	g_object_unref(saver);
	return 0;
}

/*
 * PNG without a palette and all that comes with one is written here.
 *
 * Returns	libdeflate's level; -1: libvips has to write it
 */
static int
own_png_level(const Canvas *canvas, const Format *format, int quality)
{
	/* zlib's levels by what they leave; 9 is reached long before libdeflate's last. */
	static const int levels[] = {0, 1, 2, 3, 4, 5, 5, 6, 6, 6};
	int level = levels[9];

	if (format != format_png || (quality > 0 && quality < 100) || canvas->encode.keep != 0 ||
		!png_write_takes(canvas->image))
		return -1;
	for (int i = 0; i < canvas->encode.option_count && format == canvas->encode.format; i++)
	{
		const Argument *option = canvas->encode.options[i];

		if (strcmp(option_name(option), "compression") == 0)
			level = levels[option->value.integer];
		else if (strcmp(option_name(option), "effort") == 0)
			return (int) option->value.integer;
		else if (option->type != ARGUMENT_BOOL || option->value.boolean)
			return -1;
	}
	return level;
}

/* libvips writes EXIF of its own: into WebP always, into others where anything is kept. */
static bool
brings_own_exif(const Canvas *canvas, const Format *format)
{
	if (strcmp(format->name, "webp") == 0)
		return true;
	return canvas->encode.keep != 0 &&
		   (strcmp(format->name, "jpeg") == 0 || strcmp(format->name, "png") == 0);
}

static int
drop_own_exif(Canvas *canvas, const Format *format, VipsBlob **blob)
{
	GByteArray *stripped;
	SourceBytes written;
	int failed;

	if (!brings_own_exif(canvas, format))
		return 0;
	written.bytes = vips_blob_get(*blob, &written.length);
	stripped = g_byte_array_sized_new((guint) written.length);
	failed = strip_file(format, &written, canvas->encode.keep, canvas->problem, stripped);
	vips_area_unref(VIPS_AREA(*blob));
	*blob = NULL;
	if (failed == 0)
		*blob = vips_blob_copy(stripped->data, stripped->len);
	g_byte_array_free(stripped, TRUE);
	return failed;
}

/*
 * Write the image in a format.
 *
 * quality	1 to 100; 0: the format's default
 * blob		the file, the caller's to unref
 */
int
encode_save(Canvas *canvas, const Format *format, int quality, VipsBlob **blob)
{
	int level = own_png_level(canvas, format, quality);
	VipsOperation *saver;
	VipsImage *dressed;

	if (check_side(canvas, format) != 0)
		return -1;
	if (level >= 0)
		return png_write(canvas, level, blob);
	saver = vips_operation_new(format->saver);
	if (saver == NULL)
		return problem_of_vips(canvas->problem, FAILURE_UNSUPPORTED, "format is not written");
	dressed = dress(canvas);
	if (dressed == NULL)
	{
		g_object_unref(saver);
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not copy the image");
	}
	set_properties(canvas, saver, format, dressed, quality);
	g_object_unref(dressed);
	return run_saver(canvas, saver, format, blob) != 0 ? -1
													   : drop_own_exif(canvas, format, blob);
}

/*
 * Put bytes into a sealed memfd, the caller's to close.
 */
int
encode_to_memfd(Problem *problem, const void *data, size_t size, int *fd)
{
	*fd = memfd_new("image");
	if (*fd < 0)
		return problem_set(problem, FAILURE_INTERNAL, "could not create a memory file: %s",
						   strerror(errno));
	if (memfd_append(*fd, data, size) && memfd_seal(*fd))
		return 0;
	if (errno == EFBIG)
		problem_set(problem, FAILURE_LIMIT, "result of %zu bytes is too large", size);
	else
		problem_set(problem, FAILURE_MEMORY, "could not write %zu bytes to memory: %s", size,
					strerror(errno));
	close(*fd);
	return -1;
}

/* libheif says that all went well also where it ran out of memory. */
static int
check_written(Canvas *canvas, const Format *format, const void *data, size_t size)
{
	if (strcmp(format->family, "heif") != 0 ||
		heif_check(data, size, vips_image_hasalpha(canvas->image)))
		return 0;
	problem_set(canvas->problem, FAILURE_MEMORY, "image codec process ran out of memory");
	problem_detail(
		canvas->problem,
		"The %s encoder left a file without a picture; of a few odd sizes it does so "
		"with memory left.",
		format->name);
	problem_hint(canvas->problem, "imgexport.codec_memory sets the limit.");
	return -1;
}

/* What goes out: a report as it is, else the image, at the quality asked for or looked for. */
static int
write_blob(Canvas *canvas, const Format *format, VipsBlob **blob)
{
	if (canvas->report != NULL)
	{
		*blob = (VipsBlob *) vips_area_copy(VIPS_AREA(canvas->report));
		return 0;
	}
	if (canvas->encode.max_bytes > 0 || canvas->encode.min_ssim > 0)
		return optimize(canvas, format, blob);
	return encode_save(canvas, format, canvas->encode.quality, blob);
}

/*
 * Write the image.
 *
 * fd		where to put a sealed memfd, the caller's to close
 * length	its bytes
 * Returns	0, or -1 with the problem noted
 */
int
encode(Canvas *canvas, int *fd, uint64_t *length)
{
	const Format *format = encode_format(canvas);
	VipsBlob *blob = NULL;
	const void *data;
	size_t size;
	int failed;

	failed = write_blob(canvas, format, &blob);
	if (failed != 0)
		return -1;
	data = vips_blob_get(blob, &size);
	failed = check_written(canvas, format, data, size);
	if (failed == 0)
		failed = encode_to_memfd(canvas->problem, data, size, fd);
	*length = size;
	vips_area_unref(VIPS_AREA(blob));
	return failed;
}
