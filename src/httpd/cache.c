/*
 * cache.c
 *		Bodies that were sent lately.
 *
 * Keys are a path that has an image and a reduced Accept (accept.c), and count as what they
 * take, like all else here.
 *
 * Nothing is sent from here without the database having said that it is still what it was
 * and that this client may have it; what is saved is reading the bytes.  Those that were used
 * longest ago make room.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/cache.h"
#include "httpd/memory.h"
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
	size_t size; /* of this, with the key */
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
weight(const Entry *entry)
{
	return entry->answer->counted + entry->size;
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
	used -= weight(entry);
	memory_give(entry->size);
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

static Entry *
make_entry(const char *path, const char *accept, Answer *answer)
{
	char *key = make_key(path, accept);
	size_t size = sizeof(Entry) + (key ? strlen(key) : 0) + 1;
	Entry *entry = NULL;

	if (key != NULL && answer->counted + size <= ENTRY_MAX_BYTES &&
		answer->counted + size <= options.cache_bytes && memory_take(size))
	{
		entry = malloc(size);
		if (entry == NULL)
			memory_give(size);
	}
	if (entry != NULL)
	{
		entry->size = size;
		strcpy(entry->key, key);
		entry->bucket = bucket_of(key);
		entry->answer = answer_share(answer);
	}
	free(key);
	return entry;
}

/* Keep an answer for its path, in place of one that is kept. */
void
cache_keep(const char *path, const char *accept, Answer *answer)
{
	Entry *entry = make_entry(path, accept, answer);
	Entry *before;

	if (entry == NULL)
		return;
	pthread_mutex_lock(&lock);
	before = find(entry->key, entry->bucket);
	if (before != NULL)
		drop(before);
	while (oldest != NULL && used + weight(entry) > options.cache_bytes)
		drop(oldest);
	used += weight(entry);
	entry->next = buckets[entry->bucket];
	buckets[entry->bucket] = entry;
	link_newest(entry);
	pthread_mutex_unlock(&lock);
}

/* Others need so many bytes more than the images that were used lately. */
void
cache_make_room(size_t bytes)
{
	size_t freed = 0;

	pthread_mutex_lock(&lock);
	while (oldest != NULL && freed < bytes)
	{
		freed += weight(oldest);
		drop(oldest);
	}
	pthread_mutex_unlock(&lock);
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
