/*
 * sent.h
 *		Images as services get them, and what their answers make of them.
 */
#ifndef IMGEXPORT_IMAGE_SENT_H
#define IMGEXPORT_IMAGE_SENT_H

#include "image/lazy.h"

LazyImage *sent_image_in(MemoryContext owner, const LazyImage *image, const char *format,
						 int max_side);
LazyImage *sent_with_answer(const LazyImage *image, LazyImage *answer, const char *apply,
							bool optional);

#endif
