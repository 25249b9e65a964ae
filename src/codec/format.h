/*
 * format.h
 *		The image formats, a row each.
 */
#ifndef IMGEXPORT_CODEC_FORMAT_H
#define IMGEXPORT_CODEC_FORMAT_H

#include <stdbool.h>

#include <vips/vips.h>

typedef int (*FormatLoad)(void *data, size_t size, VipsImage **image, ...);

/* How many pages a file of a format has. */
typedef enum FormatPages
{
	PAGES_ONE,
	PAGES_ANIMATION, /* frames, shown one after another */
	PAGES_DOCUMENT	 /* pictures of their own; read where a page is asked for */
} FormatPages;

typedef struct Format
{
	const char *name;
	const char *family;		  /* as imgexport.allowed_loaders names it */
	const char *loader_class; /* libvips' class of its loaders */
	VipsFailOn fail_on;		  /* what its loader says of a damaged body */
	FormatLoad load;		  /* NULL: not read here */
	const char *saver;		  /* libvips' operation; NULL: not written */
	FormatPages pages;
	bool alpha;		 /* can hold transparency */
	int max_side_px; /* it can hold; 0: no limit of its own */
} Format;

void formats_allow(const char *families);
bool format_is_allowed(const Format *format);
const Format *format_by_name(const char *name);
const Format *format_of_bytes(const unsigned char *bytes, size_t size);
char *formats_list(bool loaders);

extern const Format *const format_png;
extern const Format *const format_webp;
extern const Format *const format_report;

#endif
