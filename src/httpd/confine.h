/*
 * confine.h
 *		This program gives up what it does not need, as the helpers do.
 */
#ifndef IMGEXPORT_HTTPD_CONFINE_H
#define IMGEXPORT_HTTPD_CONFINE_H

void confine_memory(void);
void confine(void);

#endif
