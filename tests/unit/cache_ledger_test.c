/*
 * The ledger: a write is announced before it is sent, and who dies with a write in hand is stood in for by the others.
 * On a real redis-server; needs redis-server and redis-cli.
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

#include "announce.h"
#include "cache_testing.h"
#include "clock.h"
#include "rkey.h"
#include "span.h"

#define TAG UINT64_C(400) /* a table's */
#define SLOW 30000 /* ms; a limit, not a wait */

struct write {
	struct cache_announcement a;
	struct instance *i;
	cache_tag tag;
	bool anything;
	enum rc rc;
	_Atomic bool done;
};

static void on_done(struct cache_announcement *a)
{
	struct write *w = (struct write *)((char *)a - offsetof(struct write, a));

	w->done = true;
}

static void begin(void *arg)
{
	struct write *w = arg;

	w->a.done = on_done;
	w->rc = cache_announce(w->i->worker, &w->a, &w->tag, 1, w->anything);
	if (w->rc == RC_OK)
		w->done = true;
}

static void end(void *arg)
{
	cache_announce_end(&((struct write *)arg)->a);
}

static void announce(struct write *w, struct instance *i, cache_tag tag)
{
	*w = (struct write){.i = i, .tag = tag};
	instance_run(i, begin, w);
	assert_true(WITHIN(SLOW, w->done));
}

static bool entries(const char *n)
{
	return strcmp(server_cli(&two.server, "HLEN {suimon:2}:writers"), n) == 0;
}

/* The ledger of an instance that is killed stays as it is: here a's link is cut, and nothing it does later is heard. */
static void entry_of_a_dead_one(cache_tag tag)
{
	unsigned slot = rkey_slot(tag);

	server_cli(&two.server, "HSET {suimon:2}:writers 0123456789abcdef %c%c", (int)(slot & 0xff), (int)(slot >> 8));
}

/* A tag whose slot is two printable bytes, so that redis-cli can write it. */
static cache_tag printable_tag(void)
{
	for (uint64_t n = 1;; n++) {
		uint32_t slot = rkey_slot(n << 2);

		if ((slot & 0xff) >= 'a' && (slot & 0xff) <= 'z' && slot >> 8 >= '0' && slot >> 8 <= '9')
			return n << 2;
	}
}

static void fill_in_memory(struct instance *i, const char *key, cache_tag tag)
{
	struct read r;

	assert_true(WITHIN(SLOW, (!read_get(i, &r, key, tag) && r.l.epoch && read_fill(i, &r, "old") == CACHE_STORED)));
	assert_true(read_get(i, &r, key, tag));
}

/* C1: the first write to a table waits until Redis knows of it, the next ones find it known. */
static void test_a_write_is_in_the_ledger_before_it_is_sent(void **state)
{
	struct write w, again;

	assert_true(entries("0"));
	announce(&w, &two.a, TAG);
	/* RC_OK: Redis had it before anybody looked, or it did not answer and was not waited for. */
	if (instance_count(&two.a, STATS_C_CACHE_UNANNOUNCED) == 0)
		assert_true(entries("1"));
	assert_true(WITHIN(SLOW, entries("1")));
	announce(&again, &two.a, TAG);
	assert_int_equal(again.rc, RC_OK);
	instance_run(&two.a, end, &again);
	instance_run(&two.a, end, &w);
	announce(&again, &two.a, TAG); /* it lingers */
	assert_int_equal(again.rc, RC_OK);
	instance_run(&two.a, end, &again);
}

/* C1: killed between COMMIT and its invalidation: the others invalidate what it had announced. */
static void test_who_dies_is_stood_in_for(void **state)
{
	cache_tag tag = printable_tag();
	struct read r;

	fill_in_memory(&two.a, "k", tag);
	entry_of_a_dead_one(tag);
	assert_true(WITHIN(SLOW, !read_get(&two.a, &r, "k", tag)));
	assert_true(WITHIN(SLOW, instance_count(&two.a, STATS_C_CACHE_TAKEOVERS) + instance_count(&two.b, STATS_C_CACHE_TAKEOVERS) > 0));
	/* Again and again, for its last COMMIT may still be on its way. */
	fill_in_memory(&two.a, "k2", tag);
	assert_true(WITHIN(SLOW, !read_get(&two.a, &r, "k2", tag)));
}

/* A living one is not taken for dead, however long its write takes. */
static void test_who_lives_is_left_alone(void **state)
{
	struct write w;
	struct read r;

	announce(&w, &two.a, TAG);
	fill_in_memory(&two.b, "k", TAG);
	usleep(6000 * 1000); /* longer than LEDGER_DEAD_NS: what must not happen has had its time */
	if (instance_count(&two.a, STATS_C_CACHE_BUS_SILENCES) + instance_count(&two.b, STATS_C_CACHE_BUS_SILENCES) == 0) {
		assert_int_equal(instance_count(&two.b, STATS_C_CACHE_TAKEOVERS), 0);
		assert_true(read_get(&two.b, &r, "k", TAG));
	}
	instance_run(&two.a, end, &w);
}

struct departure {
	struct instance *i;
	enum rc rc;
};

static void depart(void *arg)
{
	struct departure *d = arg;

	d->rc = cache_leave(d->i->cache);
}

static enum rc departed(struct instance *i)
{
	struct departure d = {.i = i};

	instance_control(i, depart, &d);
	return d.rc;
}

/* Who ends in order need not be stood in for: not while a write is under way, but then its entry goes, and stays away. */
static void test_who_ends_in_order_takes_its_entry_along(void **state)
{
	struct write w;

	announce(&w, &two.a, TAG);
	assert_true(WITHIN(SLOW, entries("1")));
	assert_int_equal(departed(&two.a), RC_DECLINED);
	instance_run(&two.a, end, &w);
	assert_true(WITHIN(SLOW, departed(&two.a) == RC_OK));
	assert_true(entries("0"));
	usleep(2500 * 1000); /* two heartbeats: what must not happen has had its time */
	assert_true(entries("0"));
}

/* C1: what is started in the place of one that was killed serves nothing of what that had in hand, from Redis neither. */
static void test_a_newcomer_believes_nothing_of_what_is_announced(void **state)
{
	cache_tag tag = printable_tag();
	struct instance c = {0};
	struct read r;
	char url[64];

	assert_true(WITHIN(SLOW, (!read_get(&two.a, &r, "k", tag) && r.l.tokens_known)));
	assert_int_equal(read_fill(&two.a, &r, "old"), CACHE_STORED);
	assert_true(WITHIN(SLOW, in_redis(value_name("k"))));
	entry_of_a_dead_one(tag);
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", two.server.port);
	instance_start(&c, url, PAIR_MEMORY);
	assert_true(instance_wait_live(&c, true, SLOW));
	assert_false(read_get(&c, &r, "k", tag));
	assert_true(WITHIN(SLOW, (!read_get(&c, &r, "k", tag) && r.l.tokens_known)));
	assert_true(WITHIN(SLOW, !read_get(&two.a, &r, "k", tag))); /* and the others heard of it */
	instance_stop(&c);
}

/* FLUSHALL takes the ledger along: each heartbeat writes the own entry again. */
static void test_flushall_loses_an_announcement_for_a_heartbeat_only(void **state)
{
	struct write w;

	announce(&w, &two.a, TAG);
	assert_true(WITHIN(SLOW, entries("1")));
	server_cli(&two.server, "FLUSHALL");
	assert_true(WITHIN(SLOW, entries("1")));
	instance_run(&two.a, end, &w);
}

/* A failover that lost writes looks like this: another run, without the ledger. Before the bus is live the entry is there. */
static void test_a_new_run_learns_the_announcements_before_it_is_believed(void **state)
{
	struct write w;

	announce(&w, &two.a, TAG);
	server_stop(&two.server, SIGKILL);
	assert_true(instance_wait_live(&two.a, false, SLOW));
	server_start(&two.server);
	assert_true(instance_wait_live(&two.a, true, SLOW));
	assert_true(entries("1"));
	instance_run(&two.a, end, &w);
}

/* F1: Redis frozen: a write waits some milliseconds once, and then no more. */
static void test_a_frozen_redis_does_not_hold_writes(void **state)
{
	struct write w[2];

	kill(two.server.pid, SIGSTOP);
	announce(&w[0], &two.a, TAG);
	announce(&w[1], &two.a, TAG + 4);
	assert_int_equal(w[1].rc, RC_OK);
	assert_int_equal(instance_count(&two.a, STATS_C_CACHE_UNANNOUNCED), 2);
	kill(two.server.pid, SIGCONT);
	assert_true(WITHIN(SLOW, entries("1")));
	for (unsigned i = 0; i < 2; i++)
		instance_run(&two.a, end, &w[i]);
}

/* Redis full: HSET fails, the heartbeat goes out, and writes do not wait for what cannot be. */
static void test_a_full_redis_keeps_the_bus_alive(void **state)
{
	struct write w;

	server_cli(&two.server, "CONFIG SET maxmemory 1 maxmemory-policy noeviction");
	announce(&w, &two.a, TAG);
	assert_true(WITHIN(SLOW, w.done)); /* told by Redis, or not waited for any longer */
	assert_int_equal(instance_count(&two.a, STATS_C_CACHE_UNANNOUNCED), 1);
	usleep(3500 * 1000); /* longer than the lease: what must not happen has had its time */
	assert_true(instance_wait_live(&two.a, true, SLOW));
	server_cli(&two.server, "CONFIG SET maxmemory 0");
	assert_true(WITHIN(SLOW, entries("1")));
	instance_run(&two.a, end, &w);
}

/* More tables than an entry holds: it says anything, which stands for all. */
static void test_more_than_there_is_room_for_is_anything(void **state)
{
	static struct announce a;
	uint8_t bytes[ANNOUNCE_BYTES];
	uint16_t slots[ANNOUNCE_MOST + 10];
	uint64_t number;
	size_t len;

	announce_init(&a);
	for (unsigned i = 0; i < ANNOUNCE_MOST + 10; i++)
		slots[i] = (uint16_t)(3 * i);
	assert_false(announce_hold(&a, slots, ANNOUNCE_MOST + 10));
	assert_int_equal(slots[ANNOUNCE_MOST - 2], 3 * (ANNOUNCE_MOST - 2));
	assert_int_equal(slots[ANNOUNCE_MOST - 1], ANNOUNCE_ALL);
	len = announce_entry(&a, true, 0, bytes, &number);
	assert_int_equal(len, ANNOUNCE_BYTES);
	assert_false(announce_known(&a, slots, ANNOUNCE_MOST + 10));
	announce_acknowledge(&a, number);
	assert_true(announce_known(&a, slots, ANNOUNCE_MOST + 10));
	announce_release(&a, slots, ANNOUNCE_MOST + 10, 1);
	assert_int_equal(announce_entry(&a, false, ANNOUNCE_LINGER_NS + 1, bytes, &number), ANNOUNCE_BYTES); /* not settled */
	assert_int_equal(announce_entry(&a, true, ANNOUNCE_LINGER_NS, bytes, &number), ANNOUNCE_BYTES);
	assert_int_equal(announce_entry(&a, true, ANNOUNCE_LINGER_NS + 1, bytes, &number), 0);
	assert_false(announce_hold(&a, slots, 1)); /* it must be sent anew */
	announce_release(&a, slots, 1, 2);
	announce_reset(&a);
}

static _Atomic int no_schema;
static void on_schema(void *arg)
{
	(*(_Atomic int *)arg)++;
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

/* C5: another instance's DDL is heard at once. */
static void test_a_change_of_the_schema_reaches_the_other(void **state)
{
	struct instance c = {.schema_changed = on_schema, .schema_arg = &no_schema};
	char url[64];
	int before;

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", two.server.port);
	instance_start(&c, url, PAIR_MEMORY);
	assert_true(instance_wait_live(&c, true, SLOW));
	assert_true(WITHIN(SLOW, no_schema > 0)); /* what was missed is not known */
	before = no_schema;
	cache_schema_changed(two.a.cache);
	assert_true(WITHIN(SLOW, no_schema > before));
	instance_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_than_there_is_room_for_is_anything),
		SERVED(test_a_write_is_in_the_ledger_before_it_is_sent),
		SERVED(test_who_dies_is_stood_in_for),
		SERVED(test_who_lives_is_left_alone),
		SERVED(test_who_ends_in_order_takes_its_entry_along),
		SERVED(test_a_newcomer_believes_nothing_of_what_is_announced),
		SERVED(test_flushall_loses_an_announcement_for_a_heartbeat_only),
		SERVED(test_a_new_run_learns_the_announcements_before_it_is_believed),
		SERVED(test_a_frozen_redis_does_not_hold_writes),
		SERVED(test_a_full_redis_keeps_the_bus_alive),
		SERVED(test_a_change_of_the_schema_reaches_the_other),
	};

	if (!server_available()) {
		fprintf(stderr, "skipped: redis-server or redis-cli is not installed\n");
		return 77; /* meson's word for a skipped test */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
