/*
 * message.c
 *		The messages of both helpers: packing beside unpacking.
 */
#include <string.h>

#include "wire/message.h"

/* Indexes travel as u16; "none" is -1 here and the highest number there. */
#define NO_INDEX UINT16_MAX

static void
pack_index(Packer *packer, int index)
{
	pack_u16(packer, index < 0 ? NO_INDEX : (uint16_t) index);
}

static int
unpack_index(Unpacker *unpacker)
{
	uint16_t index = unpack_u16(unpacker);

	return index == NO_INDEX ? -1 : index;
}

void
pack_hello(Packer *packer, const Hello *hello)
{
	pack_u32(packer, hello->version);
	pack_text(packer, hello->program);
	pack_text(packer, hello->about);
}

/* Of another version only the version is read: the rest may look different. */
bool
unpack_hello(const void *body, size_t size, Hello *hello)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	hello->version = unpack_u32(&unpacker);
	hello->program = unpack_word(&unpacker);
	hello->about = unpack_word(&unpacker);
	return unpack_finished(&unpacker);
}

void
pack_failure(Packer *packer, const Failure *failure)
{
	pack_u8(packer, (uint8_t) failure->kind);
	pack_index(packer, failure->output);
	pack_index(packer, failure->step);
	pack_text(packer, failure->step_name);
	pack_u16(packer, (uint16_t) failure->http_status);
	pack_u32(packer, (uint32_t) failure->retry_after_s);
	pack_u8(packer, failure->sent ? 1 : 0);
	pack_text(packer, failure->message);
	pack_text(packer, failure->detail);
	pack_text(packer, failure->hint);
}

bool
unpack_failure(const void *body, size_t size, Failure *failure)
{
	Unpacker unpacker;
	uint32_t retry_after;

	unpacker_init(&unpacker, body, size);
	failure->kind = (FailureKind) unpack_u8(&unpacker);
	failure->output = unpack_index(&unpacker);
	failure->step = unpack_index(&unpacker);
	failure->step_name = unpack_word(&unpacker);
	failure->http_status = unpack_u16(&unpacker);
	retry_after = unpack_u32(&unpacker);
	failure->retry_after_s =
		retry_after > FAILURE_RETRY_AFTER_MAX_S ? FAILURE_RETRY_AFTER_MAX_S : (int) retry_after;
	failure->sent = unpack_u8(&unpacker) != 0;
	failure->message = unpack_text(&unpacker);
	failure->detail = unpack_text(&unpacker);
	failure->hint = unpack_text(&unpacker);
	return unpack_finished(&unpacker) && failure->kind >= FAILURE_INTERNAL &&
		   failure->kind < FAILURE_KINDS && failure->http_status <= HTTP_STATUS_MAX;
}

static void
pack_limits(Packer *packer, const RenderLimits *limits)
{
	pack_u64(packer, limits->max_pixels);
	pack_u32(packer, limits->max_pages);
	pack_u32(packer, limits->time_ms);
}

static void
unpack_limits(Unpacker *unpacker, RenderLimits *limits)
{
	limits->max_pixels = unpack_u64(unpacker);
	limits->max_pages = unpack_u32(unpacker);
	limits->time_ms = unpack_u32(unpacker);
}

static void
pack_source(Packer *packer, const Source *source)
{
	pack_u16(packer, (uint16_t) source->fd);
	pack_u64(packer, source->offset);
	pack_u64(packer, source->length);
}

static void
unpack_source(Unpacker *unpacker, Source *source)
{
	source->fd = unpack_u16(unpacker);
	source->offset = unpack_u64(unpacker);
	source->length = unpack_u64(unpacker);
}

void
pack_render_request(Packer *packer, const RenderRequest *request)
{
	pack_limits(packer, &request->limits);
	pack_u8(packer, request->keep_going ? 1 : 0);
	pack_u16(packer, (uint16_t) request->source_count);
	for (int i = 0; i < request->source_count; i++)
		pack_source(packer, &request->sources[i]);
	pack_u16(packer, (uint16_t) request->pipeline_count);
	for (int i = 0; i < request->pipeline_count; i++)
	{
		pack_u32(packer, request->pipelines[i].size);
		pack_bytes(packer, request->pipelines[i].data, request->pipelines[i].size);
	}
}

bool
unpack_render_request(const void *body, size_t size, RenderRequest *request)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	unpack_limits(&unpacker, &request->limits);
	request->keep_going = unpack_u8(&unpacker) != 0;
	request->source_count = unpack_u16(&unpacker);
	if (request->source_count < 1 || request->source_count > PIPELINE_MAX_SOURCES)
		return false;
	for (int i = 0; i < request->source_count; i++)
		unpack_source(&unpacker, &request->sources[i]);
	request->pipeline_count = unpack_u16(&unpacker);
	if (request->pipeline_count < 1 || request->pipeline_count > PIPELINE_MAX_STEPS)
		return false;
	for (int i = 0; i < request->pipeline_count; i++)
	{
		request->pipelines[i].size = unpack_u32(&unpacker);
		request->pipelines[i].data = unpack_bytes(&unpacker, request->pipelines[i].size);
	}
	return unpack_finished(&unpacker);
}

void
pack_output(Packer *packer, const Output *output)
{
	pack_index(packer, output->index);
	pack_text(packer, output->format);
	pack_u32(packer, output->width);
	pack_u32(packer, output->height);
	pack_u32(packer, output->pages);
	pack_u64(packer, output->length);
	pack_u32(packer, output->encode_us);
}

bool
unpack_output(const void *body, size_t size, Output *output)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	output->index = unpack_index(&unpacker);
	output->format = unpack_word(&unpacker);
	output->width = unpack_u32(&unpacker);
	output->height = unpack_u32(&unpacker);
	output->pages = unpack_u32(&unpacker);
	output->length = unpack_u64(&unpacker);
	output->encode_us = unpack_u32(&unpacker);
	return unpack_finished(&unpacker) && output->width <= INT32_MAX &&
		   output->height <= INT32_MAX && output->pages <= INT32_MAX;
}

void
pack_warning(Packer *packer, const Warning *warning)
{
	pack_index(packer, warning->output);
	pack_text(packer, warning->message);
}

bool
unpack_warning(const void *body, size_t size, Warning *warning)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	warning->output = unpack_index(&unpacker);
	warning->message = unpack_text(&unpacker);
	return unpack_finished(&unpacker);
}

void
pack_render_done(Packer *packer, const RenderDone *done)
{
	pack_u32(packer, done->decode_us);
	pack_u32(packer, done->process_us);
	pack_u32(packer, done->encode_us);
	pack_u64(packer, done->peak_rss_bytes);
}

bool
unpack_render_done(const void *body, size_t size, RenderDone *done)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	done->decode_us = unpack_u32(&unpacker);
	done->process_us = unpack_u32(&unpacker);
	done->encode_us = unpack_u32(&unpacker);
	done->peak_rss_bytes = unpack_u64(&unpacker);
	return unpack_finished(&unpacker);
}

void
pack_describe_request(Packer *packer, const DescribeRequest *request)
{
	pack_limits(packer, &request->limits);
	pack_u8(packer, (uint8_t) request->detail);
	pack_u64(packer, request->total_length);
	pack_source(packer, &request->source);
}

bool
unpack_describe_request(const void *body, size_t size, DescribeRequest *request)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	unpack_limits(&unpacker, &request->limits);
	request->detail = (DescribeDetail) unpack_u8(&unpacker);
	request->total_length = unpack_u64(&unpacker);
	unpack_source(&unpacker, &request->source);
	return unpack_finished(&unpacker);
}

void
pack_description(Packer *packer, const Description *description)
{
	pack_u8(packer, description->complete ? 1 : 0);
	pack_text(packer, description->format);
	pack_text(packer, description->mime);
	pack_u32(packer, description->width);
	pack_u32(packer, description->height);
	pack_u32(packer, description->pages);
	pack_u8(packer, description->has_alpha ? 1 : 0);
	pack_u32(packer, description->orientation);
	pack_u64(packer, description->json_length);
}

bool
unpack_description(const void *body, size_t size, Description *description)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	description->complete = unpack_u8(&unpacker) != 0;
	description->format = unpack_word(&unpacker);
	description->mime = unpack_word(&unpacker);
	description->width = unpack_u32(&unpacker);
	description->height = unpack_u32(&unpacker);
	description->pages = unpack_u32(&unpacker);
	description->has_alpha = unpack_u8(&unpacker) != 0;
	description->orientation = unpack_u32(&unpacker);
	description->json_length = unpack_u64(&unpacker);
	return unpack_finished(&unpacker) && description->width <= INT32_MAX &&
		   description->height <= INT32_MAX && description->pages <= INT32_MAX &&
		   description->orientation <= 8;
}

void
pack_fetch_request(Packer *packer, const FetchRequest *request)
{
	pack_text(packer, request->url);
	pack_text(packer, request->method);
	pack_text(packer, request->headers);
	pack_u64(packer, request->upload_length);
	pack_u32(packer, request->connect_timeout_ms);
	pack_u32(packer, request->timeout_ms);
	pack_u64(packer, request->max_bytes);
	pack_u32(packer, request->max_redirects);
	pack_text(packer, request->allowed_hosts);
	pack_text(packer, request->allowed_networks);
}

bool
unpack_fetch_request(const void *body, size_t size, FetchRequest *request)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	request->url = unpack_text(&unpacker);
	request->method = unpack_text(&unpacker);
	request->headers = unpack_text(&unpacker);
	request->upload_length = unpack_u64(&unpacker);
	request->connect_timeout_ms = unpack_u32(&unpacker);
	request->timeout_ms = unpack_u32(&unpacker);
	request->max_bytes = unpack_u64(&unpacker);
	request->max_redirects = unpack_u32(&unpacker);
	request->allowed_hosts = unpack_text(&unpacker);
	request->allowed_networks = unpack_text(&unpacker);
	return unpack_finished(&unpacker);
}

/* RFC 9110, 9.2.2: a method of which two requests mean the same as one. */
bool
fetch_is_idempotent(const char *method)
{
	static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (strcmp(method, methods[i]) == 0)
			return true;
	return false;
}

void
pack_fetched(Packer *packer, const Fetched *fetched)
{
	pack_u16(packer, (uint16_t) fetched->http_status);
	pack_text(packer, fetched->url);
	pack_text(packer, fetched->content_type);
	pack_text(packer, fetched->etag);
	pack_u64(packer, fetched->length);
	pack_u32(packer, fetched->redirects);
	pack_u32(packer, fetched->dns_us);
	pack_u32(packer, fetched->connect_us);
	pack_u32(packer, fetched->tls_us);
	pack_u32(packer, fetched->first_byte_us);
	pack_u32(packer, fetched->total_us);
}

bool
unpack_fetched(const void *body, size_t size, Fetched *fetched)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	fetched->http_status = unpack_u16(&unpacker);
	fetched->url = unpack_word(&unpacker);
	fetched->content_type = unpack_word(&unpacker);
	fetched->etag = unpack_word(&unpacker);
	fetched->length = unpack_u64(&unpacker);
	fetched->redirects = unpack_u32(&unpacker);
	fetched->dns_us = unpack_u32(&unpacker);
	fetched->connect_us = unpack_u32(&unpacker);
	fetched->tls_us = unpack_u32(&unpacker);
	fetched->first_byte_us = unpack_u32(&unpacker);
	fetched->total_us = unpack_u32(&unpacker);
	return unpack_finished(&unpacker) && fetched->http_status >= 200 &&
		   fetched->http_status <= 299;
}

void
pack_file_request(Packer *packer, const FileRequest *request)
{
	pack_text(packer, request->root);
	pack_text(packer, request->key);
	pack_u64(packer, request->length);
}

bool
unpack_file_request(const void *body, size_t size, FileRequest *request)
{
	Unpacker unpacker;

	unpacker_init(&unpacker, body, size);
	request->root = unpack_text(&unpacker);
	request->key = unpack_text(&unpacker);
	request->length = unpack_u64(&unpacker);
	return unpack_finished(&unpacker) && request->root[0] == '/' && request->key[0] != '\0';
}
