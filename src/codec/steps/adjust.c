/*
 * adjust.c
 *		Colours, pixel by pixel: grayscale, negate, gamma, modulate, tint, normalise_contrast.
 *
 * modulate, tint and normalise_contrast reckon as sharp does: brightness, saturation and
 * hue in LCh, a tint by the a and b of its colour in Lab, contrast by the L of Lab.
 */
#include <math.h>

#include "codec/steps.h"

typedef int (*ColourWork)(Canvas *canvas, void *arguments);

/* Work on colours alone: alpha is what it was afterwards. */
static int
without_alpha(Canvas *canvas, ColourWork work, void *arguments)
{
	VipsImage *alpha;

	if (canvas_detach_alpha(canvas, &alpha) != 0)
		return -1;
	if (work(canvas, arguments) != 0 || canvas_settle(canvas, 0) != 0)
	{
		VIPS_UNREF(alpha);
		return -1;
	}
	return canvas_attach_alpha(canvas, alpha);
}

static int
to_space(Canvas *canvas, VipsInterpretation space)
{
	VipsImage *made = NULL;

	return canvas_replace(canvas, &made, vips_colourspace(canvas->image, &made, space, NULL),
						  "colour");
}

int
step_grayscale(Canvas *canvas, Arguments *arguments)
{
	(void) arguments;
	return canvas->image->Bands < 3 ? 0 : to_space(canvas, VIPS_INTERPRETATION_B_W);
}

static int
invert(Canvas *canvas, void *unused)
{
	VipsImage *made = NULL;

	(void) unused;
	return canvas_replace(canvas, &made, vips_invert(canvas->image, &made, NULL), "negate");
}

/* alpha: it too, as in sharp */
int
step_negate(Canvas *canvas, Arguments *arguments)
{
	bool alpha;

	if (argument_bool(arguments, "alpha", true, &alpha) != 0)
		return -1;
	return alpha ? invert(canvas, NULL) : without_alpha(canvas, invert, NULL);
}

static int
power(Canvas *canvas, void *exponent)
{
	VipsImage *made = NULL;

	return canvas_replace(
		canvas, &made, vips_gamma(canvas->image, &made, "exponent", *(double *) exponent, NULL),
		"correct");
}

/* gamma: above 1 brightens: every value to the power of 1 / gamma */
int
step_gamma(Canvas *canvas, Arguments *arguments)
{
	double gamma;

	if (argument_float(arguments, "gamma", 0.1, 10, 2.2, &gamma) != 0)
		return -1;
	return without_alpha(canvas, power, &gamma);
}

typedef struct Modulation
{
	double brightness;
	double saturation;
	double hue;
	double lightness;
} Modulation;

static int
modulate(Canvas *canvas, void *arguments)
{
	const Modulation *by = arguments;
	double factors[3] = {by->brightness, by->saturation, 1};
	double offsets[3] = {by->lightness, 0, by->hue};
	VipsImage *made = NULL;

	if (to_space(canvas, VIPS_INTERPRETATION_LCH) != 0 ||
		canvas_replace(canvas, &made,
					   vips_linear(canvas->image, &made, factors, offsets, 3, NULL),
					   "modulate") != 0)
		return -1;
	return to_space(canvas, VIPS_INTERPRETATION_sRGB);
}

/* brightness, saturation: factors; hue: degrees; lightness: of 100, added */
int
step_modulate(Canvas *canvas, Arguments *arguments)
{
	Modulation by;

	if (argument_float(arguments, "brightness", 0, 100, 1, &by.brightness) != 0 ||
		argument_float(arguments, "saturation", 0, 100, 1, &by.saturation) != 0 ||
		argument_float(arguments, "hue", -36000, 36000, 0, &by.hue) != 0 ||
		argument_float(arguments, "lightness", -100, 100, 0, &by.lightness) != 0)
		return -1;
	by.hue = fmod(by.hue, 360);
	if (by.brightness == 1 && by.saturation == 1 && by.hue == 0 && by.lightness == 0)
		return 0;
	return without_alpha(canvas, modulate, &by);
}

/* One colour in another space; false with libvips' error set. */
static bool
convert_colours(const void *values, size_t size, int count, VipsBandFormat format,
				VipsInterpretation from, VipsInterpretation to, VipsImage **result)
{
	VipsImage *before = vips_image_new_from_memory_copy(values, size, count, 1, 3, format);
	VipsImage *made = NULL;
	bool done = before != NULL &&
				vips_colourspace(before, &made, to, "source_space", from, NULL) == 0 &&
				(*result = vips_image_copy_memory(made)) != NULL;

	VIPS_UNREF(before);
	VIPS_UNREF(made);
	return done;
}

/* For each grey of 0 to 255 the tinted colour: black and white stay, the middle takes most. */
static int
tint_table(Canvas *canvas, const double rgba[4], VipsImage **table)
{
	unsigned char colours[257][3];
	float tinted[256][3];
	VipsImage *lab = NULL;
	const float *values;
	bool done;

	for (int i = 0; i < 256; i++)
		colours[i][0] = colours[i][1] = colours[i][2] = (unsigned char) i;
	for (int c = 0; c < 3; c++)
		colours[256][c] = (unsigned char) rgba[c];
	done = convert_colours(colours, sizeof colours, 257, VIPS_FORMAT_UCHAR,
						   VIPS_INTERPRETATION_sRGB, VIPS_INTERPRETATION_LAB, &lab);
	if (done)
	{
		values = (const float *) VIPS_IMAGE_ADDR(lab, 0, 0);
		for (int i = 0; i < 256; i++)
		{
			double light = values[3 * i] / 100;
			double weight = 1 - 4 * (light - 0.5) * (light - 0.5);

			tinted[i][0] = values[3 * i];
			tinted[i][1] = (float) (weight * values[3 * 256 + 1]);
			tinted[i][2] = (float) (weight * values[3 * 256 + 2]);
		}
		done = convert_colours(tinted, sizeof tinted, 256, VIPS_FORMAT_FLOAT,
							   VIPS_INTERPRETATION_LAB, VIPS_INTERPRETATION_sRGB, table);
	}
	VIPS_UNREF(lab);
	if (!done)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not tint the image");
	return 0;
}

static int
tint(Canvas *canvas, void *rgba)
{
	VipsImage *table = NULL;
	VipsImage *grey = NULL;
	VipsImage *mapped = NULL;
	VipsImage *made = NULL;
	int failed;

	if (tint_table(canvas, rgba, &table) != 0)
		return -1;
	failed = vips_colourspace(canvas->image, &grey, VIPS_INTERPRETATION_B_W, NULL) != 0 ||
			 vips_maplut(grey, &mapped, table, NULL) != 0 ||
			 vips_copy(mapped, &made, "interpretation", VIPS_INTERPRETATION_sRGB, NULL) != 0;
	g_object_unref(table);
	VIPS_UNREF(grey);
	VIPS_UNREF(mapped);
	return canvas_replace(canvas, &made, failed, "tint");
}

/* color: what greys become; light and dark stay what they are */
int
step_tint(Canvas *canvas, Arguments *arguments)
{
	double rgba[4];

	if (argument_color(arguments, "color", "#704214", rgba) != 0)
		return -1;
	return without_alpha(canvas, tint, rgba);
}

/* The luminance below which a share of all pixels lies. */
static int
luminance_at(Canvas *canvas, VipsImage *light, double percent, double *value)
{
	int found = 0;
	int failed;

	if (percent <= 0)
		failed = vips_min(light, value, NULL);
	else if (percent >= 100)
		failed = vips_max(light, value, NULL);
	else
	{
		failed = vips_percent(light, percent, &found, NULL);
		*value = found;
	}
	if (failed != 0)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not read luminance");
	return 0;
}

static int
stretch(Canvas *canvas, void *arguments)
{
	const double *percents = arguments;
	double factors[3] = {1, 1, 1};
	double offsets[3] = {0, 0, 0};
	VipsImage *light = NULL;
	VipsImage *made = NULL;
	double low;
	double high;
	int failed;

	if (to_space(canvas, VIPS_INTERPRETATION_LAB) != 0)
		return -1;
	failed = vips_extract_band(canvas->image, &light, 0, NULL) != 0 ||
			 luminance_at(canvas, light, percents[0], &low) != 0 ||
			 luminance_at(canvas, light, percents[1], &high) != 0;
	VIPS_UNREF(light);
	if (failed)
		return problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not read luminance");
	/* An image of one grey has no contrast to stretch. */
	if (high - low > 1)
	{
		factors[0] = 100 / (high - low);
		offsets[0] = -low * factors[0];
	}
	if (canvas_replace(canvas, &made,
					   vips_linear(canvas->image, &made, factors, offsets, 3, NULL),
					   "stretch") != 0)
		return -1;
	return to_space(canvas, VIPS_INTERPRETATION_sRGB);
}

/* lower, upper: the percentiles that become black and white; the same for all pages */
int
step_normalise_contrast(Canvas *canvas, Arguments *arguments)
{
	double percents[2];
	bool grey = canvas->image->Bands < 3;

	if (argument_float(arguments, "lower", 0, 99, 1, &percents[0]) != 0 ||
		argument_float(arguments, "upper", 1, 100, 99, &percents[1]) != 0)
		return -1;
	if (percents[0] >= percents[1])
		return problem_set(canvas->problem, FAILURE_ARGUMENT,
						   "lower must be less than upper, not %g and %g", percents[0],
						   percents[1]);
	if (canvas_to_memory(canvas) != 0 || without_alpha(canvas, stretch, percents) != 0)
		return -1;
	return grey ? to_space(canvas, VIPS_INTERPRETATION_B_W) : 0;
}
