/*
 * serve.h
 *		What a request may, and who answers it.
 */
#ifndef IMGEXPORT_HTTPD_SERVE_H
#define IMGEXPORT_HTTPD_SERVE_H

#include "httpd/exchange.h"

typedef enum Served
{
	SERVE_ANSWERED, /* the answer is in the output */
	SERVE_ASKED,	/* the database is to be asked */
	SERVE_FAILED	/* no memory: the connection ends */
} Served;

void serve_begin(Exchange *exchange);
void serve_take(Exchange *exchange, const char *data, size_t size);
Served serve_answer(Exchange *exchange);

#endif
