/*
 * log.h
 *		The access log, and what was counted.
 */
#ifndef IMGEXPORT_HTTPD_LOG_H
#define IMGEXPORT_HTTPD_LOG_H

#include "httpd/exchange.h"

struct Client;

void log_open(void);
void log_reopen(void);
void log_exchange(const Exchange *exchange, const struct Client *client);
void log_flush(void);
char *log_metrics(void);
void log_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
