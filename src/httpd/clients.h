/*
 * clients.h
 *		Connected clients, and how long each may take.
 */
#ifndef IMGEXPORT_HTTPD_CLIENTS_H
#define IMGEXPORT_HTTPD_CLIENTS_H

#include <microhttpd.h>
#include <stdint.h>

#include "httpd/exchange.h"

void clients_notify(void *argument, struct MHD_Connection *connection, void **context,
					enum MHD_ConnectionNotificationCode code);
Client *clients_of(struct MHD_Connection *connection);
void clients_allow(Client *client, int seconds);
void clients_end_slow_ones(void);
int clients_count(void);
const char *clients_address(const Client *client);

#endif
