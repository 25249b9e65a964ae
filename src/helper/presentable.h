/*
 * presentable.h
 *		Texts from outside, made fit for a row, a message and a line of the log.
 */
#ifndef IMGEXPORT_HELPER_PRESENTABLE_H
#define IMGEXPORT_HELPER_PRESENTABLE_H

/* A text is cut after so many bytes. */
#define PRESENTABLE_MAX_BYTES 4000

char *presentable(const char *text);
char *presentable_ascii(const char *text);
void presentable_copy(char *to, const char *from, Size size);

#endif
