/*
 * sniff.h
 *		What the first bytes say: which image format, if any.
 *
 * Server and codec have to agree on it, so both ask here.
 */
#ifndef IMGEXPORT_WIRE_SNIFF_H
#define IMGEXPORT_WIRE_SNIFF_H

#include <stddef.h>
#include <stdint.h>

#define SNIFF_BYTES 32 /* as many as telling a format takes */

const char *sniff_format(const uint8_t *bytes, size_t size);
const char *sniff_mime(const char *format);

#endif
