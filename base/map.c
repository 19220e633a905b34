/*
 * map.c - chains in a power of two of buckets, doubled when there are as many nodes as buckets.
 */
#include "map.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/random.h>

#define XXH_INLINE_ALL /* keys are short: the call would cost as much as the hash */
#include <xxhash.h>

#include "clock.h"
#include "mem.h"

#define MAP_LEAST 16 /* buckets of the first allocation */

void map_init(struct map *m, map_eq_fn eq)
{
	*m = (struct map){.eq = eq};
}

void map_reset(struct map *m)
{
	mem_free(m->buckets);
	map_init(m, m->eq);
}

static struct map_node **bucket_of(const struct map *m, uint64_t hash)
{
	return &m->buckets[hash & (m->size - 1)];
}

struct map_node *map_find(const struct map *m, uint64_t hash, const void *key)
{
	if (m->count == 0)
		return NULL;
	for (struct map_node *n = *bucket_of(m, hash); n; n = n->next) {
		if (n->hash == hash && m->eq(n, key))
			return n;
	}
	return NULL;
}

static void chain(struct map *m, struct map_node *node)
{
	struct map_node **at = bucket_of(m, node->hash);

	node->next = *at;
	*at = node;
}

/* size: a power of two */
static enum rc resize(struct map *m, size_t size)
{
	struct map old = *m;

	if (size > SIZE_MAX / sizeof(*m->buckets))
		return RC_ERROR;
	m->buckets = mem_zalloc(size * sizeof(*m->buckets));
	if (!m->buckets) {
		m->buckets = old.buckets;
		return RC_ERROR;
	}
	m->size = size;
	for (size_t i = 0; i < old.size; i++) {
		for (struct map_node *n = old.buckets[i], *next; n; n = next) {
			next = n->next;
			chain(m, n);
		}
	}
	mem_free(old.buckets);
	return RC_OK;
}

static enum rc grow(struct map *m)
{
	return resize(m, m->size ? m->size * 2 : MAP_LEAST);
}

void map_fit(struct map *m)
{
	size_t size = MAP_LEAST;

	if (m->count == 0) {
		map_reset(m);
		return;
	}
	while (size < m->count)
		size *= 2;
	if (size < m->size)
		(void)!resize(m, size); /* without memory they stay as many as they are */
}

enum rc map_insert(struct map *m, struct map_node *node, uint64_t hash)
{
	/* Without memory for more buckets the chains get longer; only a map without any must refuse. */
	if (m->count >= m->size && grow(m) != RC_OK && m->size == 0)
		return RC_ERROR;
	node->hash = hash;
	chain(m, node);
	m->count++;
	return RC_OK;
}

void map_remove(struct map *m, struct map_node *node)
{
	struct map_node **at;

	assert(m->count > 0);
	for (at = bucket_of(m, node->hash); *at != node; at = &(*at)->next)
		assert(*at);
	*at = node->next;
	node->next = NULL;
	m->count--;
}

size_t map_replace_each(struct map *m, size_t bucket, struct map_node *(*fn)(struct map_node *node))
{
	struct map_node **at = &m->buckets[bucket & (m->size - 1)];
	size_t n = 0;

	for (; *at; at = &(*at)->next, n++)
		*at = fn(*at);
	return n;
}

void map_each(struct map *m, void (*fn)(struct map_node *node, void *arg), void *arg)
{
	for (size_t i = 0; i < m->size; i++) {
		for (struct map_node *n = m->buckets[i], *next; n; n = next) {
			next = n->next;
			fn(n, arg);
		}
	}
}

/* Made by whoever asks first; 0 = not made yet. */
static uint64_t hash_seed(void)
{
	static _Atomic uint64_t seed;
	uint64_t now = atomic_load_explicit(&seed, memory_order_relaxed), made = 0;

	if (likely(now != 0))
		return now;
	if (getrandom(&made, sizeof(made), 0) != (ssize_t)sizeof(made))
		made = clock_mono_ns() ^ (clock_wall_us() << 20) ^ (uint64_t)(uintptr_t)&made;
	made |= 1;
	if (atomic_compare_exchange_strong(&seed, &now, made))
		return made;
	return now;
}

uint64_t map_hash(const void *key, size_t len)
{
	return XXH3_64bits_withSeed(key, len, hash_seed());
}
