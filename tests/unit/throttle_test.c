/*
 * Who guesses passwords is stopped, by address and for as long as documented, and nobody else is; the table is bounded (F3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mem.h"
#include "throttle.h"

#define NOW UINT64_C(5000000000)

static void failed(struct throttle *t, const char *peer, unsigned times, uint64_t now)
{
	while (times--)
		throttle_failed(t, peer, now);
}

static void the_hundredth_failure_blocks_and_a_second_gives_one_back(void **state)
{
	struct throttle *t = throttle_new();

	assert_non_null(t);
	assert_false(throttle_blocks(t, "192.0.2.1", NOW));
	failed(t, "192.0.2.1", THROTTLE_BURST - 1, NOW);
	assert_false(throttle_blocks(t, "192.0.2.1", NOW));
	failed(t, "192.0.2.1", 1, NOW);
	assert_true(throttle_blocks(t, "192.0.2.1", NOW));
	assert_true(throttle_blocks(t, "::ffff:192.0.2.1", NOW));
	assert_false(throttle_blocks(t, "192.0.2.2", NOW));
	assert_true(throttle_blocks(t, "192.0.2.1", NOW + THROTTLE_BACK_NS - 1));
	assert_false(throttle_blocks(t, "192.0.2.1", NOW + THROTTLE_BACK_NS));
	failed(t, "192.0.2.1", 1, NOW + THROTTLE_BACK_NS);
	assert_true(throttle_blocks(t, "192.0.2.1", NOW + THROTTLE_BACK_NS));
	throttle_free(t);
}

static void failures_beyond_do_not_lengthen_it(void **state)
{
	struct throttle *t = throttle_new();

	assert_non_null(t);
	failed(t, "192.0.2.1", 100 * THROTTLE_BURST, NOW);
	assert_true(throttle_blocks(t, "192.0.2.1", NOW));
	assert_false(throttle_blocks(t, "192.0.2.1", NOW + THROTTLE_BACK_NS));
	throttle_free(t);
}

static void a_login_that_succeeds_clears_its_address(void **state)
{
	struct throttle *t = throttle_new();

	assert_non_null(t);
	failed(t, "192.0.2.1", THROTTLE_BURST, NOW);
	failed(t, "192.0.2.2", THROTTLE_BURST, NOW);
	throttle_cleared(t, "192.0.2.1");
	assert_false(throttle_blocks(t, "192.0.2.1", NOW));
	assert_true(throttle_blocks(t, "192.0.2.2", NOW));
	throttle_free(t);
}

static void six_counts_by_the_network_of_one_host(void **state)
{
	struct throttle *t = throttle_new();

	assert_non_null(t);
	for (unsigned i = 0; i < THROTTLE_BURST; i++) {
		char peer[46];

		snprintf(peer, sizeof(peer), "2001:db8::%x", i + 1);
		failed(t, peer, 1, NOW);
	}
	assert_true(throttle_blocks(t, "2001:db8::ffff:1", NOW));
	assert_false(throttle_blocks(t, "2001:db8:0:1::1", NOW));
	assert_false(throttle_blocks(t, "::1", NOW));
	throttle_free(t);
}

/* All applications of a host share it. */
static void loopback_is_slowed_and_not_blocked(void **state)
{
	static const char *const peers[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.2"};

	for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
		struct throttle *t = throttle_new();

		assert_non_null(t);
		failed(t, peers[i], THROTTLE_BURST - 1, NOW);
		assert_int_equal(throttle_delay(t, peers[i], NOW), 0);
		failed(t, peers[i], 1, NOW);
		for (unsigned n = 1; n <= 12; n++) /* one after the other */
			assert_int_equal(throttle_delay(t, peers[i], NOW),
					 n < 10 ? n * THROTTLE_BACK_NS : THROTTLE_LATE_MOST_NS);
		assert_false(throttle_blocks(t, peers[i], NOW));
		throttle_cleared(t, peers[i]); /* somebody else's success */
		assert_int_not_equal(throttle_delay(t, "127.200.1.2", NOW), 0);
		assert_int_equal(throttle_delay(t, peers[i], NOW + THROTTLE_BACK_NS), 0);
		failed(t, "192.0.2.1", THROTTLE_BURST, NOW);
		assert_int_equal(throttle_delay(t, "192.0.2.1", NOW), 0);
		throttle_free(t);
	}
}

static void unix_sockets_do_not_count(void **state)
{
	struct throttle *t = throttle_new();

	assert_non_null(t);
	failed(t, "unix", 10 * THROTTLE_BURST, NOW);
	assert_false(throttle_blocks(t, "unix", NOW));
	throttle_free(t);
}

/* The one that failed longest ago makes room, and short memory only means that less is remembered. */
static void the_table_is_bounded(void **state)
{
	struct throttle *t = throttle_new();
	char peer[46];

	assert_non_null(t);
	failed(t, "192.0.2.1", THROTTLE_BURST, NOW);
	for (unsigned i = 0; i < THROTTLE_MOST; i++) {
		if (i == THROTTLE_MOST - 1)
			assert_true(throttle_blocks(t, "192.0.2.1", NOW));
		snprintf(peer, sizeof(peer), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		failed(t, peer, 1, NOW);
	}
	assert_false(throttle_blocks(t, "192.0.2.1", NOW));
	mem_fail_after(1, 1);
	failed(t, "192.0.2.3", THROTTLE_BURST, NOW);
	mem_fail_after(0, 0);
	assert_false(throttle_blocks(t, "192.0.2.3", NOW));
	throttle_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hundredth_failure_blocks_and_a_second_gives_one_back),
		cmocka_unit_test(failures_beyond_do_not_lengthen_it),
		cmocka_unit_test(a_login_that_succeeds_clears_its_address),
		cmocka_unit_test(six_counts_by_the_network_of_one_host),
		cmocka_unit_test(loopback_is_slowed_and_not_blocked),
		cmocka_unit_test(unix_sockets_do_not_count),
		cmocka_unit_test(the_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
