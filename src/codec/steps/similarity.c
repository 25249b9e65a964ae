/*
 * similarity.c
 *		How alike two images look.
 */
#include "codec/pages.h"
#include "codec/report.h"
#include "codec/resize.h"
#include "codec/ssim.h"
#include "codec/steps.h"

/* b: an image; brought to the size of this one where it has another */
int
step_similarity(Canvas *canvas, Arguments *arguments)
{
	ResizeTarget same = {.fit = FIT_FILL, .kernel = VIPS_KERNEL_LANCZOS3, .enlarge = true};
	Canvas other;
	GString *text;
	double similarity = 0;
	int failed;

	if (layer_get(canvas, arguments, "b", &other) != 0 || canvas_to_memory(canvas) != 0)
	{
		canvas_clear(&other);
		return -1;
	}
	same.width = canvas->image->Xsize;
	same.height = canvas->image->Ysize;
	failed = resize_to(&other, &same);
	if (failed == 0 && ssim(canvas->image, other.image, &similarity) != 0)
		failed =
			problem_of_vips(canvas->problem, FAILURE_INTERNAL, "could not compare the images");
	canvas_clear(&other);
	if (failed != 0)
		return -1;
	text = g_string_new(NULL);
	g_string_printf(text, "%.6f", similarity);
	report_text(canvas, text);
	return 0;
}
