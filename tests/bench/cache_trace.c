/*
 * cache_trace.c - how often the store hits, and what a hit costs, beside FIFO, LRU and W-TinyLFU of the same bytes on the same traces.
 *
 * usage: cache_trace [requests] | cache_trace --check
 * Traces are made here from fixed seeds: Zipf (skew 0.8 and 1.0), Zipf with scans over cold keys between, a popularity that
 * moves, and a loop larger than the store. A key's size follows from its number. The last line is a hit's time.
 * --check, the test, has a quarter of the keys and of the store, and fewer requests: exit 1 if on any trace the store hits more seldom
 * than FIFO or LRU, or by more than BEHIND less than W-TinyLFU, or keeps less of the loop than LOOP_LEAST.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "map.h"
#include "policy.h"
#include "store.h"

#define KEYS_MOST 200000
#define STORE_BYTES (UINT64_C(16) << 20) /* about a tenth of all keys' results */
#define CHECK_SHARE 4
#define SCAN_FROM 1000000                /* cold keys have numbers from here */
#define BEHIND 0.06
#define LOOP_LEAST 0.2

static uint32_t keys = KEYS_MOST;
static uint64_t store_limit_bytes = STORE_BYTES;

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

static double cumulative[KEYS_MOST];

static void zipf_prepare(double skew)
{
	double sum = 0;

	for (uint32_t i = 0; i < keys; i++)
		cumulative[i] = sum += 1 / pow(i + 1, skew);
	for (uint32_t i = 0; i < keys; i++)
		cumulative[i] /= sum;
}

static uint32_t zipf_next(void)
{
	double u = (double)(next_random() >> 11) / (double)(UINT64_C(1) << 53);
	uint32_t low = 0, high = keys - 1;

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
	case SCANS: /* every fifth stretch, of a twentieth of the keys, is a scan of keys never seen again */
		return i / (keys / 20) % 5 == 4 ? SCAN_FROM + (uint32_t)i : zipf_next();
	case MOVING: /* the order of popularity shifts by a 200th of the keys with every half of them */
		return (zipf_next() + (uint32_t)(i / (keys / 2)) * (keys / 200)) % keys;
	case LOOP:
		return (uint32_t)(i % (keys * 3 / 20));
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
	struct entry_parts p = {.key = entry_key_of(k, 0), .data = span_of(data, size_of(key)), .epoch = 1, .expires_ns = UINT64_MAX};
	uint64_t hash = map_hash(k.p, k.len);
	struct store_effects fx = {0};
	struct entry *e;
	bool hit = store_get(x->s, entry_key_of(k, 0), hash, 1, 0, &fx, &e) == RC_OK;

	if (!hit) {
		e = entry_new(&p);
		if (!e || store_put(x->s, e, hash, 1, &fx) != RC_OK)
			abort();
	}
	entry_unref(e);
	return hit;
}

static uint64_t charge(uint32_t key) /* as the store charges */
{
	return (sizeof(struct entry) + sizeof(key) + size_of(key) + 15) / 16 * 16 + 24;
}

/* ---- runs ---- */

static void print_ratios(enum trace t, double store, const double *others)
{
	printf("%-20s store %5.1f %%", trace_name[t], 100 * store);
	for (unsigned k = 0; k < POLICIES; k++)
		printf("   %s %5.1f %%", policy_name[k], 100 * others[k]);
	printf("\n");
}

/* True: the store is as good as it should be. */
static bool run_trace(enum trace t, uint64_t requests)
{
	struct stored s = {.v = versions_new(NS_PER_SEC)};
	struct policy *other[POLICIES];
	double ratio[POLICIES], store = 0;
	uint64_t hits[POLICIES + 1] = {0};

	s.s = s.v ? store_new(s.v, store_limit_bytes) : NULL;
	if (!s.s)
		abort();
	for (unsigned k = 0; k < POLICIES; k++)
		other[k] = policy_new(k, store_limit_bytes, charge);
	random_state = 88172645463325252;
	zipf_prepare(t == ZIPF_08 ? 0.8 : 1.0);
	for (uint64_t i = 0; i < requests; i++) {
		uint32_t key = trace_next(t, i);

		hits[POLICIES] += stored_request(&s, key);
		for (unsigned k = 0; k < POLICIES; k++)
			hits[k] += policy_request(other[k], key);
	}
	store = (double)hits[POLICIES] / (double)requests;
	for (unsigned k = 0; k < POLICIES; k++) {
		ratio[k] = (double)hits[k] / (double)requests;
		policy_free(other[k]);
	}
	print_ratios(t, store, ratio);
	store_free(s.s);
	versions_free(s.v);
	return store >= ratio[POLICY_FIFO] && store >= ratio[POLICY_LRU] &&
	       store >= (t == LOOP ? LOOP_LEAST : ratio[POLICY_TINYLFU] - BEHIND);
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
	bool check = argc > 1 && strcmp(argv[1], "--check") == 0, good = true;
	uint64_t requests = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;

	if (check) {
		keys /= CHECK_SHARE;
		store_limit_bytes /= CHECK_SHARE;
		requests = 300000;
	}
	if (requests == 0)
		return 1;
	for (enum trace t = 0; t < TRACES; t++)
		good &= run_trace(t, requests);
	if (check)
		return good ? 0 : 1;
	run_hits(requests);
	return 0;
}
