/*
 * multipart.c
 *		Forms of multipart/form-data (RFC 7578, on the grammar of RFC 2046 and 2183).
 *
 * Names may stand without quotes, as .NET's HttpClient sends them, and file names in the form of
 * RFC 8187 beside the plain one.  A body without its closing boundary was cut off on its way,
 * and is refused whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/form.h"
#include "httpd/grammar.h"

#define MAX_PART_HEADERS_BYTES 8192
#define MAX_NAME_BYTES 2048

typedef struct Reader
{
	const char *at;
	const char *end;
	char delimiter[80]; /* CR LF, two dashes and the boundary */
	size_t delimiter_length;
	bool is_last; /* the boundary that was read last is the closing one */
} Reader;

static int
malformed(const char **reason, const char *why)
{
	*reason = why;
	return 400;
}

static bool
starts_with(const Reader *reader, const char *text, size_t length)
{
	return (size_t) (reader->end - reader->at) >= length &&
		   memcmp(reader->at, text, length) == 0;
}

/* What follows a boundary: the end of its line, or two dashes.  Else it is no boundary. */
static bool
end_boundary(Reader *reader)
{
	reader->is_last = starts_with(reader, "--", 2);
	if (reader->is_last)
	{
		reader->at += 2;
		return true;
	}
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t'))
		reader->at++;
	if (!starts_with(reader, "\r\n", 2))
		return false;
	reader->at += 2;
	return true;
}

/* Go past the next boundary.  Returns where it begins; NULL: there is none any more. */
static const char *
find_boundary(Reader *reader)
{
	for (;;)
	{
		const char *found = memmem(reader->at, (size_t) (reader->end - reader->at),
								   reader->delimiter, reader->delimiter_length);

		if (found == NULL)
			return NULL;
		reader->at = found + reader->delimiter_length;
		if (end_boundary(reader))
			return found;
		/* A line that only begins like it; the CR LF of its end may begin the real one. */
		reader->at = found + reader->delimiter_length;
	}
}

/* The first boundary may begin the body; what comes before it otherwise is for nobody. */
static bool
find_first_boundary(Reader *reader)
{
	const char *begin = reader->at;

	if (starts_with(reader, reader->delimiter + 2, reader->delimiter_length - 2))
	{
		reader->at += reader->delimiter_length - 2;
		if (end_boundary(reader))
			return true;
		reader->at = begin;
	}
	return find_boundary(reader) != NULL;
}

/* RFC 8187: charset'language'text, in place; false: it is not that. */
static bool
decode_extended(char *value)
{
	char *language = strchr(value, '\'');
	char *text = language ? strchr(language + 1, '\'') : NULL;
	size_t charset;
	size_t length;
	char *latin;

	if (text == NULL)
		return false;
	charset = (size_t) (language - value);
	text++;
	length = percent_decode(text, strlen(text), false);
	text[length] = '\0';
	if (strlen(text) != length)
		return false;
	if (same_word(value, charset, "UTF-8"))
	{
		memmove(value, text, length + 1);
		return is_utf8(value);
	}
	if (!same_word(value, charset, "ISO-8859-1") || 2 * length >= MAX_NAME_BYTES)
		return false;
	latin = utf8_of_latin1(text);
	if (latin == NULL)
		return false;
	strcpy(value, latin);
	free(latin);
	return true;
}

/* A name as UTF-8; bytes that are not are taken as Latin-1, which old clients send. */
static char *
to_utf8(const char *value)
{
	return is_utf8(value) ? strdup(value) : utf8_of_latin1(value);
}

/* The last part of a path, without control characters: whatever it is used for, it names no place. */
static void
keep_base_name(char *file)
{
	char *to = file;

	for (const char *from = file; *from != '\0'; from++)
	{
		if (*from == '/' || *from == '\\')
			to = file;
		else if ((unsigned char) *from >= ' ' && *from != 0x7f)
			*to++ = *from;
	}
	*to = '\0';
	if (strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
		file[0] = '\0';
}

/* Content-Disposition: form-data; name=...; filename=...; filename*=... */
static int
read_disposition(Field *field, const char *text, const char **reason)
{
	char room[MAX_NAME_BYTES];
	size_t type = token_length(text);
	const char *at = text + type;
	Parameter parameter;
	ParameterFound found;
	bool extended = false;

	if (!same_word(text, type, "form-data"))
		return malformed(reason, "a part of the form is not form-data");
	while ((found = parameter_next(&at, room, sizeof room, &parameter)) == PARAMETER_GOOD)
	{
		bool is_name = same_word(parameter.name, parameter.name_length, "name");
		bool is_extended = same_word(parameter.name, parameter.name_length, "filename*");
		char **to = is_name ? &field->name : &field->file;

		if (!is_name && !is_extended &&
			!same_word(parameter.name, parameter.name_length, "filename"))
			continue;
		/* The extended form is the better one, wherever it stands; one that is none is not there. */
		if (is_extended ? !decode_extended(parameter.value) : !is_name && extended)
			continue;
		if (*to != NULL && (is_name || extended || !is_extended))
			return malformed(reason, "a part of the form has a name twice");
		extended |= is_extended;
		free(*to);
		*to = to_utf8(parameter.value);
		if (*to == NULL)
			return 503;
	}
	if (found == PARAMETER_BAD || field->name == NULL)
		return malformed(reason, "a part of the form has no name, or a malformed one");
	for (const char *c = field->name; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return malformed(reason, "a part of the form has no name, or a malformed one");
	if (field->file != NULL)
		keep_base_name(field->file);
	return 0;
}

/* Bytes that are encoded would be taken for what they are not. */
static bool
is_plain_encoding(const char *value)
{
	size_t length = token_length(value);

	return same_word(value, length, "7bit") || same_word(value, length, "8bit") ||
		   same_word(value, length, "binary");
}

static int
read_header(Field *field, char *line, const char **reason)
{
	size_t name = token_length(line);
	char *value;

	if (name == 0 || line[name] != ':')
		return malformed(reason, "a header of a part of the form is malformed");
	value = (char *) skip_blanks(line + name + 1);
	for (const char *c = value; *c != '\0'; c++)
		if (!is_field_char((unsigned char) *c))
			return malformed(reason, "a header of a part of the form is malformed");
	if (same_word(line, name, "Content-Disposition"))
		return field->name != NULL ? malformed(reason, "a part of the form has a name twice")
								   : read_disposition(field, value, reason);
	if (same_word(line, name, "Content-Transfer-Encoding") && !is_plain_encoding(value))
		return malformed(reason, "a part of the form is encoded");
	return 0;
}

/* The headers of a part, up to the empty line after them. */
static int
read_headers(Reader *reader, Field *field, const char **reason)
{
	char line[MAX_PART_HEADERS_BYTES];
	const char *begin = reader->at;

	for (;;)
	{
		const char *end = memmem(reader->at, (size_t) (reader->end - reader->at), "\r\n", 2);
		size_t length;
		int status;

		if (end == NULL || end - begin >= MAX_PART_HEADERS_BYTES)
			return malformed(reason, "the headers of a part of the form have no end");
		length = (size_t) (end - reader->at);
		memcpy(line, reader->at, length);
		line[length] = '\0';
		reader->at = end + 2;
		if (length == 0)
			break;
		status = strlen(line) != length
					 ? malformed(reason, "a header of a part of the form is malformed")
					 : read_header(field, line, reason);
		if (status != 0)
			return status;
	}
	return field->name != NULL ? 0 : malformed(reason, "a part of the form has no name");
}

static int
read_part(Reader *reader, Form *form, const char **reason)
{
	Field *field = form_add(form, reason);
	const char *end;
	int status;

	if (field == NULL)
		return 413;
	status = read_headers(reader, field, reason);
	if (status != 0)
		return status;
	field->data = reader->at;
	/* The CR LF of the empty line may be that of the boundary, where a part has no bytes. */
	reader->at -= 2;
	end = find_boundary(reader);
	if (end == NULL)
		return malformed(reason, "the form ends before its last boundary");
	field->length = end > field->data ? (size_t) (end - field->data) : 0;
	return 0;
}

/*
 * Read the parts of a body as fields.
 *
 * Returns	0, or the status to refuse it with
 */
int
multipart_parse(Form *form, const char *boundary, const char **reason)
{
	Reader reader = {.at = form->body, .end = form->body + form->length};

	reader.delimiter_length =
		(size_t) snprintf(reader.delimiter, sizeof reader.delimiter, "\r\n--%s", boundary);
	if (form->length == 0 || !find_first_boundary(&reader))
		return malformed(reason, "the form has no boundary in it");
	while (!reader.is_last)
	{
		int status = read_part(&reader, form, reason);

		if (status != 0)
			return status;
	}
	return 0;
}
