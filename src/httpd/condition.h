/*
 * condition.h
 *		Conditional requests (RFC 9110, section 13).
 */
#ifndef IMGEXPORT_HTTPD_CONDITION_H
#define IMGEXPORT_HTTPD_CONDITION_H

#include "httpd/request.h"

/* What is known of what a URL stands for now. */
typedef struct Validators
{
	const char *etag;	   /* with its quotes; "": none */
	int64_t last_modified; /* seconds of Unix time; 0: not known */
} Validators;

char *etags_of(const char *list, const char *known);
int condition_status(const Request *request, bool is_get, const Validators *now);
bool condition_allows_range(const Request *request, const Validators *now);

#endif
