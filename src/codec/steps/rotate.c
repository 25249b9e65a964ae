/*
 * rotate.c
 *		Turned clockwise; quarter turns are exact, others extend the canvas.
 */
#include <math.h>

#include "codec/steps.h"

static int
quarter_turns(Canvas *canvas, int quarters)
{
	static const VipsAngle angles[] = {VIPS_ANGLE_D0, VIPS_ANGLE_D90, VIPS_ANGLE_D180,
									   VIPS_ANGLE_D270};
	VipsImage *made = NULL;

	if (quarters == 0)
		return 0;
	return canvas_replace(canvas, &made, vips_rot(canvas->image, &made, angles[quarters], NULL),
						  "turn");
}

static int
any_angle(Canvas *canvas, double angle, const double background[4])
{
	double cosine = cos(angle * M_PI / 180);
	double sine = sin(angle * M_PI / 180);
	double weighed[4];
	VipsImage *made = NULL;
	VipsArrayDouble *ground;
	int premultiplied;
	int failed;

	if (canvas_to_rgb(canvas) != 0 || (background[3] < 255 && canvas_add_alpha(canvas) != 0) ||
		canvas_premultiply(canvas, &premultiplied) != 0)
		return -1;
	for (int i = 0; i < 3; i++)
		weighed[i] = premultiplied ? background[i] * background[3] / 255 : background[i];
	weighed[3] = background[3];
	ground = vips_array_double_new(weighed, canvas->image->Bands);
	/* vips_rotate would weigh colours by their alpha once more, which leaves bright edges. */
	failed = vips_affine(canvas->image, &made, cosine, -sine, sine, cosine, "background",
						 ground, "premultiplied", TRUE, NULL);
	vips_area_unref(VIPS_AREA(ground));
	if (canvas_replace(canvas, &made, failed, "turn") != 0)
		return -1;
	return canvas_settle(canvas, premultiplied);
}

/* angle: in degrees; background: of the corners that other than quarter turns open */
int
step_rotate(Canvas *canvas, Arguments *arguments)
{
	double angle;
	double background[4];

	if (argument_float(arguments, "angle", -36000, 36000, 0, &angle) != 0 ||
		argument_color(arguments, "background", "#00000000", background) != 0 ||
		canvas_to_memory(canvas) != 0)
		return -1;
	angle = fmod(angle, 360);
	if (angle < 0)
		angle += 360;
	if (fmod(angle, 90) == 0)
		return quarter_turns(canvas, (int) (angle / 90) % 4);
	return any_angle(canvas, angle, background);
}
