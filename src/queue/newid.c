/*
 * newid.c
 *		imgexport.new_id(): ids that sort by time, and that no server has to be asked for.
 *
 * Source	RFC 9562, section 5.7 (UUID version 7), with method 3 of section 6.2: 12 bits
 *			below the millisecond count time too
 */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/uuid.h"

#include "compat.h"
#include "queue/newid.h"

PG_FUNCTION_INFO_V1(imgexport_new_id);

/*
 * The last ids, and the transaction and the role that they were made for.  Nobody else can know
 * one that is not committed.
 */
#define FRESH_MAX 8

static pg_uuid_t fresh[FRESH_MAX];
static int fresh_next;
static LocalTransactionId fresh_in = InvalidLocalTransactionId;
static Oid fresh_for = InvalidOid;

static void
remember(const pg_uuid_t *id)
{
	if (fresh_in != compat_local_transaction() || fresh_for != GetUserId())
		memset(fresh, 0, sizeof fresh);
	fresh_in = compat_local_transaction();
	fresh_for = GetUserId();
	fresh[fresh_next++ % FRESH_MAX] = *id;
}

/* Has this transaction made an id for the current role, a moment ago? */
bool
new_id_is_fresh(const pg_uuid_t *id)
{
	static const pg_uuid_t none;

	if (fresh_in != compat_local_transaction() || fresh_for != GetUserId() ||
		memcmp(id, &none, sizeof none) == 0)
		return false;
	for (int i = 0; i < FRESH_MAX; i++)
		if (memcmp(id, &fresh[i], sizeof *id) == 0)
			return true;
	return false;
}

/* Fill in a new one. */
void
new_id(pg_uuid_t *id)
{
	struct timespec now;
	uint64 ms;
	uint32 below;

	if (!pg_strong_random(id->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
	below = (uint32) ((uint64) (now.tv_nsec % 1000000) * 4096 / 1000000);
	for (int i = 0; i < 6; i++)
		id->data[i] = (unsigned char) (ms >> (40 - 8 * i));
	id->data[6] = (unsigned char) (0x70 | below >> 8);
	id->data[7] = (unsigned char) below;
	id->data[8] = (id->data[8] & 0x3f) | 0x80;
}

/* imgexport.new_id() returns uuid */
Datum
imgexport_new_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t *id = palloc(sizeof *id);

	new_id(id);
	remember(id);
	PG_RETURN_UUID_P(id);
}
