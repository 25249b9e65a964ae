/*
 * fetch.h
 *		A URL's request to the network process, under the settings in force.
 */
#ifndef IMGEXPORT_IMAGE_FETCH_H
#define IMGEXPORT_IMAGE_FETCH_H

#include "helper/errors.h"
#include "wire/frame.h"
#include "wire/message.h"

/* What came of a request. */
typedef struct FetchAnswer
{
	int http_status;
	bytea *body;
	HelperError *error; /* NULL: nothing failed */
} FetchAnswer;

bool fetch_take_answer(const Frame *frame, uint64 max_bytes, Fetched *fetched,
					   HelperError **error);
FetchRequest fetch_request(const char *url, int timeout_ms);
FetchRequest store_request(const char *method, const char *url, const char *headers);
FetchAnswer fetch_send(const FetchRequest *request, int upload);
FetchAnswer fetch_get(const FetchRequest *request);

#endif
