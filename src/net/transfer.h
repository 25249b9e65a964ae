/*
 * transfer.h
 *		One URL on its way into a memfd.
 */
#ifndef IMGEXPORT_NET_TRANSFER_H
#define IMGEXPORT_NET_TRANSFER_H

#include <curl/curl.h>

#include "net/guard.h"
#include "wire/message.h"

typedef struct Transfer Transfer;

struct Transfer
{
	Transfer *next;
	uint32_t id;
	CURL *easy;
	CURLU *url;
	int body;	/* memfd */
	int upload; /* memfd of what is sent, owned; -1: nothing is */
	uint64_t upload_length;
	uint64_t uploaded;
	struct curl_slist *headers;
	char *allowed_hosts;
	Guard guard;
	uint64_t max_bytes;
	uint64_t received;
	uint64_t header_bytes;
	uint32_t max_redirects;
	uint32_t redirects;
	uint32_t timeout_ms;
	uint32_t connect_timeout_ms;
	long long started_ms;
	bool connected;		 /* of the hop under way: the request could be sent */
	bool once;			 /* its method is not idempotent: it is sent once and never again */
	bool sent;			 /* bytes of the request may have left */
	bool keeps_body;	 /* the body matters, not the status alone */
	bool enough;		 /* a callback stopped it, as its status says all */
	FailureKind refusal; /* set by a callback that stopped the transfer; 0: none did */
	char address[INET6_ADDRSTRLEN]; /* that was refused */
	char curl_message[CURL_ERROR_SIZE];
};

typedef struct TransferResult
{
	bool failed;
	Fetched fetched;
	Failure failure;
	char message[512];
	char detail[256];
	char hint[160];
	char url[2048];
	char content_type[256];
	char etag[128];
} TransferResult;

Transfer *transfer_new(uint32_t id, const FetchRequest *request, int upload,
					   const char *ca_file, TransferResult *result);
bool transfer_next_hop(Transfer *transfer, TransferResult *result);
void transfer_finish(Transfer *transfer, CURLcode code, TransferResult *result);
void transfer_cancel(TransferResult *result);
int transfer_take_body(Transfer *transfer);
void transfer_free(Transfer *transfer);

#endif
