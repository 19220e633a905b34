/*
 * What servers have shown a session binds its hits (bound.h): which results, up to when, and with how much memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bound.h"
#include "cache_impl.h"
#include "cache_testing.h"
#include "clock.h"
#include "store.h"

/* ---- what is kept ---- */

struct names {
	cache_tag table, rows, id, email, row[64], mail[64];
};

static struct names names_of(unsigned table)
{
	struct names n;
	char text[16];

	snprintf(text, sizeof(text), "table%u", table); /* no two of which have one slot */
	n.table = cache_tag_table(span_str("s"), span_str(text));
	n.rows = cache_tag_rows(n.table);
	n.id = cache_tag_key(n.table, span_str("id"));
	n.email = cache_tag_key(n.table, span_str("email"));
	for (unsigned i = 0; i < 64; i++) {
		snprintf(text, sizeof(text), "%u", i);
		n.row[i] = cache_tag_row(n.id, span_str(text));
		n.mail[i] = cache_tag_row(n.email, span_str(text));
	}
	return n;
}

static void show_row(struct cache_bound *b, const struct names *n, unsigned row, uint64_t now)
{
	const cache_tag parts[] = {n->rows, n->row[row], n->email};

	cache_bound_rows(b, n->table, parts, countof(parts), now);
}

/* As what hangs on the tables' rows finds it. */
static uint64_t of_whole(const struct cache_bound *b, const struct names *n)
{
	const cache_tag tags[] = {n->table, n->rows};
	const uint16_t slots[] = {(uint16_t)rkey_slot(tags[0]), (uint16_t)rkey_slot(tags[1])};

	assert_int_equal(cache_bound_tags(b, tags, 2), cache_bound_slots(b, slots, 2));
	return cache_bound_tags(b, tags, 2);
}

static uint64_t of_row(const struct cache_bound *b, const struct names *n, unsigned row)
{
	const cache_tag tags[] = {n->table, n->id, n->row[row]};

	return cache_bound_tags(b, tags, 3);
}

static uint64_t of_mail(const struct cache_bound *b, const struct names *n, unsigned row)
{
	const cache_tag tags[] = {n->table, n->email, n->mail[row]};

	return cache_bound_tags(b, tags, 3);
}

static void test_a_row_binds_itself_its_table_and_other_keys(void **state)
{
	struct names t = names_of(0), other = names_of(1);
	struct cache_bound b = {0};

	show_row(&b, &t, 5, 100);
	assert_int_equal(of_row(&b, &t, 5), 100);
	assert_int_equal(of_row(&b, &t, 6), 0);
	assert_int_equal(of_whole(&b, &t), 100);
	assert_int_equal(of_mail(&b, &t, 1), 100); /* it may be that row */
	assert_int_equal(of_whole(&b, &other), 0);
	show_row(&b, &t, 6, 200);
	assert_int_equal(of_row(&b, &t, 5), 100);
	assert_int_equal(of_row(&b, &t, 6), 200);
	assert_int_equal(of_whole(&b, &t), 200);
	assert_int_equal(b.last_ns, 200);
}

static void test_a_table_binds_all_of_it(void **state)
{
	struct names t = names_of(0), other = names_of(1);
	struct cache_bound b = {0};

	show_row(&b, &t, 5, 100);
	cache_bound_table(&b, t.table, 200);
	assert_int_equal(of_row(&b, &t, 5), 200);
	assert_int_equal(of_row(&b, &t, 6), 200);
	assert_int_equal(of_whole(&b, &t), 200);
	assert_int_equal(of_row(&b, &other, 5), 0);
	cache_bound_all(&b, 300);
	assert_int_equal(of_row(&b, &other, 5), 300);
}

/* F3: the oldest row that has no room binds its table, and no later row is forgotten. */
static void test_rows_without_room_bind_their_table(void **state)
{
	struct names t = names_of(0), other = names_of(1);
	struct cache_bound b = {0};

	for (unsigned i = 0; i < 64; i++) {
		show_row(&b, &t, i, 100 + i);
		for (unsigned j = 0; j <= i; j++)
			assert_true(of_row(&b, &t, j) >= 100 + j);
	}
	assert_true(of_row(&b, &t, 0) < 163);
	assert_int_equal(of_row(&b, &t, 63), 163);
	assert_int_equal(of_whole(&b, &other), 0);
}

static void test_tables_without_room_bind_everything(void **state)
{
	struct names t[20];
	struct cache_bound b = {0};

	for (unsigned i = 0; i < countof(t); i++) {
		t[i] = names_of(i);
		if (i % 2)
			show_row(&b, &t[i], 1, 100 + i);
		else
			cache_bound_table(&b, t[i].table, 100 + i);
		for (unsigned j = 0; j <= i; j++)
			assert_true(of_whole(&b, &t[j]) >= 100 + j);
	}
	assert_int_equal(of_whole(&b, &t[0]), 100 + countof(t) - BOUND_TABLES - 1); /* the last that had to go */
	assert_int_equal(of_whole(&b, &t[19]), 119);
	assert_true(sizeof(b) < 1600); /* a session that has it, too, stays below 4 KiB */
}

/* ---- what a look-up makes of it ---- */

struct look {
	struct instance *i;
	struct cache_lookup l;
	cache_tag tag;
	_Atomic bool over;
	enum rc rc;
	char data[16];
	const char *fill;
	uint64_t has_ns;
};

static void settle(struct look *k, enum rc rc, const struct cache_entry *e)
{
	k->rc = rc;
	k->data[0] = '\0';
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

	if (rc != RC_AGAIN)
		settle(k, rc, e);
}

static void fill(void *arg)
{
	struct look *k = arg;

	k->l.has_ns = k->has_ns;
	assert_int_equal(cache_fill(k->i->worker, &k->l, span_str(k->fill), 60 * NS_PER_SEC, 1, 1000, 2), CACHE_STORED);
}

static void give_up(void *arg)
{
	cache_abandon(&((struct look *)arg)->l, false);
}

static void look(struct look *k, struct instance *i, const char *key, const struct cache_bound *bound, uint64_t past_ns)
{
	*k = (struct look){.i = i, .tag = names_of(0).table};
	k->l = (struct cache_lookup){.key = span_str(key), .tags = &k->tag, .ntags = 1, .done = on_done, .bound = bound, .bound_past_ns = past_ns};
	instance_run(i, begin, k);
	assert_true(WITHIN(10000, k->over));
}

static void end(struct look *k, const char *data, uint64_t has_ns)
{
	k->fill = data;
	k->has_ns = has_ns;
	instance_run(k->i, data ? fill : give_up, k);
}

static bool hits(struct instance *i, const char *key, const struct cache_bound *bound, uint64_t past_ns, const char *data)
{
	struct look k;

	look(&k, i, key, bound, past_ns);
	if (k.rc != RC_OK) {
		end(&k, NULL, 0);
		return false;
	}
	assert_string_equal(k.data, data);
	return true;
}

static struct instance one;

static int setup(void **state)
{
	memset(&one, 0, sizeof(one));
	instance_start(&one, "", UINT64_C(1) << 20);
	return 0;
}

static int teardown(void **state)
{
	instance_stop(&one);
	return 0;
}

static void test_a_result_from_before_is_no_hit(void **state)
{
	uint64_t began = clock_mono_ns(), shown = began + 50, later;
	struct cache_bound b = {0};
	struct look k;

	cache_bound_table(&b, names_of(0).table, shown);
	look(&k, &one, "k", NULL, 0);
	end(&k, "old", began);
	assert_true(hits(&one, "k", NULL, 0, "old"));        /* other sessions' */
	assert_true(hits(&one, "k", &b, shown, "old"));      /* nothing that was there by then is missing here */
	assert_int_equal(instance_count(&one, STATS_C_CACHE_BOUND), 0);
	assert_false(hits(&one, "k", &b, shown - 1, "old"));
	assert_int_equal(instance_count(&one, STATS_C_CACHE_BOUND), 1);
	assert_true(hits(&one, "k", NULL, 0, "old"));
	later = clock_mono_ns();
	look(&k, &one, "k", &b, 0);
	assert_true(k.l.refused);
	end(&k, "new", later);
	assert_true(hits(&one, "k", &b, 0, "new"));          /* its answer is what all get from now on */
	assert_true(hits(&one, "k", NULL, 0, "new"));
}

static void test_a_result_of_unknown_age_is_no_hit(void **state)
{
	struct cache_bound b = {0};
	struct look k;

	cache_bound_table(&b, names_of(0).table, 1);
	look(&k, &one, "k", NULL, 0);
	end(&k, "old", 0);
	assert_false(hits(&one, "k", &b, 0, "old"));
	cache_bound_table(&b, names_of(1).table, clock_mono_ns());
	assert_true(hits(&one, "k", &b, 1, "old")); /* another table's matters not */
}

/* Of two who ask at once the one whose answer may be older does not take the other's place. */
static void test_an_older_answer_does_not_replace_a_newer_one(void **state)
{
	struct look slow, quick;
	uint64_t began = clock_mono_ns();

	look(&slow, &one, "k", NULL, 0);
	look(&quick, &one, "k", NULL, 0);
	end(&quick, "new", clock_mono_ns());
	assert_false(quick.l.outdone);
	end(&slow, "old", began);
	assert_true(slow.l.outdone);
	assert_true(hits(&one, "k", NULL, 0, "new"));
}

/* Many who ask at once for what nobody writes: one round, after which all of them have hits. */
static void test_the_same_answer_outdoes_nobody(void **state)
{
	struct cache_bound b = {0};
	struct look slow, quick;
	uint64_t began = clock_mono_ns();

	look(&slow, &one, "k", NULL, 0);
	look(&quick, &one, "k", NULL, 0);
	cache_bound_table(&b, names_of(0).table, clock_mono_ns());
	end(&quick, "same", clock_mono_ns());
	end(&slow, "same", began);
	assert_false(slow.l.outdone);
	assert_true(hits(&one, "k", &b, 0, "same")); /* what the quick one knew is not lost */
}

/* A leader's read may have begun before what the session was shown. */
static void test_who_was_refused_waits_for_nobody(void **state)
{
	struct cache_bound b = {0};
	struct look leader, k;

	look(&k, &one, "k", NULL, 0);
	end(&k, "old", clock_mono_ns());
	cache_bound_table(&b, names_of(0).table, clock_mono_ns());
	look(&leader, &one, "k", &b, 0);
	assert_int_equal(leader.rc, RC_DECLINED);
	look(&k, &one, "k", &b, 0);
	assert_int_equal(k.rc, RC_DECLINED);
	end(&k, NULL, 0);
	end(&leader, NULL, 0);
}

/* ---- with Redis ---- */

static void test_a_value_of_redis_is_no_hit(void **state)
{
	struct cache_bound b = {0};
	struct look k;

	look(&k, &two.a, "k", NULL, 0);
	end(&k, "old", clock_mono_ns());
	assert_true(WITHIN(5000, in_redis(value_name("k"))));
	cache_bound_table(&b, names_of(0).table, clock_mono_ns());
	look(&k, &two.b, "k", &b, 0);
	assert_int_equal(k.rc, RC_DECLINED);
	assert_true(k.l.refused && k.l.tokens_known);
	assert_int_equal(instance_count(&two.b, STATS_C_CACHE_BOUND), 1);
	end(&k, "new", clock_mono_ns());
	assert_true(hits(&two.b, "k", &b, 0, "new"));
	cache_flush(two.a.cache, CACHE_BY_FLUSH);
}

/* What was shown binds no longer than it takes to know that no message about it is missing. */
static void test_who_lives_is_heard(void **state)
{
	uint64_t now = clock_mono_ns();

	assert_true(cache_binds(two.a.cache));
	assert_true(WITHIN(6000, cache_heard(two.a.cache) > now));
	link_silence(&two.link, true);
	now = clock_mono_ns();
	usleep(3300000);
	assert_true(cache_heard(two.a.cache) < now); /* what b has written by now it could not tell */
	assert_true(cache_heard(two.a.cache) > now - 5 * NS_PER_SEC);
	link_silence(&two.link, false);
	now = clock_mono_ns();
	assert_true(WITHIN(20000, cache_heard(two.a.cache) > now));
}

static void test_alone_nothing_binds(void **state)
{
	assert_false(cache_binds(one.cache));
	assert_true(cache_heard(one.cache) == UINT64_MAX);
	cache_follow(one.cache);
	assert_true(cache_binds(one.cache));
	assert_true(cache_heard(one.cache) == 0);
	cache_followed(one.cache, cache_clock());
	assert_true(cache_heard(one.cache) <= clock_mono_ns());
	assert_true(cache_heard(one.cache) > clock_mono_ns() - NS_PER_SEC);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define PAIR(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_row_binds_itself_its_table_and_other_keys),
		cmocka_unit_test(test_a_table_binds_all_of_it),
		cmocka_unit_test(test_rows_without_room_bind_their_table),
		cmocka_unit_test(test_tables_without_room_bind_everything),
		WITH(test_a_result_from_before_is_no_hit),
		WITH(test_a_result_of_unknown_age_is_no_hit),
		WITH(test_an_older_answer_does_not_replace_a_newer_one),
		WITH(test_the_same_answer_outdoes_nobody),
		WITH(test_who_was_refused_waits_for_nobody),
		WITH(test_alone_nothing_binds),
	};
	const struct CMUnitTest with_redis[] = {
		PAIR(test_a_value_of_redis_is_no_hit),
		PAIR(test_who_lives_is_heard),
	};

	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	if (!server_available()) {
		fprintf(stderr, "skipped: redis-server or redis-cli is not installed\n");
		return 77; /* meson's word for a skipped test */
	}
	return cmocka_run_group_tests(with_redis, NULL, NULL);
}
