/*
 * bulk.h
 *		Image bytes between the server's memory and memfds.
 */
#ifndef IMGEXPORT_HELPER_BULK_H
#define IMGEXPORT_HELPER_BULK_H

int bulk_new(void);
void bulk_append(int fd, const void *data, Size size);
void bulk_seal(int fd);
int bulk_of(const void *data, Size size);
int bulk_dup(int fd);
uint64 bulk_sizes(const int *fds, int count);
bool bulk_is_valid(int fd, uint64 length);
bytea *bulk_read(int fd, uint64 length);
bytea *bulk_read_in(MemoryContext owner, int fd, uint64 length);

#endif
