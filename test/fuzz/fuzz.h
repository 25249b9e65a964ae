/*
 * fuzz.h
 *		What the fuzz targets share: libvips as the codec has it, and a request in work.
 */
#ifndef IMGEXPORT_TEST_FUZZ_H
#define IMGEXPORT_TEST_FUZZ_H

#include "codec/canvas.h"
#include "codec/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

void fuzz_start_vips(void);
void fuzz_request(Request *request, RenderRequest *message);

#endif
