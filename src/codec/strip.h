/*
 * strip.h
 *		Metadata taken out of a file without touching its pixels.
 */
#ifndef IMGEXPORT_CODEC_STRIP_H
#define IMGEXPORT_CODEC_STRIP_H

#include "codec/format.h"
#include "codec/request.h"

int strip_file(const Format *format, const SourceBytes *source, unsigned keep, Problem *problem,
			   GByteArray *result);

#endif
