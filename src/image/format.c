/*
 * format.c
 *		What the first bytes say.
 *
 * This is no gate: the codec looks for itself and reads what
 * imgexport.allowed_loaders lists.  It is here so that "not an image" is raised
 * where the call is written and not where its result is looked at.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "compat.h"
#include "image/format.h"
#include "wire/sniff.h"

PG_FUNCTION_INFO_V1(imgexport_sniffed_format);

/*
 * What is wrong with the beginning of an image.
 *
 * head		size bytes; SNIFF_BYTES are enough
 * Returns	NULL when it may be one, else IX001
 */
HelperError *
format_error(const uint8 *head, Size size)
{
	if (sniff_format(head, size) != NULL)
		return NULL;
	if (size == 0)
		return helper_error(ERRCODE_IMAGE_MALFORMED, false, "image is empty", NULL, NULL);
	return helper_error(ERRCODE_IMAGE_MALFORMED, false, "data is not an image",
						"Its first bytes are those of no image format that is known.", NULL);
}

/* imgexport.sniffed_format(data bytea) returns text */
Datum
imgexport_sniffed_format(PG_FUNCTION_ARGS)
{
	bytea *data = PG_GETARG_BYTEA_PP(0);
	const char *format =
		sniff_format((const uint8 *) VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));

	if (format == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(format));
}
