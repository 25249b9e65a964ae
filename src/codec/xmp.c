/*
 * xmp.c
 *		What an XMP packet says: properties that are texts, or lists of texts.
 *
 * Source	ISO 16684-1 (XMP), section 7: RDF in XML, read by GLib's parser
 */
#include <stdbool.h>
#include <string.h>

#include "codec/blocks.h"

#define XMP_MAX_BYTES (1 << 20)
#define XMP_MAX_DEPTH 64

typedef struct Reader
{
	Json *json;
	GHashTable *seen;	/* names that were written: JSON has each once */
	GString *text;		/* of the element that is open */
	GPtrArray *items;	/* of the list in the property that is open */
	char *property;		/* that is open; NULL: none */
	int depth;			/* of elements */
	int property_depth; /* where the property is */
} Reader;

static bool
is_rdf(const char *name)
{
	return strncmp(name, "rdf:", 4) == 0 || strncmp(name, "x:", 2) == 0;
}

static bool
is_property(const char *name)
{
	return strchr(name, ':') != NULL && !is_rdf(name) && strncmp(name, "xmlns", 5) != 0 &&
		   strncmp(name, "xml:", 4) != 0;
}

static bool
is_new(Reader *reader, const char *name)
{
	return g_hash_table_add(reader->seen, g_strdup(name));
}

/* A description may hold its simple properties as attributes. */
static void
start_element(GMarkupParseContext *context, const char *name, const char **names,
			  const char **values, void *data, GError **error)
{
	Reader *reader = data;

	(void) context;
	if (++reader->depth > XMP_MAX_DEPTH)
	{
		g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, "too deep");
		return;
	}
	for (int i = 0;
		 strcmp(name, "rdf:Description") == 0 && reader->property == NULL && names[i] != NULL;
		 i++)
		if (is_property(names[i]) && is_new(reader, names[i]))
			json_text(reader->json, names[i], values[i]);
	if (reader->property == NULL && is_property(name))
	{
		reader->property = g_strdup(name);
		reader->property_depth = reader->depth;
	}
	g_string_truncate(reader->text, 0);
}

static void
on_text(GMarkupParseContext *context, const char *text, gsize length, void *data,
		GError **error)
{
	(void) context;
	(void) error;
	g_string_append_len(((Reader *) data)->text, text, (gssize) length);
}

static void
write_list(Reader *reader)
{
	json_array(reader->json, reader->property);
	for (guint i = 0; i < reader->items->len; i++)
		json_text(reader->json, NULL, reader->items->pdata[i]);
	json_array_close(reader->json);
}

/* A property with items is a list; with alternatives of language it is the first of them. */
static void
close_property(Reader *reader)
{
	char *text = g_strstrip(g_strdup(reader->text->str));

	if ((reader->items->len > 0 || *text != '\0') && is_new(reader, reader->property))
	{
		if (reader->items->len > 1)
			write_list(reader);
		else
			json_text(reader->json, reader->property,
					  reader->items->len == 1 ? reader->items->pdata[0] : text);
	}
	g_free(text);
	g_ptr_array_set_size(reader->items, 0);
	g_clear_pointer(&reader->property, g_free);
}

static void
end_element(GMarkupParseContext *context, const char *name, void *data, GError **error)
{
	Reader *reader = data;

	(void) context;
	(void) error;
	if (reader->property != NULL && strcmp(name, "rdf:li") == 0 && reader->items->len < 100)
		g_ptr_array_add(reader->items, g_strstrip(g_strdup(reader->text->str)));
	if (reader->property != NULL && reader->depth == reader->property_depth)
		close_property(reader);
	reader->depth--;
	g_string_truncate(reader->text, 0);
}

/*
 * Member xmp: properties by the names that the packet gives them ("dc:title").  What
 * is damaged ends the list.
 */
void
xmp_describe(Json *json, const char *data, size_t size)
{
	static const GMarkupParser parser = {
		.start_element = start_element, .end_element = end_element, .text = on_text};
	Reader reader = {.json = json,
					 .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
					 .text = g_string_new(NULL),
					 .items = g_ptr_array_new_with_free_func(g_free)};
	GMarkupParseContext *context;

	json_open(json, "xmp");
	/* Padding after the packet is white space, and a zero ends it. */
	size = strnlen(data, MIN(size, XMP_MAX_BYTES));
	context = g_markup_parse_context_new(&parser, 0, &reader, NULL);
	g_markup_parse_context_parse(context, data, (gssize) size, NULL);
	g_markup_parse_context_free(context);
	json_close(json);
	g_hash_table_destroy(reader.seen);
	g_string_free(reader.text, TRUE);
	g_ptr_array_free(reader.items, TRUE);
	g_free(reader.property);
}
