/*
 * recover.h
 *		Claims that nobody keeps: of a worker that died, of another server, or of a moment ago.
 */
#ifndef IMGEXPORT_QUEUE_RECOVER_H
#define IMGEXPORT_QUEUE_RECOVER_H

#include "datatype/timestamp.h"

bool recover_claims(TimestampTz now);
bool recover_begun(void);
TimestampTz recover_next(TimestampTz now);

#endif
