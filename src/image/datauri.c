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
#include "settings.h"
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
 * Errors	54000 more bytes than one call may take
 */
bytea *
data_uri_decode(const char *text, int length)
{
	const char *start = payload(text, length);
	char *packed;
	bytea *bytes;
	Size limit = (Size) settings.max_input_kb * 1024;
	Size count = 0;
	Size room;
	int size;

	if (start == NULL)
		return NULL;
	for (const char *c = start; c < text + length; c++)
		count += !is_white(*c);
	/* PostgreSQL's own function for this computes in int. */
	room = count * 3 / 4;
	if (room > Min(limit, MaxAllocSize - VARHDRSZ))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("data: URI of an image of %zu bytes is too large", room),
						errhint("imgexport.max_input_bytes sets the limit.")));
	packed = palloc(count + 1);
	count = 0;
	for (const char *c = start; c < text + length; c++)
		if (!is_white(*c))
			packed[count++] = *c;
	bytes = palloc(room + VARHDRSZ);
	size = pg_b64_decode(packed, (int) count, (void *) VARDATA(bytes), (int) room);
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
	Size size = VARSIZE_ANY_EXHDR(image);
	const char *format = sniff_format((const uint8 *) VARDATA_ANY(image), size);
	char *head;
	Size room;
	Size used;
	text *uri;

	if (format == NULL)
		ereport(ERROR, (errcode(ERRCODE_IMAGE_MALFORMED),
						errmsg(size == 0 ? "image is empty" : "data is not an image")));
	head = psprintf("data:%s" BASE64_MARK, sniff_mime(format));
	used = strlen(head);
	room = (size + 2) / 3 * 4;
	if (room + used > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("image of %zu bytes is too large for a data: URI", size)));
	uri = palloc(VARHDRSZ + used + room);
	memcpy(VARDATA(uri), head, used);
	room =
		pg_b64_encode((void *) VARDATA_ANY(image), (int) size, VARDATA(uri) + used, (int) room);
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
