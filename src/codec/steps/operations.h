/*
 * operations.h
 *		The operations of libvips that img_vips may call.
 */
#ifndef IMGEXPORT_CODEC_STEPS_OPERATIONS_H
#define IMGEXPORT_CODEC_STEPS_OPERATIONS_H

#include <stdbool.h>

typedef struct Operation
{
	const char *name;
	const char *arguments; /* that may be given, each between blanks */
} Operation;

const Operation *operation_find(const char *name);
bool operation_takes(const Operation *operation, const char *argument);

#endif
