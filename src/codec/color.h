/*
 * color.h
 *		Colours as CSS writes them.
 */
#ifndef IMGEXPORT_CODEC_COLOR_H
#define IMGEXPORT_CODEC_COLOR_H

#include <stdbool.h>

bool color_parse(const char *text, double rgba[4]);

#endif
