/*
 * grammar.h
 *		What RFC 9110, section 5.6, builds headers of: numbers, tokens, lists, parameters.
 *
 * Everything a client sent is read by these, and by nothing else: they take a text that ends
 * with a NUL, never read past it, and cannot overflow.
 */
#ifndef IMGEXPORT_HTTPD_GRAMMAR_H
#define IMGEXPORT_HTTPD_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum NumberFound
{
	NUMBER_NONE, /* no digit */
	NUMBER_GOOD,
	NUMBER_LARGE /* digits, but more than may be: the value is the most */
} NumberFound;

typedef enum ParameterFound
{
	PARAMETER_END,
	PARAMETER_GOOD,
	PARAMETER_BAD
} ParameterFound;

typedef struct Parameter
{
	const char *name;
	size_t name_length;
	char *value; /* without quotes, in the room that was given */
} Parameter;

NumberFound number_read(const char **text, int base, uint64_t most, uint64_t *value);
bool number_is(const char *text, uint64_t low, uint64_t high, uint64_t *value);

bool is_token_char(unsigned char c);
bool is_field_char(unsigned char c);
size_t token_length(const char *text);
const char *skip_blanks(const char *text);
bool same_word(const char *text, size_t length, const char *word);
bool list_next(const char **list, const char **item, size_t *length);
bool list_has(const char *list, const char *word);
ParameterFound parameter_next(const char **text, char *room, size_t size, Parameter *parameter);

int hex_digit(char c);
size_t percent_decode(char *text, size_t length, bool plus_is_blank);
bool is_utf8(const char *text);
char *utf8_of_latin1(const char *text);
void escape_for_log(char *to, size_t size, const char *from);

#endif
