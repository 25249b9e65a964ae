/*
 * site.h
 *		Whose pages may use this server where no key is asked for.
 */
#ifndef IMGEXPORT_HTTPD_SITE_H
#define IMGEXPORT_HTTPD_SITE_H

#include "httpd/request.h"

bool site_is_ours(const char *host);
bool site_may_ask(const Request *request);

#endif
