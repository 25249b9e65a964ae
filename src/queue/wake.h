/*
 * wake.h
 *		Have a database's worker look for work.
 */
#ifndef IMGEXPORT_QUEUE_WAKE_H
#define IMGEXPORT_QUEUE_WAKE_H

void wake_define(void);
void wake_database(Oid database, bool recheck);
void wake_at_commit(void);
void wake_created_at_commit(Oid database);
void wake_dormant_at_commit(void);

#endif
