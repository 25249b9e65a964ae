/*
 * shortage.h
 *		Whether this process asked for memory and got none.
 */
#ifndef IMGEXPORT_CODEC_SHORTAGE_H
#define IMGEXPORT_CODEC_SHORTAGE_H

#include <stdbool.h>

void shortage_start(void);
void shortage_forget(void);
bool shortage_happened(void);

#endif
