/*
 * query.h
 *		What the database is asked.
 */
#ifndef IMGEXPORT_HTTPD_QUERY_H
#define IMGEXPORT_HTTPD_QUERY_H

#include "httpd/exchange.h"

bool query_prepare(PGconn *server);
bool query_send(PGconn *server, const Exchange *exchange);

#endif
