/*
 * fetch.h
 *		A URL's request to the network process, under the settings in force.
 */
#ifndef IMGEXPORT_IMAGE_FETCH_H
#define IMGEXPORT_IMAGE_FETCH_H

#include "wire/pack.h"

void fetch_request_pack(Packer *packer, const char *url, int timeout_ms);

#endif
