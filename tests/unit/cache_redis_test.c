/*
 * Redis as second level and bus, on a real redis-server: two instances in one process. Needs redis-server and redis-cli.
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
#include "mem.h"
#include "rkey.h"
#include "span.h"

#define TAG PAIR_TAG
#define MEMORY PAIR_MEMORY

static void test_one_fills_the_other_hits(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "result");
	assert_true(WITHIN(2000, read_get(&two.b, &r, "k", TAG)));
	assert_string_equal(r.data, "result");
	assert_int_equal(instance_totals(&two.b).hits_redis, 1);
	assert_true(read_get(&two.b, &r, "k", TAG));
	assert_int_equal(instance_totals(&two.b).hits_redis, 1); /* this one from memory */
	assert_true(instance_totals(&two.b).hits >= 1);
}

/* C1, the second half: a write through one is seen through the other once the message is there. */
static void test_an_invalidation_reaches_the_other(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	assert_true(WITHIN(2000, read_get(&two.b, &r, "k", TAG)));
	instance_invalidate(&two.a, TAG, NULL);
	assert_false(read_get(&two.a, &r, "k", TAG)); /* at once here */
	assert_true(WITHIN(2000, !read_get(&two.b, &r, "k", TAG)));
	assert_true(WITHIN(2000, cache_settled(two.a.cache)));
	assert_false(read_get(&two.a, &r, "k", TAG)); /* and not from Redis either */
	assert_true(instance_totals(&two.b).bus_received >= 1);
}

static void test_an_invalidation_of_all_reaches_the_other(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	assert_true(WITHIN(2000, read_get(&two.b, &r, "k", TAG)));
	cache_flush(two.a.cache, CACHE_BY_FLUSH);
	assert_false(read_get(&two.a, &r, "k", TAG));
	assert_true(WITHIN(2000, !read_get(&two.b, &r, "k", TAG)));
	assert_true(WITHIN(2000, cache_settled(two.a.cache)));
	assert_false(read_get(&two.a, &r, "k", TAG));
}

/* C2 across instances: the position of a write travels with its message. */
static void test_a_position_reaches_the_other(void **state)
{
	const struct cache_pos pos = {.domain = 4, .seq = 1234};
	const cache_tag tag = TAG;
	struct cache_needs n = {.n = 0};

	instance_invalidate(&two.a, TAG, &pos);
	assert_true(WITHIN(2000, (cache_needs(two.b.cache, &tag, 1, &n), n.n == 1)));
	assert_int_equal(n.pos[0].domain, 4);
	assert_int_equal(n.pos[0].seq, 1234);
}

static void test_positions_counted_anew_are_so_for_the_other(void **state)
{
	const struct cache_pos pos = {.domain = 4, .seq = 1234};
	const cache_tag tag = TAG;

	instance_invalidate(&two.a, TAG, &pos);
	assert_true(WITHIN(2000, cache_knows(two.b.cache, tag, &pos)));
	cache_renumber(two.a.cache, CACHE_BY_FAILOVER, 0);
	assert_false(cache_knows(two.a.cache, tag, &pos));
	assert_true(WITHIN(2000, !cache_knows(two.b.cache, tag, &pos)));
}

/* Until Redis has acknowledged a bump, the writer's own instance does not believe Redis about that slot. */
static void test_an_unsettled_slot_is_not_asked_for(void **state)
{
	struct read r;

	fill_through(&two.b, "k", "old");
	link_silence(&two.link, true);
	instance_invalidate(&two.b, TAG, NULL);
	for (unsigned i = 0; i < 20; i++)
		assert_false(read_get(&two.b, &r, "k", TAG));
	assert_false(r.l.tokens_known);
	assert_int_equal(instance_count(&two.b, STATS_C_CACHE_REDIS_TIMEOUTS), 0); /* it was not even asked */
	link_silence(&two.link, false);
	assert_true(WITHIN(5000, cache_settled(two.b.cache)));
	assert_false(read_get(&two.b, &r, "k", TAG));
}

/* A value that comes back after its tokens are gone (copied, restored, evicted tokens) is not good: absent is not equal. */
static void test_a_value_without_its_tokens_is_dead(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	server_cli(&two.server, "COPY %s saved", value_name("k"));
	server_cli(&two.server, "DEL {suimon:2}:t:%u {suimon:2}:t:all", rkey_slot(TAG));
	assert_false(read_get(&two.b, &r, "k", TAG));
	assert_true(in_redis(value_name("k"))); /* it was there */
	fill_through(&two.b, "k", "new");
	server_cli(&two.server, "COPY saved %s REPLACE", value_name("k"));
	cache_flush(two.b.cache, CACHE_BY_FLUSH);
	assert_true(WITHIN(2000, cache_settled(two.b.cache)));
	assert_false(read_get(&two.b, &r, "k", TAG));
}

static void test_flushall_leaves_nothing_wrong_behind(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "v1");
	server_cli(&two.server, "FLUSHALL");
	assert_false(read_get(&two.b, &r, "k", TAG));
	assert_int_equal(read_fill(&two.b, &r, "v1"), CACHE_STORED);
	instance_invalidate(&two.a, TAG, NULL);
	assert_true(WITHIN(2000, !read_get(&two.b, &r, "k", TAG)));
	fill_through(&two.b, "k", "v2");
	assert_true(WITHIN(2000, read_get(&two.a, &r, "k", TAG)));
	assert_string_equal(r.data, "v2");
}

/* F2: what lies in Redis is as hostile as anything. */
static void test_a_damaged_value_is_a_counted_miss(void **state)
{
	struct read r;
	uint64_t errors;

	fill_through(&two.a, "k", "result");
	errors = instance_count(&two.b, STATS_C_CACHE_REDIS_ERRORS);
	server_cli(&two.server, "SETRANGE %s 90 X", value_name("k"));
	assert_true(WITHIN(2000, (!read_get(&two.b, &r, "k", TAG) && r.l.tokens_known)));
	assert_true(instance_count(&two.b, STATS_C_CACHE_REDIS_ERRORS) > errors);
	server_cli(&two.server, "SET %s short PX 10000", value_name("k"));
	assert_false(read_get(&two.b, &r, "k", TAG));
	server_cli(&two.server, "DEL %s", value_name("k"));
	server_cli(&two.server, "LPUSH %s not a string", value_name("k"));
	assert_false(read_get(&two.b, &r, "k", TAG));
	server_cli(&two.server, "SET {suimon:2}:t:%u short", rkey_slot(TAG));
	assert_false(read_get(&two.b, &r, "k", TAG));
	assert_false(r.l.tokens_known);
	assert_true(instance_live(&two.b));
}

static void write_and_find(unsigned ms)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	assert_true(WITHIN(2000, read_get(&two.b, &r, "k", TAG)));
	instance_invalidate(&two.a, TAG, NULL);
	assert_true(WITHIN(ms, cache_settled(two.a.cache)));
	assert_true(WITHIN(ms, !read_get(&two.b, &r, "k", TAG)));
	assert_false(read_get(&two.a, &r, "k", TAG));
}

/* Where Redis has no memory left for a new token, the old one is deleted all the same. */
static void test_a_full_redis_still_forgets(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "old");
	assert_true(WITHIN(2000, read_get(&two.b, &r, "k", TAG)));
	server_cli(&two.server, "CONFIG SET maxmemory-policy noeviction");
	server_cli(&two.server, "CONFIG SET maxmemory 1");
	instance_invalidate(&two.a, TAG, NULL);
	assert_true(WITHIN(2000, cache_settled(two.a.cache)));
	assert_true(WITHIN(2000, !read_get(&two.b, &r, "k", TAG)));
	assert_false(read_get(&two.a, &r, "k", TAG));
	server_cli(&two.server, "CONFIG SET maxmemory 0");
	write_and_find(2000);
}

/* What is not understood on the bus may have been about anything. */
static void test_nonsense_on_the_bus_drops_everything(void **state)
{
	struct read r;

	fill_through(&two.a, "k", "v");
	assert_true(read_get(&two.a, &r, "k", TAG));
	server_cli(&two.server, "SET %s x PX 1", value_name("k"));
	server_cli(&two.server, "PUBLISH {suimon:2}:bus nonsense");
	assert_true(WITHIN(1000, !read_get(&two.a, &r, "k", TAG)));
	assert_true(instance_live(&two.a));
}

static void test_only_redis_without_memory_of_its_own(void **state)
{
	struct instance c = {0};
	char url[64];
	struct read r;

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", two.server.port);
	instance_start(&c, url, 0);
	assert_true(instance_wait_live(&c, true, 5000));
	fill_through(&c, "k", "v");
	assert_true(read_get(&c, &r, "k", TAG));
	assert_true(read_get(&c, &r, "k", TAG));
	assert_int_equal(instance_totals(&c).hits_redis, 2);
	assert_int_equal(instance_totals(&c).bytes, 0);
	instance_stop(&c);
}

static void fail_allocations(void *n)
{
	mem_fail_after(*(const unsigned *)n, 1);
}

/* Whichever allocation fails, and all after it: a miss, a refusal, never a wrong answer; and it goes on afterwards. */
static void test_out_of_memory_is_answered(void **state)
{
	for (unsigned n = 1; n < 40; n++) {
		unsigned none = 0;
		char key[32];
		struct read r;

		snprintf(key, sizeof(key), "key %u", n);
		instance_run(&two.a, fail_allocations, &n);
		if (!read_get(&two.a, &r, key, TAG))
			(void)read_fill(&two.a, &r, "v");
		if (read_get(&two.a, &r, key, TAG))
			assert_string_equal(r.data, "v");
		instance_invalidate(&two.a, TAG, NULL);
		assert_false(read_get(&two.a, &r, key, TAG));
		instance_run(&two.a, fail_allocations, &none);
	}
	{
		struct read r;

		/* Its back-off has grown: it lost the connection again and again. */
		assert_true(WITHIN(12000, (!read_get(&two.a, &r, "k", TAG) && r.l.tokens_known)));
	}
	write_and_find(2000);
}

static void test_login_and_database(void **state)
{
	static const char *const extra[] = {"--requirepass", "s3cret/@:", NULL};

	pair_start(extra, "redis://default:s3cret%%2F%%40%%3A@127.0.0.1:%u/3");
	assert_true(instance_wait_live(&two.a, true, 5000));
	assert_true(instance_wait_live(&two.b, true, 5000));
	{
		struct read r;

		assert_true(WITHIN(3000, (!read_get(&two.a, &r, "k", TAG) && r.l.tokens_known)));
		assert_int_equal(read_fill(&two.a, &r, "v"), CACHE_STORED);
		assert_true(WITHIN(3000, read_get(&two.b, &r, "k", TAG)));
	}
	pair_teardown(NULL);
}

static void test_a_wrong_password_is_no_bus(void **state)
{
	static const char *const extra[] = {"--requirepass", "right", NULL};
	struct read r;

	pair_start(extra, "redis://:wrong@127.0.0.1:%u/0");
	usleep(600 * 1000);
	assert_false(instance_live(&two.a));
	assert_false(read_get(&two.a, &r, "k", TAG));
	assert_int_equal(read_fill(&two.a, &r, "v"), CACHE_REFUSED_BUS);
	pair_teardown(NULL);
}

/* Each of the rights that the bus needs is missing once. */
static void test_a_missing_right_is_no_bus(void **state)
{
	static const char *const missing[] = {"-eval", "-subscribe", "-info"};

	for (size_t i = 0; i < countof(missing); i++) {
		const char *const extra[] = {"--user", "app", "on", ">pw", "~*", "&*", "+@all", missing[i], NULL};
		struct read r;

		pair_start(extra, "redis://app:pw@127.0.0.1:%u/0");
		usleep(600 * 1000);
		assert_false(instance_live(&two.a));
		assert_false(read_get(&two.a, &r, "k", TAG));
		assert_int_equal(read_fill(&two.a, &r, "v"), CACHE_REFUSED_BUS);
		pair_teardown(NULL);
	}
}

/* The same account with all of them: it is not the account that is wrong. */
static void test_an_account_with_the_rights_is_enough(void **state)
{
	static const char *const extra[] = {"--user", "app", "on", ">pw", "~*", "&*", "+@all", NULL};

	pair_start(extra, "redis://app:pw@127.0.0.1:%u/0");
	assert_true(instance_wait_live(&two.a, true, 30000));
	pair_teardown(NULL);
}

/* Of another name: another database may be behind it, with other rows under the same key. */
static void test_other_names_share_nothing(void **state)
{
	struct instance other = {.loop = NULL};
	char url[64];
	struct read r;

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0?name=other", two.server.port);
	instance_start(&other, url, PAIR_MEMORY);
	assert_true(instance_wait_live(&other, true, 5000));
	fill_through(&two.a, "k", "ours");
	assert_true(WITHIN(2000, (!read_get(&other, &r, "k", TAG) && r.l.tokens_known)));
	assert_int_equal(read_fill(&other, &r, "theirs"), CACHE_STORED);
	assert_true(WITHIN(2000, server_cli(&two.server, "KEYS {suimon:2:other}:v:*")[0]));
	assert_true(read_get(&two.b, &r, "k", TAG));
	assert_string_equal(r.data, "ours");
	assert_true(read_get(&other, &r, "k", TAG));
	assert_string_equal(r.data, "theirs");
	instance_invalidate(&other, TAG, NULL);
	assert_true(WITHIN(2000, cache_settled(other.cache)));
	assert_true(read_get(&two.a, &r, "k", TAG));
	assert_true(read_get(&two.b, &r, "k", TAG));
	assert_string_equal(server_cli(&two.server, "HLEN {suimon:2:other}:writers"), "0");
	instance_stop(&other);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_one_fills_the_other_hits),
		SERVED(test_an_invalidation_reaches_the_other),
		SERVED(test_an_invalidation_of_all_reaches_the_other),
		SERVED(test_a_position_reaches_the_other),
		SERVED(test_positions_counted_anew_are_so_for_the_other),
		SERVED(test_an_unsettled_slot_is_not_asked_for),
		SERVED(test_a_value_without_its_tokens_is_dead),
		SERVED(test_flushall_leaves_nothing_wrong_behind),
		SERVED(test_a_damaged_value_is_a_counted_miss),
		SERVED(test_a_full_redis_still_forgets),
		SERVED(test_nonsense_on_the_bus_drops_everything),
		SERVED(test_only_redis_without_memory_of_its_own),
		SERVED(test_out_of_memory_is_answered),
		SERVED(test_other_names_share_nothing),
		cmocka_unit_test(test_login_and_database),
		cmocka_unit_test(test_a_wrong_password_is_no_bus),
		cmocka_unit_test(test_a_missing_right_is_no_bus),
		cmocka_unit_test(test_an_account_with_the_rights_is_enough),
	};

	if (!server_available()) {
		fprintf(stderr, "skipped: redis-server or redis-cli is not installed\n");
		return 77; /* meson's word for a skipped test */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
