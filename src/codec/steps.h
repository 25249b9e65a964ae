/*
 * steps.h
 *		The steps that the codec knows, each in a file of its own in steps/.
 */
#ifndef IMGEXPORT_CODEC_STEPS_H
#define IMGEXPORT_CODEC_STEPS_H

#include "codec/arguments.h"
#include "codec/canvas.h"

int step_run(Canvas *canvas, const Step *step);
const char *step_name(int index);
bool steps_want_pages(const Pipeline *pipeline, const Format *source);

int step_strip_keeps(Request *request, const Step *step, Problem *problem, unsigned *keep);

int step_animate(Canvas *canvas, Arguments *arguments);
int step_autocrop(Canvas *canvas, Arguments *arguments);
int step_blur(Canvas *canvas, Arguments *arguments);
int step_blurhash(Canvas *canvas, Arguments *arguments);
int step_composite(Canvas *canvas, Arguments *arguments);
int step_compress(Canvas *canvas, Arguments *arguments);
int step_convert(Canvas *canvas, Arguments *arguments);
int step_crop(Canvas *canvas, Arguments *arguments);
int step_crop_to(Canvas *canvas, Arguments *arguments);
int step_dominant_color(Canvas *canvas, Arguments *arguments);
int step_extend(Canvas *canvas, Arguments *arguments);
int step_flatten(Canvas *canvas, Arguments *arguments);
int step_flip(Canvas *canvas, Arguments *arguments);
int step_flop(Canvas *canvas, Arguments *arguments);
int step_gamma(Canvas *canvas, Arguments *arguments);
int step_grayscale(Canvas *canvas, Arguments *arguments);
int step_histogram(Canvas *canvas, Arguments *arguments);
int step_mask(Canvas *canvas, Arguments *arguments);
int step_modulate(Canvas *canvas, Arguments *arguments);
int step_montage(Canvas *canvas, Arguments *arguments);
int step_negate(Canvas *canvas, Arguments *arguments);
int step_normalise_contrast(Canvas *canvas, Arguments *arguments);
int step_normalize(Canvas *canvas, Arguments *arguments);
int step_optimize(Canvas *canvas, Arguments *arguments);
int step_orient(Canvas *canvas, Arguments *arguments);
int step_overlay(Canvas *canvas, Arguments *arguments);
int step_page(Canvas *canvas, Arguments *arguments);
int step_palette(Canvas *canvas, Arguments *arguments);
int step_phash(Canvas *canvas, Arguments *arguments);
int step_preview(Canvas *canvas, Arguments *arguments);
int step_redact(Canvas *canvas, Arguments *arguments);
int step_remove_background(Canvas *canvas, Arguments *arguments);
int step_resize(Canvas *canvas, Arguments *arguments);
int step_rotate(Canvas *canvas, Arguments *arguments);
int step_round_corners(Canvas *canvas, Arguments *arguments);
int step_shadow(Canvas *canvas, Arguments *arguments);
int step_sharpen(Canvas *canvas, Arguments *arguments);
int step_similarity(Canvas *canvas, Arguments *arguments);
int step_sprite(Canvas *canvas, Arguments *arguments);
int step_strip(Canvas *canvas, Arguments *arguments);
int step_thumbhash(Canvas *canvas, Arguments *arguments);
int step_thumbnail(Canvas *canvas, Arguments *arguments);
int step_tint(Canvas *canvas, Arguments *arguments);
int step_trim(Canvas *canvas, Arguments *arguments);
int step_vips(Canvas *canvas, Arguments *arguments);
int step_watermark(Canvas *canvas, Arguments *arguments);
int step_watermark_text(Canvas *canvas, Arguments *arguments);

#endif
