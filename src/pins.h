/*
 * pins.h
 *		Settings of the server that must not be what a user has made of them.
 */
#ifndef IMGEXPORT_PINS_H
#define IMGEXPORT_PINS_H

#include "utils/guc.h"

typedef enum PinSet
{
	PINS_MEANING,	/* those that change what a statement or a text means */
	PINS_PROCESS,	/* also those that could stop or slow a background process */
	PINS_CONNECTION /* also those that can be set at its start alone */
} PinSet;

void pins_apply(PinSet set, GucAction action);
void pins_override(void);

#endif
