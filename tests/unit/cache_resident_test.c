/*
 * What the store takes of memory, as the system has it, while results of all sizes come and go: not above its limit. With jemalloc, and
 * without sanitizers, which bring an allocator of their own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "map.h"
#include "rkey.h"
#include "store_kit.h"

#define LIMIT (UINT64_C(64) << 20)
#define SMALLER (LIMIT / 8)
#define READS 450000
#define KEYS 400000
#define HOT 1000
#define SIZE_MOST 32768
#define OWN (UINT64_C(1) << 20) /* of the program, and of its allocator for all else */

const char *malloc_conf = "dirty_decay_ms:0,muzzy_decay_ms:0"; /* what is freed elsewhere is no part of it */

static uint64_t random_state = 88172645463325252;

static uint64_t next_random(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long all, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &all, &pages), 2);
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t grown_since(uint64_t before)
{
	uint64_t now = resident();

	return now > before ? now - before : 0;
}

/* Half of them below 64 bytes, a quarter below 128, and so on: all sizes have as much of the memory. */
static size_t size_of(uint64_t key, bool small)
{
	size_t size = 32;

	for (uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15) >> 20; h & 1 && size < SIZE_MOST / 2; h >>= 1)
		size *= 2;
	size += (size_t)(key * UINT64_C(0xc2b2ae3d27d4eb4f) >> 40) % size;
	return small ? size % 400 : size;
}

static void read_one(struct fixture *f, uint64_t key, uint64_t now, bool small)
{
	static const char data[SIZE_MOST];
	char text[80];
	struct span k = span_of(text, (size_t)snprintf(text, sizeof(text), "an account, and SELECT a, b FROM t WHERE id = %llu", (unsigned long long)key));
	cache_tag tag = cache_tag_row(cache_tag_key(1, span_str("id")), span_of(&key, sizeof(key)));
	uint64_t version = versions_get(f->v, rkey_slot(tag)), hash = map_hash(k.p, k.len);
	struct entry_parts p = {.key = entry_key_of(k, 0), .data = span_of(data, size_of(key, small)), .tags = &tag, .versions = &version, .ntags = 1,
				.epoch = versions_epoch(f->v), .read_ns = now, .expires_ns = now + (key % 20 ? 3600 : 2) * NS_PER_SEC};
	struct entry *e;

	if (store_get(f->s, p.key, hash, now, 0, &f->fx, &e) != RC_OK) {
		e = entry_new(&p);
		assert_non_null(e);
		(void)!store_put(f->s, e, hash, now, &f->fx);
	}
	entry_unref(e);
}

static void write_one(struct fixture *f, uint64_t key, uint64_t now)
{
	cache_tag tag = cache_tag_row(cache_tag_key(1, span_str("id")), span_of(&key, sizeof(key)));
	struct versions_pos pos = versions_pos_of(f->v, NULL, now, 0);

	versions_bump(f->v, rkey_slot(tag), &pos, now, false);
}

static void churn(struct fixture *f, uint64_t before, bool small)
{
	static uint64_t now = 1;
	bool full = false;

	for (unsigned i = 0; i < READS; i++) {
		now += NS_PER_SEC / 300;
		if (next_random(30) == 0)
			write_one(f, next_random(HOT), now);
		else
			read_one(f, next_random(3) ? next_random(KEYS) : next_random(HOT), now, small);
		if (i % 100)
			continue;
		full |= f->fx.evicted > 0;
		assert_in_range(store_resident(f->s), 0, LIMIT * 102 / 100);
		assert_in_range(grown_since(before), full ? LIMIT * 85 / 100 : 0, LIMIT * 102 / 100 + OWN);
	}
	assert_true(full);
	assert_true(store_bytes(f->s) >= LIMIT / 2); /* and most of it is results */
}

/* The versions have a size of their own. */
static void touch_versions(struct fixture *f)
{
	struct versions_pos pos = versions_pos_of(f->v, NULL, 1, 0);

	for (uint32_t slot = 0; slot < RKEY_SLOTS; slot++)
		versions_bump(f->v, slot, &pos, 1, false);
}

static void test_memory_stays_within_the_limit(void **state)
{
	struct fixture f = fixture_new(LIMIT);
	uint64_t before;

	(void)state;
	touch_versions(&f);
	before = resident();
	churn(&f, before, false);
	churn(&f, before, true);  /* the results are others now, */
	churn(&f, before, false); /* and again */
	store_clear(f.s);
	assert_in_range(store_resident(f.s), 0, LIMIT);
	fixture_free(&f);
}

/* A limit that a reload has made smaller is one of memory, too: of what was among a hundred others each had a page of its own. */
static void test_a_smaller_limit_gives_memory_back(void **state)
{
	struct fixture f = fixture_new(LIMIT);
	uint64_t before, now = 1;

	(void)state;
	touch_versions(&f);
	before = resident();
	for (unsigned i = 0; i < READS; i++)
		read_one(&f, i, now, true);
	assert_in_range(grown_since(before), LIMIT * 85 / 100, LIMIT * 102 / 100 + OWN);
	store_set_limit(f.s, SMALLER, &f.fx);
	assert_in_range(store_resident(f.s), 0, SMALLER);
	assert_in_range(grown_since(before), 0, SMALLER + 4 * OWN); /* what the index had lies scattered */
	for (unsigned i = 0; i < READS; i++) {
		read_one(&f, READS + next_random(SMALLER / 500), now, true);
		if (i % 100 == 0)
			assert_in_range(store_resident(f.s), 0, SMALLER * 103 / 100); /* the index doubles at once */
	}
	assert_true(store_bytes(f.s) >= SMALLER * 3 / 5);
	store_set_limit(f.s, 0, &f.fx);
	assert_in_range(grown_since(before), 0, 4 * OWN);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_stays_within_the_limit),
		cmocka_unit_test(test_a_smaller_limit_gives_memory_back),
	};

	return cmocka_run_group_tests_name("cache_resident", tests, NULL, NULL);
}
