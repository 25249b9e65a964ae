/*
 * memfd.h
 *		Bulk data between processes: anonymous files that cannot change under the reader.
 *
 * Whoever made one writes it and seals it (no shrinking, growing or writing);
 * whoever receives one trusts nothing until memfd_is_sealed() has said what it
 * is.  Mapping a sealed one cannot raise SIGBUS.
 */
#ifndef IMGEXPORT_WIRE_MEMFD_H
#define IMGEXPORT_WIRE_MEMFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int memfd_new(const char *name);
bool memfd_append(int fd, const void *data, size_t size);
bool memfd_seal(int fd);
bool memfd_is_sealed(int fd, uint64_t *size);
bool memfd_read(int fd, uint64_t offset, void *data, size_t size);
const void *memfd_map(int fd, uint64_t size);
void memfd_unmap(const void *data, uint64_t size);

#endif
