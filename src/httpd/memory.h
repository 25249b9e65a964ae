/*
 * memory.h
 *		What this server keeps of its clients and for them, under one limit (--memory).
 */
#ifndef IMGEXPORT_HTTPD_MEMORY_H
#define IMGEXPORT_HTTPD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

bool memory_take(size_t bytes);
void memory_count(size_t bytes);
void memory_give(size_t bytes);
size_t memory_used(void);

#endif
