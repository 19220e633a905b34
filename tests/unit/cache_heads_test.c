/*
 * What many keys begin with is kept once (heads.h), counted, and compared in full.
 */
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
#include "versions.h"

#define HEAD 1000 /* bytes: as a client of many variables has, or a prepared statement */

/* A key of HEAD bytes that say `head`, and a number. */
static struct span key_of(char *buf, char head, unsigned n)
{
	memset(buf, head, HEAD);
	return span_of(buf, HEAD + (size_t)snprintf(buf + HEAD, 16, "%u", n));
}

static struct entry *make(struct fixture *f, struct span key, struct span data)
{
	const cache_tag tag = 7;
	uint64_t version = versions_get(f->v, rkey_slot(tag));
	struct entry_parts p = {.key = entry_key_of(key, HEAD), .heads = store_heads(f->s), .data = data, .tags = &tag, .versions = &version,
				.ntags = 1, .epoch = versions_epoch(f->v), .expires_ns = UINT64_MAX};

	return entry_new(&p);
}

static enum rc put(struct fixture *f, char head, unsigned n)
{
	char buf[HEAD + 16];
	struct span key = key_of(buf, head, n);
	struct entry *e = make(f, key, span_of(&n, sizeof(n)));
	enum rc rc;

	assert_non_null(e);
	rc = store_put(f->s, e, map_hash(key.p, key.len), 0, &f->fx);
	entry_unref(e);
	return rc;
}

static bool get(struct fixture *f, char head, unsigned n)
{
	char buf[HEAD + 16];
	struct span key = key_of(buf, head, n);
	struct entry *e;

	if (store_get(f->s, entry_key_of(key, HEAD), map_hash(key.p, key.len), 0, 0, &f->fx, &e) != RC_OK)
		return false;
	assert_int_equal(e->pub.len, sizeof(n));
	assert_memory_equal(entry_data(e), &n, sizeof(n));
	assert_true(span_eq(entry_key(e).head, span_of(buf, HEAD)));
	entry_unref(e);
	return true;
}

static void test_a_head_is_kept_once(void **state)
{
	struct fixture f = fixture_new(1 << 20);

	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(put(&f, i % 2 ? 'a' : 'b', i), RC_OK);
	for (unsigned i = 0; i < 200; i++) {
		assert_true(get(&f, i % 2 ? 'a' : 'b', i));
		assert_false(get(&f, i % 2 ? 'b' : 'a', i));
	}
	assert_true(heads_bytes(store_heads(f.s)) > 2 * HEAD);
	assert_true(heads_bytes(store_heads(f.s)) < 2 * HEAD + 256);
	assert_true(store_bytes(f.s) < 2 * HEAD + 256 + 200 * UINT64_C(160));
	store_clear(f.s);
	assert_int_equal(store_bytes(f.s), 0);
	assert_false(get(&f, 'a', 1));
	fixture_free(&f);
}

/* C3: the same hash, the same rest, another head: another key. */
static void test_heads_are_compared_in_full(void **state)
{
	struct fixture f = fixture_new(1 << 20);
	char one[HEAD + 16], other[HEAD + 16];
	struct span k = key_of(one, 'a', 1), l = key_of(other, 'a', 1);
	struct entry *e = make(&f, k, span_str("x")), *got;

	other[HEAD - 1] = 'b';
	assert_int_equal(store_put(f.s, e, 42, 0, &f.fx), RC_OK);
	assert_int_equal(store_get(f.s, entry_key_of(l, HEAD), 42, 0, 0, &f.fx, &got), RC_DECLINED);
	assert_int_equal(store_get(f.s, entry_key_of(k, HEAD), 42, 0, 0, &f.fx, &got), RC_OK);
	entry_unref(got);
	entry_unref(e);
	fixture_free(&f);
}

/* F3: whoever has a head of his own for each key pays for all of them. */
static void test_heads_are_in_the_limit(void **state)
{
	const uint64_t limit = 64 * 1024;
	struct fixture f = fixture_new(limit);

	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(put(&f, (char)(i % 251), i), RC_OK);
		assert_true(store_bytes(f.s) <= limit);
	}
	assert_true(store_entries(f.s) > limit / 2 / (HEAD + 256));
	store_set_limit(f.s, 2 * (HEAD + 256), &f.fx);
	assert_true(store_bytes(f.s) <= 2 * (HEAD + 256));
	store_set_limit(f.s, HEAD, &f.fx);
	assert_int_equal(put(&f, 'x', 1), RC_DECLINED); /* its head alone is larger than half of that */
	assert_int_equal(store_bytes(f.s), 0);
	fixture_free(&f);
}

static void test_a_head_outlives_the_store(void **state)
{
	struct fixture f = fixture_new(1 << 20);
	char buf[HEAD + 16];
	struct entry *e = make(&f, key_of(buf, 'a', 1), span_str("x")), *second = make(&f, key_of(buf, 'a', 2), span_str("x"));

	assert_ptr_equal(e->head, second->head);
	fixture_free(&f);
	entry_unref(second);
	assert_true(span_eq(entry_key(e).head, span_of(buf, HEAD)));
	entry_unref(e);
}

static void test_without_memory_there_is_no_entry(void **state)
{
	struct fixture f = fixture_new(1 << 20);
	char buf[HEAD + 16];
	struct span key = key_of(buf, 'a', 1);
	unsigned failed = 0;

	for (unsigned n = 1; n < 5; n++) { /* the entry, its head, the first buckets: what is there stays whole */
		struct entry *e;

		mem_fail_after(n, 1);
		e = make(&f, key, span_str("x"));
		mem_fail_after(0, 0);
		if (e)
			entry_unref(e);
		else
			failed++;
		assert_int_equal(heads_bytes(store_heads(f.s)), 0);
	}
	assert_true(failed >= 3);
	assert_int_equal(put(&f, 'a', 1), RC_OK);
	assert_true(get(&f, 'a', 1));
	fixture_free(&f);
}

static void *take_and_drop(void *arg)
{
	struct heads *h = arg;
	struct head *held[8] = {NULL};
	unsigned x = (unsigned)(uintptr_t)&held;
	char bytes[4];

	for (unsigned i = 0; i < 50000; i++) {
		x = x * 1103515245 + 12345;
		memset(bytes, (int)(x >> 8) % 5, sizeof(bytes));
		head_drop(held[i % 8]);
		held[i % 8] = heads_take(h, span_of(bytes, sizeof(bytes)));
		assert_non_null(held[i % 8]);
		assert_memory_equal(held[i % 8]->bytes, bytes, sizeof(bytes));
	}
	for (unsigned i = 0; i < 8; i++)
		head_drop(held[i]);
	return NULL;
}

static void test_threads_share_heads(void **state)
{
	struct heads *h = heads_new();
	pthread_t t[4];

	assert_non_null(h);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, take_and_drop, h), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(heads_bytes(h), 0);
	heads_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_head_is_kept_once),
		cmocka_unit_test(test_heads_are_compared_in_full),
		cmocka_unit_test(test_heads_are_in_the_limit),
		cmocka_unit_test(test_a_head_outlives_the_store),
		cmocka_unit_test(test_without_memory_there_is_no_entry),
		cmocka_unit_test(test_threads_share_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
