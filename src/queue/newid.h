/*
 * newid.h
 *		Ids that this transaction has made.
 */
#ifndef IMGEXPORT_QUEUE_NEWID_H
#define IMGEXPORT_QUEUE_NEWID_H

#include "utils/uuid.h"

bool new_id_is_fresh(const pg_uuid_t *id);

#endif
