/*
 * floor.c
 *		The least that the benchmarks' work costs: the same libvips, called directly.
 *
 * Reads one request a line, `CASE FILE`, and answers with the milliseconds that it took,
 *		from reading the file (SQL reads a row) to the encoded bytes.
 * Its calls are what imgexport-codec does for the same request, without a server, a
 * process boundary or a sandbox; `thumbnail` is libvips' own operation for the same end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vips/vips.h>

/* Bytes that a case made, where they are compared. */
static size_t extra;

typedef struct Data
{
	const char *path;
	void *bytes;
	size_t size;
} Data;

static void
fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, vips_error_buffer());
	exit(1);
}

static Data
read_file(const char *path)
{
	Data data = {.path = path};
	gsize size;
	gchar *bytes;

	if (!g_file_get_contents(path, &bytes, &size, NULL))
		fail(path);
	data.bytes = bytes;
	data.size = size;
	return data;
}

/* Let go of an image after making another one of it. */
static VipsImage *
next(VipsImage *old, VipsImage **made, int failed)
{
	if (failed)
		fail("operation");
	g_object_unref(old);
	return *made;
}

static void
save_jpeg(VipsImage *image)
{
	void *out;
	size_t size;

	if (vips_jpegsave_buffer(image, &out, &size, "Q", 85, "optimize_coding", TRUE, "strip",
							 TRUE, NULL))
		fail("jpegsave");
	g_free(out);
	g_object_unref(image);
}

/* 800 pixels wide, by the loader's shrink as far as the target allows and then Lanczos. */
static VipsImage *
resized(Data data, int width, int height)
{
	VipsImage *image;
	VipsImage *made;
	int full_width;
	int shrink = 1;

	if (vips_jpegload_buffer(data.bytes, data.size, &image, NULL))
		fail("jpegload");
	full_width = vips_image_get_width(image);
	while (shrink < 8 && full_width / (shrink * 2) >= width)
		shrink *= 2;
	g_object_unref(image);
	if (vips_jpegload_buffer(data.bytes, data.size, &image, "shrink", shrink, "access",
							 VIPS_ACCESS_SEQUENTIAL, NULL))
		fail("jpegload");
	if (height == 0)
		height = (int) ((double) image->Ysize * width / image->Xsize + 0.5);
	return next(image, &made,
				vips_resize(image, &made, (double) width / image->Xsize, "vscale",
							(double) height / image->Ysize, NULL));
}

static void
run_resize(Data data)
{
	save_jpeg(resized(data, 800, 0));
}

static void
run_thumbnail(Data data)
{
	VipsImage *image;

	if (vips_thumbnail_buffer(data.bytes, data.size, &image, 800, "height", 100000, NULL))
		fail("thumbnail");
	save_jpeg(image);
}

/* resize, crop, blur, rotate, flip: the nested call of the benchmark. */
static void
run_five(Data data)
{
	VipsImage *image = resized(data, 960, 540);
	VipsImage *made;

	image = next(image, &made, vips_extract_area(image, &made, 80, 20, 800, 500, NULL));
	image = next(image, &made, vips_gaussblur(image, &made, 1.5, NULL));
	made = vips_image_copy_memory(image);
	image = next(image, &made, made == NULL);
	image = next(image, &made, vips_rot(image, &made, VIPS_ANGLE_D90, NULL));
	image = next(image, &made, vips_flip(image, &made, VIPS_DIRECTION_VERTICAL, NULL));
	save_jpeg(image);
}

/* The smallest request: flip a PNG. */
static void
run_flip(Data data)
{
	VipsImage *image;
	VipsImage *made;
	void *out;
	size_t size;

	if (vips_pngload_buffer(data.bytes, data.size, &image, NULL))
		fail("pngload");
	made = vips_image_copy_memory(image);
	image = next(image, &made, made == NULL);
	image = next(image, &made, vips_flip(image, &made, VIPS_DIRECTION_VERTICAL, NULL));
	if (vips_pngsave_buffer(image, &out, &size, "compression", 9, "strip", TRUE, NULL))
		fail("pngsave");
	g_free(out);
	g_object_unref(image);
}

static VipsImage *
decoded(Data data)
{
	VipsImage *image;
	VipsImage *made;

	if (vips_jpegload_buffer(data.bytes, data.size, &image, "access", VIPS_ACCESS_SEQUENTIAL,
							 NULL))
		fail("jpegload");
	made = vips_image_copy_memory(image);
	return next(image, &made, made == NULL);
}

static void
save_webp(VipsImage *image)
{
	void *out;
	size_t size;

	if (vips_webpsave_buffer(image, &out, &size, "Q", 80, "effort", 4, "strip", TRUE, NULL))
		fail("webpsave");
	g_free(out);
	g_object_unref(image);
}

/* One decode; PNG at its best, JPEG and WebP at the defaults.  The last PNG's bytes are said. */
static void
run_export(Data data)
{
	VipsImage *image = decoded(data);
	void *out;
	size_t size;

	if (vips_pngsave_buffer(image, &out, &size, "compression", 9, "strip", TRUE, NULL))
		fail("pngsave");
	g_free(out);
	g_object_ref(image);
	g_object_ref(image);
	save_jpeg(image);
	save_webp(image);
	g_object_unref(image);
	extra = size;
}

static void
run_webp(Data data)
{
	VipsImage *image;

	if (vips_thumbnail_buffer(data.bytes, data.size, &image, 256, "height", 100000, NULL))
		fail("thumbnail");
	save_webp(image);
}

/* Blurred, laid over itself and turned: no two of which share a row order. */
static void
run_effects(Data data)
{
	VipsImage *image = resized(data, 800, 0);
	VipsImage *base;
	VipsImage *made;

	made = vips_image_copy_memory(image);
	base = next(image, &made, made == NULL);
	if (vips_gaussblur(base, &image, 3.0, NULL))
		fail("gaussblur");
	image = next(image, &made, vips_bandjoin_const1(image, &made, 178, NULL));
	image = next(image, &made, vips_composite2(base, image, &made, VIPS_BLEND_MODE_OVER, NULL));
	image = next(image, &made, vips_extract_band(image, &made, 0, "n", 3, NULL));
	image = next(image, &made, vips_cast_uchar(image, &made, NULL));
	made = vips_image_copy_memory(image);
	image = next(image, &made, made == NULL);
	image = next(image, &made, vips_rot(image, &made, VIPS_ANGLE_D90, NULL));
	g_object_unref(base);
	save_jpeg(image);
}

static void
run_tiny(Data data)
{
	VipsImage *image;
	VipsImage *made;

	if (vips_pngload_buffer(data.bytes, data.size, &image, NULL))
		fail("pngload");
	made = vips_image_copy_memory(image);
	save_webp(next(image, &made, made == NULL));
}

/* By its path: what it has to say is in the first bytes of the file. */
static void
run_header(Data data)
{
	VipsImage *image;

	if (vips_jpegload(data.path, &image, NULL))
		fail("jpegload");
	g_object_unref(image);
}

static const struct
{
	const char *name;
	void (*run)(Data data);
} cases[] = {
	{"resize", run_resize},	  {"thumbnail", run_thumbnail}, {"five", run_five},
	{"flip", run_flip},		  {"export", run_export},		{"webp", run_webp},
	{"effects", run_effects}, {"tiny", run_tiny},			{"header", run_header},
};

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static void
answer(const char *name, const char *path)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		if (strcmp(cases[i].name, name) == 0)
		{
			double start = now_ms();
			Data data = cases[i].run == run_header ? (Data){.path = path} : read_file(path);

			cases[i].run(data);
			g_free(data.bytes);
			printf("%.4f %zu\n", now_ms() - start, extra);
			fflush(stdout);
			return;
		}
	fail("unknown case");
}

int
main(int argc, char **argv)
{
	char name[64];
	char path[1024];

	if (argc < 1 || VIPS_INIT(argv[0]))
		fail("vips_init");
	vips_cache_set_max(0);
	while (scanf("%63s %1023s", name, path) == 2)
		answer(name, path);
	return 0;
}
