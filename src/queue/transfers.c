/*
 * transfers.c
 *		The worker's network process: one for any number of transfers.
 *
 * Nothing here waits.  A transfer that is asked for is sent as soon as the socket has room.
 * The process is trusted with nothing: it answers each request once, in a form that is checked
 * (fetch_take_answer), and before its deadline.  Where it does not, or dies, or holds more
 * memory than it may, it is killed and another takes its place.  What it had under way is sent
 * again where that means the same as once (RFC 9110, 9.2.2), a few times; a POST fails in a way
 * that may pass, and may have been done.
 *
 * Whoever waits for a transfer is called when it is in no list any more, and may drop and start
 * any others.  A transfer that was sent and that nobody waits for stays until it is answered,
 * so that every id is known that an honest process can answer.
 *
 * After so many requests the process is replaced, as a codec is: a new one gets what is sent from then on, and
 * the old one ends with its last answer.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "helper/bulk.h"
#include "helper/helper.h"
#include "image/fetch.h"
#include "queue/transfers.h"
#include "queue/worker.h"
#include "settings.h"

/* A full socket is looked at again after so long. */
#define RETRY_SEND_MS 5

/* The process reports its own time limits; after so much more it is taken for hung. */
#define GRACE_MS 5000

/* So often is a request sent whose process ended under it. */
#define SENDS_MAX 3

/* One that is sent to, and one that ends with its last answer. */
#define PROCESSES 2

typedef struct Process
{
	Helper *helper;	 /* NULL: none */
	dlist_head sent; /* transfers that it has not answered */
	int count;		 /* of them */
} Process;

/* In the memory of whoever waits: what is freed there is not waited for. */
typedef struct Waiter
{
	MemoryContextCallback on_reset;
	Transfer *transfer; /* NULL: it is over */
	MemoryContext context;
	TransferDone done;
	void *owner;
} Waiter;

struct Transfer
{
	dlist_node link;
	Waiter *waiter;	  /* NULL: nobody waits any more */
	Process *process; /* that has it; NULL: it was not sent */
	uint32 id;
	uint8 *body;
	Size size;
	int upload; /* sealed memfd, -1: none */
	uint64 upload_length;
	uint64 max_bytes;
	int64 timeout_ms;
	bool repeatable; /* it may be sent again */
	int sends;
	TimestampTz deadline; /* once it was sent */
};

static Process processes[PROCESSES];
static Process *current; /* that is sent to */
static dlist_head waiting = DLIST_STATIC_INIT(waiting);
static MemoryContext memory; /* of all transfers */
static TimestampTz restart_at;
static uint32 last_id;
static bool is_full;
static Frame frame; /* too large for the stack */

/* Called once; the process itself is started with the first transfer. */
void
transfers_open(void)
{
	memory =
		AllocSetContextCreate(TopMemoryContext, "imgexport transfers", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < PROCESSES; i++)
		dlist_init(&processes[i].sent);
	current = &processes[0];
}

/* Out of its list and out of memory. */
static void
transfer_free(Transfer *transfer)
{
	dlist_delete(&transfer->link);
	if (transfer->process != NULL)
		transfer->process->count--;
	if (transfer->waiter != NULL)
		transfer->waiter->transfer = NULL;
	if (transfer->upload >= 0)
		close(transfer->upload);
	pfree(transfer->body);
	pfree(transfer);
}

/* Nobody waits for it any more; one that was sent is answered all the same. */
static void
abandon(Transfer *transfer)
{
	transfer->waiter->transfer = NULL;
	transfer->waiter = NULL;
	if (transfer->process == NULL)
		transfer_free(transfer);
	else if (transfer->process->helper != NULL)
		(void) helper_send(transfer->process->helper, FRAME_CANCEL, transfer->id, NULL, 0, NULL,
						   0);
}

static void
waiter_on_reset(void *argument)
{
	Waiter *waiter = argument;

	if (waiter->transfer != NULL)
		abandon(waiter->transfer);
}

/* A transfer that is waited for in the current memory context, and in the list from its first moment. */
static Transfer *
transfer_new(Size body_size, TransferDone done, void *owner)
{
	Waiter *waiter = palloc0(sizeof *waiter);
	uint8 *body = MemoryContextAlloc(memory, body_size);
	Transfer *transfer = MemoryContextAllocZero(memory, sizeof *transfer);

	transfer->body = body;
	transfer->upload = -1;
	transfer->waiter = waiter;
	waiter->transfer = transfer;
	waiter->context = CurrentMemoryContext;
	waiter->done = done;
	waiter->owner = owner;
	waiter->on_reset.func = waiter_on_reset;
	waiter->on_reset.arg = waiter;
	dlist_push_tail(&waiting, &transfer->link);
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &waiter->on_reset);
	return transfer;
}

/* A copy of what it sends; where that fails there is no transfer. */
static void
take_upload(Transfer *transfer, const Upload *upload)
{
	PG_TRY();
	{
		transfer->upload =
			upload->fd >= 0 ? bulk_dup(upload->fd) : bulk_of(upload->bytes, upload->length);
	}
	PG_CATCH();
	{
		transfer_free(transfer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	transfer->upload_length = upload->length;
}

/*
 * Have a request sent, and done called when it is over.
 *
 * upload	what is sent, copied; UPLOAD_NOTHING: nothing
 * Returns	the transfer, which ends with the current memory context at the latest; NULL when
 *			the request is too long for a frame
 * Errors	53000 no descriptor or memory left for the upload; there is no transfer then
 */
Transfer *
transfer_start(const FetchRequest *request, Upload upload, TransferDone done, void *owner)
{
	static uint8 body[FRAME_MAX_BYTES];
	FetchRequest whole = *request;
	Transfer *transfer;
	Packer packer;

	whole.upload_length = upload.length;
	packer_init(&packer, body, sizeof body);
	pack_fetch_request(&packer, &whole);
	if (packer.overflow)
		return NULL;
	transfer = transfer_new(packer.used, done, owner);
	transfer->size = packer.used;
	memcpy(transfer->body, body, packer.used);
	transfer->max_bytes = request->max_bytes;
	transfer->timeout_ms = request->timeout_ms;
	transfer->repeatable = fetch_is_idempotent(request->method);
	if (upload.length > 0)
		take_upload(transfer, &upload);
	return transfer;
}

/* Nobody waits for it any more; done is not called. */
void
transfer_drop(Transfer *transfer)
{
	abandon(transfer);
}

/* The end of a transfer, for whoever waits; what came is in his memory context. */
static void
hand_over(Transfer *transfer, const Fetched *fetched, int fd, HelperError *error)
{
	Waiter *waiter = transfer->waiter;

	transfer_free(transfer);
	if (waiter != NULL)
		waiter->done(waiter->owner, fetched, fd, error);
	else if (fd >= 0)
		close(fd);
}

/* Where its answer belongs. */
static MemoryContext
context_of(const Transfer *transfer)
{
	return transfer->waiter != NULL ? transfer->waiter->context : worker.tick;
}

static Transfer *
find(Process *process, uint32 id)
{
	dlist_iter iter;

	dlist_foreach(iter, &process->sent)
	{
		Transfer *transfer = dlist_container(Transfer, link, iter.cur);

		if (transfer->id == id)
			return transfer;
	}
	return NULL;
}

/* One answer; false when no honest process sends it. */
static bool
take_answer(Process *process)
{
	Transfer *transfer = find(process, frame.id);
	MemoryContext before;
	Fetched fetched;
	HelperError *error;
	bool honest;

	if (transfer == NULL)
		return false;
	before = MemoryContextSwitchTo(context_of(transfer));
	honest = fetch_take_answer(&frame, transfer->max_bytes, &fetched, &error);
	if (honest)
		hand_over(transfer, error == NULL ? &fetched : NULL, frame_take_fd(&frame, 0), error);
	MemoryContextSwitchTo(before);
	return honest;
}

/* Take all transfers of a process that has ended: they wait to be sent again, or are over. */
static void
take_sent(Process *process, dlist_head *ended)
{
	dlist_init(ended);
	process->count = 0;
	while (!dlist_is_empty(&process->sent))
	{
		Transfer *transfer =
			dlist_container(Transfer, link, dlist_pop_head_node(&process->sent));
		bool again = transfer->repeatable && transfer->sends < SENDS_MAX;

		transfer->process = NULL;
		dlist_push_tail(transfer->waiter != NULL && again ? &waiting : ended, &transfer->link);
	}
}

/* A process is at its end, and with it its transfers: first all of them, then one after another. */
static void
process_end(Process *process, HelperError *why)
{
	dlist_head ended;

	restart_at = worker_restart_time(process->helper);
	worker_stop_helper(&process->helper);
	worker.counters.helpers_lost += process->count;
	take_sent(process, &ended);

	/* What is dropped meanwhile leaves this list by itself, and what is started is in another. */
	while (!dlist_is_empty(&ended))
	{
		Transfer *transfer = dlist_head_element(Transfer, link, &ended);
		MemoryContext context = context_of(transfer);
		MemoryContext before = MemoryContextSwitchTo(context);
		HelperError *error = helper_error_copy(why, context);

		error->sent = true;
		hand_over(transfer, NULL, -1, error);
		MemoryContextSwitchTo(before);
	}
}

static void
process_receive(Process *process)
{
	FrameStatus status;

	while (process->helper != NULL &&
		   (status = helper_receive(process->helper, &frame)) != FRAME_AGAIN)
	{
		bool honest = status == FRAME_OK && take_answer(process);

		if (status == FRAME_OK)
			frame_close_fds(&frame);
		if (!honest)
			process_end(process, helper_ended(process->helper,
											  status == FRAME_OK ? FRAME_BROKEN : status));
	}
}

/* The first deadline of its transfers; 0: it has none. */
static TimestampTz
process_deadline(const Process *process)
{
	TimestampTz first = 0;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &process->sent)
	{
		TimestampTz deadline = dlist_container(Transfer, link, iter.cur)->deadline;

		if (first == 0 || deadline < first)
			first = deadline;
	}
	return first;
}

/* What it may hold besides its own memory: bodies that it was sent, and those that it brings. */
static uint64
process_lent(const Process *process)
{
	uint64 sum = 0;
	dlist_iter iter;

	dlist_foreach(iter, (dlist_head *) &process->sent)
	{
		const Transfer *transfer = dlist_container(Transfer, link, iter.cur);

		sum += transfer->upload_length + transfer->max_bytes;
	}
	return sum;
}

/* End a process that hangs, however it came to that, or that takes too much. */
static void
process_enforce(Process *process)
{
	TimestampTz deadline;

	if (process->helper == NULL)
		return;
	deadline = process_deadline(process);
	if (deadline != 0 && deadline <= GetCurrentTimestamp())
		process_end(
			process,
			helper_error(ERRCODE_IMAGE_HELPER, true, "network process did not answer in time",
						 "It was stopped; the next transfer starts another one.", NULL));
	else if (helper_is_over_memory(process->helper, process_lent(process)))
		process_end(process, helper_ended(process->helper, FRAME_CLOSED));
}

/* One without transfers rests, or goes where another one has its place. */
static void
process_settle(Process *process)
{
	if (process->helper == NULL || process->count > 0)
		return;
	if (process != current || helper_is_worn(process->helper))
		worker_stop_helper(&process->helper);
	else
		helper_rest(process->helper);
}

/* The process that is sent to: a new one where there is none, or where it has worked enough. */
static Helper *
process_for_sending(void)
{
	Process *other = current == &processes[0] ? &processes[1] : &processes[0];

	if (current->helper != NULL && helper_is_worn(current->helper))
	{
		if (current->count == 0)
			worker_stop_helper(&current->helper);
		else if (other->helper == NULL)
			current = other;
	}
	if (current->helper == NULL && restart_at <= GetCurrentTimestamp())
	{
		current->helper = worker_start_helper(HELPER_NET);
		if (current->helper == NULL)
			restart_at = worker_restart_time(NULL);
	}
	return current->helper;
}

static void
send_waiting(void)
{
	is_full = false;
	while (!dlist_is_empty(&waiting) &&
		   processes[0].count + processes[1].count < settings.fetch_concurrency)
	{
		Transfer *transfer = dlist_head_element(Transfer, link, &waiting);
		Helper *helper = process_for_sending();
		FrameStatus status;

		if (helper == NULL)
			return;
		status = helper_send(helper, FRAME_FETCH, last_id + 1, transfer->body, transfer->size,
							 &transfer->upload, transfer->upload < 0 ? 0 : 1);
		is_full = status == FRAME_AGAIN;
		if (is_full)
			return;
		/* Where sending fails, receiving says why, and fails this one with the others. */
		transfer->id = ++last_id;
		transfer->process = current;
		transfer->sends++;
		transfer->deadline =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), transfer->timeout_ms + GRACE_MS);
		dlist_delete(&transfer->link);
		dlist_push_tail(&current->sent, &transfer->link);
		current->count++;
	}
}

/* Take what has come, end what hangs, and send what waits, as far as the socket allows. */
void
transfers_advance(void)
{
	MemoryContext before = MemoryContextSwitchTo(worker.tick);

	for (int i = 0; i < PROCESSES; i++)
	{
		process_receive(&processes[i]);
		process_enforce(&processes[i]);
		process_settle(&processes[i]);
	}
	send_waiting();
	MemoryContextSwitchTo(before);
}

static long
sooner(long wait_ms, long other_ms)
{
	return wait_ms < 0 || (other_ms >= 0 && other_ms < wait_ms) ? other_ms : wait_ms;
}

/* How long may the loop sleep for us?  -1: until the socket says something. */
long
transfers_wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long wait_ms = is_full ? RETRY_SEND_MS : -1;

	if (restart_at > now && !dlist_is_empty(&waiting))
		wait_ms = sooner(wait_ms, TimestampDifferenceMilliseconds(now, restart_at) + 1);
	for (int i = 0; i < PROCESSES; i++)
	{
		TimestampTz deadline = process_deadline(&processes[i]);

		if (deadline == 0)
			continue;
		wait_ms = sooner(wait_ms, TimestampDifferenceMilliseconds(now, deadline) + 1);
		wait_ms = sooner(wait_ms, helper_watch_ms(processes[i].helper));
	}
	return wait_ms;
}

/* The sockets to wait for; returns how many. */
int
transfers_sockets(int *sockets, int room)
{
	int count = 0;

	for (int i = 0; i < PROCESSES && count < room; i++)
		if (processes[i].helper != NULL)
			sockets[count++] = helper_socket(processes[i].helper);
	return count;
}
