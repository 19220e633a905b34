/*
 * queue_ages_test.c - the age of the oldest record, while the wall clock jumps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ages.h"
#include "clock.h"
#include "rc.h"

#define S NS_PER_SEC
#define T0 (1000 * S)                 /* monotonic */
#define W0 UINT64_C(1700000000000000) /* wall, at T0 */
#define DAY UINT64_C(86400)

/* The wall clock when the monotonic one shows `at` and nothing has jumped. */
static uint64_t wall(uint64_t at)
{
	return W0 + (at - T0) / 1000;
}

static void assert_about(uint64_t age, uint64_t seconds)
{
	assert_in_range(age, seconds * S - S, seconds * S + S);
}

static void with_good_clocks_a_record_is_as_old_as_it_says(void **state)
{
	struct ages a = {.n = 0};

	assert_int_equal(ages_oldest(&a, T0), 0);
	ages_set(&a, 7, W0, T0 + 5 * S, wall(T0 + 5 * S));
	assert_int_equal(ages_oldest(&a, T0 + 5 * S), 5 * S);
	assert_int_equal(ages_oldest(&a, T0 + 9 * S), 9 * S);
	ages_pass(&a);
	assert_int_equal(ages_oldest(&a, T0 + 9 * S), 9 * S);
	assert_false(a.known);
	ages_unset(&a);
	assert_int_equal(ages_oldest(&a, T0 + 9 * S), 0);
	ages_pass(&a);
	assert_int_equal(ages_oldest(&a, T0 + 9 * S), 0);
	ages_set(&a, 8, 0, T0, W0); /* lost, and skipped */
	assert_int_equal(ages_oldest(&a, T0 + 9 * S), 0);
}

static void the_oldest_ages_by_the_monotonic_clock(void **state)
{
	struct ages a = {.n = 0};

	ages_set(&a, 7, W0, T0 + 5 * S, wall(T0 + 5 * S));
	ages_set(&a, 7, W0, T0 + 6 * S, wall(T0 + 6 * S) + DAY * 1000000); /* loaded again */
	assert_int_equal(ages_oldest(&a, T0 + 6 * S), 6 * S);
	ages_unset(&a);
	ages_set(&a, 7, W0, T0 + 7 * S, W0 - DAY * 1000000);
	assert_int_equal(ages_oldest(&a, T0 + 8 * S), 8 * S);
}

/* One record a second for 100 s, the clock jumps, 100 more; then they are applied. */
static void records_of_this_process_keep_their_age_over_a_jump(void **state)
{
	static const int64_t jumps[] = {(int64_t)DAY, -(int64_t)DAY, 7, -7};

	for (size_t j = 0; j < countof(jumps); j++) {
		uint64_t by = (uint64_t)(jumps[j] * 1000000), at = T0, end = T0 + 200 * S;
		struct ages a = {.n = 0};

		ages_note(&a, 0, T0);
		for (uint64_t seq = 1; seq <= 200; seq++, at += S)
			ages_note(&a, seq, at + S / 10);
		for (uint64_t seq = 1; seq <= 200; seq++) {
			uint64_t accepted = T0 + (seq - 1) * S;

			ages_set(&a, seq, wall(accepted) + (seq > 100 ? by : 0), end, wall(end) + by);
			/* As exactly as the marks lie apart: of 200 s that is less than nine. */
			assert_in_range(ages_oldest(&a, end) + 9 * S, end - accepted, end - accepted + 18 * S);
		}
		assert_in_range(a.n, 1, 2);
	}
}

static void who_came_behind_the_last_mark_is_marked_too(void **state)
{
	struct ages a = {.n = 0};

	ages_note(&a, 0, T0);
	for (uint64_t seq = 1; seq <= 10; seq++)
		ages_note(&a, seq, T0 + 100 * S + seq);
	assert_in_range(a.n, 2, 3);
	for (uint64_t seq = 1; seq <= 10; seq++) {
		ages_set(&a, seq, wall(T0 + 100 * S) + DAY * 1000000, T0 + 130 * S, wall(T0 + 130 * S));
		assert_about(ages_oldest(&a, T0 + 130 * S), 30);
	}
}

static void others_records_are_bounded_by_what_is_known(void **state)
{
	struct ages a = {.n = 0};

	ages_note(&a, 100, T0);
	ages_note(&a, 200, T0 + 60 * S);
	/* Another host's clock is an hour behind, or ahead. */
	ages_set(&a, 150, wall(T0 + 30 * S) - 3600 * 1000000ULL, T0 + 90 * S, wall(T0 + 90 * S));
	assert_about(ages_oldest(&a, T0 + 90 * S), 90);
	ages_set(&a, 151, wall(T0 + 30 * S) + 3600 * 1000000ULL, T0 + 90 * S, wall(T0 + 90 * S));
	assert_about(ages_oldest(&a, T0 + 90 * S), 30);
	/* Behind the last mark, and before the first. */
	ages_set(&a, 250, W0 - DAY * 1000000, T0 + 90 * S, wall(T0 + 90 * S));
	assert_about(ages_oldest(&a, T0 + 90 * S), 30);
	ages_set(&a, 50, W0 - DAY * 1000000, T0 + 90 * S, wall(T0 + 90 * S));
	assert_about(ages_oldest(&a, T0 + 90 * S), DAY + 90);
}

static void memory_is_bounded_and_what_is_applied_is_forgotten(void **state)
{
	struct ages a = {.n = 0};
	uint64_t seq = 0, at = T0;

	ages_note(&a, 0, at);
	for (; at < T0 + 7 * DAY * S; at += 10 * S) {
		ages_note(&a, ++seq, at);
		assert_in_range(a.n, 1, AGES_MARKS);
	}
	ages_set(&a, 1, W0, at, wall(at) - 30 * DAY * 1000000);
	assert_in_range(ages_oldest(&a, at), 7 * DAY * S / 32 * 31, 7 * DAY * S);
	ages_set(&a, seq, wall(at - 10 * S), at, wall(at));
	assert_about(ages_oldest(&a, at), 10);
	assert_in_range(a.n, 1, 2);
	for (int i = 0; i < 5; i++)
		ages_note(&a, ++seq, at += S);
	assert_in_range(a.n, 2, 7);
}

static void sequences_that_begin_anew_are_marked_anew(void **state)
{
	struct ages a = {.n = 0};

	ages_note(&a, 1000, T0);
	ages_note(&a, 1100, T0 + 50 * S);
	ages_note(&a, 10, T0 + 100 * S); /* what was behind it is lost */
	ages_set(&a, 5, wall(T0 + 99 * S), T0 + 101 * S, wall(T0 + 101 * S));
	assert_about(ages_oldest(&a, T0 + 101 * S), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_good_clocks_a_record_is_as_old_as_it_says),
		cmocka_unit_test(the_oldest_ages_by_the_monotonic_clock),
		cmocka_unit_test(records_of_this_process_keep_their_age_over_a_jump),
		cmocka_unit_test(who_came_behind_the_last_mark_is_marked_too),
		cmocka_unit_test(others_records_are_bounded_by_what_is_known),
		cmocka_unit_test(memory_is_bounded_and_what_is_applied_is_forgotten),
		cmocka_unit_test(sequences_that_begin_anew_are_marked_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
