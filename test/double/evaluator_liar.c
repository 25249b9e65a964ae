/*
 * evaluator_liar.c
 *		An evaluator that was taken over: a function that sends the worker lies from inside of it.
 *
 * A superuser has to create it, as all functions in C.  It finds the evaluator's socket and sends
 * one lie by number before it returns, whereupon the evaluator itself answers as well.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fmgr.h"

#include "queue/evaluation.h"
#include "wire/frame.h"
#include "wire/memfd.h"
#include "wire/pack.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(lie);

/* The one connected socket of datagrams that keep their bounds. */
static int
worker_socket(void)
{
	for (int fd = 3; fd < 256; fd++)
	{
		int type;
		socklen_t length = sizeof type;
		struct sockaddr_storage peer;
		socklen_t peer_length = sizeof peer;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
			type == SOCK_SEQPACKET &&
			getpeername(fd, (struct sockaddr *) &peer, &peer_length) == 0 &&
			((struct sockaddr *) &peer)->sa_family == AF_UNIX)
			return fd;
	}
	elog(ERROR, "this is no evaluator");
}

/* An image of one new source: a pipeline of so many steps, of whose bytes so many are there. */
static void
pack_false_image(Packer *packer, int sources, int kind, int number, int pipeline_source,
				 int steps, uint32 size)
{
	uint8 pipeline[64];
	Packer inner;

	packer_init(&inner, pipeline, sizeof pipeline);
	pack_u16(&inner, pipeline_source);
	pack_u16(&inner, steps);
	pack_u16(packer, sources);
	pack_u8(packer, kind);
	pack_u16(packer, number);
	if (kind == 0)
	{
		pack_u64(packer, 0);
		pack_u64(packer, UINT64_MAX);
	}
	pack_u32(packer, size);
	pack_bytes(packer, pipeline, inner.used);
}

/* lie(image bytea, number int) returns bytea */
Datum
lie(PG_FUNCTION_ARGS)
{
	static uint8 body[FRAME_MAX_BYTES];
	int worker = worker_socket();
	int type = FRAME_EVALUATED;
	uint32 id = 1;
	int fds[1] = {-1};
	int fd_count = 0;
	Packer packer;

	packer_init(&packer, body, sizeof body);
	switch (PG_GETARG_INT32(1))
	{
		case 0: /* nothing */
			break;
		case 1: /* of an unknown kind */
			type = 4711;
			break;
		case 2: /* to another request */
			id = 4711;
			break;
		case 3: /* a source that was never sent */
			pack_false_image(&packer, 1, 2, 200, 0, 0, 4);
			break;
		case 4: /* sources without end */
			pack_false_image(&packer, 60000, 2, 0, 0, 0, 4);
			break;
		case 5: /* a pipeline longer than the frame */
			pack_false_image(&packer, 1, 2, 0, 0, 0, UINT32_MAX);
			break;
		case 6: /* steps that are not there */
			pack_false_image(&packer, 1, 2, 0, 0, 60000, 4);
			break;
		case 7: /* of a source that it has not */
			pack_false_image(&packer, 1, 2, 0, 60000, 0, 4);
			break;
		case 8: /* bytes of no descriptor */
			pack_false_image(&packer, 1, 0, 3, 0, 0, 4);
			break;
		case 9: /* a descriptor that is no sealed memfd */
			fds[0] = open("/dev/zero", O_RDONLY);
			fd_count = 1;
			pack_false_image(&packer, 1, 0, 0, 0, 0, 4);
			break;
		case 10: /* a memfd that can still change */
			fds[0] = memfd_new("lie");
			fd_count = 1;
			pack_false_image(&packer, 1, 0, 0, 0, 0, 4);
			break;
		case 11: /* a length beyond a sealed memfd's end */
			fds[0] = memfd_new("lie");
			memfd_seal(fds[0]);
			fd_count = 1;
			pack_false_image(&packer, 1, 0, 0, 0, 0, 4);
			break;
		case 12: /* an error that is none */
			type = FRAME_FAILED;
			pack_u32(&packer, 1);
			break;
		case 13: /* an error of odd bytes */
			type = FRAME_FAILED;
			pack_u32(&packer, UINT32_MAX);
			pack_text(&packer, "\033[31m\xff\xfe");
			pack_text(&packer, "");
			pack_text(&packer, "");
			break;
		case 14: /* something behind the end */
			pack_false_image(&packer, 1, 2, 0, 0, 0, 4);
			pack_u64(&packer, 0);
			break;
		case 15: /* an answer over and over */
			for (int i = 0; i < 100; i++)
				(void) send(worker, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case 16: /* its socket is closed */
			shutdown(worker, SHUT_RDWR);
			break;
		default: /* it does not end, and takes no notice of anything */
			for (;;)
				pause();
	}
	frame_send(worker, type, id, body, packer.used, fds, fd_count);
	if (fds[0] >= 0)
		close(fds[0]);
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}
