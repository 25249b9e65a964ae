/*
 * decode.h
 *		From the bytes of a file to a canvas.
 */
#ifndef IMGEXPORT_CODEC_DECODE_H
#define IMGEXPORT_CODEC_DECODE_H

#include "codec/canvas.h"
#include "codec/request.h"

const Format *decode_format(const SourceBytes *source, Problem *problem);
int decode_header(const Format *format, const SourceBytes *source, Problem *problem,
				  VipsImage **image);
int decode_check_limits(VipsImage *image, const RenderLimits *limits, Problem *problem);
int decode_shrink(const SourceBytes *source, const Pipeline *pipeline);
int decode(Canvas *canvas, const SourceBytes *source, Pipeline *const *pipelines, int count);

#endif
