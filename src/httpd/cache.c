/*
 * cache.c
 *		Bodies that were sent lately.
 *
 * Nothing is sent from here without the database having said that it is still what it was
 * and that this client may have it; what is saved is reading the bytes.  Those that were used
 * longest ago make room.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/cache.h"
#include "httpd/options.h"

#define BUCKETS 4096

/* Of a body and its headers; larger ones come in slices. */
#define ENTRY_MAX_BYTES (2 << 20)

typedef struct Entry
{
	struct Entry *next;	 /* in its bucket */
	struct Entry *newer; /* by use */
	struct Entry *older;
	Answer *answer;
	unsigned bucket;
	char key[];
} Entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Entry *buckets[BUCKETS];
static Entry *newest;
static Entry *oldest;
static size_t used;

static char *
make_key(const char *path, const char *accept)
{
	size_t size = strlen(path) + strlen(accept) + 2;
	char *key = malloc(size);

	if (key != NULL)
	{
		strcpy(key, path);
		strcat(key, "\n");
		strcat(key, accept);
	}
	return key;
}

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/). */
static unsigned
bucket_of(const char *key)
{
	uint32_t hash = 2166136261u;

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char) *key) * 16777619u;
	return hash % BUCKETS;
}

static size_t
weight(const Answer *answer)
{
	return answer->length + 1024;
}

static void
unlink_use(Entry *entry)
{
	*(entry->newer ? &entry->newer->older : &newest) = entry->older;
	*(entry->older ? &entry->older->newer : &oldest) = entry->newer;
}

static void
link_newest(Entry *entry)
{
	entry->newer = NULL;
	entry->older = newest;
	*(newest ? &newest->newer : &oldest) = entry;
	newest = entry;
}

static void
drop(Entry *entry)
{
	Entry **link = &buckets[entry->bucket];

	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	unlink_use(entry);
	used -= weight(entry->answer);
	answer_release(entry->answer);
	free(entry);
}

static Entry *
find(const char *key, unsigned bucket)
{
	for (Entry *entry = buckets[bucket]; entry != NULL; entry = entry->next)
		if (strcmp(entry->key, key) == 0)
			return entry;
	return NULL;
}

/* What was sent for a path, the caller's to release; NULL: nothing that is kept. */
Answer *
cache_find(const char *path, const char *accept)
{
	char *key = make_key(path, accept);
	Answer *found = NULL;
	Entry *entry;

	if (key == NULL)
		return NULL;
	pthread_mutex_lock(&lock);
	entry = find(key, bucket_of(key));
	if (entry != NULL)
	{
		unlink_use(entry);
		link_newest(entry);
		found = answer_share(entry->answer);
	}
	pthread_mutex_unlock(&lock);
	free(key);
	return found;
}

/* Keep an answer for its path, in place of one that is kept. */
void
cache_keep(const char *path, const char *accept, Answer *answer)
{
	char *key = make_key(path, accept);
	Entry *entry = key ? malloc(sizeof *entry + strlen(key) + 1) : NULL;
	Entry *before;

	if (entry == NULL || weight(answer) > ENTRY_MAX_BYTES ||
		weight(answer) > options.cache_bytes)
	{
		free(entry);
		free(key);
		return;
	}
	strcpy(entry->key, key);
	entry->bucket = bucket_of(key);
	entry->answer = answer_share(answer);
	pthread_mutex_lock(&lock);
	before = find(key, entry->bucket);
	if (before != NULL)
		drop(before);
	while (used + weight(answer) > options.cache_bytes)
		drop(oldest);
	used += weight(answer);
	entry->next = buckets[entry->bucket];
	buckets[entry->bucket] = entry;
	link_newest(entry);
	pthread_mutex_unlock(&lock);
	free(key);
}

/* Give all memory back. */
void
cache_clear(void)
{
	pthread_mutex_lock(&lock);
	while (oldest != NULL)
		drop(oldest);
	pthread_mutex_unlock(&lock);
}
