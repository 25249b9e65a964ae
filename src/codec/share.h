/*
 * share.h
 *		One decode for a source that a request uses more than once.
 */
#ifndef IMGEXPORT_CODEC_SHARE_H
#define IMGEXPORT_CODEC_SHARE_H

#include "codec/canvas.h"
#include "codec/request.h"

void share_plan(Request *request, Pipeline *const *pipelines, int count);
int share_group(const Request *request, const Pipeline *pipeline);
int share_decode(Canvas *canvas, Pipeline *const *pipelines, int count);
void share_clear(Request *request);

#endif
