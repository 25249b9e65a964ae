/*
 * describe.h
 *		What an image's header says.
 */
#ifndef IMGEXPORT_IMAGE_DESCRIBE_H
#define IMGEXPORT_IMAGE_DESCRIBE_H

#include "utils/jsonb.h"

Jsonb *describe_metadata(Datum image);

#endif
