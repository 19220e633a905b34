/*
 * Redis lost, frozen, slow, silent, restarted or read-only, on a real redis-server: what each does to two instances.
 * Needs redis-server and redis-cli.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cache_testing.h"
#include "clock.h"
#include "rkey.h"
#include "span.h"

#define TAG PAIR_TAG
#define MEMORY PAIR_MEMORY

/* C1: while the bus cannot be heard, memory is not served from; and when it is back, nothing from before is. */
static void test_redis_killed_and_started_again(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	assert_true(read_get(&two.a, &r, "k", TAG));
	server_stop(&two.server, SIGKILL);
	assert_true(instance_wait_live(&two.a, false, 1000));
	assert_false(read_get(&two.a, &r, "k", TAG));
	assert_int_equal(read_fill(&two.a, &r, "unseen"), CACHE_REFUSED_BUS);
	assert_true(r.took_ns < 50 * NS_PER_MS);
	server_start(&two.server);
	assert_true(instance_wait_live(&two.a, true, 12000));
	assert_false(read_get(&two.a, &r, "k", TAG));
	fill_through(&two.a, "k", "new");
	assert_true(read_get(&two.a, &r, "k", TAG));
	assert_string_equal(r.data, "new");
}

/* A server that comes back from an old snapshot has forgotten the last bumps: nothing of its former run is believed. */
static void test_a_restart_from_an_old_snapshot_revives_nothing(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	server_cli(&two.server, "SAVE");
	instance_invalidate(&two.a, TAG, NULL);
	assert_true(WITHIN(2000, cache_settled(two.a.cache)));
	server_stop(&two.server, SIGKILL);
	server_start(&two.server);
	assert_true(in_redis(value_name("k"))); /* the old value and its old token are back */
	assert_true(instance_wait_live(&two.b, true, 12000));
	assert_true(WITHIN(3000, (!read_get(&two.b, &r, "k", TAG) && r.l.tokens_known)));
	assert_true(instance_wait_live(&two.a, true, 12000));
	assert_false(read_get(&two.a, &r, "k", TAG));
}

/* A stopped server answers nothing and keeps its connections: time limits, then the breaker, then the lease. */
static void test_a_frozen_redis_costs_milliseconds_and_then_nothing(void **state)
{
	struct read r;
	uint64_t timeouts;

	fill_through(&two.a, "k", "old");
	assert_true(WITHIN(2000, read_get(&two.b, &r, "k", TAG)));
	kill(two.server.pid, SIGSTOP);
	for (unsigned i = 0; i < 30; i++) {
		char key[16];

		snprintf(key, sizeof(key), "cold%u", i);
		assert_false(read_get(&two.b, &r, key, TAG));
		assert_true(r.took_ns < 100 * NS_PER_MS);
	}
	timeouts = instance_count(&two.b, STATS_C_CACHE_REDIS_TIMEOUTS);
	assert_in_range(timeouts, 1, 6);
	assert_true(r.took_ns < 3 * NS_PER_MS); /* the breaker is open */
	assert_true(instance_wait_live(&two.b, false, 4500));
	assert_false(read_get(&two.b, &r, "k", TAG));
	kill(two.server.pid, SIGCONT);
	assert_true(instance_wait_live(&two.b, true, 12000));
	assert_true(WITHIN(6000, (!read_get(&two.b, &r, "cold", TAG) && r.l.tokens_known)));
}

static void test_a_slow_redis_is_left_alone(void **state)
{
	struct read r;

	fill_through(&two.b, "k", "v");
	link_delay(&two.link, 30);
	for (unsigned i = 0; i < 30; i++) {
		char key[16];

		snprintf(key, sizeof(key), "cold%u", i);
		assert_false(read_get(&two.b, &r, key, TAG));
		assert_true(r.took_ns < 100 * NS_PER_MS);
	}
	assert_in_range(instance_count(&two.b, STATS_C_CACHE_REDIS_TIMEOUTS), 3, 9); /* three, and perhaps three a probe */
	link_delay(&two.link, 0);
	assert_true(WITHIN(12000, (!read_get(&two.b, &r, "cold", TAG) && r.l.tokens_known)));
}

/* C1: a bus that is silent past its heartbeat is not believed, though its connection looks alive. */
static void test_a_silent_bus_stops_the_memory_store(void **state)
{
	struct read r;
	uint64_t began;

	fill_through(&two.a, "k", "old");
	assert_true(WITHIN(2000, read_get(&two.b, &r, "k", TAG)));
	link_silence(&two.link, true);
	began = clock_mono_ns();
	instance_invalidate(&two.a, TAG, NULL); /* b does not hear of it */
	assert_true(WITHIN(4500, !read_get(&two.b, &r, "k", TAG)));
	assert_true(clock_mono_ns() - began < 3200 * NS_PER_MS);
	link_silence(&two.link, false);
	assert_true(instance_wait_live(&two.b, true, 12000));
	assert_false(read_get(&two.b, &r, "k", TAG));
}

/* Bumps made while Redis could not be reached are sent before it is believed again. */
static void test_bumps_are_remembered_through_an_outage(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	link_cut(&two.link, true);
	assert_true(instance_wait_live(&two.b, false, 2000));
	instance_invalidate(&two.b, TAG, NULL);
	assert_false(cache_settled(two.b.cache));
	assert_true(read_get(&two.a, &r, "k", TAG)); /* no message yet: this is what the promise allows */
	link_cut(&two.link, false);
	assert_true(WITHIN(12000, cache_settled(two.b.cache)));
	assert_true(WITHIN(1000, !read_get(&two.a, &r, "k", TAG)));
	assert_true(instance_wait_live(&two.b, true, 5000));
	assert_false(read_get(&two.b, &r, "k", TAG));
}

/* A replica that takes no writes cannot be told of ours: it is not believed at all. */
static void test_a_read_only_redis_is_not_believed(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	server_cli(&two.server, "REPLICAOF 127.0.0.1 1");
	instance_invalidate(&two.a, TAG, NULL);
	assert_true(instance_wait_live(&two.a, false, 2000));
	assert_false(read_get(&two.a, &r, "k", TAG));
	assert_false(cache_settled(two.a.cache));
	server_cli(&two.server, "REPLICAOF NO ONE");
	assert_true(WITHIN(12000, cache_settled(two.a.cache)));
}

/* C1: what is published on a primary reaches its replica when it may, and a replica brings back our heartbeats all the same. Nobody has
 * written through us that it could refuse. */
static void test_a_replica_is_not_believed_though_nobody_writes(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	server_cli(&two.server, "REPLICAOF 127.0.0.1 1");
	assert_true(instance_wait_live(&two.a, false, 4500));
	assert_true(instance_wait_live(&two.b, false, 4500));
	assert_false(instance_wait_live(&two.a, true, 2000)); /* what must not happen has had its time */
	assert_false(read_get(&two.a, &r, "k", TAG));
	server_cli(&two.server, "REPLICAOF NO ONE");
	assert_true(instance_wait_live(&two.a, true, 12000));
	assert_true(instance_wait_live(&two.b, true, 12000));
}

/* C1: Redis configured and never reached: the database answers everything. */
static void test_redis_unreachable_from_the_start(void **state)
{
	struct instance c = {0};
	char url[64];
	struct read r;

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", free_port());
	instance_start(&c, url, MEMORY);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(read_get(&c, &r, "k", TAG));
		assert_int_equal(read_fill(&c, &r, "v"), CACHE_REFUSED_BUS);
	}
	assert_int_equal(instance_totals(&c).entries, 0);
	instance_invalidate(&c, TAG, NULL);
	assert_false(cache_settled(c.cache));
	instance_stop(&c);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_redis_killed_and_started_again),
		SERVED(test_a_restart_from_an_old_snapshot_revives_nothing),
		SERVED(test_a_frozen_redis_costs_milliseconds_and_then_nothing),
		SERVED(test_a_slow_redis_is_left_alone),
		SERVED(test_a_silent_bus_stops_the_memory_store),
		SERVED(test_bumps_are_remembered_through_an_outage),
		SERVED(test_a_read_only_redis_is_not_believed),
		SERVED(test_a_replica_is_not_believed_though_nobody_writes),
		cmocka_unit_test(test_redis_unreachable_from_the_start),
	};

	if (!server_available()) {
		fprintf(stderr, "skipped: redis-server or redis-cli is not installed\n");
		return 77; /* meson's word for a skipped test */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
