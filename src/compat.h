/*
 * compat.h
 *		Differences between PostgreSQL's major versions, and nowhere else.
 */
#ifndef IMGEXPORT_COMPAT_H
#define IMGEXPORT_COMPAT_H

#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"

/* Can go when 17 is no longer supported: 18 has it, before the declaration, and nothing else. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn _Noreturn
#endif

/* Can go when 15 is no longer supported: 16 took this out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Can go when 15 is no longer supported: 16 has one check for all kinds of objects. */
#if PG_VERSION_NUM < 160000
#define compat_proc_aclcheck(oid, role, mode) pg_proc_aclcheck(oid, role, mode)
#define compat_namespace_aclcheck(oid, role, mode) pg_namespace_aclcheck(oid, role, mode)
#else
#define compat_proc_aclcheck(oid, role, mode)                                                  \
	object_aclcheck(ProcedureRelationId, oid, role, mode)
#define compat_namespace_aclcheck(oid, role, mode)                                             \
	object_aclcheck(NamespaceRelationId, oid, role, mode)
#endif

/* Can go when 16 is no longer supported: 17 gives wait sets to resource owners. */
#if PG_VERSION_NUM < 170000
#define compat_create_wait_event_set(context, count) CreateWaitEventSet(context, count)
#else
#define compat_create_wait_event_set(context, count) CreateWaitEventSet(NULL, count)
#endif

/* Can go when 16 is no longer supported: 17 put the two parts of a virtual transaction id together. */
#if PG_VERSION_NUM < 170000
#define compat_local_transaction() (MyProc->lxid)
#else
#define compat_local_transaction() (MyProc->vxid.lxid)
#endif

#endif
