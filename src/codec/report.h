/*
 * report.h
 *		What a step makes that is no image: a text for the server.
 */
#ifndef IMGEXPORT_CODEC_REPORT_H
#define IMGEXPORT_CODEC_REPORT_H

#include "codec/canvas.h"

int report_size(const char *step);
int report_pixels(Canvas *canvas, int side, int bands, VipsImage **pixels);
void report_text(Canvas *canvas, GString *text);

#endif
