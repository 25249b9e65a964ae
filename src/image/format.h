/*
 * format.h
 *		What the first bytes say: which image format, if any.
 */
#ifndef IMGEXPORT_IMAGE_FORMAT_H
#define IMGEXPORT_IMAGE_FORMAT_H

#include "helper/errors.h"

HelperError *format_error(const uint8 *head, Size size);

#endif
