/*
 * gate.h
 *		The rights of the extension's owner, for a moment.
 */
#ifndef IMGEXPORT_QUEUE_GATE_H
#define IMGEXPORT_QUEUE_GATE_H

/* What to give back. */
typedef struct Rights
{
	Oid caller;
	int security_context;
	int settings_level;
} Rights;

void rights_take(Oid owner, Rights *before);
void rights_give_back(const Rights *before);
Oid rights_owner(Oid function);

#endif
