/*
 * place.h
 *		Files of stores: written so that they are there whole or not at all, and removed.
 */
#ifndef IMGEXPORT_FILES_PLACE_H
#define IMGEXPORT_FILES_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

typedef struct Problem
{
	FailureKind kind;
	char message[1024];
} Problem;

bool place_write(const char *const *stores, const FileRequest *request, int source,
				 Problem *problem);
bool place_remove(const char *const *stores, const FileRequest *request, Problem *problem);

#endif
