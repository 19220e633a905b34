/*
 * The in-process store: bounded in bytes, resists scans, honours time and versions, counts references across threads.
 */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "map.h"
#include "mem.h"
#include "store.h"
#include "store_kit.h"
#include "tables.h"
#include "versions.h"

#define MIB (UINT64_C(1) << 20)

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

static struct entry *make(struct fixture *f, struct span key, struct span data, cache_tag tag, uint64_t expires)
{
	uint64_t version = versions_get(f->v, rkey_slot(tag));
	struct entry_parts p = {.key = entry_key_of(key, 0), .data = data, .tags = &tag, .versions = &version, .ntags = 1,
				.epoch = versions_epoch(f->v), .rows = 1, .expires_ns = expires};
	struct entry *e = entry_new(&p);

	assert_non_null(e);
	return e;
}

static enum rc put(struct fixture *f, const char *key, size_t len, uint64_t expires)
{
	static const char data[512 * 1024];
	struct span k = span_str(key);
	struct entry *e = make(f, k, span_of(data, len), 7, expires);
	enum rc rc = store_put(f->s, e, map_hash(k.p, k.len), 0, &f->fx);

	entry_unref(e);
	return rc;
}

static bool get(struct fixture *f, const char *key, uint64_t now)
{
	struct span k = span_str(key);
	struct entry *e;

	if (store_get(f->s, entry_key_of(k, 0), map_hash(k.p, k.len), now, 0, &f->fx, &e) != RC_OK)
		return false;
	assert_true(entry_key_eq(entry_key(e), entry_key_of(k, 0)));
	entry_unref(e);
	return true;
}

static const char *numbered(char *buf, size_t cap, const char *prefix, unsigned n)
{
	snprintf(buf, cap, "%s%u", prefix, n);
	return buf;
}

/* An entry of a table's rows, of a rule, that depends on two tags, is counted for less than 128 bytes beyond its key and value. */
static void test_an_entrys_overhead(void **state)
{
	static const char data[2000];
	const cache_tag tags[2] = {cache_tag_table(span_str("s"), span_str("t")), cache_tag_rows(cache_tag_table(span_str("s"), span_str("t")))};
	const uint64_t versions[2] = {1, 2};
	struct tables *t = tables_new();
	uint64_t sum = 0;

	assert_non_null(t);
	for (size_t len = 400; len < 2000; len++) {
		struct entry_parts p = {.key = entry_key_of(span_of(data, len / 4), 0), .data = span_of(data, len), .tags = tags, .versions = versions,
					.ntags = 2, .tables = t, .rule = 5, .epoch = 3, .expires_ns = 1};
		struct entry *e = entry_new(&p);

		assert_non_null(e);
		sum += entry_charge(e) - len - len / 4;
		entry_unref(e);
	}
	assert_true(sum / 1600 < 128);
	assert_true(sum / 1600 > 64); /* it is counted */
	tables_free(t);
}

#define LIMIT (64 * MIB) /* large beside what the allocator keeps for itself */

/* F3: memory is bounded by configuration, whatever the sizes; and what is counted is what the allocator gave. */
static void test_bytes_stay_within_two_percent_of_the_limit(void **state)
{
	struct fixture f = fixture_new(LIMIT);
	uint64_t before = 0, grown;
	char key[64];

#ifndef SANITIZED
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
#endif
	for (unsigned i = 0; i < 160000; i++) {
		assert_int_equal(put(&f, numbered(key, sizeof(key), "key of some length ", i), 200 + i % 3000, UINT64_MAX), RC_OK);
		assert_true(store_bytes(f.s) <= LIMIT);
	}
	assert_true(store_bytes(f.s) >= LIMIT * 98 / 100);
	assert_true(f.fx.evicted > 10000);
#ifndef SANITIZED
	grown = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	assert_true(grown <= LIMIT * 102 / 100);
	assert_true(grown >= LIMIT * 95 / 100);
#else
	(void)grown, (void)before;
#endif
	fixture_free(&f);
}

static void test_a_smaller_limit_evicts_at_once(void **state)
{
	struct fixture f = fixture_new(4 * MIB);
	char key[64];

	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(put(&f, numbered(key, sizeof(key), "k", i), 1000, UINT64_MAX), RC_OK);
	store_set_limit(f.s, MIB, &f.fx);
	assert_true(store_bytes(f.s) <= MIB);
	assert_true(store_bytes(f.s) > MIB / 2);
	store_set_limit(f.s, 0, &f.fx);
	assert_int_equal(store_bytes(f.s), 0);
	assert_int_equal(store_entries(f.s), 0);
	assert_int_equal(put(&f, "k", 10, UINT64_MAX), RC_DECLINED);
	fixture_free(&f);
}

/* What is asked for now fits twice; it must not be left to the few shards that still have room. */
static void test_after_a_smaller_limit_there_is_room_in_every_shard(void **state)
{
	struct fixture f = fixture_new(16 * MIB);
	unsigned found = 0;
	char key[64];

	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(put(&f, numbered(key, sizeof(key), "before ", i), 1000, UINT64_MAX), RC_OK);
	store_set_limit(f.s, MIB, &f.fx);
	for (unsigned i = 0; i < 1200; i++)
		if (!get(&f, numbered(key, sizeof(key), "after ", i % 400), 0))
			assert_int_equal(put(&f, key, 1000, UINT64_MAX), RC_OK);
	for (unsigned i = 0; i < 400; i++)
		found += get(&f, numbered(key, sizeof(key), "after ", i), 0);
	assert_in_range(found, 320, 400);
	fixture_free(&f);
}

static void test_an_entry_larger_than_half_the_limit_is_declined(void **state)
{
	struct fixture f = fixture_new(MIB);

	assert_int_equal(put(&f, "keep", 1000, UINT64_MAX), RC_OK);
	assert_int_equal(put(&f, "huge", 512 * 1024, UINT64_MAX), RC_DECLINED);
	assert_true(get(&f, "keep", 0));
	assert_int_equal(put(&f, "large", 500 * 1024, UINT64_MAX), RC_OK);
	assert_true(get(&f, "large", 0));
	fixture_free(&f);
}

/* Entries hit again and again survive a scan ten times the size of the store. */
static void test_a_scan_does_not_wash_out_what_is_hot(void **state)
{
	struct fixture f = fixture_new(8 * MIB);
	unsigned kept = 0;
	char key[64];

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(put(&f, numbered(key, sizeof(key), "hot", i), 1000, UINT64_MAX), RC_OK);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 1000; i++)
			assert_true(get(&f, numbered(key, sizeof(key), "hot", i), 0));
	}
	for (unsigned i = 0; i < 80000; i++)
		assert_int_equal(put(&f, numbered(key, sizeof(key), "scan", i), 1000, UINT64_MAX), RC_OK);
	for (unsigned i = 0; i < 1000; i++)
		kept += get(&f, numbered(key, sizeof(key), "hot", i), 0);
	assert_true(kept >= 990);
	fixture_free(&f);
}

/* What was thrown out and is asked for again soon goes straight to main: the ghost remembers. */
static void test_a_ghost_comes_back_into_main(void **state)
{
	struct fixture f = fixture_new(4 * MIB);
	char key[64];
	unsigned kept = 0, fresh = 0;

	for (unsigned i = 0; i < 5200; i++)
		assert_int_equal(put(&f, numbered(key, sizeof(key), "a", i), 1000, UINT64_MAX), RC_OK);
	for (unsigned i = 100; i < 140; i++) { /* several, as shards fill unevenly */
		assert_false(get(&f, numbered(key, sizeof(key), "a", i), 0));
		assert_int_equal(put(&f, key, 1000, UINT64_MAX), RC_OK);
	}
	for (unsigned i = 0; i < 8000; i++)
		assert_int_equal(put(&f, numbered(key, sizeof(key), "b", i), 1000, UINT64_MAX), RC_OK);
	for (unsigned i = 100; i < 140; i++) {
		kept += get(&f, numbered(key, sizeof(key), "a", i), 0);
		fresh += get(&f, numbered(key, sizeof(key), "b", i), 0);
	}
	assert_true(kept >= 30);
	assert_int_equal(fresh, 0);
	fixture_free(&f);
}

static void test_an_entry_past_its_time_is_not_served(void **state)
{
	struct fixture f = fixture_new(MIB);

	assert_int_equal(put(&f, "k", 10, 1000 * NS_PER_MS), RC_OK);
	assert_true(get(&f, "k", 1000 * NS_PER_MS - 1));
	assert_false(get(&f, "k", 1000 * NS_PER_MS));
	assert_int_equal(f.fx.expired, 1);
	assert_int_equal(store_entries(f.s), 0);
	fixture_free(&f);
}

/* cache.stale_if_error: past its time by less than the window, and only when asked for. Never past a write. */
static void test_an_expired_entry_is_kept_for_who_may_have_it_stale(void **state)
{
	struct fixture f = fixture_new(MIB);
	struct span k = span_str("k");
	struct versions_pos w = versions_pos_of(f.v, NULL, 1, 1);
	struct entry *e;

	assert_int_equal(put(&f, "k", 10, 1000 * NS_PER_MS), RC_OK);
	assert_int_equal(store_get(f.s, entry_key_of(k, 0), map_hash(k.p, k.len), 1400 * NS_PER_MS, 500 * NS_PER_MS, &f.fx, &e), RC_OK);
	entry_unref(e);
	versions_bump(f.v, rkey_slot(7), &w, 1, false);
	assert_int_equal(store_get(f.s, entry_key_of(k, 0), map_hash(k.p, k.len), 1400 * NS_PER_MS, 500 * NS_PER_MS, &f.fx, &e), RC_DECLINED);
	fixture_free(&f);
}

/* C1: after a write to what it depends on, an entry is not served; C2: nor is one stored under an older version. */
static void test_a_write_kills_what_depends_on_it(void **state)
{
	struct fixture f = fixture_new(MIB);
	struct versions_pos w = versions_pos_of(f.v, NULL, 1, 1);
	struct span k = span_str("late");
	struct entry *late = make(&f, k, span_str("old"), 7, UINT64_MAX);

	assert_int_equal(put(&f, "k", 10, UINT64_MAX), RC_OK);
	versions_bump(f.v, rkey_slot(8), &w, 1, false);
	assert_true(get(&f, "k", 0));
	versions_bump(f.v, rkey_slot(7), &w, 1, false);
	assert_false(get(&f, "k", 0));
	assert_int_equal(store_put(f.s, late, map_hash(k.p, k.len), 0, &f.fx), RC_OK);
	assert_false(get(&f, "late", 0));
	assert_int_equal(put(&f, "k", 10, UINT64_MAX), RC_OK);
	assert_true(get(&f, "k", 0));
	versions_drop_all(f.v, false);
	assert_false(get(&f, "k", 0));
	entry_unref(late);
	fixture_free(&f);
}

/* C3: two keys of one hash are two keys. */
static void test_keys_are_compared_in_full(void **state)
{
	struct fixture f = fixture_new(MIB);
	struct span a = span_of("a\0x", 3), b = span_of("a\0y", 3);
	struct entry *ea = make(&f, a, span_str("A"), 7, UINT64_MAX), *eb = make(&f, b, span_str("B"), 7, UINT64_MAX), *e;

	assert_int_equal(store_put(f.s, ea, 42, 0, &f.fx), RC_OK);
	assert_int_equal(store_get(f.s, entry_key_of(b, 0), 42, 0, 0, &f.fx, &e), RC_DECLINED);
	assert_int_equal(store_put(f.s, eb, 42, 0, &f.fx), RC_OK);
	assert_int_equal(store_get(f.s, entry_key_of(a, 0), 42, 0, 0, &f.fx, &e), RC_OK);
	assert_memory_equal(entry_data(e), "A", 1);
	entry_unref(e);
	entry_unref(ea);
	entry_unref(eb);
	assert_int_equal(store_entries(f.s), 2);
	fixture_free(&f);
}

static void test_a_second_fill_replaces_the_first(void **state)
{
	struct fixture f = fixture_new(MIB);

	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(put(&f, "same", 100 + i, UINT64_MAX), RC_OK);
	assert_int_equal(store_entries(f.s), 1);
	assert_true(store_bytes(f.s) < 1000);
	fixture_free(&f);
}

static void test_a_reference_outlives_the_store(void **state)
{
	struct fixture f = fixture_new(MIB);
	struct span k = span_str("k");
	struct entry *e;

	assert_int_equal(put(&f, "k", 1000, UINT64_MAX), RC_OK);
	assert_int_equal(store_get(f.s, entry_key_of(k, 0), map_hash(k.p, k.len), 0, 0, &f.fx, &e), RC_OK);
	cache_entry_ref(&e->pub);
	fixture_free(&f);
	assert_int_equal(e->pub.len, 1000);
	assert_int_equal(entry_data(e)[999], 0);
	cache_entry_unref(&e->pub);
	cache_entry_unref(&e->pub);
}

/* Every allocation may fail: the store declines and stays whole. */
static void test_out_of_memory_is_answered(void **state)
{
	struct fixture f = fixture_new(MIB);
	char key[64];

	for (unsigned n = 1; n < 6; n++) {
		struct span k = span_str(numbered(key, sizeof(key), "k", n));
		struct entry *e = make(&f, k, span_str("x"), 7, UINT64_MAX);

		mem_fail_after(n, 1);
		(void)!store_put(f.s, e, map_hash(k.p, k.len), 0, &f.fx);
		mem_fail_after(0, 0);
		entry_unref(e);
	}
	assert_int_equal(put(&f, "after", 10, UINT64_MAX), RC_OK);
	assert_true(get(&f, "after", 0));
	fixture_free(&f);
}

struct hammer {
	struct fixture *f;
	unsigned seed;
	uint64_t hits;
};

/* Each entry's bytes all equal its key's number: a torn, freed or swapped entry shows. */
static void *hammer_run(void *arg)
{
	struct hammer *h = arg;
	struct store_effects fx = {0};
	unsigned x = h->seed;
	char data[600], key[32];

	for (unsigned i = 0; i < 20000; i++) {
		struct span k;
		struct entry *e;
		unsigned n;

		x = x * 1103515245 + 12345;
		n = (x >> 8) % 400;
		k = span_str(numbered(key, sizeof(key), "k", n));
		if (store_get(h->f->s, entry_key_of(k, 0), map_hash(k.p, k.len), 0, 0, &fx, &e) == RC_OK) {
			assert_int_equal(entry_data(e)[e->pub.len - 1], (uint8_t)n);
			h->hits++;
		} else {
			memset(data, (int)n, sizeof(data));
			e = make(h->f, k, span_of(data, 100 + n), n, UINT64_MAX);
			(void)!store_put(h->f->s, e, map_hash(k.p, k.len), 0, &fx);
		}
		if (x % 97 == 0) {
			struct versions_pos w = versions_pos_of(h->f->v, NULL, 1, 1);

			versions_bump(h->f->v, rkey_slot(n), &w, 1, false);
		}
		entry_unref(e);
	}
	return NULL;
}

static void test_threads_share_entries(void **state)
{
	struct fixture f = fixture_new(100 * 1024); /* less than all keys need: eviction runs too */
	struct hammer h[4];
	pthread_t t[4];
	uint64_t hits = 0;

	for (unsigned i = 0; i < 4; i++) {
		h[i] = (struct hammer){.f = &f, .seed = i + 1};
		assert_int_equal(pthread_create(&t[i], NULL, hammer_run, &h[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		hits += h[i].hits;
	}
	assert_true(hits > 1000);
	assert_true(store_bytes(f.s) <= 100 * 1024);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_entrys_overhead),
		cmocka_unit_test(test_bytes_stay_within_two_percent_of_the_limit),
		cmocka_unit_test(test_a_smaller_limit_evicts_at_once),
		cmocka_unit_test(test_after_a_smaller_limit_there_is_room_in_every_shard),
		cmocka_unit_test(test_an_entry_larger_than_half_the_limit_is_declined),
		cmocka_unit_test(test_a_scan_does_not_wash_out_what_is_hot),
		cmocka_unit_test(test_a_ghost_comes_back_into_main),
		cmocka_unit_test(test_an_entry_past_its_time_is_not_served),
		cmocka_unit_test(test_an_expired_entry_is_kept_for_who_may_have_it_stale),
		cmocka_unit_test(test_a_write_kills_what_depends_on_it),
		cmocka_unit_test(test_keys_are_compared_in_full),
		cmocka_unit_test(test_a_second_fill_replaces_the_first),
		cmocka_unit_test(test_a_reference_outlives_the_store),
		cmocka_unit_test(test_out_of_memory_is_answered),
		cmocka_unit_test(test_threads_share_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
