/*
 * cache.h
 *		Bodies that were sent lately.  Whether one is still good is asked each time.
 */
#ifndef IMGEXPORT_HTTPD_CACHE_H
#define IMGEXPORT_HTTPD_CACHE_H

#include "httpd/exchange.h"

Answer *cache_find(const char *path, const char *accept);
void cache_keep(const char *path, const char *accept, Answer *answer);
void cache_make_room(size_t bytes);
void cache_clear(void);

#endif
