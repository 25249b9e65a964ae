/*
 * color.c
 *		Colours as CSS writes them: #rgb, #rgba, #rrggbb, #rrggbbaa and names.
 *
 * Source	CSS Color Module Level 4, sections 5.2 (hexadecimal) and 6.1 (names).
 *			The names are Pango's, which has the same list.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <pango/pango.h>

#include "codec/color.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return tolower((unsigned char) c) - 'a' + 10;
}

static bool
parse_hex(const char *digits, double rgba[4])
{
	size_t length = strlen(digits);
	int wide = length >= 6 ? 2 : 1;

	if ((length != 3 && length != 4 && length != 6 && length != 8) ||
		strspn(digits, "0123456789abcdefABCDEF") != length)
		return false;
	rgba[3] = 255;
	for (size_t i = 0; i < length / (size_t) wide; i++)
		rgba[i] = wide == 2 ? hex_digit(digits[2 * i]) * 16 + hex_digit(digits[2 * i + 1])
							: hex_digit(digits[i]) * 17;
	return true;
}

/* Read a colour; components are 0 to 255, alpha too.  False when it is none. */
bool
color_parse(const char *text, double rgba[4])
{
	PangoColor color;

	if (text[0] == '#')
		return parse_hex(text + 1, rgba);
	if (strcasecmp(text, "transparent") == 0)
	{
		memset(rgba, 0, 4 * sizeof rgba[0]);
		return true;
	}
	/* Four names that X11 knew first, with other values. */
	if (strcasecmp(text, "gray") == 0 || strcasecmp(text, "grey") == 0)
		return parse_hex("808080", rgba);
	if (strcasecmp(text, "green") == 0)
		return parse_hex("008000", rgba);
	if (strcasecmp(text, "maroon") == 0)
		return parse_hex("800000", rgba);
	if (strcasecmp(text, "purple") == 0)
		return parse_hex("800080", rgba);
	if (!pango_color_parse(&color, text))
		return false;
	rgba[0] = color.red >> 8;
	rgba[1] = color.green >> 8;
	rgba[2] = color.blue >> 8;
	rgba[3] = 255;
	return true;
}
