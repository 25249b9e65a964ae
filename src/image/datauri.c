/*
 * datauri.c
 *		Images as data: URIs (RFC 2397) with base64.
 */
#include "postgres.h"

#include "common/base64.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "helper/errors.h"
#include "image/datauri.h"
#include "wire/sniff.h"

PG_FUNCTION_INFO_V1(img_data_uri);
PG_FUNCTION_INFO_V1(img_from_data_uri);

#define BASE64_MARK ";base64,"

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind "data:<type>;base64,", or the text itself where it is no URI; NULL: another URI. */
static const char *
payload(const char *text, int length)
{
	const char *comma;
	int mark = strlen(BASE64_MARK);

	if (length < 5 || pg_strncasecmp(text, "data:", 5) != 0)
		return text;
	comma = memchr(text, ',', length);
	if (comma == NULL || comma + 1 - text < 5 + mark ||
		pg_strncasecmp(comma + 1 - mark, BASE64_MARK, mark) != 0)
		return NULL;
	return comma + 1;
}

/*
 * The bytes of a data: URI, or of plain base64; white space is skipped.
 *
 * Returns	NULL for what is neither
 */
bytea *
data_uri_decode(const char *text, int length)
{
	const char *start = payload(text, length);
	char *packed;
	bytea *bytes;
	int count = 0;
	int size;

	if (start == NULL)
		return NULL;
	packed = palloc(length + 1);
	for (const char *c = start; c < text + length; c++)
		if (!is_white(*c))
			packed[count++] = *c;
	size = pg_b64_dec_len(count);
	bytes = palloc(size + VARHDRSZ);
	size = pg_b64_decode(packed, count, (void *) VARDATA(bytes), size);
	pfree(packed);
	if (size < 0)
		return NULL;
	SET_VARSIZE(bytes, size + VARHDRSZ);
	return bytes;
}

/* img_data_uri(image bytea) returns text */
Datum
img_data_uri(PG_FUNCTION_ARGS)
{
	bytea *image = PG_GETARG_BYTEA_PP(0);
	int size = VARSIZE_ANY_EXHDR(image);
	const char *format = sniff_format((const uint8 *) VARDATA_ANY(image), size);
	char *head;
	int room;
	int used;
	text *uri;

	if (format == NULL)
		ereport(ERROR, (errcode(ERRCODE_IMAGE_MALFORMED),
						errmsg(size == 0 ? "image is empty" : "data is not an image")));
	head = psprintf("data:%s" BASE64_MARK, sniff_mime(format));
	used = strlen(head);
	room = pg_b64_enc_len(size);
	if ((Size) room + used > MaxAllocSize - VARHDRSZ || room < size)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("image of %d bytes is too large for a data: URI", size)));
	uri = palloc(VARHDRSZ + used + room);
	memcpy(VARDATA(uri), head, used);
	room = pg_b64_encode((void *) VARDATA_ANY(image), size, VARDATA(uri) + used, room);
	SET_VARSIZE(uri, VARHDRSZ + used + room);
	PG_RETURN_TEXT_P(uri);
}

/* img_from_data_uri(uri text) returns bytea */
Datum
img_from_data_uri(PG_FUNCTION_ARGS)
{
	text *uri = PG_GETARG_TEXT_PP(0);
	bytea *image = data_uri_decode(VARDATA_ANY(uri), VARSIZE_ANY_EXHDR(uri));

	if (image == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("text is neither a data: URI with base64 nor base64"),
				 errhint("A data: URI starts as data:image/png;base64, before its payload.")));
	PG_RETURN_BYTEA_P(image);
}
