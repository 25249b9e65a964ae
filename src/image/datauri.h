/*
 * datauri.h
 *		Images as data: URIs.
 */
#ifndef IMGEXPORT_IMAGE_DATAURI_H
#define IMGEXPORT_IMAGE_DATAURI_H

bytea *data_uri_decode(const char *text, int length);

#endif
