/*
 * memory.c
 *		One limit for what is kept: connections, heads, bodies, answers, the cache and its keys.
 *
 * Who wants memory for something asks first, and is refused where there is none: the cache then
 * makes room before anything else.  What the database has sent is here already and only
 * counted, so the limit can be passed by an answer a connection; the next request feels it.
 */
#include "httpd/memory.h"
#include "httpd/cache.h"
#include "httpd/options.h"

static size_t used; /* atomic */

/* Memory for something new; false: there is none. */
bool
memory_take(size_t bytes)
{
	size_t now = __atomic_add_fetch(&used, bytes, __ATOMIC_RELAXED);

	if (now <= options.memory_bytes)
		return true;
	cache_make_room(now - options.memory_bytes);
	if (__atomic_load_n(&used, __ATOMIC_RELAXED) <= options.memory_bytes)
		return true;
	memory_give(bytes);
	return false;
}

/* Count what is here already. */
void
memory_count(size_t bytes)
{
	__atomic_add_fetch(&used, bytes, __ATOMIC_RELAXED);
}

void
memory_give(size_t bytes)
{
	__atomic_sub_fetch(&used, bytes, __ATOMIC_RELAXED);
}

size_t
memory_used(void)
{
	return __atomic_load_n(&used, __ATOMIC_RELAXED);
}
