/*
 * metadata.c
 *		What of a source's metadata goes into an output.
 *
 * Nothing, unless it was named; and never the place where a picture was taken unless
 * that was named by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/exif.h"
#include "codec/metadata.h"

static const struct
{
	const char *word;
	unsigned bits;
} words[] = {
	{"none", 0},
	{"icc", KEEP_ICC},
	{"copyright", KEEP_COPYRIGHT},
	{"exif", KEEP_EXIF},
	{"xmp", KEEP_XMP},
	{"iptc", KEEP_IPTC},
	{"gps", KEEP_GPS},
	{"all", KEEP_ICC | KEEP_EXIF | KEEP_XMP | KEEP_IPTC},
};

static bool
find_word(const char *text, unsigned *keep)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (strcmp(words[i].word, text) == 0)
		{
			*keep |= words[i].bits;
			return true;
		}
	return false;
}

/* Read a list of words, separated by commas; the place alone brings nothing to hold it. */
int
metadata_read_keep(const char *text, Problem *problem, unsigned *keep)
{
	char **list = g_strsplit(text, ",", -1);
	int failed = 0;

	*keep = 0;
	for (char **word = list; *word != NULL && failed == 0; word++)
	{
		if (*g_strstrip(*word) == '\0' || find_word(*word, keep))
			continue;
		failed = problem_set(problem, FAILURE_ARGUMENT, "keep must not name \"%.100s\"", *word);
		problem_hint(problem,
					 "It names any of icc, copyright, exif, xmp, iptc, gps, all, none.");
	}
	g_strfreev(list);
	if (*keep == KEEP_GPS)
		*keep |= KEEP_EXIF;
	return failed;
}

static bool
entry_is_kept(const ExifEntry *entry, ExifIfd directory, unsigned keep, bool orientation)
{
	if (directory == EXIF_IFD_GPS)
		return (keep & KEEP_GPS) != 0;
	if (directory == EXIF_IFD_0 && entry->tag == EXIF_TAG_ORIENTATION)
		return orientation && entry->size >= 2 &&
			   exif_get_short(entry->data, exif_data_get_byte_order(entry->parent->parent)) !=
				   1;
	if (directory == EXIF_IFD_0 &&
		(entry->tag == EXIF_TAG_COPYRIGHT || entry->tag == EXIF_TAG_ARTIST))
		return (keep & (KEEP_COPYRIGHT | KEEP_EXIF)) != 0;
	return (keep & KEEP_EXIF) != 0 && directory != EXIF_IFD_1 &&
		   entry->tag != EXIF_TAG_MAKER_NOTE;
}

/* Returns how many entries are left. */
static int
reduce_directory(ExifContent *content, ExifIfd directory, unsigned keep, bool orientation)
{
	for (unsigned i = content->count; i-- > 0;)
		if (!entry_is_kept(content->entries[i], directory, keep, orientation))
			exif_content_remove_entry(content, content->entries[i]);
	return (int) content->count;
}

/*
 * An EXIF block with nothing in it but what is kept.
 *
 * data			with the header of a JPEG, as the result has it, or without
 * orientation	whether that is kept too: where pixels have not been turned
 * Returns		the block, empty where nothing is left; the caller frees it
 */
GByteArray *
metadata_reduce_exif(const void *data, size_t size, unsigned keep, bool orientation)
{
	GByteArray *result = g_byte_array_new();
	ExifData *exif = exif_read(data, size, NULL);
	unsigned char *saved = NULL;
	unsigned saved_size = 0;
	int left = 0;

	for (int i = 0; i < EXIF_IFD_COUNT; i++)
		left += reduce_directory(exif->ifd[i], (ExifIfd) i, keep, orientation);
	/* The thumbnail shows what the picture was before it was cut. */
	free(exif->data);
	exif->data = NULL;
	exif->size = 0;
	if (left > 0)
		exif_data_save_data(exif, &saved, &saved_size);
	exif_data_unref(exif);
	g_byte_array_append(result, saved, saved_size);
	free(saved);
	return result;
}

static void
attach_exif(VipsImage *image, const void *data, size_t size, unsigned keep)
{
	GByteArray *exif = metadata_reduce_exif(data, size, keep, false);

	if (exif->len > 0)
		vips_image_set_blob_copy(image, VIPS_META_EXIF_NAME, exif->data, exif->len);
	g_byte_array_free(exif, TRUE);
}

/* XMP is text; one that speaks of a place is left out whole unless places are kept. */
bool
metadata_names_a_place(const void *data, size_t size)
{
	return memmem(data, size, "GPSL", 4) != NULL || memmem(data, size, "GPSAlt", 6) != NULL;
}

/* Does a packet of XMP, in the clear, go out? */
bool
metadata_keeps_xmp(unsigned keep, const void *data, size_t size)
{
	return (keep & KEEP_XMP) != 0 &&
		   ((keep & KEEP_GPS) != 0 || !metadata_names_a_place(data, size));
}

/* A block of an image's metadata, borrowed; NULL: it has none. */
const void *
metadata_blob(const VipsImage *image, const char *name, size_t *size)
{
	const void *data = NULL;

	if (vips_image_get_typeof(image, name) == 0 ||
		vips_image_get_blob(image, name, &data, size) != 0)
		return NULL;
	return data;
}

/*
 * Give an image that is about to be written what is kept of the canvas' source.
 *
 * keep		bits of KEEP_*; KEEP_ICC is the saver's to write
 */
void
metadata_attach(Canvas *canvas, VipsImage *image, unsigned keep)
{
	const void *data;
	size_t size;

	if ((keep & (KEEP_EXIF | KEEP_COPYRIGHT)) != 0 &&
		(data = metadata_blob(canvas->origin, VIPS_META_EXIF_NAME, &size)) != NULL)
		attach_exif(image, data, size, keep);
	if ((data = metadata_blob(canvas->origin, VIPS_META_XMP_NAME, &size)) != NULL &&
		metadata_keeps_xmp(keep, data, size))
		vips_image_set_blob_copy(image, VIPS_META_XMP_NAME, data, size);
	if ((keep & KEEP_IPTC) != 0 &&
		(data = metadata_blob(canvas->origin, VIPS_META_IPTC_NAME, &size)) != NULL)
		vips_image_set_blob_copy(image, VIPS_META_IPTC_NAME, data, size);
}
