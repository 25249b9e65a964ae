/*
 * files.h
 *		Files of a store: written so that they are there whole or not at all.
 */
#ifndef IMGEXPORT_QUEUE_FILES_H
#define IMGEXPORT_QUEUE_FILES_H

void file_write(const char *root, const char *key, const char *bytes, uint64 length);
void file_remove(const char *root, const char *key);

#endif
