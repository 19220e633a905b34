/*
 * Shared misses (C7), results past their time (refresh, stale_if_error), and what is worth a place: on two workers of one
 * cache, without Redis.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache_impl.h"
#include "cache_testing.h"
#include "clock.h"

#define TAG UINT64_C(400) /* a table's */
#define SLOW 30000        /* ms; a limit, not a wait */
#define LIMIT (UINT64_C(1) << 20)

static struct instance one, other; /* two workers */

struct look {
	struct instance *i;
	struct cache_lookup l;
	cache_tag tag;
	_Atomic enum rc rc; /* of cache_get, then of done() */
	_Atomic bool over;  /* it hit or missed */
	unsigned joins;     /* of flights, when its worker was asked */
	char data[64];
	uint64_t ttl_ns, cost_ns;
	enum cache_refusal why;
};

static void settle(struct look *k, enum rc rc, const struct cache_entry *e)
{
	k->rc = rc;
	if (rc == RC_OK) {
		snprintf(k->data, sizeof(k->data), "%.*s", (int)e->len, (const char *)cache_entry_data(e));
		cache_entry_unref(e);
	}
	k->over = true;
}

static void on_done(struct cache_lookup *l, enum rc rc, const struct cache_entry *e)
{
	settle((struct look *)((char *)l - offsetof(struct look, l)), rc, e);
}

static void begin(void *arg)
{
	struct look *k = arg;
	const struct cache_entry *e = NULL;
	enum rc rc = cache_get(k->i->worker, &k->l, &e);

	if (rc == RC_AGAIN)
		k->rc = rc;
	else
		settle(k, rc, e);
}

static void fill_it(void *arg)
{
	struct look *k = arg;

	k->why = cache_fill(k->i->worker, &k->l, span_str(k->data), k->ttl_ns, 1, k->cost_ns, 2);
}

static void fail_it(void *arg)
{
	cache_abandon(&((struct look *)arg)->l, true);
}

static void turn_down(void *arg)
{
	cache_abandon(&((struct look *)arg)->l, false);
}

static void rescue(void *arg)
{
	struct look *k = arg;
	const struct cache_entry *e = NULL;
	enum rc rc = cache_get_stale(&k->l, &e);

	settle(k, rc, e);
}

static void cancel(void *arg)
{
	cache_lookup_cancel(&((struct look *)arg)->l);
}

static void count_joins(void *arg)
{
	struct look *k = arg;

	k->joins = k->l.flight.joins;
}

static bool joined_twice(struct look *k)
{
	instance_run(k->i, count_joins, k);
	return k->joins == 2;
}

static void look_with(struct look *k, struct instance *i, const char *key)
{
	k->i = i;
	k->tag = TAG;
	k->ttl_ns = k->ttl_ns ? k->ttl_ns : 60 * NS_PER_SEC;
	k->l.key = span_str(key);
	k->l.tags = &k->tag;
	k->l.ntags = 1;
	k->l.may_wait = true;
	k->l.done = on_done;
	k->over = false;
	instance_run(i, begin, k);
}

static void look(struct look *k, struct instance *i, const char *key)
{
	memset(k, 0, sizeof(*k));
	look_with(k, i, key);
}

static void fill(struct look *k, const char *data)
{
	snprintf(k->data, sizeof(k->data), "%s", data);
	instance_run(k->i, fill_it, k);
}

static bool waits(const struct look *k)
{
	return !k->over && k->rc == RC_AGAIN;
}

static bool missed(const struct look *k)
{
	return k->over && k->rc == RC_DECLINED;
}

static bool hit(const struct look *k, const char *data)
{
	return k->over && k->rc == RC_OK && strcmp(k->data, data) == 0;
}

static int setup(void **state)
{
	memset(&one, 0, sizeof(one));
	instance_start(&one, "", LIMIT);
	instance_join(&other, &one);
	return 0;
}

static int teardown(void **state)
{
	instance_leave(&other);
	instance_stop(&one);
	return 0;
}

/* ---- C7 ---- */

static void test_many_wait_for_one(void **state)
{
	struct look leader, w[20];

	look(&leader, &one, "k");
	assert_true(missed(&leader));
	for (unsigned i = 0; i < 20; i++) {
		look(&w[i], i % 2 ? &other : &one, "k");
		assert_true(waits(&w[i]));
	}
	fill(&leader, "v");
	for (unsigned i = 0; i < 20; i++)
		assert_true(WITHIN(SLOW, hit(&w[i], "v")));
	assert_int_equal(instance_count(&one, STATS_C_CACHE_SHARED), 20);
}

/* C1: who comes after a write never waits for a read that was begun before it. */
static void test_nobody_joins_a_read_begun_before_a_write(void **state)
{
	struct look old, before, after, third;

	look(&old, &one, "k");
	look(&before, &other, "k");
	assert_true(waits(&before));
	instance_invalidate(&one, TAG, NULL);
	look(&after, &other, "k");
	assert_true(missed(&after)); /* asks itself, and leads those who come now */
	look(&third, &one, "k");
	assert_true(waits(&third));
	fill(&old, "old");
	assert_int_equal(old.why, CACHE_REFUSED_VERSION);
	assert_true(WITHIN(SLOW, missed(&before)));
	assert_true(waits(&third));
	fill(&after, "new");
	assert_true(WITHIN(SLOW, hit(&third, "new")));
}

static void test_a_leader_that_fails_is_replaced_by_one(void **state)
{
	struct look leader, w[10], *next = NULL;
	unsigned leads = 0;

	look(&leader, &one, "k");
	for (unsigned i = 0; i < 10; i++)
		look(&w[i], i % 2 ? &other : &one, "k");
	instance_run(&one, fail_it, &leader);
	for (unsigned i = 0; i < 10; i++)
		assert_true(WITHIN(SLOW, w[i].over || joined_twice(&w[i])));
	for (unsigned i = 0; i < 10; i++) {
		if (w[i].over) {
			assert_true(missed(&w[i]));
			next = &w[i];
			leads++;
		}
	}
	assert_int_equal(leads, 1);
	fill(next, "v");
	for (unsigned i = 0; i < 10; i++)
		assert_true(&w[i] == next || WITHIN(SLOW, hit(&w[i], "v")));
}

/* What is not to be stored is asked for by everyone at once, not by one after the other. */
static void test_a_result_that_is_not_stored_lets_all_go(void **state)
{
	struct look leader, w[10];

	look(&leader, &one, "k");
	for (unsigned i = 0; i < 10; i++)
		look(&w[i], i % 2 ? &other : &one, "k");
	instance_run(&one, turn_down, &leader);
	for (unsigned i = 0; i < 10; i++)
		assert_true(WITHIN(SLOW, missed(&w[i])));
}

static void test_waiting_has_an_end(void **state)
{
	struct look leader, w, gone, more[FLIGHT_WAITERS];

	look(&leader, &one, "k");
	look(&gone, &other, "k");
	instance_run(&other, cancel, &gone); /* its client has gone */
	look(&w, &other, "k");
	assert_true(waits(&w));
	assert_true(WITHIN(SLOW, missed(&w))); /* after FLIGHT_LIMIT_NS */
	for (unsigned i = 0; i < FLIGHT_WAITERS; i++)
		look(&more[i], &other, "k");
	look(&w, &one, "k");
	assert_true(missed(&w)); /* no more room */
	fill(&leader, "v");
	for (unsigned i = 0; i < FLIGHT_WAITERS; i++)
		assert_true(WITHIN(SLOW, hit(&more[i], "v")));
	assert_false(gone.over);
}

static void test_who_may_not_wait_does_not(void **state)
{
	struct look leader, w = {.tag = 0};

	look(&leader, &one, "k");
	look(&w, &one, "other key");
	assert_true(missed(&w));
	instance_run(&one, fail_it, &w);
	look_with(&w, &one, "k");
	assert_true(waits(&w));
	instance_run(&one, cancel, &w);
	w.l.may_wait = false;
	w.over = false;
	instance_run(&one, begin, &w);
	assert_true(missed(&w));
	instance_run(&one, fail_it, &leader);
}

/* ---- past its time ---- */

static void test_refresh_serves_the_old_one_while_one_asks(void **state)
{
	struct look k = {.ttl_ns = 100 * NS_PER_MS}, second = {.ttl_ns = 0};

	look_with(&k, &one, "k");
	fill(&k, "first");
	usleep(150 * 1000); /* it is past its time then, for certain */
	k.l.refresh_ns = second.l.refresh_ns = 60 * NS_PER_SEC;
	look_with(&k, &one, "k");
	assert_true(missed(&k)); /* this one asks */
	look_with(&second, &other, "k");
	assert_true(hit(&second, "first"));
	k.ttl_ns = 60 * NS_PER_SEC;
	fill(&k, "second");
	look_with(&second, &other, "k");
	assert_true(hit(&second, "second"));
	assert_int_equal(instance_count(&one, STATS_C_CACHE_STALE_REFRESH), 1);
}

/* A write ends it all the same: refresh is about time alone (C1). */
static void test_refresh_never_serves_what_was_written_over(void **state)
{
	struct look k = {.ttl_ns = 100 * NS_PER_MS}, second = {.ttl_ns = 0};

	look_with(&k, &one, "k");
	fill(&k, "first");
	usleep(150 * 1000);
	instance_invalidate(&one, TAG, NULL);
	k.l.refresh_ns = second.l.refresh_ns = 60 * NS_PER_SEC;
	look_with(&k, &one, "k");
	assert_true(missed(&k));
	look_with(&second, &other, "k");
	assert_true(waits(&second));
	fill(&k, "second");
	assert_true(WITHIN(SLOW, hit(&second, "second")));
}

static void test_stale_if_error(void **state)
{
	struct cache_options opt = {.memory = LIMIT, .max_result = 65536, .stale_if_error_ns = 60 * NS_PER_SEC};
	struct look k = {.ttl_ns = 100 * NS_PER_MS};

	cache_reconfigure(one.cache, &opt);
	look_with(&k, &one, "k");
	instance_run(&one, rescue, &k);
	assert_true(missed(&k)); /* nothing there */
	fill(&k, "v");
	usleep(150 * 1000);
	look_with(&k, &one, "k");
	assert_true(missed(&k)); /* somebody can answer */
	instance_run(&one, rescue, &k);
	assert_true(hit(&k, "v")); /* and then he could not */
	instance_run(&one, fail_it, &k);
	k.l.stale_ok = true;
	look_with(&k, &one, "k");
	assert_true(hit(&k, "v"));
	instance_invalidate(&one, TAG, NULL);
	look_with(&k, &one, "k");
	assert_true(missed(&k)); /* it was written over */
	assert_int_equal(instance_count(&one, STATS_C_CACHE_STALE_ERROR), 2);
	instance_run(&one, fail_it, &k);
}

/* ---- what is worth a place ---- */

static enum cache_refusal store(const char *key, uint64_t cost_ns)
{
	struct look k = {.cost_ns = cost_ns};

	look_with(&k, &one, key);
	fill(&k, "v");
	return k.why;
}

static void test_a_full_store_turns_cheap_results_away_once(void **state)
{
	struct cache_options opt = {.memory = LIMIT / 8, .max_result = 65536};
	char key[32];

	cache_reconfigure(one.cache, &opt);
	assert_int_equal(store("cheap, while there is room", 1000), CACHE_STORED);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "dear %u", i);
		assert_int_equal(store(key, 10 * NS_PER_MS), CACHE_STORED);
	}
	assert_int_equal(store("cheap", 1000), CACHE_REFUSED_CHEAP);
	assert_int_equal(store("cheap", 1000), CACHE_STORED); /* it is asked for again */
	assert_int_equal(store("not so cheap", 5 * NS_PER_MS), CACHE_STORED);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_many_wait_for_one),
		WITH(test_nobody_joins_a_read_begun_before_a_write),
		WITH(test_a_leader_that_fails_is_replaced_by_one),
		WITH(test_a_result_that_is_not_stored_lets_all_go),
		WITH(test_waiting_has_an_end),
		WITH(test_who_may_not_wait_does_not),
		WITH(test_refresh_serves_the_old_one_while_one_asks),
		WITH(test_refresh_never_serves_what_was_written_over),
		WITH(test_stale_if_error),
		WITH(test_a_full_store_turns_cheap_results_away_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
