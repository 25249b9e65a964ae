/*
 * text.c
 *		A text as a mark, rendered by Pango with the system's fonts.
 */
#include <string.h>

#include <fontconfig/fontconfig.h>
#include <pango/pango.h>

#include "codec/steps.h"
#include "codec/steps/overlay.h"

#define TEXT_MAX_BYTES 2000
/* A text that names no size takes this share of the image's height. */
#define SIZE_SHARE 0.05

/* Fontconfig's own names for whatever serves. */
static bool
is_generic(const char *family)
{
	static const char *const generic[] = {"sans",	   "sans-serif", "serif", "mono",
										  "monospace", "system-ui",	 NULL};

	for (int i = 0; generic[i] != NULL; i++)
		if (g_ascii_strcasecmp(family, generic[i]) == 0)
			return true;
	return false;
}

/*
 * Is there a font of this family, or any for NULL?  Fontconfig takes another one for one
 * that is missing; here that is an error.
 */
static bool
font_exists(const char *family)
{
	FcPattern *pattern = family == NULL
							 ? FcPatternCreate()
							 : FcPatternBuild(NULL, FC_FAMILY, FcTypeString, family, NULL);
	FcObjectSet *objects = FcObjectSetBuild(FC_FAMILY, NULL);
	FcFontSet *fonts = FcFontList(NULL, pattern, objects);
	bool exists = fonts != NULL && fonts->nfont > 0;

	if (fonts != NULL)
		FcFontSetDestroy(fonts);
	FcObjectSetDestroy(objects);
	FcPatternDestroy(pattern);
	return exists;
}

/* "DejaVu Sans Bold" names a family and a style; the family has to be there. */
static int
check_font(Canvas *canvas, const char *font)
{
	PangoFontDescription *description = pango_font_description_from_string(font);
	const char *family = pango_font_description_get_family(description);
	char **families = g_strsplit(family != NULL ? family : "", ",", -1);
	bool found = false;

	for (char **name = families; *name != NULL && !found; name++)
	{
		g_strstrip(*name);
		found = **name != '\0' && font_exists(is_generic(*name) ? NULL : *name);
	}
	if (!found)
	{
		problem_set(canvas->problem, FAILURE_ARGUMENT, "there is no font \"%.100s\"", font);
		problem_hint(canvas->problem,
					 "Fonts are those that the server's system has; fc-list shows them.");
	}
	g_strfreev(families);
	pango_font_description_free(description);
	return found ? 0 : -1;
}

/* The text as a mask: one band, as opaque as it is white. */
static int
render(Canvas *canvas, const char *text, const char *font, double size, int width,
	   VipsImage **mask)
{
	/* vips_text reads markup, so what a user wrote is escaped. */
	char *escaped = g_markup_escape_text(text, -1);
	PangoFontDescription *description = pango_font_description_from_string(font);
	char *sized;
	int failed;

	/* 72 dots an inch: a point is a pixel. */
	pango_font_description_set_size(description, (int) (size * PANGO_SCALE));
	sized = pango_font_description_to_string(description);
	failed = vips_text(mask, escaped, "font", sized, "dpi", 72, "width", width, "align",
					   VIPS_ALIGN_LOW, NULL);
	g_free(sized);
	pango_font_description_free(description);
	g_free(escaped);
	if (failed != 0)
		return problem_of_vips(canvas->problem, FAILURE_ARGUMENT, "text cannot be rendered");
	return 0;
}

/* A mark of one colour, as opaque as the mask. */
static int
colour(Canvas *mark, VipsImage *mask, const double rgba[4])
{
	VipsImage *plain = canvas_plain(mark, mask->Xsize, mask->Ysize, rgba, 3);
	VipsImage *alpha = NULL;
	int failed;

	if (plain == NULL)
		return -1;
	failed = vips_linear1(mask, &alpha, rgba[3] / 255, 0, "uchar", TRUE, NULL) != 0 ||
			 vips_bandjoin2(plain, alpha, &mark->image, NULL) != 0;
	g_object_unref(plain);
	VIPS_UNREF(alpha);
	if (failed)
		return problem_of_vips(mark->problem, FAILURE_INTERNAL, "could not colour the text");
	return 0;
}

static int
turn(Canvas *mark, double angle)
{
	Argument value = {.name = "angle", .type = ARGUMENT_FLOAT, .value.number = angle};
	Step step = {.name = "rotate", .argument_count = 1, .arguments = &value};
	Arguments arguments;

	if (angle == 0)
		return 0;
	arguments_init(&arguments, &step, mark->problem);
	return step_rotate(mark, &arguments);
}

static int
make_mark(Canvas *canvas, Canvas *mark, const char *text, const char *font, double size,
		  const double rgba[4], double angle)
{
	VipsImage *mask = NULL;
	int failed;

	*mark = (Canvas){.request = canvas->request, .problem = canvas->problem, .pages = 1};
	if (render(canvas, text, font, size, canvas->image->Xsize, &mask) != 0)
		return -1;
	failed = canvas_check_size(canvas, mask->Xsize, mask->Ysize);
	if (failed == 0)
		failed = colour(mark, mask, rgba);
	g_object_unref(mask);
	return failed != 0 ? -1 : turn(mark, angle);
}

/* text: no markup; font: as Pango names fonts; size: of the letters, in pixels; color, angle */
int
step_watermark_text(Canvas *canvas, Arguments *arguments)
{
	const char *text;
	const char *font;
	double size;
	double angle;
	double rgba[4];
	Canvas mark;

	if (argument_text(arguments, "text", "", &text) != 0 ||
		argument_text(arguments, "font", "sans", &font) != 0 ||
		argument_float(arguments, "size", 1, 2000, 0, &size) != 0 ||
		argument_color(arguments, "color", "white", rgba) != 0 ||
		argument_float(arguments, "angle", -360, 360, 0, &angle) != 0)
		return -1;
	if (strlen(text) > TEXT_MAX_BYTES)
		return problem_set(canvas->problem, FAILURE_ARGUMENT,
						   "text must have at most %d bytes, not %zu", TEXT_MAX_BYTES,
						   strlen(text));
	if (!g_utf8_validate(text, -1, NULL))
		return problem_set(canvas->problem, FAILURE_ARGUMENT, "text is not valid UTF-8");
	if (text[strspn(text, " \t\r\n")] == '\0')
		return problem_set(canvas->problem, FAILURE_ARGUMENT, "text must not be empty");
	if (size == 0)
		size = VIPS_MAX(8, SIZE_SHARE * canvas->image->Ysize);
	if (check_font(canvas, font) != 0)
		return -1;
	if (make_mark(canvas, &mark, text, font, size, rgba, angle) != 0)
	{
		canvas_clear(&mark);
		return -1;
	}
	return overlay_watermark(canvas, arguments, &mark, 0, 0.5);
}
