/*
 * clients.h
 *		Who is connected, from which address, and how much of the server one address may have.
 */
#ifndef IMGEXPORT_HTTPD_CLIENTS_H
#define IMGEXPORT_HTTPD_CLIENTS_H

#include <stdbool.h>
#include <sys/socket.h>

typedef struct Client Client;

Client *clients_open(int socket, const struct sockaddr *address);
void clients_close(Client *client);
void clients_idle(Client *client, bool idle);
bool clients_may_ask(Client *client);
void clients_forget(void);
int clients_count(void);
const char *clients_address(const Client *client);

#endif
