/*
 * date.h
 *		Times as headers have them (RFC 9110, section 5.6.7).
 */
#ifndef IMGEXPORT_HTTPD_DATE_H
#define IMGEXPORT_HTTPD_DATE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define DATE_BYTES 32

bool date_read(const char *text, int64_t *seconds);
void date_write(time_t at, char *text);

#endif
