/*
 * background.h
 *		How a background process of ours connects to a database.
 */
#ifndef IMGEXPORT_QUEUE_BACKGROUND_H
#define IMGEXPORT_QUEUE_BACKGROUND_H

bool background_is_here(void);
void background_start(void);
void background_connect(Oid database, const char *name);

#endif
