/*
 * queue_tally_test.c - a count over lanes whose sequences cannot be compared: who has waited long enough (Q3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tally.h"

static void a_lane_says_up_to_where_all_of_its_numbers_are(void **state)
{
	_Atomic uint64_t last = 0;
	struct tally high, low;

	tally_init(&high);
	tally_init(&low);
	assert_true(tally_applied(&low, 0) == UINT64_MAX);
	assert_int_equal(tally_give(&high, &last, 1000000), 1);
	assert_int_equal(tally_give(&low, &last, 1), 2);
	assert_int_equal(tally_give(&high, &last, 1000001), 3);
	assert_int_equal(tally_applied(&high, 999999), 0);
	assert_int_equal(tally_applied(&high, 1000000), 2);
	assert_int_equal(tally_applied(&low, 0), 1);
	assert_true(tally_applied(&low, 1) == UINT64_MAX);
	assert_true(tally_applied(&high, UINT64_MAX) == UINT64_MAX);
	assert_int_equal(tally_give(&low, &last, 2), 4);
	assert_int_equal(tally_applied(&low, 1), 3);
	tally_destroy(&high);
	tally_destroy(&low);
}

/* Of a backlog neighbours are taken together: never too early, and never for longer than a part of it. */
static void a_backlog_is_kept_in_parts(void **state)
{
	enum { N = 100000 };
	_Atomic uint64_t last = 0;
	struct tally l;

	tally_init(&l);
	for (uint64_t i = 1; i <= N; i++)
		assert_int_equal(tally_give(&l, &last, i), i);
	for (uint64_t i = 0; i < N; i += 7) {
		uint64_t upto = tally_applied(&l, i);

		assert_true(upto <= i && i - upto <= N / 64 + 1);
	}
	assert_true(tally_applied(&l, N) == UINT64_MAX);
	tally_destroy(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_says_up_to_where_all_of_its_numbers_are),
		cmocka_unit_test(a_backlog_is_kept_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
