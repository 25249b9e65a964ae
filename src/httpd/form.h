/*
 * form.h
 *		What a client posts.
 */
#ifndef IMGEXPORT_HTTPD_FORM_H
#define IMGEXPORT_HTTPD_FORM_H

#include "httpd/exchange.h"

void form_begin(Exchange *exchange);
void form_take(Exchange *exchange, const char *data, size_t size);
void form_free(Exchange *exchange);

#endif
