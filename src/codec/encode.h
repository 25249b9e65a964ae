/*
 * encode.h
 *		From a canvas to the bytes of a file.
 */
#ifndef IMGEXPORT_CODEC_ENCODE_H
#define IMGEXPORT_CODEC_ENCODE_H

#include <stdint.h>

#include "codec/format.h"

struct Argument;
struct Canvas;
struct Problem;

#define ENCODE_MAX_OPTIONS 16

/* What img_convert asked for; property values wait until there is a saver to take them. */
typedef struct EncodeOptions
{
	const Format *format; /* NULL: the source's own, or PNG */
	int quality;		  /* 0: the format's default */
	unsigned keep;		  /* of the source's metadata: bits of KEEP_* */
	int64_t max_bytes;	  /* img_optimize: the quality is looked for; 0: no limit */
	double min_ssim;	  /* likewise; 0: none asked */
	int option_count;
	const struct Argument *options[ENCODE_MAX_OPTIONS]; /* borrowed from the pipeline */
} EncodeOptions;

int encode_check_option(struct Canvas *canvas, const Format *format,
						const struct Argument *option);
const Format *encode_format(const struct Canvas *canvas);
int encode_save(struct Canvas *canvas, const Format *format, int quality, VipsBlob **blob);
int encode_to_memfd(struct Problem *problem, const void *data, size_t size, int *fd);
int encode(struct Canvas *canvas, int *fd, uint64_t *length);

#endif
