/*
 * clock_test.c - the two clocks tell the same time in their own units.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"

static void monotonic_time_never_goes_back(void **state)
{
	uint64_t last = clock_mono_ns();

	for (int i = 0; i < 10000; i++) {
		uint64_t now = clock_mono_ns();

		assert_true(now >= last);
		last = now;
	}
}

static void monotonic_time_is_in_nanoseconds(void **state)
{
	struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	uint64_t before = clock_mono_ns(), spent;

	nanosleep(&pause, NULL);
	spent = clock_mono_ns() - before;
	assert_in_range(spent, 20 * NS_PER_MS, 20 * NS_PER_SEC);
}

static void wall_time_is_in_microseconds_since_1970(void **state)
{
	uint64_t before = (uint64_t)time(NULL), now = clock_wall_us() / 1000000;

	/* time() may lag behind the precise clock by a tick */
	assert_in_range(now, before, (uint64_t)time(NULL) + 1);
}

static void a_wall_clock_that_is_set_is_noticed(void **state)
{
	static const int64_t jumps[] = {86400000000, -86400000000, 1500000, -1500000, 1000000000000000, -1000000000000000};
	uint64_t mono = 5 * NS_PER_SEC, wall = UINT64_C(1700000000000000);
	struct clock_watch w = {.known = false};

	assert_int_equal(clock_watch_note(&w, mono, wall), 0);
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		mono += NS_PER_SEC;
		wall += 1000000 + (uint64_t)jumps[i];
		assert_int_equal(clock_watch_note(&w, mono, wall), jumps[i]);
		mono += NS_PER_SEC;
		wall += 1000000 + 500; /* as ntpd slews */
		assert_int_equal(clock_watch_note(&w, mono, wall), 0);
	}
	mono += 3600 * NS_PER_SEC; /* not looked at for long */
	wall += UINT64_C(3600000000);
	assert_int_equal(clock_watch_note(&w, mono, wall), 0);
}

static void a_wall_clock_that_is_left_alone_does_not_jump(void **state)
{
	struct clock_watch w = {.known = false};

	for (int i = 0; i < 10000; i++)
		assert_int_equal(clock_watch_look(&w), 0);
	w.apart_us -= 3000000;
	assert_in_range(clock_watch_look(&w), 2900000, 3100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(monotonic_time_never_goes_back),
		cmocka_unit_test(monotonic_time_is_in_nanoseconds),
		cmocka_unit_test(wall_time_is_in_microseconds_since_1970),
		cmocka_unit_test(a_wall_clock_that_is_set_is_noticed),
		cmocka_unit_test(a_wall_clock_that_is_left_alone_does_not_jump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
