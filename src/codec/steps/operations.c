/*
 * operations.c
 *		The operations of libvips that img_vips may call, with the arguments that they take.
 *
 * libvips offers more by introspection than it checks: its Fourier transforms write behind
 * images of one row, a remainder by zero raises SIGFPE, so do approximate convolutions with
 * some masks, color differences of unlike images read a null pointer, affine matrices near
 * zero abort, look-up tables are read behind their end, and floods begin where they are told,
 * in the image or not.  So an operation, and each of its arguments, is listed here or cannot
 * be named.  What is listed was tried on
 * degenerate images and extreme arguments under valgrind, and is tried again by
 * test/attack/051_operations.pl, which reads this table.
 */
#include <string.h>

#include "codec/steps/operations.h"

static const Operation operations[] = {
	/* arithmetic */
	{"abs", " "},
	{"add", " "},
	{"boolean", " boolean "},
	{"boolean_const", " boolean c "},
	{"divide", " "},
	{"invert", " "},
	{"linear", " a b uchar "},
	{"math", " math "},
	{"math2", " math2 "},
	{"math2_const", " math2 c "},
	{"multiply", " "},
	{"relational", " relational "},
	{"relational_const", " relational c "},
	{"round", " round "},
	{"sign", " "},
	{"subtract", " "},
	{"sum", " "},
	/* colors */
	{"HSV2sRGB", " "},
	{"colourspace", " space "},
	{"falsecolour", " "},
	{"gamma", " exponent "},
	{"sRGB2HSV", " "},
	/* bands */
	{"bandbool", " boolean "},
	{"bandfold", " factor "},
	{"bandjoin", " "},
	{"bandjoin_const", " c "},
	{"bandmean", " "},
	{"bandrank", " index "},
	{"bandunfold", " factor "},
	{"cast", " format shift "},
	{"extract_band", " band n "},
	{"flatten", " background max-alpha "},
	{"msb", " band "},
	{"premultiply", " max-alpha "},
	{"scale", " exp log "},
	{"unpremultiply", " max-alpha "},
	/* geometry */
	{"crop", " left top width height "},
	{"embed", " x y width height extend background "},
	{"extract_area", " left top width height "},
	{"flip", " direction "},
	{"gravity", " direction width height extend background "},
	{"grid", " tile-height across down "},
	{"insert", " x y expand background "},
	{"join", " direction expand shim background align "},
	{"mapim", " "},
	{"reduce", " hshrink vshrink kernel "},
	{"replicate", " across down "},
	{"resize", " scale vscale kernel "},
	{"rot", " angle "},
	{"rot45", " angle "},
	{"rotate", " angle "},
	{"shrink", " hshrink vshrink "},
	{"smartcrop", " width height interesting "},
	{"subsample", " xfac yfac point "},
	{"wrap", " x y "},
	{"zoom", " xfac yfac "},
	/* layers and drawing */
	{"composite2", " mode x y compositing-space premultiplied "},
	{"draw_circle", " cx cy radius ink fill "},
	{"draw_image", " x y mode "},
	{"draw_line", " x1 y1 x2 y2 ink "},
	{"draw_mask", " x y ink "},
	{"draw_rect", " left top width height ink fill "},
	{"draw_smudge", " left top width height "},
	/* filters */
	{"canny", " sigma "},
	{"compass", " times angle combine "},
	{"conv", " "},
	{"fastcor", " "},
	{"fill_nearest", " "},
	{"gaussblur", " sigma min-ampl "},
	{"labelregions", " "},
	{"morph", " morph "},
	{"rank", " width height index "},
	{"sharpen", " sigma x1 y2 y3 m1 m2 "},
	{"sobel", " "},
	{"spcor", " "},
	/* histograms */
	{"hist_cum", " "},
	{"hist_equal", " "},
	{"hist_find", " band "},
	{"hist_find_indexed", " combine "},
	{"hist_match", " "},
	{"hist_norm", " "},
	{"hist_plot", " "},
	{"stdif", " width height a b s0 m0 "},
	/* made from nothing */
	{"black", " width height bands "},
	{"eye", " width height uchar factor "},
	{"gaussnoise", " width height mean sigma seed "},
	{"grey", " width height uchar "},
	{"perlin", " width height cell-size uchar seed "},
	{"sines", " width height hfreq vfreq uchar "},
	{"worley", " width height cell-size seed "},
	{"xyz", " width height "},
	{"zone", " width height uchar "},
};

/* NULL: it may not be called. */
const Operation *
operation_find(const char *name)
{
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	return NULL;
}

/* May an argument of this name be given?  libvips takes "_" for "-", and so does this. */
bool
operation_takes(const Operation *operation, const char *argument)
{
	const char *listed = operation->arguments + 1;

	while (*listed != '\0')
	{
		size_t length = strcspn(listed, " ");
		size_t i = 0;

		while (i < length &&
			   (listed[i] == argument[i] || (listed[i] == '-' && argument[i] == '_')))
			i++;
		if (i == length && argument[i] == '\0')
			return true;
		listed += length + 1;
	}
	return false;
}
