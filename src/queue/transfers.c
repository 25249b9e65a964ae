/*
 * transfers.c
 *		The worker's network process: one for any number of transfers.
 *
 * Nothing here waits.  A transfer that is asked for is sent as soon as the socket has room,
 * and when the process dies every one that was sent has failed, and may be tried again.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/helper.h"
#include "queue/transfers.h"
#include "queue/worker.h"
#include "settings.h"

/* A full socket is looked at again after so long. */
#define RETRY_SEND_MS 5

struct Transfer
{
	dlist_node link;
	MemoryContext context; /* it lives there, and its answer will */
	uint32 id;			   /* 0: not sent yet */
	uint8 *body;
	Size size;
	int upload; /* memfd, -1: none */
	TransferDone done;
	void *owner;
};

static Helper *net;
static dlist_head transfers = DLIST_STATIC_INIT(transfers);
static TimestampTz restart_at;
static uint32 last_id;
static int under_way; /* of them, sent and not answered */
static bool is_full;
static Frame frame; /* too large for the stack */

/* Out of the list and out of memory; its upload is closed. */
static void
forget(Transfer *transfer)
{
	dlist_delete(&transfer->link);
	under_way -= transfer->id != 0;
	if (transfer->upload >= 0)
		close(transfer->upload);
	pfree(transfer->body);
	pfree(transfer);
}

/*
 * Have a request sent, and done called when it is over.
 *
 * upload	a sealed memfd that becomes the transfer's; -1: there is nothing to send
 * Returns	the transfer, in the current memory context; NULL when it is too long for a frame
 */
Transfer *
transfer_start(const FetchRequest *request, int upload, TransferDone done, void *owner)
{
	static uint8 body[FRAME_MAX_BYTES];
	Transfer *transfer;
	Packer packer;

	packer_init(&packer, body, sizeof body);
	pack_fetch_request(&packer, request);
	if (packer.overflow)
	{
		if (upload >= 0)
			close(upload);
		return NULL;
	}
	transfer = palloc0(sizeof *transfer);
	transfer->context = CurrentMemoryContext;
	transfer->body = palloc(packer.used);
	transfer->size = packer.used;
	memcpy(transfer->body, body, packer.used);
	transfer->upload = upload;
	transfer->done = done;
	transfer->owner = owner;
	dlist_push_tail(&transfers, &transfer->link);
	return transfer;
}

/* Nobody waits for it any more; done is not called. */
void
transfer_drop(Transfer *transfer)
{
	if (transfer->id != 0 && net != NULL)
		(void) helper_send(net, FRAME_CANCEL, transfer->id, NULL, 0, NULL, 0);
	forget(transfer);
}

static void
finish(Transfer *transfer, const Fetched *fetched, int fd, HelperError *error)
{
	TransferDone done = transfer->done;
	void *owner = transfer->owner;

	forget(transfer);
	done(owner, fetched, fd, error);
}

static Transfer *
find(uint32 id)
{
	dlist_iter iter;

	dlist_foreach(iter, &transfers)
	{
		Transfer *transfer = dlist_container(Transfer, link, iter.cur);

		if (transfer->id == id && id != 0)
			return transfer;
	}
	return NULL;
}

/* One answer; false when it is none. */
static bool
take_answer(void)
{
	Transfer *transfer = find(frame.id);
	MemoryContext before;
	Fetched fetched;
	Failure failure;
	bool good = true;

	/* It was dropped while its answer was on the way. */
	if (transfer == NULL)
		return frame.type == FRAME_FETCHED || frame.type == FRAME_ERROR;
	before = MemoryContextSwitchTo(transfer->context);
	if (frame.type == FRAME_ERROR && unpack_failure(frame.body, frame.size, &failure))
		finish(transfer, NULL, -1, helper_error_of_failure(&failure));
	else if (frame.type == FRAME_FETCHED && unpack_fetched(frame.body, frame.size, &fetched) &&
			 frame.fd_count == 1 && bulk_is_valid(frame.fds[0], fetched.length))
		finish(transfer, &fetched, frame_take_fd(&frame, 0), NULL);
	else
		good = false;
	MemoryContextSwitchTo(before);
	return good;
}

static void
net_ended(FrameStatus status)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &transfers)
	{
		Transfer *transfer = dlist_container(Transfer, link, iter.cur);
		MemoryContext before = MemoryContextSwitchTo(transfer->context);

		if (transfer->id != 0)
		{
			worker.counters.helpers_lost++;
			finish(transfer, NULL, -1, helper_ended(net, status));
		}
		MemoryContextSwitchTo(before);
	}
	restart_at = worker_restart_time(net);
	worker_stop_helper(&net);
}

static void
receive(void)
{
	FrameStatus status;

	if (net == NULL)
		return;
	while ((status = helper_receive(net, &frame)) == FRAME_OK)
	{
		bool good = take_answer();

		frame_close_fds(&frame);
		if (!good)
		{
			net_ended(FRAME_BROKEN);
			return;
		}
	}
	if (status != FRAME_AGAIN)
		net_ended(status);
}

static void
send_waiting(void)
{
	dlist_iter iter;

	is_full = false;
	dlist_foreach(iter, &transfers)
	{
		Transfer *transfer = dlist_container(Transfer, link, iter.cur);
		FrameStatus status;

		if (transfer->id != 0)
			continue;
		if (under_way >= settings.fetch_concurrency)
			return;
		if (net == NULL && restart_at <= GetCurrentTimestamp())
			net = worker_start_helper(HELPER_NET);
		if (net == NULL)
			return;
		status = helper_send(net, FRAME_FETCH, last_id + 1, transfer->body, transfer->size,
							 &transfer->upload, transfer->upload < 0 ? 0 : 1);
		is_full = status == FRAME_AGAIN;
		if (is_full)
			return;
		/* Where sending fails, receiving says why, and fails this one with the others. */
		transfer->id = ++last_id;
		under_way++;
	}
}

/* Take what has come, and send what waits, as far as the socket allows. */
void
transfers_advance(void)
{
	receive();
	send_waiting();
}

/* How long may the loop sleep for us?  -1: until the socket says something. */
long
transfers_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (is_full)
		return RETRY_SEND_MS;
	if (restart_at > now && !dlist_is_empty(&transfers))
		return TimestampDifferenceMilliseconds(now, restart_at) + 1;
	return -1;
}

/* The socket to wait for; -1: none. */
int
transfers_socket(void)
{
	return net == NULL ? -1 : helper_socket(net);
}
