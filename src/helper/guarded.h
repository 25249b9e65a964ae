/*
 * guarded.h
 *		Run something so that its error ends it and nothing else.
 */
#ifndef IMGEXPORT_HELPER_GUARDED_H
#define IMGEXPORT_HELPER_GUARDED_H

#include "helper/errors.h"

HelperError *guarded_error(void);
HelperError *run_guarded(void (*run)(void *argument), void *argument, MemoryContext context);

#endif
