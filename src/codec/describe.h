/*
 * describe.h
 *		What an image's header says.
 */
#ifndef IMGEXPORT_CODEC_DESCRIBE_H
#define IMGEXPORT_CODEC_DESCRIBE_H

#include "wire/frame.h"

void describe_answer(const Frame *frame);

#endif
