/*
 * readable.h
 *		What the network process may read.
 */
#ifndef IMGEXPORT_NET_READABLE_H
#define IMGEXPORT_NET_READABLE_H

const char *const *net_readable(const char *ca_file);

#endif
