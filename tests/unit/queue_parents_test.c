/*
 * queue_parents_test.c - how long a row without its parent holds a lane.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parents.h"

#define S NS_PER_SEC
#define T0 (1000 * S)

static bool ask(struct parents *p, uint64_t seq, uint64_t last_seq, uint64_t at)
{
	parents_begin(p, at);
	return parents_wait(p, seq, last_seq, at);
}

static void it_is_waited_for_ten_seconds_from_the_first_refusal(void **state)
{
	struct parents p = {.n = 0};

	for (uint64_t at = 0; at < 10; at++)
		assert_true(ask(&p, 5, 5, T0 + at * S));
	assert_false(ask(&p, 5, 5, T0 + 10 * S));
	assert_false(parents_wait(&p, 5, 5, T0 + 10 * S)); /* its half of a batch, alone */
}

static void who_was_there_has_waited_as_long(void **state)
{
	struct parents p = {.n = 0};

	for (uint64_t at = 0; at < 10; at += 2)
		assert_true(ask(&p, 5, 1000, T0 + at * S));
	assert_false(ask(&p, 5, 1000, T0 + 10 * S));
	for (uint64_t seq = 6; seq <= 1000; seq++)
		assert_false(ask(&p, seq, 1000, T0 + 10 * S + seq));
}

static void who_came_while_the_lane_was_held_waits_since_then(void **state)
{
	struct parents p = {.n = 0};

	assert_true(ask(&p, 5, 10, T0));
	assert_true(ask(&p, 5, 20, T0 + 3 * S));
	assert_true(ask(&p, 5, 30, T0 + 6 * S));
	assert_true(ask(&p, 5, 30, T0 + 9 * S));
	assert_false(ask(&p, 5, 30, T0 + 11 * S));
	assert_false(ask(&p, 10, 30, T0 + 11 * S));
	assert_true(ask(&p, 11, 30, T0 + 11 * S));
	assert_false(ask(&p, 11, 30, T0 + 13 * S));
	assert_true(ask(&p, 21, 30, T0 + 13 * S));
	assert_true(ask(&p, 31, 31, T0 + 13 * S)); /* of nobody known before */
	assert_true(ask(&p, 31, 31, T0 + 17 * S));
	assert_true(ask(&p, 31, 31, T0 + 22 * S));
	assert_false(ask(&p, 31, 31, T0 + 23 * S));
}

static void when_parents_come_the_next_is_waited_for_anew(void **state)
{
	struct parents p = {.n = 0};

	assert_true(ask(&p, 5, 1000, T0));
	assert_true(ask(&p, 5, 1000, T0 + 5 * S));
	parents_came(&p, 4); /* a batch before it */
	assert_true(ask(&p, 5, 1000, T0 + 9 * S));
	parents_came(&p, 7);
	assert_true(ask(&p, 8, 1000, T0 + 10 * S));
	assert_true(ask(&p, 8, 1000, T0 + 15 * S));
	assert_true(ask(&p, 8, 1000, T0 + 19 * S));
	assert_false(ask(&p, 8, 1000, T0 + 20 * S));
}

/* A long backlog: late parents are waited for again, behind orphans too. */
static void orphans_hold_a_lane_for_half_of_the_time_at_most(void **state)
{
	struct parents p = {.n = 0};
	uint64_t held = 0, gone = 0, step = S / 4;

	for (uint64_t seq = 1, at = T0; seq <= 1000; at += step) {
		if (ask(&p, seq, 1000, at))
			held += step;
		else
			seq++, gone += step;
	}
	assert_in_range(held, gone - 10 * S, gone + 10 * S);
}

static void what_was_not_tried_does_not_count(void **state)
{
	struct parents p = {.n = 0};

	assert_true(ask(&p, 5, 9, T0));
	assert_true(ask(&p, 5, 9, T0 + 3600 * S)); /* the database was away */
	assert_true(ask(&p, 5, 9, T0 + 3604 * S));
	assert_false(ask(&p, 5, 9, T0 + 3605 * S));
	/* Paused behind the first letter. */
	assert_true(ask(&p, 6, 9, T0 + 7200 * S));
	/* Batches that take long come to an end, too. */
	assert_true(ask(&p, 6, 9, T0 + 7260 * S));
	assert_false(ask(&p, 6, 9, T0 + 7320 * S));
}

static void memory_is_bounded(void **state)
{
	struct parents p = {.n = 0};
	uint64_t seq = 5, tried = 0;

	/* Orphans that never end: each waits for no longer than ten seconds and what lies between two marks. */
	for (uint64_t at = T0, last = 10; at < T0 + 1000 * S; at += S, last += 10, tried++) {
		while (!ask(&p, seq, last, at)) {
			assert_true(tried >= 1);
			seq++;
		}
		assert_in_range(p.n, 1, PARENTS_MARKS);
		assert_true(last < 120 || seq > last - 120);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_waited_for_ten_seconds_from_the_first_refusal),
		cmocka_unit_test(who_was_there_has_waited_as_long),
		cmocka_unit_test(who_came_while_the_lane_was_held_waits_since_then),
		cmocka_unit_test(when_parents_come_the_next_is_waited_for_anew),
		cmocka_unit_test(orphans_hold_a_lane_for_half_of_the_time_at_most),
		cmocka_unit_test(what_was_not_tried_does_not_count),
		cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
