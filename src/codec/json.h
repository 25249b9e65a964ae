/*
 * json.h
 *		Writing JSON, valid whatever the file says.
 */
#ifndef IMGEXPORT_CODEC_JSON_H
#define IMGEXPORT_CODEC_JSON_H

#include <stdbool.h>

#include <glib.h>

typedef struct Json
{
	GString *text;
	bool comma; /* something stands before the next member */
} Json;

void json_open(Json *json, const char *key);
void json_close(Json *json);
void json_array(Json *json, const char *key);
void json_array_close(Json *json);
void json_text(Json *json, const char *key, const char *value);
void json_number(Json *json, const char *key, double value);
void json_bool(Json *json, const char *key, bool value);

#endif
