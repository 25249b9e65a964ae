/*
 * loop.h
 *		The threads that serve clients, each with its own connections.
 */
#ifndef IMGEXPORT_HTTPD_LOOP_H
#define IMGEXPORT_HTTPD_LOOP_H

#include "httpd/exchange.h"

typedef struct Loop Loop;
struct Connection;

bool loops_start(int listening);
void loops_answered(Exchange *exchange);
void loops_drain(void);
bool loops_are_drained(void);
void loops_stop(void);

bool loop_drains(void);
void loop_run_again(struct Connection *connection);
void loop_closed(struct Connection *connection);

#endif
