#include "heads.h"

#include <pthread.h>
#include <string.h>

#include "arena.h"
#include "mem.h"

#define OWN 32 /* bytes the allocator adds, and a head's share of the map's buckets */

struct heads {
	pthread_mutex_t lock;
	struct map map;        /* under lock */
	bool abandoned;        /* nobody will take from it any more: who drops its last head frees it; under lock */
	_Atomic uint64_t bytes;
};

static bool same_bytes(const struct map_node *node, const void *bytes)
{
	return span_eq(head_span(container_of(node, struct head, node)), *(const struct span *)bytes);
}

struct heads *heads_new(void)
{
	struct heads *h = mem_zalloc(sizeof(*h));

	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	map_init(&h->map, same_bytes);
	return h;
}

static void destroy(struct heads *h)
{
	map_reset(&h->map);
	pthread_mutex_destroy(&h->lock);
	mem_free(h);
}

void heads_free(struct heads *h)
{
	bool held;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->abandoned = true;
	held = h->map.count > 0;
	pthread_mutex_unlock(&h->lock);
	if (!held)
		destroy(h);
}

uint64_t heads_bytes(const struct heads *h)
{
	return atomic_load_explicit(&h->bytes, memory_order_relaxed);
}

uint32_t head_charge(const struct head *d)
{
	return d ? (uint32_t)sizeof(*d) + d->len + OWN : 0;
}

/* Under the lock. */
static struct head *make(struct heads *h, struct span bytes, uint64_t hash)
{
	struct head *d = bytes.len <= INT32_MAX ? arena_alloc(sizeof(*d) + bytes.len) : NULL;

	if (!d)
		return NULL;
	*d = (struct head){.in = h, .len = (uint32_t)bytes.len};
	atomic_init(&d->refs, 1);
	memcpy(d->bytes, bytes.p, bytes.len);
	if (map_insert(&h->map, &d->node, hash) != RC_OK) {
		arena_free(d);
		return NULL;
	}
	atomic_fetch_add_explicit(&h->bytes, head_charge(d), memory_order_relaxed);
	return d;
}

struct head *heads_take(struct heads *h, struct span bytes)
{
	uint64_t hash = map_hash(bytes.p, bytes.len);
	struct map_node *node;
	struct head *d;

	pthread_mutex_lock(&h->lock);
	node = map_find(&h->map, hash, &bytes);
	if (node) {
		d = container_of(node, struct head, node);
		atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	} else {
		d = make(h, bytes, hash);
	}
	pthread_mutex_unlock(&h->lock);
	return d;
}

/* One of several references is given back without the lock. */
static bool dropped_one_of_several(struct head *d)
{
	uint32_t refs = atomic_load_explicit(&d->refs, memory_order_relaxed);

	while (refs > 1) {
		if (atomic_compare_exchange_weak_explicit(&d->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed))
			return true;
	}
	return false;
}

void head_drop(struct head *d)
{
	struct heads *h;
	bool last = false;

	if (!d || dropped_one_of_several(d))
		return;
	h = d->in;
	pthread_mutex_lock(&h->lock);
	if (atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) == 1) { /* else it has been taken meanwhile */
		map_remove(&h->map, &d->node);
		atomic_fetch_sub_explicit(&h->bytes, head_charge(d), memory_order_relaxed);
		arena_free(d);
		last = h->abandoned && h->map.count == 0;
	}
	pthread_mutex_unlock(&h->lock);
	if (last)
		destroy(h);
}
