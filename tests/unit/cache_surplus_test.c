/*
 * The store where its memory is known to be more than what it counts: it keeps less then, and sets entries down again so that memory
 * becomes free. The arena is this file's own.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"
#include "map.h"
#include "mem.h"
#include "store_kit.h"

#define LIMIT (UINT64_C(4) << 20)
#define SIZE 1000
#define THREADS 4

static _Atomic uint64_t asked, given;  /* bytes that live; how often there were some */
static _Atomic uint64_t percent = 100; /* of what lives that is resident */

void *arena_alloc(size_t size)
{
	size_t *p = mem_alloc(16 + size);

	assert_non_null(p);
	*p = size;
	atomic_fetch_add(&asked, size);
	atomic_fetch_add(&given, 1);
	return (char *)p + 16;
}

void arena_free(void *p)
{
	if (!p)
		return;
	p = (char *)p - 16;
	atomic_fetch_sub(&asked, *(size_t *)p);
	mem_free(p);
}

uint64_t arena_resident(void)
{
	return atomic_load(&asked) * atomic_load(&percent) / 100 + 1;
}

static struct span key_of(char text[32], unsigned n)
{
	return span_of(text, (size_t)snprintf(text, 32, "key %u", n));
}

/* Its bytes tell whose it is. */
static enum rc put(struct store *s, struct versions *v, unsigned n, struct store_effects *fx)
{
	char text[32], data[SIZE];
	struct span k = key_of(text, n);
	struct entry_parts p = {.key = entry_key_of(k, 0), .data = span_of(data, sizeof(data)), .epoch = versions_epoch(v), .expires_ns = UINT64_MAX};
	struct entry *e;
	enum rc rc;

	for (unsigned i = 0; i < SIZE; i++)
		data[i] = (char)(n + i);
	e = entry_new(&p);
	assert_non_null(e);
	rc = store_put(s, e, map_hash(k.p, k.len), 0, fx);
	entry_unref(e);
	return rc;
}

static struct entry *get(struct store *s, unsigned n, struct store_effects *fx)
{
	char text[32];
	struct span k = key_of(text, n);
	struct entry *e;

	return store_get(s, entry_key_of(k, 0), map_hash(k.p, k.len), 0, 0, fx, &e) == RC_OK ? e : NULL;
}

static void is_of(const struct entry *e, unsigned n)
{
	assert_int_equal(e->pub.len, SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(entry_data(e)[i], (uint8_t)(n + i));
}

static void fill(struct fixture *f, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		assert_int_equal(put(f->s, f->v, i, &f->fx), RC_OK);
}

static void test_memory_is_what_stays_within_the_limit(void **state)
{
	struct fixture f = fixture_new(LIMIT);

	(void)state;
	atomic_store(&percent, 125);
	fill(&f, 0, 8000);
	assert_in_range(store_resident(f.s), LIMIT * 97 / 100, LIMIT * 102 / 100);
	assert_in_range(store_bytes(f.s), LIMIT * 76 / 100, LIMIT * 84 / 100);
	atomic_store(&percent, 150); /* it is worse now, */
	fill(&f, 8000, 8000);
	assert_in_range(store_resident(f.s), LIMIT * 97 / 100, LIMIT * 102 / 100);
	atomic_store(&percent, 100); /* and as it is counted */
	fill(&f, 16000, 8000);
	assert_in_range(store_bytes(f.s), LIMIT * 94 / 100, LIMIT);
	fixture_free(&f);
}

static void test_half_of_it_is_results_whatever_happens(void **state)
{
	struct fixture f = fixture_new(LIMIT);

	(void)state;
	atomic_store(&percent, 1000);
	fill(&f, 0, 8000);
	assert_in_range(store_bytes(f.s), LIMIT * 48 / 100, LIMIT * 52 / 100);
	fixture_free(&f);
}

static void test_entries_are_set_down_again_but_for_those_that_somebody_has(void **state)
{
	struct fixture f = fixture_new(LIMIT);
	struct entry *held, *e;

	(void)state;
	atomic_store(&percent, 100);
	fill(&f, 0, 2000);
	held = get(f.s, 7, &f.fx);
	assert_non_null(held);
	atomic_store(&percent, 150);
	atomic_store(&given, 0);
	for (unsigned i = 0; i < 4000; i++) /* of the same keys: as many as there were */
		assert_int_equal(put(f.s, f.v, i % 2000, &f.fx), RC_OK);
	assert_true(atomic_load(&given) > 8000); /* more than came */
	is_of(held, 7);
	for (unsigned i = 0; i < 2000; i++) {
		e = get(f.s, i, &f.fx);
		assert_non_null(e);
		is_of(e, i);
		entry_unref(e);
	}
	entry_unref(held);
	assert_int_equal(store_entries(f.s), 2000);
	store_clear(f.s);
	assert_int_equal(store_bytes(f.s), 0);
	assert_int_equal(atomic_load(&asked), 0);
	fixture_free(&f);
}

static void *work(void *arg)
{
	struct fixture *f = arg;
	struct store_effects fx = {0};
	unsigned n = (unsigned)(uintptr_t)&fx;

	for (unsigned i = 0; i < 20000; i++) {
		struct entry *e = get(f->s, (n = n * 1103515245 + 12345) >> 16 & 8191, &fx);

		if (e) {
			is_of(e, n >> 16 & 8191);
			entry_unref(e);
		} else {
			(void)!put(f->s, f->v, n >> 16 & 8191, &fx);
		}
	}
	return NULL;
}

static void test_others_read_meanwhile(void **state)
{
	struct fixture f = fixture_new(LIMIT);
	pthread_t thread[THREADS];

	(void)state;
	atomic_store(&percent, 130);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, &f), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_in_range(store_resident(f.s), 0, LIMIT * 102 / 100);
	fixture_free(&f);
	assert_int_equal(atomic_load(&asked), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_what_stays_within_the_limit),
		cmocka_unit_test(test_half_of_it_is_results_whatever_happens),
		cmocka_unit_test(test_entries_are_set_down_again_but_for_those_that_somebody_has),
		cmocka_unit_test(test_others_read_meanwhile),
	};

	return cmocka_run_group_tests_name("cache_surplus", tests, NULL, NULL);
}
