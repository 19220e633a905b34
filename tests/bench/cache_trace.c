/*
 * cache_trace.c - how often the store hits, and what a hit costs, beside FIFO and LRU of the same bytes on the same traces.
 *
 * usage: cache_trace [requests]
 * Traces are made here from fixed seeds: Zipf (skew 0.8 and 1.0), Zipf with scans over cold keys between, a popularity that
 * moves, and a loop larger than the store. A key's size follows from its number. The last line is a hit's time.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "list.h"
#include "map.h"
#include "store.h"

#define KEYS 200000
#define STORE_BYTES (UINT64_C(16) << 20) /* about a tenth of all keys' results */
#define SCAN_FROM 1000000                /* cold keys have numbers from here */

static uint64_t random_state = 88172645463325252;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static size_t size_of(uint32_t key)
{
	return 200 + (key * UINT64_C(0x9e3779b97f4a7c15) >> 40) % 1400;
}

/* ---- traces ---- */

static double cumulative[KEYS];

static void zipf_prepare(double skew)
{
	double sum = 0;

	for (uint32_t i = 0; i < KEYS; i++)
		cumulative[i] = sum += 1 / pow(i + 1, skew);
	for (uint32_t i = 0; i < KEYS; i++)
		cumulative[i] /= sum;
}

static uint32_t zipf_next(void)
{
	double u = (double)(next_random() >> 11) / (double)(UINT64_C(1) << 53);
	uint32_t low = 0, high = KEYS - 1;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (cumulative[mid] < u)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

enum trace { ZIPF_08, ZIPF_10, SCANS, MOVING, LOOP, TRACES };
static const char *const trace_name[] = {"zipf 0.8", "zipf 1.0", "zipf 1.0 and scans", "moving zipf 1.0", "loop"};

static uint32_t trace_next(enum trace t, uint64_t i)
{
	switch (t) {
	case SCANS: /* every fifth stretch of 10000 is a scan of keys never seen again */
		return i / 10000 % 5 == 4 ? SCAN_FROM + (uint32_t)i : zipf_next();
	case MOVING: /* the order of popularity shifts by 1000 keys each 100000 requests */
		return (zipf_next() + (uint32_t)(i / 100000) * 1000) % KEYS;
	case LOOP:
		return (uint32_t)(i % 30000);
	default:
		return zipf_next();
	}
}

/* ---- the store ---- */

struct stored {
	struct versions *v;
	struct store *s;
};

static bool stored_request(struct stored *x, uint32_t key)
{
	static const char data[2048];
	struct span k = span_of(&key, sizeof(key));
	struct entry_parts p = {.key = k, .data = span_of(data, size_of(key)), .epoch = 1, .expires_ns = UINT64_MAX};
	uint64_t hash = map_hash(k.p, k.len);
	struct store_effects fx = {0};
	struct entry *e;
	bool hit = store_get(x->s, k, hash, 1, 0, &fx, &e) == RC_OK;

	if (!hit) {
		e = entry_new(&p);
		if (!e || store_put(x->s, e, hash, 1, &fx) != RC_OK)
			abort();
	}
	entry_unref(e);
	return hit;
}

/* ---- FIFO and LRU ---- */

struct plain_item {
	struct map_node node;
	struct list_node order;
	uint32_t key;
};

struct plain {
	struct map map;
	struct list list; /* next to go first */
	uint64_t bytes;
	bool lru;
};

static bool plain_eq(const struct map_node *node, const void *key)
{
	return container_of(node, struct plain_item, node)->key == *(const uint32_t *)key;
}

static uint64_t charge(uint32_t key) /* as the store charges */
{
	return (sizeof(struct entry) + sizeof(key) + size_of(key) + 15) / 16 * 16 + 24;
}

static void plain_evict(struct plain *p)
{
	struct plain_item *i = container_of(list_pop_front(&p->list), struct plain_item, order);

	map_remove(&p->map, &i->node);
	p->bytes -= charge(i->key);
	free(i);
}

static bool plain_request(struct plain *p, uint32_t key)
{
	uint64_t hash = map_hash(&key, sizeof(key));
	struct map_node *n = map_find(&p->map, hash, &key);
	struct plain_item *i;

	if (n) {
		i = container_of(n, struct plain_item, node);
		if (p->lru) {
			list_remove(&p->list, &i->order);
			list_push_back(&p->list, &i->order);
		}
		return true;
	}
	i = calloc(1, sizeof(*i));
	if (!i || map_insert(&p->map, &i->node, hash) != RC_OK)
		abort();
	i->key = key;
	list_push_back(&p->list, &i->order);
	p->bytes += charge(key);
	while (p->bytes > STORE_BYTES)
		plain_evict(p);
	return false;
}

static struct plain plain_new(bool lru)
{
	struct plain p = {.lru = lru};

	map_init(&p.map, plain_eq);
	return p;
}

static void plain_free(struct plain *p)
{
	while (p->list.count)
		plain_evict(p);
	map_reset(&p->map);
}

/* ---- runs ---- */

static void run_trace(enum trace t, uint64_t requests)
{
	struct stored s = {.v = versions_new(NS_PER_SEC)};
	struct plain fifo = plain_new(false), lru = plain_new(true);
	uint64_t hits[3] = {0};

	list_init(&fifo.list);
	list_init(&lru.list);
	s.s = s.v ? store_new(s.v, STORE_BYTES) : NULL;
	if (!s.s)
		abort();
	random_state = 88172645463325252;
	zipf_prepare(t == ZIPF_08 ? 0.8 : 1.0);
	for (uint64_t i = 0; i < requests; i++) {
		uint32_t key = trace_next(t, i);

		hits[0] += stored_request(&s, key);
		hits[1] += plain_request(&fifo, key);
		hits[2] += plain_request(&lru, key);
	}
	printf("%-20s store %5.1f %%   fifo %5.1f %%   lru %5.1f %%\n", trace_name[t], 100.0 * (double)hits[0] / (double)requests,
	       100.0 * (double)hits[1] / (double)requests, 100.0 * (double)hits[2] / (double)requests);
	plain_free(&fifo);
	plain_free(&lru);
	store_free(s.s);
	versions_free(s.v);
}

static void run_hits(uint64_t requests)
{
	struct stored s = {.v = versions_new(NS_PER_SEC)};
	uint64_t began;

	s.s = s.v ? store_new(s.v, STORE_BYTES) : NULL;
	if (!s.s)
		abort();
	for (uint32_t key = 0; key < 1000; key++)
		(void)stored_request(&s, key);
	began = clock_mono_ns();
	for (uint64_t i = 0; i < requests; i++)
		(void)stored_request(&s, (uint32_t)(i % 1000));
	printf("a hit takes %.0f ns (hash, lock, look-up, comparison, versions, reference and its release)\n",
	       (double)(clock_mono_ns() - began) / (double)requests);
	store_free(s.s);
	versions_free(s.v);
}

int main(int argc, char **argv)
{
	uint64_t requests = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;

	if (requests == 0)
		return 1;
	for (enum trace t = 0; t < TRACES; t++)
		run_trace(t, requests);
	run_hits(requests);
	return 0;
}
