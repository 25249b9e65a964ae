/*
 * main.c
 *		imgexport-net: every byte from the network passes here.
 *
 * Started by the server with its socket as WIRE_SOCKET_FD; it locks itself in, says
 * HELLO, and has any number of transfers under way at once.
 */
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/readable.h"
#include "net/transfer.h"
#include "sandbox/program.h"
#include "wire/exit.h"
#include "wire/frame.h"

typedef struct Program
{
	ProgramArguments arguments;
	CURLM *multi;
	Transfer *transfers;
} Program;

/* Answers that found no room in the socket wait here. */
typedef struct Reply
{
	struct Reply *next;
	FrameType type;
	uint32_t id;
	int fd;
	size_t size;
	uint8_t body[];
} Reply;

static Program program;
static Reply *replies;
static Reply **replies_end = &replies;

/* Send what waits, as far as there is room. */
static void
flush_replies(void)
{
	while (replies != NULL)
	{
		Reply *reply = replies;
		FrameStatus status = frame_send(WIRE_SOCKET_FD, reply->type, reply->id, reply->body,
										reply->size, &reply->fd, reply->fd < 0 ? 0 : 1);

		if (status == FRAME_AGAIN)
			return;
		if (status != FRAME_OK)
			_exit(EXIT_QUIET);
		replies = reply->next;
		if (replies == NULL)
			replies_end = &replies;
		if (reply->fd >= 0)
			close(reply->fd);
		free(reply);
	}
}

/* Queue an answer; fd becomes the answer's to close, -1 is none. */
static void
reply(FrameType type, uint32_t id, const Packer *packer, int fd)
{
	Reply *queued = malloc(sizeof *queued + packer->used);

	if (queued == NULL || packer->overflow)
		_exit(EXIT_OUT_OF_MEMORY);
	queued->next = NULL;
	queued->type = type;
	queued->id = id;
	queued->fd = fd;
	queued->size = packer->used;
	memcpy(queued->body, packer->data, packer->used);
	*replies_end = queued;
	replies_end = &queued->next;
	flush_replies();
}

/* The body of a transfer that went well goes with its answer. */
static void
reply_result(uint32_t id, const TransferResult *result, int body)
{
	static uint8_t buffer[FRAME_MAX_BYTES];
	Packer packer;

	packer_init(&packer, buffer, sizeof buffer);
	if (result->failed)
		pack_failure(&packer, &result->failure);
	else
		pack_fetched(&packer, &result->fetched);
	reply(result->failed ? FRAME_ERROR : FRAME_FETCHED, id, &packer,
		  result->failed ? -1 : body);
}

static void
fetch(Frame *frame)
{
	FetchRequest request;
	TransferResult result;
	Transfer *transfer;

	if (!unpack_fetch_request(frame->body, frame->size, &request))
		_exit(EXIT_PROTOCOL);
	if ((request.upload_length > 0) != (frame->fd_count == 1))
		_exit(EXIT_PROTOCOL);
	transfer =
		transfer_new(frame->id, &request, frame->fd_count == 1 ? frame_take_fd(frame, 0) : -1,
					 program.arguments.ca_file, &result);
	if (transfer == NULL)
	{
		reply_result(frame->id, &result, -1);
		return;
	}
	transfer->next = program.transfers;
	program.transfers = transfer;
	curl_multi_add_handle(program.multi, transfer->easy);
}

static void
remove_transfer(Transfer *transfer)
{
	Transfer **link = &program.transfers;

	while (*link != transfer)
		link = &(*link)->next;
	*link = transfer->next;
	curl_multi_remove_handle(program.multi, transfer->easy);
	transfer_free(transfer);
}

/* Every request is answered once, also one that nobody waits for any more. */
static void
cancel(uint32_t id)
{
	for (Transfer *transfer = program.transfers; transfer != NULL; transfer = transfer->next)
		if (transfer->id == id)
		{
			TransferResult result;

			transfer_cancel(&result);
			reply_result(id, &result, -1);
			remove_transfer(transfer);
			return;
		}
}

/* Take every request that waits in the socket. */
static void
receive(void)
{
	static Frame frame;

	for (;;)
	{
		switch (frame_receive(WIRE_SOCKET_FD, &frame))
		{
			case FRAME_OK:
				break;
			case FRAME_AGAIN:
				return;
			case FRAME_CLOSED:
				_exit(EXIT_QUIET);
			default:
				_exit(EXIT_PROTOCOL);
		}
		if (frame.type == FRAME_FETCH)
			fetch(&frame);
		else if (frame.type == FRAME_CANCEL)
			cancel(frame.id);
		else
			_exit(EXIT_PROTOCOL);
		frame_close_fds(&frame);
	}
}

/* A hop is over: on to the next one, or to the answer. */
static void
complete(Transfer *transfer, CURLcode code)
{
	TransferResult result = {0};

	/* Where it leads holds whatever becomes of the body after it. */
	if (transfer->refusal == 0 && transfer_next_hop(transfer, &result))
	{
		curl_multi_remove_handle(program.multi, transfer->easy);
		curl_multi_add_handle(program.multi, transfer->easy);
		return;
	}
	if (!result.failed)
		transfer_finish(transfer, code, &result);
	reply_result(transfer->id, &result, result.failed ? -1 : transfer_take_body(transfer));
	remove_transfer(transfer);
}

static void
complete_all(void)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(program.multi, &left)) != NULL)
	{
		Transfer *transfer;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		complete(transfer, message->data.result);
	}
}

/* Libraries that load and look up at first use do it now, while they may. */
static void
warm_up(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		_exit(EXIT_START);
	program.multi = curl_multi_init();
	if (program.multi == NULL)
		_exit(EXIT_START);
	if (getaddrinfo("localhost", "http", &hints, &found) == 0)
		freeaddrinfo(found);
}

static void
hello(const SandboxState *sandbox)
{
	const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
	char about[512];
	uint8_t buffer[1024];
	Packer packer;
	Hello message = {.version = WIRE_VERSION, .program = "imgexport-net", .about = about};

	snprintf(about, sizeof about,
			 "{\"program\":\"imgexport-net\",\"version\":\"%s\",\"libcurl\":\"%s\","
			 "\"tls\":\"%s\",\"sandbox\":{\"landlock_abi\":%d,\"seccomp\":%s}}",
			 IMGEXPORT_VERSION, curl->version, curl->ssl_version ? curl->ssl_version : "none",
			 sandbox->landlock_abi, sandbox->seccomp ? "true" : "false");
	packer_init(&packer, buffer, sizeof buffer);
	pack_hello(&packer, &message);
	reply(FRAME_HELLO, 0, &packer, -1);
}

static void
run(void)
{
	for (;;)
	{
		struct curl_waitfd socket = {.fd = WIRE_SOCKET_FD, .events = CURL_WAIT_POLLIN};
		int running;
		int ready = 0;

		curl_multi_perform(program.multi, &running);
		complete_all();
		if (replies != NULL)
			socket.events |= CURL_WAIT_POLLOUT;
		curl_multi_poll(program.multi, &socket, 1, program.arguments.idle_s * 1000, &ready);
		flush_replies();
		receive();
		if (ready == 0 && program.transfers == NULL && replies == NULL)
			_exit(EXIT_QUIET);
	}
}

int
main(int argc, char **argv)
{
	SandboxProfile profile = {.network = true};
	SandboxState sandbox;

	program.arguments = program_start(argc, argv);
	profile.readable = net_readable(program.arguments.ca_file);
	fcntl(WIRE_SOCKET_FD, F_SETFL, O_NONBLOCK);
	warm_up();
	sandbox_enter(&profile, program.arguments.sandbox, &sandbox);
	hello(&sandbox);
	run();
}
