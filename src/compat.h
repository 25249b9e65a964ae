/*
 * compat.h
 *		Differences between PostgreSQL's major versions, and nowhere else.
 */
#ifndef IMGEXPORT_COMPAT_H
#define IMGEXPORT_COMPAT_H

#include "catalog/pg_proc.h"
#include "utils/acl.h"

/* Can go when 15 is no longer supported: 16 has one check for all kinds of objects. */
#if PG_VERSION_NUM < 160000
#define compat_proc_aclcheck(oid, role, mode) pg_proc_aclcheck(oid, role, mode)
#else
#define compat_proc_aclcheck(oid, role, mode) object_aclcheck(ProcedureRelationId, oid, role, mode)
#endif

#endif
