/*
 * reply.h
 *		An exchange's answer, as HTTP has it.
 */
#ifndef IMGEXPORT_HTTPD_REPLY_H
#define IMGEXPORT_HTTPD_REPLY_H

#include "httpd/exchange.h"

enum MHD_Result reply_send(Exchange *exchange);
enum MHD_Result reply_page(Exchange *exchange);
enum MHD_Result reply_preflight(Exchange *exchange);
bool reply_has_etag(const char *list, const char *etag);

#endif
