/*
 * fetch.h
 *		A URL's request to the network process, under the settings in force.
 */
#ifndef IMGEXPORT_IMAGE_FETCH_H
#define IMGEXPORT_IMAGE_FETCH_H

#include "wire/message.h"

FetchRequest fetch_request(const char *url, int timeout_ms);
FetchRequest store_request(const char *method, const char *url, const char *headers);

#endif
