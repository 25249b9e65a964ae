/*
 * body.c
 *		Where the body of a request ends: after so many bytes, or with its last chunk.
 */
#include "httpd/body.h"
#include "httpd/grammar.h"

/* Of all extensions and trailers of a body together: without end they are an attack. */
#define MOST_AROUND_BYTES 16384

#define MOST_DIGITS 16

enum
{
	AT_SIZE,   /* the first digit of a size */
	AT_DIGITS, /* the next ones */
	AT_EXTENSION,
	AT_SIZE_LF,
	AT_DATA,
	AT_DATA_CR,
	AT_DATA_LF,
	AT_TRAILER, /* the first byte of a line */
	AT_TRAILER_LINE,
	AT_TRAILER_LF,
	AT_END_LF,
	AT_END
};

void
body_begin(Body *body, const Request *request)
{
	*body = (Body){.kind = request->body, .left = request->content_length};
	if (body->kind == BODY_CHUNKED)
		body->left = 0;
}

/* A size has digits alone: what strtol would take as well is how requests are smuggled. */
static int
after_size(Body *body, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0)
	{
		body->digits = body->at == AT_SIZE ? 1 : body->digits + 1;
		if (body->digits > MOST_DIGITS || body->left >> 56 != 0)
			return -1;
		body->left = body->left << 4 | (uint64_t) digit;
		return AT_DIGITS;
	}
	if (body->at == AT_SIZE)
		return -1;
	return c == '\r' ? AT_SIZE_LF : c == ';' ? AT_EXTENSION : -1;
}

static int
in_trailer(Body *body, char c)
{
	if (c == '\r')
		return body->at == AT_TRAILER ? AT_END_LF : body->colon ? AT_TRAILER_LF : -1;
	if (body->at == AT_TRAILER)
		body->colon = false;
	if (c == ':' && body->at != AT_TRAILER)
		body->colon = true;
	else if (body->colon ? !is_field_char((unsigned char) c)
						 : !is_token_char((unsigned char) c))
		return -1;
	return AT_TRAILER_LINE;
}

/* The state after a byte that is not data; -1: it must not be there. */
static int
next_state(Body *body, char c)
{
	switch (body->at)
	{
		case AT_SIZE:
		case AT_DIGITS:
			return after_size(body, c);
		case AT_EXTENSION:
			return c == '\r'						  ? AT_SIZE_LF
				   : is_field_char((unsigned char) c) ? AT_EXTENSION
													  : -1;
		case AT_SIZE_LF:
			return c != '\n' ? -1 : body->left > 0 ? AT_DATA : AT_TRAILER;
		case AT_DATA_CR:
			return c == '\r' ? AT_DATA_LF : -1;
		case AT_DATA_LF:
			return c == '\n' ? AT_SIZE : -1;
		case AT_TRAILER_LF:
			return c == '\n' ? AT_TRAILER : -1;
		case AT_END_LF:
			return c == '\n' ? AT_END : -1;
		default:
			return in_trailer(body, c);
	}
}

static BodyStep
take_data(Body *body, size_t size, size_t *used)
{
	*used = size < body->left ? size : (size_t) body->left;
	body->left -= *used;
	if (body->left == 0)
		body->at = AT_DATA_CR;
	return *used > 0 ? BODY_DATA : BODY_MORE;
}

/*
 * Read what there is of a body, as far as it is of one kind.
 *
 * used		how much was read: of data with BODY_DATA, of what is around it otherwise
 */
BodyStep
body_step(Body *body, const char *bytes, size_t size, size_t *used)
{
	*used = 0;
	if (body->kind == BODY_NONE || (body->kind == BODY_LENGTH && body->left == 0) ||
		(body->kind == BODY_CHUNKED && body->at == AT_END))
		return BODY_END;
	if (body->kind == BODY_LENGTH || body->at == AT_DATA)
		return take_data(body, size, used);
	while (*used < size && body->at != AT_DATA && body->at != AT_END)
	{
		bool around = body->at == AT_EXTENSION || body->at == AT_TRAILER_LINE;

		body->at = next_state(body, bytes[(*used)++]);
		body->around += around;
		if (body->at < 0 || body->around > MOST_AROUND_BYTES)
			return BODY_BAD;
	}
	return body->at == AT_END ? BODY_END : BODY_MORE;
}
