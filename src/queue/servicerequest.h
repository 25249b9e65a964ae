/*
 * servicerequest.h
 *		Requests to services: what they may reach, when they are sent again, how they fail.
 */
#ifndef IMGEXPORT_QUEUE_SERVICEREQUEST_H
#define IMGEXPORT_QUEUE_SERVICEREQUEST_H

#include "helper/errors.h"
#include "wire/message.h"

FetchRequest service_fetch(const char *url, const char *headers, int timeout_ms);
FetchRequest service_fetch_answer(const char *url, bool own_host, int timeout_ms);
bool service_may_retry(const HelperError *error, int attempt, int retries, long *wait_ms);
HelperError *service_error(const char *name, const HelperError *error);

#endif
