/*
 * presentable.c
 *		Texts from outside, made fit for a row, a message and a line of the log.
 *
 * A server's answer, a header, a library's complaint or a user's own error proves nothing: it
 * may be of any length and in no encoding at all.  A row that holds such bytes can be written
 * and dumped, and the dump cannot be restored.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "helper/presentable.h"

#define OMISSION "..."

static bool
is_printable(unsigned char byte)
{
	return byte >= ' ' && byte <= '~';
}

/* Bytes of the character that a text begins with; 0: it is none of the database's encoding. */
static int
character_bytes(const char *text, int room)
{
	int bytes;

	if (!IS_HIGHBIT_SET(*text))
		return is_printable(*text) ? 1 : 0;
	bytes = pg_encoding_verifymbchar(GetDatabaseEncoding(), text, room);
	return Max(bytes, 0);
}

/*
 * A copy in the current memory context that is valid in the database's encoding, on one line,
 * and not longer than PRESENTABLE_MAX_BYTES.  Each byte that is wrong becomes a question mark.
 */
char *
presentable(const char *text)
{
	const char *end = text + strlen(text);
	StringInfoData copy;

	initStringInfo(&copy);
	while (text < end)
	{
		int bytes = character_bytes(text, (int) Min(end - text, MAX_MULTIBYTE_CHAR_LEN));

		if (copy.len + Max(bytes, 1) > PRESENTABLE_MAX_BYTES - (int) strlen(OMISSION) &&
			end - text > (int) strlen(OMISSION))
		{
			appendStringInfoString(&copy, OMISSION);
			break;
		}
		if (bytes > 0)
			appendBinaryStringInfo(&copy, text, bytes);
		else
			appendStringInfoChar(&copy, '?');
		text += Max(bytes, 1);
	}
	return copy.data;
}

/* The same of printable ASCII alone: valid in every encoding, as texts of other programs have to be. */
char *
presentable_ascii(const char *text)
{
	char *copy = presentable(text);

	for (char *c = copy; *c != '\0'; c++)
		if (!is_printable(*c))
			*c = '?';
	return copy;
}

/* Into a field that databases of any encoding read: printable ASCII, cut where it is too long. */
void
presentable_copy(char *to, const char *from, Size size)
{
	strlcpy(to, from, size);
	for (; *to != '\0'; to++)
		if (!is_printable(*to))
			*to = '?';
}
