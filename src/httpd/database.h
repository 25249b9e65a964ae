/*
 * database.h
 *		Exchanges on their way through the database.
 */
#ifndef IMGEXPORT_HTTPD_DATABASE_H
#define IMGEXPORT_HTTPD_DATABASE_H

#include "httpd/exchange.h"

/* Called from one of the database's threads when an exchange has its answer, or its slice. */
typedef void (*DatabaseDone)(Exchange *exchange);

void database_start(DatabaseDone done);
void database_ask(Exchange *exchange);
void database_stop(void);

#endif
