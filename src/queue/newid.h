/*
 * newid.h
 *		Ids that sort by time, and those that this transaction has made.
 */
#ifndef IMGEXPORT_QUEUE_NEWID_H
#define IMGEXPORT_QUEUE_NEWID_H

#include "utils/uuid.h"

void new_id(pg_uuid_t *id);
bool new_id_is_fresh(const pg_uuid_t *id);

#endif
