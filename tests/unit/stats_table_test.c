/*
 * The digest table: numbers add up over sinks, users and schemas; percentiles are true; memory is bounded (S1, F3).
 */
#include "stats_helper.h"

#include <pthread.h>
#include <stdlib.h>

static void numbers_of_sinks_and_users_add_up(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *a = helper_sink(s), *b = helper_sink(s);
	struct stats_event e = helper_event(7, "select * from products where id = 5");
	json_t *j, *q;

	e.rows_sent = 3;
	e.bytes_in = 10;
	e.bytes_out = 100;
	for (int i = 0; i < 10; i++)
		stats_record(a, NULL, &e);
	e.route = STATS_REPLICA;
	e.user = span_str("batch");
	e.no_index = true;
	e.warnings = 2;
	for (int i = 0; i < 5; i++)
		stats_record(b, NULL, &e);
	e.error = 1064;
	stats_record(b, NULL, &e);
	j = helper_queries(s, STATS_BY_TOTAL_TIME, 10);
	assert_int_equal(json_array_size(json_object_get(j, "queries")), 1);
	q = json_array_get(json_object_get(j, "queries"), 0);
	assert_string_equal(helper_text(q, "digest"), "0x0000000000000007");
	assert_string_equal(helper_text(q, "text"), "select * from products where id = ?");
	assert_int_equal(helper_uint(q, "calls"), 16);
	assert_int_equal(helper_uint(q, "errors"), 1);
	assert_int_equal(helper_uint(q, "rows_sent"), 48);
	assert_int_equal(helper_uint(q, "bytes_out"), 1600);
	assert_int_equal(helper_uint(q, "no_index"), 6);
	assert_int_equal(helper_uint(q, "warnings"), 12);
	assert_int_equal(helper_uint(json_object_get(q, "routed"), "primary"), 10);
	assert_int_equal(helper_uint(json_object_get(q, "routed"), "replica"), 6);
	assert_int_equal(json_array_size(json_object_get(q, "users")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(q, "users"), 0)), "app");
	assert_true(json_is_null(json_object_get(q, "rows_examined")));
	assert_float_equal(helper_number(q, "total_time"), 0.016, 1e-9);
	assert_float_equal(helper_number(q, "mean_time"), 0.001, 1e-9);
	assert_int_equal(stats_sum(s, STATS_C_QUERIES_REPLICA), 6);
	json_decref(j);
	stats_free(s);
}

static json_t *of(struct stats *s, const char *user, const char *schema)
{
	return helper_queries_of(s, STATS_BY_P99, 10, (struct stats_of){.user = user, .schema = schema});
}

static void numbers_of_one_user_or_schema(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *a = helper_sink(s), *b = helper_sink(s);
	struct stats_event e = helper_event(7, "select * from products where id = 5"), other = helper_event(8, "select 1");
	json_t *j, *q;

	for (int i = 0; i < 10; i++)
		stats_record(a, NULL, &e);
	e.user = span_str("batch");
	e.schema = span_str("archive");
	e.route = STATS_CACHE;
	e.cached = STATS_HIT;
	e.total_ns = 100 * NS_PER_MS;
	for (int i = 0; i < 5; i++)
		stats_record(b, NULL, &e);
	other.schema = span_str("");
	stats_record(b, NULL, &other);
	j = of(s, "batch", NULL);
	assert_int_equal(json_array_size(json_object_get(j, "queries")), 1);
	assert_int_equal(helper_uint(j, "digests"), 1);
	q = json_array_get(json_object_get(j, "queries"), 0);
	assert_int_equal(helper_uint(q, "calls"), 5);
	assert_int_equal(helper_uint(q, "cache_hits"), 5);
	assert_int_equal(helper_uint(json_object_get(q, "routed"), "cache"), 5);
	assert_int_equal(helper_uint(json_object_get(q, "routed"), "primary"), 0);
	assert_string_equal(helper_text(q, "schema"), "archive");
	assert_int_equal(json_array_size(json_object_get(q, "users")), 1);
	assert_float_equal(helper_number(q, "p50"), 0.1, 0.002);
	json_decref(j);
	j = of(s, "app", "shop");
	q = json_array_get(json_object_get(j, "queries"), 0);
	assert_int_equal(helper_uint(q, "calls"), 10);
	assert_float_equal(helper_number(q, "p99"), 0.001, 0.00002);
	json_decref(j);
	j = of(s, NULL, "");
	assert_int_equal(json_array_size(json_object_get(j, "queries")), 1);
	assert_string_equal(helper_text(json_array_get(json_object_get(j, "queries"), 0), "text"), "select ?");
	json_decref(j);
	j = of(s, "app", "archive");
	assert_int_equal(json_array_size(json_object_get(j, "queries")), 0);
	json_decref(j);
	stats_free(s);
}

/* Where literals end cannot be told: the verb, until the same statement comes in a form that can be shown. */
static void what_cannot_be_told_apart_is_not_shown(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *a = helper_sink(s), *b = helper_sink(s);
	struct stats_event e = helper_event(7, "select * from products where name = 'O'Brien and secret'");
	json_t *q;

	e.unsure_text = true;
	e.table = span_str("");
	e.error = 1064;
	stats_record(a, NULL, &e);
	q = helper_query(s, 7, false);
	assert_string_equal(helper_text(q, "text"), "select ...");
	json_decref(q);
	e = helper_event(7, "select * from products limit 5");
	stats_record(b, NULL, &e);
	stats_record(a, NULL, &e);
	q = helper_query(s, 7, false);
	assert_string_equal(helper_text(q, "text"), "select * from products limit ?");
	assert_string_equal(helper_text(q, "table"), "products");
	assert_int_equal(helper_uint(q, "calls"), 3);
	assert_int_equal(helper_uint(q, "errors"), 1);
	json_decref(q);
	e.private_text = true;
	e.digest = 8;
	stats_record(a, NULL, &e);
	q = helper_query(s, 8, false);
	assert_string_equal(helper_text(q, "text"), "select ...");
	json_decref(q);
	stats_free(s);
}

static void plans_go_with_the_samples(void **state)
{
	struct stats_options off = {.slow_ns = NS_PER_SEC, .digests = 100};
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(7, "select * from products where name = 5");
	struct stats_index_advice advice = {.digest = 7, .table = span_str("shop.products"), .plan_json = span_str("{\"secret\": 5}")};
	json_t *q;

	stats_record(k, NULL, &e);
	stats_put_advice(s, &advice);
	q = helper_query(s, 7, true);
	assert_true(json_is_object(json_object_get(q, "plan")));
	json_decref(q);
	stats_reconfigure(s, &off);
	q = helper_query(s, 7, true);
	assert_true(json_is_null(json_object_get(q, "plan")));
	json_decref(q);
	stats_put_advice(s, &advice); /* was asked for before */
	q = helper_query(s, 7, true);
	assert_true(json_is_null(json_object_get(q, "plan")));
	json_decref(q);
	stats_free(s);
}

static void percentiles_are_within_two_percent(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(7, "select 1 from t");
	json_t *q;

	for (uint64_t i = 1; i <= 10000; i++) {
		e.total_ns = i * 10000; /* 10 us to 100 ms, evenly */
		stats_record(k, NULL, &e);
	}
	q = helper_query(s, 7, false);
	assert_float_equal(helper_number(q, "p50"), 0.05, 0.001);
	assert_float_equal(helper_number(q, "p95"), 0.095, 0.0019);
	assert_float_equal(helper_number(q, "p99"), 0.099, 0.00198);
	assert_float_equal(helper_number(q, "p999"), 0.0999, 0.002);
	assert_float_equal(helper_number(q, "max_time"), 0.1, 1e-9);
	assert_float_equal(helper_number(q, "min_time"), 0.00001, 1e-9);
	json_decref(q);
	stats_free(s);
}

/* F3: a million distinct statements in a table of 500; those that matter are kept, nothing is lost from the sums. */
static void a_flood_of_digests_is_bounded_and_keeps_the_heavy(void **state)
{
	struct stats *s = helper_stats(500);
	struct stats_sink *k = helper_sink(s), *l = helper_sink(s);
	struct stats_event heavy = helper_event(0, "select * from heavy where a = 1"), once = heavy;
	uint64_t calls, kept = 0;
	json_t *j, *q;
	size_t i;

	heavy.total_ns = 5 * NS_PER_MS;
	once.text = span_str("select * from once where a = 1");
	for (uint64_t n = 0; n < 1000000; n++) {
		once.digest = 1000 + n;
		stats_record(n & 1 ? k : l, NULL, &once);
		if (n % 100 == 0) {
			/* in no order: two that share a place at the door would take turns there for ever */
			heavy.digest = 1 + (uint64_t)rand() % 20;
			stats_record(heavy.digest & 1 ? k : l, NULL, &heavy);
		}
	}
	j = helper_queries(s, STATS_BY_TOTAL_TIME, 100000);
	assert_true(json_array_size(json_object_get(j, "queries")) <= 500);
	calls = helper_uint(json_object_get(j, "other"), "calls");
	json_array_foreach(json_object_get(j, "queries"), i, q)
	{
		calls += helper_uint(q, "calls");
		kept += strtoull(helper_text(q, "digest"), NULL, 16) < 1000;
	}
	assert_int_equal(calls, 1010000);
	assert_int_equal(kept, 20);
	assert_int_equal(stats_sum(s, STATS_C_QUERIES_PRIMARY), 1010000);
	json_decref(j);
	stats_free(s);
}

/* A caller that keeps where a statement was counted changes nothing but the time it takes, whatever rows are given up meanwhile. */
static void a_place_that_is_kept_is_the_one_that_is_found(void **state)
{
	enum { DIGESTS = 60 };
	struct stats *s[2] = {helper_stats(20), helper_stats(20)};
	struct stats_sink *k[2][2];
	static struct stats_place place[2][DIGESTS];
	struct stats_event e = helper_event(0, "select * from t where a = 1");
	uint32_t r = 1;

	memset(place, 0, sizeof(place));
	for (unsigned i = 0; i < 4; i++)
		k[i / 2][i % 2] = helper_sink(s[i / 2]);
	for (unsigned n = 0; n < 200000; n++) {
		unsigned which, digest;

		r = r * 1664525 + 1013904223;
		which = r >> 31;
		/* some often, some seldom, and which they are changes */
		digest = ((r >> 8) % ((r >> 20) % 4 ? 12 : DIGESTS) + n / 20000 * 7) % DIGESTS;
		e.digest = 1 + digest;
		e.total_ns = 1000 + (r >> 12) % 100000;
		e.start_ns += 1000;
		e.key = stats_key(e.digest, e.schema, e.user);
		e.place = NULL;
		stats_record(k[0][which], NULL, &e);
		e.place = &place[which][digest];
		stats_record(k[1][which], NULL, &e);
	}
	for (unsigned digest = 1; digest <= DIGESTS; digest++) {
		struct iobuf found[2];
		enum rc rc[2];
		json_t *j[2] = {NULL, NULL};

		for (unsigned i = 0; i < 2; i++) {
			iobuf_init(&found[i], 1 << 20);
			rc[i] = stats_json_query(s[i], digest, false, &found[i]);
			if (rc[i] == RC_OK)
				j[i] = helper_parse(&found[i]);
			else
				iobuf_reset(&found[i]);
		}
		assert_int_equal(rc[0], rc[1]);
		for (unsigned i = 0; i < 2; i++) { /* when they were begun */
			json_object_del(j[i], "first_seen");
			json_object_del(j[i], "last_seen");
		}
		assert_true(json_equal(j[0], j[1]) || !j[0]);
		json_decref(j[0]);
		json_decref(j[1]);
	}
	assert_true(stats_sum(s[0], STATS_C_DIGESTS_REPLACED) > 100);
	assert_int_equal(stats_sum(s[0], STATS_C_DIGESTS_REPLACED), stats_sum(s[1], STATS_C_DIGESTS_REPLACED));
	stats_free(s[0]);
	stats_free(s[1]);
}

/* Statements that come again and again are let in even when the table is full of others. */
static void newcomers_that_return_are_admitted(void **state)
{
	struct stats *s = helper_stats(20);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select * from a");
	json_t *q;

	for (e.digest = 1; e.digest <= 40; e.digest++)
		stats_record(k, NULL, &e);
	e.digest = 77;
	for (int i = 0; i < 50; i++)
		stats_record(k, NULL, &e);
	q = helper_query(s, 77, false);
	assert_non_null(q);
	assert_int_equal(helper_uint(q, "calls"), 49); /* the first went to "other" */
	json_decref(q);
	stats_free(s);
}

static void sorts_by_what_is_asked(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select a from t");
	static const struct {
		enum stats_sort sort;
		const char *first;
	} rows[] = {
		{STATS_BY_CALLS, "0x0000000000000001"},
		{STATS_BY_TOTAL_TIME, "0x0000000000000002"},
		{STATS_BY_P99, "0x0000000000000003"},
		{STATS_BY_ROWS_EXAMINED, "0x0000000000000001"},
	};

	for (int i = 0; i < 100; i++)
		stats_record(k, NULL, &e);
	e.digest = 2;
	e.total_ns = 20 * NS_PER_MS;
	for (int i = 0; i < 20; i++)
		stats_record(k, NULL, &e);
	e.digest = 3;
	e.total_ns = 100 * NS_PER_MS;
	stats_record(k, NULL, &e);
	for (unsigned i = 0; i < 4; i++) {
		json_t *j = helper_queries(s, rows[i].sort, 1);

		assert_int_equal(json_array_size(json_object_get(j, "queries")), 1);
		assert_string_equal(helper_text(json_array_get(json_object_get(j, "queries"), 0), "digest"),
				    rows[i].first);
		json_decref(j);
	}
	stats_free(s);
}

static void out_of_memory_counts_into_other(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select a from t");
	json_t *j;

	for (e.digest = 1; e.digest <= 12; e.digest++) {
		mem_fail_after(e.digest, 1);
		stats_record(k, NULL, &e);
		mem_fail_after(0, 0);
	}
	j = helper_queries(s, STATS_BY_CALLS, 100);
	assert_int_equal(
		helper_uint(json_object_get(j, "other"), "calls") + json_array_size(json_object_get(j, "queries")), 12);
	json_decref(j);
	stats_free(s);
}

/* ---- writers and readers at once; a run under TSan is the proof ---- */

struct writer {
	struct stats_sink *sink;
	uint64_t n, spread;
};

static void *write_events(void *arg)
{
	struct writer *w = arg;
	struct stats_nplus1 n = {0};
	struct stats_event e = helper_event(1, "select * from t where id = 1");

	for (uint64_t i = 0; i < w->n; i++) {
		e.digest = 1 + (i * 7919) % w->spread;
		e.literals = i;
		e.total_ns = 1000 * (1 + i % 1000);
		e.start_ns += 1000;
		e.rows_sent = i % 16;
		e.tag_route = span_str(i & 1 ? "/orders" : "/products");
		e.error = i % 100 == 0 ? 1062 : 0;
		stats_record(w->sink, &n, &e);
	}
	return NULL;
}

static void readers_and_writers_meet(void **state)
{
	struct stats *s = helper_stats(64);
	struct writer w[3];
	pthread_t thread[3];
	uint64_t calls;
	json_t *j, *q;
	size_t i;

	for (unsigned t = 0; t < 3; t++) {
		w[t] = (struct writer){helper_sink(s), 40000, t == 2 ? 400 : 50};
		assert_int_equal(pthread_create(&thread[t], NULL, write_events, &w[t]), 0);
	}
	for (unsigned n = 0; n < 20; n++) {
		struct iobuf out;

		iobuf_init(&out, 0);
		assert_int_equal(stats_json_queries(s, n % 4, 10, (struct stats_of){NULL}, &out), RC_OK);
		iobuf_reset(&out);
		assert_int_equal(stats_json_findings(s, true, &out), RC_OK);
		iobuf_reset(&out);
		assert_int_equal(stats_prometheus(s, &out), RC_OK);
		iobuf_reset(&out);
		assert_int_equal(stats_json_overview(s, &out), RC_OK);
		iobuf_reset(&out);
		json_decref(helper_query(s, 1 + n, true));
	}
	for (unsigned t = 0; t < 3; t++)
		assert_int_equal(pthread_join(thread[t], NULL), 0);
	j = helper_queries(s, STATS_BY_CALLS, 1000);
	calls = json_is_null(json_object_get(j, "other")) ? 0 : helper_uint(json_object_get(j, "other"), "calls");
	json_array_foreach(json_object_get(j, "queries"), i, q) calls += helper_uint(q, "calls");
	assert_int_equal(calls, 120000);
	assert_int_equal(stats_sum(s, STATS_C_ERRORS), 1200);
	json_decref(j);
	stats_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_sinks_and_users_add_up),
		cmocka_unit_test(numbers_of_one_user_or_schema),
		cmocka_unit_test(what_cannot_be_told_apart_is_not_shown),
		cmocka_unit_test(plans_go_with_the_samples),
		cmocka_unit_test(percentiles_are_within_two_percent),
		cmocka_unit_test(a_flood_of_digests_is_bounded_and_keeps_the_heavy),
		cmocka_unit_test(a_place_that_is_kept_is_the_one_that_is_found),
		cmocka_unit_test(newcomers_that_return_are_admitted),
		cmocka_unit_test(sorts_by_what_is_asked),
		cmocka_unit_test(out_of_memory_counts_into_other),
		cmocka_unit_test(readers_and_writers_meet),
	};

	return cmocka_run_group_tests_name("stats: the digest table", tests, NULL, NULL);
}
