/*
 * utility.h
 *		Commands that a worker has to know of.
 */
#ifndef IMGEXPORT_QUEUE_UTILITY_H
#define IMGEXPORT_QUEUE_UTILITY_H

void utility_define(void);

#endif
