/*
 * wire_test.c
 *		The wire against itself and against bytes that no honest peer sends.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tap.h"
#include "wire/frame.h"
#include "wire/memfd.h"
#include "wire/message.h"

static uint8_t buffer[FRAME_MAX_BYTES];

static void
test_pack(void)
{
	Packer packer;
	Unpacker unpacker;

	packer_init(&packer, buffer, sizeof buffer);
	pack_u8(&packer, 200);
	pack_u16(&packer, 60000);
	pack_u32(&packer, 4000000000u);
	pack_u64(&packer, UINT64_MAX);
	pack_f64(&packer, -0.5);
	pack_text(&packer, "gr\xc3\xbc\xc3\x9f");
	pack_text(&packer, NULL);
	unpacker_init(&unpacker, buffer, packer.used);
	ok(unpack_u8(&unpacker) == 200 && unpack_u16(&unpacker) == 60000 &&
		   unpack_u32(&unpacker) == 4000000000u && unpack_u64(&unpacker) == UINT64_MAX &&
		   unpack_f64(&unpacker) == -0.5,
	   "numbers come back");
	ok(strcmp(unpack_text(&unpacker), "gr\xc3\xbc\xc3\x9f") == 0 &&
		   strcmp(unpack_text(&unpacker), "") == 0,
	   "texts come back, NULL as the empty one");
	ok(unpack_finished(&unpacker), "everything was read");
	ok(unpack_u32(&unpacker) == 0 && !unpack_finished(&unpacker),
	   "reading past the end is noted");

	packer_init(&packer, buffer, 3);
	pack_u32(&packer, 1);
	ok(packer.overflow && packer.used == 0, "packing past the end is noted and writes nothing");

	packer_init(&packer, buffer, sizeof buffer);
	pack_u32(&packer, 3);
	pack_bytes(&packer, "a\0b\0", 4);
	unpacker_init(&unpacker, buffer, packer.used);
	ok(*unpack_text(&unpacker) == '\0' && unpacker.failed, "a text with a zero byte is none");
	packer_init(&packer, buffer, sizeof buffer);
	pack_u32(&packer, UINT32_MAX);
	unpacker_init(&unpacker, buffer, packer.used);
	ok(*unpack_text(&unpacker) == '\0' && unpacker.failed,
	   "a text longer than the message is none");
}

static void
test_frames(void)
{
	int pair[2];
	static Frame frame;
	int fd = memfd_new("test");
	int many[FRAME_MAX_FDS];
	char junk[64] = "not a frame";

	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
	ok(frame_receive(pair[0], &frame) == FRAME_AGAIN, "nothing there yet");

	memfd_append(fd, "pixels", 6);
	memfd_seal(fd);
	ok(frame_send(pair[1], FRAME_OUTPUT, 7, "body", 4, &fd, 1) == FRAME_OK, "a frame is sent");
	ok(frame_receive(pair[0], &frame) == FRAME_OK && frame.type == FRAME_OUTPUT &&
		   frame.id == 7 && frame.size == 4 && memcmp(frame.body, "body", 4) == 0 &&
		   frame.fd_count == 1,
	   "and arrives whole, with its descriptor");
	ok((fcntl(frame.fds[0], F_GETFD) & FD_CLOEXEC) != 0, "descriptors arrive close-on-exec");
	frame_close_fds(&frame);

	for (int i = 0; i < FRAME_MAX_FDS; i++)
		many[i] = fd;
	ok(frame_send(pair[1], FRAME_RENDER, 1, NULL, 0, many, FRAME_MAX_FDS) == FRAME_OK &&
		   frame_receive(pair[0], &frame) == FRAME_OK && frame.fd_count == FRAME_MAX_FDS,
	   "as many descriptors as there may be");
	frame_close_fds(&frame);
	ok(frame_send(pair[1], FRAME_RENDER, 1, NULL, 0, many, FRAME_MAX_FDS + 1) == FRAME_BROKEN,
	   "and one more is refused");
	ok(frame_send(pair[1], FRAME_RENDER, 1, buffer, FRAME_MAX_BYTES, NULL, 0) == FRAME_OK &&
		   frame_receive(pair[0], &frame) == FRAME_OK && frame.size == FRAME_MAX_BYTES,
	   "the largest frame");
	ok(frame_send(pair[1], FRAME_RENDER, 1, buffer, FRAME_MAX_BYTES + 1, NULL, 0) ==
		   FRAME_BROKEN,
	   "and one byte more is refused");

	send(pair[1], junk, 5, 0);
	ok(frame_receive(pair[0], &frame) == FRAME_BROKEN, "a datagram too short for a header");
	send(pair[1], junk, sizeof junk, 0);
	ok(frame_receive(pair[0], &frame) == FRAME_BROKEN, "a header that lies about its length");

	close(pair[1]);
	ok(frame_receive(pair[0], &frame) == FRAME_CLOSED, "the end of the peer is seen");
	ok(frame_send(pair[0], FRAME_HELLO, 0, NULL, 0, NULL, 0) == FRAME_CLOSED,
	   "and sending to it raises no signal");
	close(pair[0]);
	close(fd);
}

/* A datagram of so many bytes of a frame's beginning, with so many descriptors. */
static void
send_odd(int socket, const void *bytes, size_t size, int fd, int count)
{
	char control[CMSG_SPACE(253 * sizeof(int))];
	struct iovec part = {.iov_base = (void *) bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &part,
							 .msg_iovlen = 1,
							 .msg_control = control,
							 .msg_controllen = CMSG_SPACE((size_t) count * sizeof(int))};
	struct cmsghdr *cmsg;

	memset(control, 0, sizeof control);
	cmsg = CMSG_FIRSTHDR(&message);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN((size_t) count * sizeof(int));
	for (int i = 0; i < count; i++)
		memcpy(CMSG_DATA(cmsg) + (size_t) i * sizeof(int), &fd, sizeof fd);
	sendmsg(socket, &message, 0);
}

static int
open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Whatever comes with descriptors and is no frame leaves none behind. */
static void
test_descriptors(void)
{
	static Frame frame;
	/* Type, descriptors, id, size: as a frame's header that says less, as much, and more. */
	const uint16_t header[6] = {FRAME_OUTPUT, 5, 1, 0, 0, 0};
	static const size_t sizes[] = {0, 1, 11, 12};
	static const int counts[] = {1, 4, 5, 6, 32, 33, 100, 253};
	int pair[2];
	int fd = memfd_new("test");
	int before;

	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
	before = open_descriptors();
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (size_t j = 0; j < sizeof counts / sizeof counts[0]; j++)
		{
			bool whole = sizes[i] == 12 && counts[j] == 5;
			FrameStatus status;

			send_odd(pair[1], header, sizes[i], fd, counts[j]);
			status = frame_receive(pair[0], &frame);
			if (status == FRAME_OK)
				frame_close_fds(&frame);
			ok(status == (whole ? FRAME_OK : FRAME_BROKEN) && open_descriptors() == before,
			   "H7: %zu bytes with %d descriptors: %s, and none is left", sizes[i], counts[j],
			   whole ? "a frame" : "no frame");
		}
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

static void
test_memfds(void)
{
	int fd = memfd_new("test");
	int ends[2];
	uint64_t size;
	char bytes[6];
	const char *mapped;

	memfd_append(fd, "pixels", 6);
	ok(!memfd_is_sealed(fd, &size), "an open memfd is not trusted");
	ok(memfd_seal(fd) && memfd_is_sealed(fd, &size) && size == 6, "a sealed one is");
	ok(!memfd_append(fd, "x", 1) && ftruncate(fd, 0) != 0, "its content is final");
	ok(memfd_read(fd, 0, bytes, 6) && memcmp(bytes, "pixels", 6) == 0, "it can be read");
	ok(!memfd_read(fd, 1, bytes, 6), "but not past its end");
	mapped = memfd_map(fd, 6);
	ok(mapped != NULL && memcmp(mapped, "pixels", 6) == 0, "it can be mapped");
	memfd_unmap(mapped, 6);
	close(fd);

	ok(pipe(ends) == 0 && !memfd_is_sealed(ends[0], &size), "a pipe is not a memfd");
	close(ends[0]);
	close(ends[1]);
}

/* resize(width 600, fit 'cover'), composite(base another image turned) on source 1 of 3. */
static size_t
pack_example(uint8_t *data, size_t size)
{
	Packer inner;
	Packer packer;
	uint8_t base[256];

	packer_init(&inner, base, sizeof base);
	pack_pipeline_header(&inner, 0, 1);
	pack_step(&inner, "rotate", 1);
	pack_argument_float(&inner, "angle", 90);

	packer_init(&packer, data, size);
	pack_pipeline_header(&packer, 1, 2);
	pack_step(&packer, "resize", 3);
	pack_argument_int(&packer, "width", 600);
	pack_argument_text(&packer, "fit", "cover");
	pack_argument_bool(&packer, "enlarge", false);
	pack_step(&packer, "composite", 1);
	pack_argument_image(&packer, "base", 1, base, inner.used);
	return packer.used;
}

static void
test_pipelines(void)
{
	size_t size = pack_example(buffer, sizeof buffer);
	Pipeline *pipeline = pipeline_unpack(buffer, size, 3);
	int cut_ones = 0;
	int changed_ones = 0;

	ok(pipeline != NULL && pipeline->source == 1 && pipeline->step_count == 2,
	   "a pipeline comes back");
	ok(strcmp(pipeline->steps[0].name, "resize") == 0 &&
		   pipeline->steps[0].arguments[0].value.integer == 600 &&
		   strcmp(pipeline->steps[0].arguments[1].value.text, "cover") == 0 &&
		   !pipeline->steps[0].arguments[2].value.boolean,
	   "with its arguments");
	ok(pipeline->steps[1].arguments[0].value.image->source == 2,
	   "and an image in it counts its sources from its base");
	ok(step_equal(&pipeline->steps[0], &pipeline->steps[0]) &&
		   !step_equal(&pipeline->steps[0], &pipeline->steps[1]),
	   "steps are told apart by their binary form");
	pipeline_free(pipeline);
	ok(pipeline_unpack(buffer, size, 2) == NULL, "a source that was not sent is refused");

	/* Whatever the bytes, reading them ends in a pipeline or in NULL (run under ASan too). */
	for (size_t cut = 0; cut < size; cut++)
		cut_ones += pipeline_unpack(buffer, cut, 3) == NULL;
	ok(cut_ones == (int) size, "no prefix of a pipeline is one");
	srand(1);
	for (int round = 0; round < 20000; round++)
	{
		uint8_t copy[512];

		memcpy(copy, buffer, size);
		copy[rand() % (int) size] = (uint8_t) rand();
		copy[rand() % (int) size] = (uint8_t) rand();
		pipeline = pipeline_unpack(copy, size, 3);
		changed_ones += pipeline != NULL;
		pipeline_free(pipeline);
	}
	ok(changed_ones < 20000, "20,000 damaged pipelines were read without harm");
}

/* Images inside images inside images: refused before the stack is. */
static void
test_depth(void)
{
	static uint8_t levels[2][FRAME_MAX_BYTES];
	Packer packer;
	size_t size;

	packer_init(&packer, levels[0], sizeof levels[0]);
	pack_pipeline_header(&packer, 0, 0);
	size = packer.used;
	for (int depth = 2; depth <= PIPELINE_MAX_DEPTH + 1; depth++)
	{
		Pipeline *pipeline;

		packer_init(&packer, levels[1], sizeof levels[1]);
		pack_pipeline_header(&packer, 0, 1);
		pack_step(&packer, "composite", 1);
		pack_argument_image(&packer, "base", 0, levels[0], size);
		size = packer.used;
		memcpy(levels[0], levels[1], size);
		pipeline = pipeline_unpack(levels[0], size, 1);
		if (depth >= PIPELINE_MAX_DEPTH)
			ok((pipeline != NULL) == (depth == PIPELINE_MAX_DEPTH), "a depth of %d", depth);
		pipeline_free(pipeline);
	}
}

static void
test_messages(void)
{
	Packer packer;
	Failure failure = {.kind = FAILURE_LIMIT,
					   .output = -1,
					   .step = 3,
					   .step_name = "resize",
					   .http_status = 404,
					   .retry_after_s = 5,
					   .message = "too large",
					   .detail = "",
					   .hint = "Smaller."};
	Failure back;
	static RenderRequest request;
	static RenderRequest got;

	packer_init(&packer, buffer, sizeof buffer);
	pack_failure(&packer, &failure);
	ok(unpack_failure(buffer, packer.used, &back) && back.kind == FAILURE_LIMIT &&
		   back.output == -1 && back.step == 3 && back.http_status == 404 &&
		   strcmp(back.hint, "Smaller.") == 0,
	   "a failure comes back");
	buffer[0] = 99;
	ok(!unpack_failure(buffer, packer.used, &back), "a failure of no known kind is none");

	request.limits.max_pixels = 100;
	request.keep_going = true;
	request.source_count = PIPELINE_MAX_SOURCES;
	request.pipeline_count = 1;
	request.pipelines[0].data = "abcd";
	request.pipelines[0].size = 4;
	packer_init(&packer, buffer, sizeof buffer);
	pack_render_request(&packer, &request);
	ok(!packer.overflow && unpack_render_request(buffer, packer.used, &got) &&
		   got.source_count == PIPELINE_MAX_SOURCES && got.keep_going &&
		   got.limits.max_pixels == 100 && got.pipelines[0].size == 4,
	   "a render request with as many sources as there may be");
	ok(!unpack_render_request(buffer, packer.used - 1, &got), "a cut one is none");
	request.source_count = 0;
	packer_init(&packer, buffer, sizeof buffer);
	pack_render_request(&packer, &request);
	ok(!unpack_render_request(buffer, packer.used, &got), "one without a source is none");
}

int
main(void)
{
	test_pack();
	test_frames();
	test_descriptors();
	test_memfds();
	test_pipelines();
	test_depth();
	test_messages();
	return tap_done();
}
