/*
 * describe.c
 *		What an image's header says; no pixel is decoded.
 */
#include <string.h>
#include <unistd.h>

#include "codec/blocks.h"
#include "codec/bytes.h"
#include "codec/decode.h"
#include "codec/describe.h"
#include "codec/exif.h"
#include "codec/metadata.h"
#include "codec/reply.h"
#include "wire/exit.h"
#include "wire/memfd.h"
#include "wire/sniff.h"

typedef struct Subject
{
	const DescribeRequest *message;
	SourceBytes source;
	const Format *format;
	VipsImage *image;
	int orientation;
} Subject;

static bool
is_partial(const Subject *subject)
{
	return subject->source.length < subject->message->total_length;
}

/* JPEG: does the header end, with the first scan (SOS), within these bytes? (ITU T.81, B.1) */
static bool
jpeg_header_is_whole(const unsigned char *bytes, size_t size)
{
	size_t at = 2;

	while (at + 4 <= size && bytes[at] == 0xff)
	{
		if (bytes[at + 1] == 0xda)
			return true;
		at += 2 + big_endian(bytes + at + 2, 2);
	}
	return false;
}

/* PNG: is the first chunk of pixels (IDAT) within these bytes? (W3C PNG, section 5.3) */
static bool
png_header_is_whole(const unsigned char *bytes, size_t size)
{
	size_t at = 8;

	while (at + 8 <= size)
	{
		size_t length = big_endian(bytes + at, 4);

		if (memcmp(bytes + at + 4, "IDAT", 4) == 0)
			return true;
		at += 12 + length;
	}
	return false;
}

/* Formats not named here keep parts of their header behind the pixels. */
static bool
header_is_whole(const Subject *subject)
{
	if (!is_partial(subject))
		return true;
	if (strcmp(subject->format->name, "jpeg") == 0)
		return jpeg_header_is_whole(subject->source.bytes, subject->source.length);
	if (strcmp(subject->format->name, "png") == 0)
		return png_header_is_whole(subject->source.bytes, subject->source.length);
	return false;
}

static const char *
colourspace_name(const VipsImage *image)
{
	switch (image->Type)
	{
		case VIPS_INTERPRETATION_B_W:
		case VIPS_INTERPRETATION_GREY16:
			return "grey";
		case VIPS_INTERPRETATION_CMYK:
			return "cmyk";
		case VIPS_INTERPRETATION_LAB:
		case VIPS_INTERPRETATION_LABQ:
		case VIPS_INTERPRETATION_LABS:
			return "lab";
		case VIPS_INTERPRETATION_sRGB:
		case VIPS_INTERPRETATION_RGB16:
		case VIPS_INTERPRETATION_RGB:
			return "srgb";
		default:
			return "other";
	}
}

static void
describe_blocks(Json *json, const Subject *subject)
{
	const void *data;
	size_t size;

	if ((data = metadata_blob(subject->image, VIPS_META_ICC_NAME, &size)) != NULL)
		icc_describe(json, data, size);
	if ((data = metadata_blob(subject->image, VIPS_META_IPTC_NAME, &size)) != NULL)
		iptc_describe(json, data, size);
	if ((data = metadata_blob(subject->image, VIPS_META_XMP_NAME, &size)) != NULL)
		xmp_describe(json, data, size);
}

/* When the pages of an animation follow, and how often they come round. */
static void
describe_timing(Json *json, const Subject *subject)
{
	int *delays;
	int count;
	int loop;

	if (subject->format->pages != PAGES_ANIMATION || vips_image_get_n_pages(subject->image) < 2)
		return;
	if (vips_image_get_array_int(subject->image, "delay", &delays, &count) == 0)
	{
		json_array(json, "delays_ms");
		for (int i = 0; i < count; i++)
			json_number(json, NULL, delays[i]);
		json_array_close(json);
	}
	if (vips_image_get_int(subject->image, "loop", &loop) == 0)
		json_number(json, "loop", loop);
}

static void
describe_exif(Json *json, const Subject *subject)
{
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
	const void *data;
	size_t size;

	if ((data = metadata_blob(subject->image, VIPS_META_EXIF_NAME, &size)) != NULL)
		exif_describe(json, data, size, warnings);
	if (warnings->len > 0)
	{
		json_array(json, "warnings");
		for (guint i = 0; i < warnings->len; i++)
			json_text(json, NULL, warnings->pdata[i]);
		json_array_close(json);
	}
	g_ptr_array_free(warnings, TRUE);
}

/* The whole description as JSON; the caller frees it. */
static GString *
describe_json(const Subject *subject, const Description *description)
{
	Json json = {.text = g_string_new(NULL)};

	json_open(&json, NULL);
	json_number(&json, "file_size", (double) subject->message->total_length);
	json_number(&json, "width", description->width);
	json_number(&json, "height", description->height);
	json_text(&json, "format", description->format);
	json_text(&json, "mime", description->mime);
	json_number(&json, "orientation", description->orientation);
	json_text(&json, "colorspace", colourspace_name(subject->image));
	json_number(&json, "bits", (double) vips_format_sizeof(subject->image->BandFmt) * 8);
	json_bool(&json, "has_alpha", description->has_alpha);
	json_number(&json, "pages", description->pages);
	describe_timing(&json, subject);
	describe_blocks(&json, subject);
	describe_exif(&json, subject);
	json_close(&json);
	return json.text;
}

static void
send_description(uint32_t id, const Subject *subject)
{
	bool sideways = subject->orientation >= 5;
	VipsImage *image = subject->image;
	Description description = {.complete = true,
							   .format = subject->format->name,
							   .mime = sniff_mime(subject->format->name),
							   .width = (uint32_t) (sideways ? image->Ysize : image->Xsize),
							   .height = (uint32_t) (sideways ? image->Xsize : image->Ysize),
							   .pages = (uint32_t) vips_image_get_n_pages(image),
							   .has_alpha = vips_image_hasalpha(image),
							   .orientation = (uint32_t) subject->orientation};
	GString *json;
	int fd;

	if (subject->message->detail != DESCRIBE_METADATA)
	{
		reply_description(id, &description, -1);
		return;
	}
	json = describe_json(subject, &description);
	fd = memfd_new("metadata");
	if (fd < 0 || !memfd_append(fd, json->str, json->len) || !memfd_seal(fd))
		_exit(EXIT_OUT_OF_MEMORY);
	description.json_length = json->len;
	reply_description(id, &description, fd);
	close(fd);
	g_string_free(json, TRUE);
}

static void
send_incomplete(uint32_t id)
{
	Description description = {.complete = false};

	reply_description(id, &description, -1);
}

/* Answer a FRAME_DESCRIBE. */
void
describe_answer(const Frame *frame)
{
	DescribeRequest message;
	Request request = {.id = frame->id};
	Subject subject = {.message = &message};
	Problem problem = {0};

	if (!unpack_describe_request(frame->body, frame->size, &message))
		_exit(EXIT_PROTOCOL);
	request_start(&request, message.limits.time_ms);
	if (request_map_source(&request, frame, &message.source, &subject.source, &problem) != 0)
		_exit(EXIT_PROTOCOL);
	subject.format = decode_format(&subject.source, &problem);
	if (subject.format == NULL && problem.kind == FAILURE_MALFORMED && is_partial(&subject))
		send_incomplete(request.id);
	else if (subject.format == NULL)
		reply_failure(request.id, &problem, -1, -1, "");
	else if (!header_is_whole(&subject))
		send_incomplete(request.id);
	else if (decode_header(subject.format, &subject.source, &problem, &subject.image) == 0)
	{
		subject.orientation = vips_image_get_orientation(subject.image);
		send_description(request.id, &subject);
		g_object_unref(subject.image);
	}
	else if (is_partial(&subject))
		send_incomplete(request.id);
	else
		reply_failure(request.id, &problem, -1, -1, "");
	request_unmap(&request);
	vips_error_clear();
}
