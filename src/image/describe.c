/*
 * describe.c
 *		What an image's header says, without decoding a pixel: img_info, img_metadata, img_is_image.
 *
 * A stored photograph is toasted in slices; usually the first few hold the header, so
 * only they are read.  When the codec says that it needs more, it gets more.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/detoast.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "helper/bulk.h"
#include "helper/session.h"
#include "image/describe.h"
#include "image/format.h"
#include "settings.h"
#include "wire/message.h"

PG_FUNCTION_INFO_V1(img_info);
PG_FUNCTION_INFO_V1(img_metadata);
PG_FUNCTION_INFO_V1(img_is_image);

/* As much as is read at first, then next; after that comes everything. */
static const Size slices[] = {64 * 1024, 1024 * 1024};

typedef struct DescribeAnswer
{
	Description description; /* texts copied */
	bytea *json;
	HelperError *error;
} DescribeAnswer;

static void
take_answer(const Frame *frame, void *state, bool *finished)
{
	DescribeAnswer *answer = state;
	Failure failure;

	*finished = true;
	if (frame->type == FRAME_ERROR && unpack_failure(frame->body, frame->size, &failure))
	{
		answer->error = helper_error_of_failure(&failure);
		return;
	}
	if (frame->type != FRAME_DESCRIPTION ||
		!unpack_description(frame->body, frame->size, &answer->description))
		session_broken("an answer that is no description");
	answer->description.format = pstrdup(answer->description.format);
	answer->description.mime = pstrdup(answer->description.mime);
	if (frame->fd_count == 0)
		return;
	if (!bulk_is_valid(frame->fds[0], answer->description.json_length))
		session_broken("a description that is not what it said");
	answer->json = bulk_read(frame->fds[0], answer->description.json_length);
}

/* Ask the codec about the first bytes of an image of total_length bytes. */
static void
ask(const bytea *beginning, uint64 total_length, DescribeDetail detail, DescribeAnswer *answer)
{
	uint8 body[256];
	Packer packer;
	DescribeRequest request = {.detail = detail, .total_length = total_length};
	int fd = bulk_of(VARDATA_ANY(beginning), VARSIZE_ANY_EXHDR(beginning));

	request.limits = (RenderLimits){.max_pixels = settings.max_pixels,
									.max_pages = settings.max_pages,
									.time_ms = settings.codec_timeout_ms};
	request.source = (Source){.fd = 0, .offset = 0, .length = VARSIZE_ANY_EXHDR(beginning)};
	packer_init(&packer, body, sizeof body);
	pack_describe_request(&packer, &request);
	PG_TRY();
	{
		session_request(HELPER_CODEC, FRAME_DESCRIBE, body, packer.used, &fd, 1,
						settings.codec_timeout_ms, take_answer, answer);
	}
	PG_FINALLY();
	{
		close(fd);
	}
	PG_END_TRY();
}

/* Describe an image, reading as little of it as that takes. */
static void
describe(Datum image, DescribeDetail detail, DescribeAnswer *answer)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(image);
	uint64 total;

	if (VARATT_IS_EXTERNAL_EXPANDED(value))
		value = PG_DETOAST_DATUM(image);
	total = toast_raw_datum_size(PointerGetDatum(value)) - VARHDRSZ;
	for (size_t i = 0; i <= lengthof(slices); i++)
	{
		bytea *beginning;

		if (i < lengthof(slices) && slices[i] < total)
			beginning = (bytea *) pg_detoast_datum_slice(value, 0, slices[i]);
		else
			beginning = (bytea *) pg_detoast_datum_packed(value);
		memset(answer, 0, sizeof *answer);
		answer->error =
			format_error((uint8 *) VARDATA_ANY(beginning), VARSIZE_ANY_EXHDR(beginning));
		if (answer->error != NULL)
			return;
		ask(beginning, total, detail, answer);
		if (answer->error != NULL || answer->description.complete)
			return;
		if (VARSIZE_ANY_EXHDR(beginning) == total)
			session_broken("a demand for more than everything");
	}
}

static void
describe_or_raise(Datum image, DescribeDetail detail, DescribeAnswer *answer)
{
	describe(image, detail, answer);
	if (answer->error != NULL)
		helper_error_raise(answer->error);
}

/* img_info(image bytea) returns img_info */
Datum
img_info(PG_FUNCTION_ARGS)
{
	DescribeAnswer answer;
	const Description *description = &answer.description;
	TupleDesc row_type;
	Datum values[8];
	bool nulls[8] = {false};

	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "img_info must return a row");
	describe_or_raise(PG_GETARG_DATUM(0), DESCRIBE_INFO, &answer);
	values[0] = CStringGetTextDatum(description->format);
	values[1] = CStringGetTextDatum(description->mime);
	values[2] = Int32GetDatum(description->width);
	values[3] = Int32GetDatum(description->height);
	values[4] = Int32GetDatum(description->pages);
	values[5] = BoolGetDatum(description->has_alpha);
	values[6] = Int32GetDatum(description->orientation);
	values[7] = Int64GetDatum(toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ);
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls)));
}

/* What the header of an image says, as JSON; errors as of img_metadata. */
Jsonb *
describe_metadata(Datum image)
{
	DescribeAnswer answer;
	char *utf8;
	char *json;

	describe_or_raise(image, DESCRIBE_METADATA, &answer);
	if (answer.json == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_IMAGE_HELPER), errmsg("image helper sent no metadata")));
	utf8 = pnstrdup(VARDATA(answer.json), VARSIZE(answer.json) - VARHDRSZ);
	json = pg_any_to_server(utf8, strlen(utf8), PG_UTF8);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

/* img_metadata(image bytea) returns jsonb */
Datum
img_metadata(PG_FUNCTION_ARGS)
{
	PG_RETURN_JSONB_P(describe_metadata(PG_GETARG_DATUM(0)));
}

/* img_is_image(image bytea) returns boolean: damage is an answer, trouble of ours is an error. */
Datum
img_is_image(PG_FUNCTION_ARGS)
{
	DescribeAnswer answer;

	describe(PG_GETARG_DATUM(0), DESCRIBE_INFO, &answer);
	if (answer.error == NULL)
		PG_RETURN_BOOL(true);
	if (answer.error->sqlstate != ERRCODE_IMAGE_MALFORMED &&
		answer.error->sqlstate != ERRCODE_IMAGE_UNSUPPORTED)
		helper_error_raise(answer.error);
	PG_RETURN_BOOL(false);
}
