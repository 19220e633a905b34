/*
 * pool.c - free objects lie on an array of pointers, last in first out, so that the warmest memory is used first.
 *
 * The list is kept outside the objects: a write to a freed object cannot corrupt it, and ASan can poison all of them.
 */
#include "pool.h"

#include <assert.h>
#include <string.h>

#include "log.h"
#include "mem.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#endif

#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#define mark_unset(p, n) memset(p, 0xa5, n)
#define poison(p, n) __asan_poison_memory_region(p, n)
#define unpoison(p, n) __asan_unpoison_memory_region(p, n)
#else
#define mark_unset(p, n) ((void)0)
#define poison(p, n) ((void)0)
#define unpoison(p, n) ((void)0)
#endif

struct pool {
	const char *name;
	size_t size;   /* bytes an object */
	size_t clear;  /* of them zeroed by pool_get */
	size_t keep;   /* most objects on the free list */
	size_t live;   /* objects out */
	void **spare;  /* owned; the free list */
	size_t spares; /* objects on it */
	size_t room;   /* pointers `spare` has room for */
};

struct pool *pool_new_part(const char *name, size_t size, size_t clear, size_t keep)
{
	struct pool *pool = mem_zalloc(sizeof(*pool));

	if (!pool)
		return NULL;
	pool->name = name;
	pool->size = size;
	pool->clear = clear;
	pool->keep = keep;
	return pool;
}

struct pool *pool_new(const char *name, size_t size, size_t keep)
{
	return pool_new_part(name, size, size, keep);
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	if (pool->live)
		log_error("pool", "freed with objects out", "pool=%s live=%zu", pool->name, pool->live);
	assert(pool->live == 0);
	for (size_t i = 0; i < pool->spares; i++) {
		unpoison(pool->spare[i], pool->size);
		mem_free(pool->spare[i]);
	}
	mem_free(pool->spare);
	mem_free(pool);
}

void *pool_get(struct pool *pool)
{
	void *object;

	if (pool->spares == 0) {
		object = mem_alloc(pool->size);
	} else if (mem_refuse()) {
		object = NULL;
	} else {
		object = pool->spare[--pool->spares];
		unpoison(object, pool->size);
	}
	if (!object)
		return NULL;
	memset(object, 0, pool->clear);
	mark_unset((char *)object + pool->clear, pool->size - pool->clear);
	pool->live++;
	return object;
}

/* Makes room for one more pointer on the free list. */
static enum rc make_room(struct pool *pool)
{
	size_t room;
	void **grown;

	if (pool->spares < pool->room)
		return RC_OK;
	if (pool->spares >= pool->keep)
		return RC_DECLINED;
	room = pool->room ? pool->room * 2 : 16;
	if (room > pool->keep)
		room = pool->keep;
	grown = mem_realloc(pool->spare, room * sizeof(*grown));
	if (!grown)
		return RC_ERROR;
	pool->spare = grown;
	pool->room = room;
	return RC_OK;
}

void pool_put(struct pool *pool, void *object)
{
	if (!object)
		return;
	assert(pool->live > 0);
	pool->live--;
	if (make_room(pool) != RC_OK) {
		mem_free(object);
		return;
	}
	poison(object, pool->size);
	pool->spare[pool->spares++] = object;
}

size_t pool_live(const struct pool *pool)
{
	return pool->live;
}
