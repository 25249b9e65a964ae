/*
 * lazy.h
 *		The lazy bytea: source bytes and steps that are rendered when somebody looks.
 *
 * To SQL it is a bytea.  In memory it is an expanded object (utils/expandeddatum.h);
 * flattening renders it.
 */
#ifndef IMGEXPORT_IMAGE_LAZY_H
#define IMGEXPORT_IMAGE_LAZY_H

#include "image/source.h"
#include "wire/pack.h"

typedef struct LazyImage LazyImage;

/* What the images take together that become parts of one. */
typedef struct ImageBudget
{
	int sources;
	Size bytes; /* of all but the first */
} ImageBudget;

LazyImage *lazy_image(Datum image, MemoryContext parent);
LazyImage *lazy_image_of_memfd(int fd, uint64 length, MemoryContext parent);
LazyImage *lazy_image_of_pipeline(ImageSource **sources, int count, const uint8 *pipeline,
								  Size size, MemoryContext parent);
LazyImage *lazy_image_copy(const LazyImage *image, MemoryContext parent);
Datum lazy_image_datum(LazyImage *image);
LazyImage *lazy_image_optional_tail(const LazyImage *image, const LazyImage *before,
									MemoryContext parent);
void lazy_image_append(LazyImage *image, const void *step, Size size);
void image_budget_spend_all(ImageBudget *budget, const LazyImage *image);
int lazy_image_attach(LazyImage *image, const LazyImage *argument);
Size lazy_image_pack(const LazyImage *image, int first_source, void *buffer, Size room);
int lazy_image_source_count(const LazyImage *image);
ImageSource *lazy_image_source(const LazyImage *image, int index);

#endif
