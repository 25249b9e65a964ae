/*
 * transfers.h
 *		The worker's network process, and the transfers that it has under way.
 */
#ifndef IMGEXPORT_QUEUE_TRANSFERS_H
#define IMGEXPORT_QUEUE_TRANSFERS_H

#include "lib/ilist.h"

#include "helper/errors.h"
#include "wire/message.h"

typedef struct Transfer Transfer;

/* What a request sends: bytes, or a sealed memfd that has them; borrowed. */
typedef struct Upload
{
	const void *bytes;
	int fd; /* -1: it is bytes */
	uint64 length;
} Upload;

#define UPLOAD_NOTHING ((Upload){NULL, -1, 0})

/*
 * Called once, in the memory context that the transfer was started in, when it is over; the
 * transfer is gone then, and any other may be dropped or started.
 *
 * fetched	what came; NULL: it failed, and error says why
 * fd		a sealed memfd of the body, the callee's to close; -1 where it failed
 */
typedef void (*TransferDone)(void *owner, const Fetched *fetched, int fd, HelperError *error);

Transfer *transfer_start(const FetchRequest *request, Upload upload, TransferDone done,
						 void *owner);
void transfer_drop(Transfer *transfer);

void transfers_open(void);
void transfers_advance(void);
long transfers_wait_ms(void);
int transfers_sockets(int *sockets, int room);

#endif
