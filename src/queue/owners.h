/*
 * owners.h
 *		Whose a row is: labels of roles, which outlive their names.
 */
#ifndef IMGEXPORT_QUEUE_OWNERS_H
#define IMGEXPORT_QUEUE_OWNERS_H

void owners_define(void);

#endif
