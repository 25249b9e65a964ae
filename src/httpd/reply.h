/*
 * reply.h
 *		An exchange's answer, as HTTP has it.
 */
#ifndef IMGEXPORT_HTTPD_REPLY_H
#define IMGEXPORT_HTTPD_REPLY_H

#include "httpd/exchange.h"

bool reply_answer(Exchange *exchange);
bool reply_refusal(Exchange *exchange, int status, const char *reason);
bool reply_page(Exchange *exchange);
bool reply_methods(Exchange *exchange);

#endif
