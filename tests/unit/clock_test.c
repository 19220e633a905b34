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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(monotonic_time_never_goes_back),
		cmocka_unit_test(monotonic_time_is_in_nanoseconds),
		cmocka_unit_test(wall_time_is_in_microseconds_since_1970),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
