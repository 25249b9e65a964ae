/*
 * render.h
 *		A request's pipelines, rendered.
 */
#ifndef IMGEXPORT_CODEC_RENDER_H
#define IMGEXPORT_CODEC_RENDER_H

#include "codec/canvas.h"
#include "codec/request.h"

int render_pipeline(Canvas *canvas, const Pipeline *pipeline);
void render_answer(const Frame *frame);

#endif
