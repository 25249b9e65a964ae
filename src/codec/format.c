/*
 * format.c
 *		The image formats.
 *
 * Which format bytes are in is decided here and never by libvips, whose own guess
 * also tries loaders that were written for trusted files.
 */
#include <string.h>

#include "codec/format.h"
#include "wire/sniff.h"

/* Damage is an error, also where a viewer would show half a picture; libjpeg only warns of it. */
static const Format formats[] = {
	{"jpeg", "jpeg", "VipsForeignLoadJpeg", VIPS_FAIL_ON_WARNING, vips_jpegload_buffer,
	 "jpegsave_buffer", PAGES_ONE, false, 65535},
	{"png", "png", "VipsForeignLoadPng", VIPS_FAIL_ON_ERROR, vips_pngload_buffer,
	 "pngsave_buffer", PAGES_ONE, true, 0},
	{"webp", "webp", "VipsForeignLoadWebp", VIPS_FAIL_ON_ERROR, vips_webpload_buffer,
	 "webpsave_buffer", PAGES_ANIMATION, true, 16383},
	{"gif", "gif", "VipsForeignLoadNsgif", VIPS_FAIL_ON_ERROR, vips_gifload_buffer,
	 "gifsave_buffer", PAGES_ANIMATION, true, 65535},
	{"tiff", "tiff", "VipsForeignLoadTiff", VIPS_FAIL_ON_ERROR, vips_tiffload_buffer,
	 "tiffsave_buffer", PAGES_DOCUMENT, true, 0},
	{"avif", "heif", "VipsForeignLoadHeif", VIPS_FAIL_ON_ERROR, vips_heifload_buffer,
	 "heifsave_buffer", PAGES_DOCUMENT, true, 16384},
	{"heif", "heif", "VipsForeignLoadHeif", VIPS_FAIL_ON_ERROR, vips_heifload_buffer,
	 "heifsave_buffer", PAGES_DOCUMENT, true, 16384},
	/* recognised, to be refused by name */
	{"svg", "svg", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	{"pdf", "pdf", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	{"jxl", "jxl", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	{"jp2", "jp2", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	{"bmp", "bmp", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	{"psd", "psd", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	{"ico", "ico", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	{"exr", "exr", NULL, 0, NULL, NULL, PAGES_ONE, false, 0},
	/* written only: what is no image */
	{"report", "report", NULL, 0, NULL, NULL, PAGES_ONE, true, 0},
};

static bool allowed[G_N_ELEMENTS(formats)];

const Format *const format_png = &formats[1];
const Format *const format_webp = &formats[2];
const Format *const format_report = &formats[G_N_ELEMENTS(formats) - 1];

/*
 * Allow the loaders of the listed families (comma separated) and block all others in libvips.
 */
void
formats_allow(const char *families)
{
	char **names = g_strsplit(families, ",", -1);

	vips_operation_block_set("VipsForeignLoad", TRUE);
	for (char **name = names; *name != NULL; name++)
	{
		g_strstrip(*name);
		for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
			if (formats[i].load != NULL && strcmp(formats[i].family, *name) == 0)
			{
				allowed[i] = true;
				vips_operation_block_set(formats[i].loader_class, FALSE);
			}
	}
	g_strfreev(names);
}

bool
format_is_allowed(const Format *format)
{
	return allowed[format - formats];
}

/* A format that can be written, by the name users give it; NULL: none. */
const Format *
format_by_name(const char *name)
{
	if (strcmp(name, "jpg") == 0)
		name = "jpeg";
	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
		if (formats[i].saver != NULL && strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

/* The format of an image by its first bytes; NULL: none that is known. */
const Format *
format_of_bytes(const unsigned char *bytes, size_t size)
{
	const char *name = sniff_format(bytes, size);

	for (size_t i = 0; name != NULL && i < G_N_ELEMENTS(formats); i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

/* A JSON array of the formats that are read, or written; the caller frees it with g_free. */
char *
formats_list(bool loaders)
{
	GString *list = g_string_new("[");

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
		if (loaders ? allowed[i] : formats[i].saver != NULL)
			g_string_append_printf(list, "%s\"%s\"", list->len > 1 ? "," : "", formats[i].name);
	g_string_append_c(list, ']');
	return g_string_free(list, FALSE);
}
