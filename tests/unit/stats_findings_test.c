/*
 * Findings other than N+1: missing indexes with the adviser's word, what the cache and the queue could take over.
 * S3: a finding names its evidence, the time it costs, and the fix.
 */
#include "core.h"
#include "stats_helper.h"

static struct stats_event scan(void)
{
	struct stats_event e = helper_event(9, "select * from orders where email = 1");

	e.table = span_str("orders");
	e.total_ns = 20 * NS_PER_MS;
	e.no_index = true;
	return e;
}

static void record(struct stats_sink *k, const struct stats_event *e, int n)
{
	struct stats_event each = *e;

	for (int i = 0; i < n; i++) {
		each.start_ns += NS_PER_MS;
		stats_record(k, NULL, &each);
	}
}

static void assert_none(struct stats *s)
{
	json_t *all = helper_findings(s, true);

	assert_int_equal(json_array_size(json_object_get(all, "findings")), 0);
	json_decref(all);
	stats_free(s);
}

/* It is asked, waited for while it is at it, and has nothing to say. */
static void ask_adviser(struct stats *s)
{
	struct stats_explain x;
	json_t *all;

	assert_int_equal(stats_next_explain(s, &x), RC_OK);
	mem_free(x.sql);
	mem_free(x.schema);
	mem_free(x.user);
	all = helper_findings(s, false);
	assert_null(helper_finding(all, "missing_index"));
	json_decref(all);
	assert_int_equal(stats_next_explain(s, &x), RC_DECLINED); /* it is done with that one */
}

static void a_slow_scan_is_a_missing_index(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	json_t *all, *f;

	record(k, &e, 10);
	all = helper_findings(s, false);
	assert_null(helper_finding(all, "missing_index")); /* the adviser is to be asked first */
	json_decref(all);
	ask_adviser(s);
	all = helper_findings(s, false);
	f = helper_finding(all, "missing_index");
	assert_non_null(f);
	assert_string_equal(helper_text(json_object_get(f, "evidence"), "table"), "shop.orders");
	assert_int_equal(helper_uint(json_object_get(f, "evidence"), "no_index"), 10);
	assert_float_equal(helper_number(f, "cost_seconds"), 0.2, 1e-9);
	assert_true(helper_number(f, "first_seen") > 1.5e9);
	assert_true(helper_number(f, "last_seen") >= helper_number(f, "first_seen"));
	json_decref(all);
	stats_free(s);
}

/* Of 10 calls of 20 ms, beside a statement that takes 0.2 ms. A row looked up weighs as much as twelve that are scanned. An index that
 * saves less than a quarter is not proposed. */
static void what_an_index_would_save_is_foretold(void **state)
{
	static const struct {
		uint64_t left, sent; /* rows that match, by a sample and as the statement's own */
		double saved; /* 0: no finding */
	} rows[] = {{0, 0, 0.198}, {1000, 1, 0.15048}, {STATS_ROWS_UNKNOWN, 1000, 0.15048}, {3000, 1, 0.05544}, {4000, 1, 0}, {40000, 1, 0}};

	for (unsigned i = 0; i < countof(rows); i++) {
		struct stats *s = helper_stats(100);
		struct stats_sink *k = helper_sink(s);
		struct stats_event e = scan(), quick = helper_event(10, "select 1");
		struct stats_index_advice a = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
					       .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)"), .rows_examined = 50000,
					       .rows_left = rows[i].left};
		json_t *all, *p;

		quick.total_ns = NS_PER_MS / 5;
		record(k, &quick, 10);
		e.rows_sent = rows[i].sent;
		record(k, &e, 10);
		stats_put_advice(s, &a);
		all = helper_findings(s, false);
		p = json_object_get(helper_finding(all, "missing_index"), "predicted");
		assert_true((p != NULL) == (rows[i].saved > 0));
		if (p) {
			assert_float_equal(helper_number(p, "time_saved"), rows[i].saved, 1e-6);
			assert_float_equal(helper_number(p, "time_saved") + helper_number(p, "time_left"), 0.2, 1e-6);
		}
		json_decref(all);
		stats_free(s);
	}
}

/* The plan speaks of rows that are never read: a LIMIT is soon reached, or the table before gives none. One call that read them is enough. */
static void what_is_done_before_its_plan_says_needs_no_index(void **state)
{
	static const struct {
		uint64_t mean_ns, once_ns;
		bool is;
	} rows[] = {{NS_PER_MS, NS_PER_MS, false}, {NS_PER_MS, 4 * NS_PER_MS, false}, {NS_PER_MS, 6 * NS_PER_MS, true}, {2 * NS_PER_MS, 2 * NS_PER_MS, true}};

	for (unsigned i = 0; i < countof(rows); i++) {
		struct stats *s = helper_stats(100);
		struct stats_event e = scan();
		struct stats_index_advice a = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
					       .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)"), .rows_examined = 50000,
					       .rows_left = 0};
		json_t *all;

		e.total_ns = rows[i].mean_ns;
		record(helper_sink(s), &e, 100);
		e.total_ns = rows[i].once_ns;
		record(helper_sink(s), &e, 1);
		stats_put_advice(s, &a);
		all = helper_findings(s, false);
		assert_true((helper_finding(all, "missing_index") != NULL) == rows[i].is);
		json_decref(all);
		stats_free(s);
	}
}

/* All of a table: there is nothing to look up. */
static void what_asks_for_every_row_needs_no_index(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_event e = scan();

	e.text = span_str("select * from orders");
	record(helper_sink(s), &e, 10);
	ask_adviser(s);
	assert_none(s);
}

/* What is not seen any more is mended, or not run: after an hour, or twenty times its usual interval, a day at most. */
static void what_is_over_is_no_finding(void **state)
{
	static const struct {
		uint64_t every, ago;
		bool is;
	} rows[] = {{60, 3000, true}, {60, 4000, false}, {1800, 4000, true}, {1800, 30000, true}, {1800, 40000, false}, {7200, 80000, true},
		    {7200, 90000, false}};

	for (unsigned i = 0; i < countof(rows); i++) {
		struct stats *s = helper_stats(100);
		struct stats_sink *k = helper_sink(s);
		struct stats_event e = scan();
		struct stats_index_advice a = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
					       .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)")};
		json_t *all;

		for (uint64_t n = 5; n-- > 0;) {
			e.start_ns = clock_mono_ns() - (rows[i].ago + n * rows[i].every) * NS_PER_SEC;
			stats_record(k, NULL, &e);
		}
		stats_put_advice(s, &a);
		all = helper_findings(s, false);
		assert_true((helper_finding(all, "missing_index") != NULL) == rows[i].is);
		json_decref(all);
		stats_free(s);
	}
}

/* What is left of it is of no use to anybody, whatever kind it is; of another table it stays, and of one made anew it comes again. */
static void nothing_is_found_of_a_table_that_was_dropped(void **state)
{
	static const struct {
		const char *schema, *table;
		bool is;
	} rows[] = {{"shop", "order", true}, {"shopping", "orders", true}, {"shop", "ORDERS", false}, {"other", "", true}, {"shop", "", false}};
	struct stats_index_advice a = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
				       .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)")};

	for (unsigned i = 0; i < 2 * countof(rows); i++) {
		struct stats *s = helper_stats(100);
		struct stats_sink *k = helper_sink(s);
		struct stats_event e = scan();
		const char *kind = i % 2 ? "cacheable" : "missing_index";
		json_t *all;

		e.cacheable = i % 2;
		e.no_index = !e.cacheable;
		e.start_ns -= NS_PER_SEC;
		record(k, &e, 200);
		if (!e.cacheable)
			stats_put_advice(s, &a);
		stats_table_dropped(s, span_str(rows[i / 2].schema), span_str(rows[i / 2].table));
		all = helper_findings(s, false);
		assert_true((helper_finding(all, kind) != NULL) == rows[i / 2].is);
		json_decref(all);
		for (unsigned n = 0; n < 100; n++) /* so many are remembered, and more */
			stats_table_dropped(s, span_str("shop"), span_str("others"));
		e.start_ns = clock_mono_ns();
		record(k, &e, 1);
		all = helper_findings(s, false);
		assert_non_null(helper_finding(all, kind));
		json_decref(all);
		stats_free(s);
	}
}

static void what_the_adviser_said_is_withdrawn(void **state)
{
	struct stats_index_advice a = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
				       .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)")};
	struct stats *s = helper_stats(100);
	struct stats_event e = scan();
	json_t *all;

	record(helper_sink(s), &e, 10);
	ask_adviser(s);
	stats_withdraw_advice(s, 9); /* it has said nothing: that the statement is flagged still counts */
	all = helper_findings(s, false);
	assert_non_null(helper_finding(all, "missing_index"));
	json_decref(all);
	stats_put_advice(s, &a);
	stats_withdraw_advice(s, 9);
	assert_none(s);
}

/* A path is a literal: not for everybody's eyes, and where it varies one generated column does not serve the digest. */
static void a_path_is_shown_to_few_and_must_stay(void **state)
{
	static const char *const texts[] = {"select id from orders where json_value(doc, '$.name') = 'x'", "select id from orders where json_value(doc, '$.town') = 'x'"};
	struct stats_index_advice a = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("doc"), .reason = span_str("r"),
				       .fix_text = span_str("A column."), .fix_sql = span_str("ALTER TABLE x"), .fix_statement = span_str("select name"),
				       .path = span_str("$.name")};
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	json_t *all, *f;

	e.text = span_str(texts[0]);
	record(k, &e, 10);
	stats_put_advice(s, &a);
	all = helper_findings(s, true);
	f = helper_finding(all, "missing_index");
	assert_string_equal(helper_text(f, "title"), "shop.orders has no index on what is inside doc");
	assert_string_equal(helper_text(json_object_get(f, "evidence"), "path"), "$.name");
	assert_string_equal(helper_text(f, "fix_statement"), "select name");
	json_decref(all);
	all = helper_findings(s, false);
	f = helper_finding(all, "missing_index");
	assert_string_equal(helper_text(f, "fix_text"), "A column.");
	assert_null(json_object_get(json_object_get(f, "evidence"), "path"));
	assert_null(json_object_get(f, "fix_sql"));
	assert_null(json_object_get(f, "fix_statement"));
	json_decref(all);
	e.text = span_str(texts[1]);
	e.user = span_str("other"); /* nor in another account */
	record(k, &e, 1);
	assert_none(s);
}

/* However long it takes. */
static void what_is_asked_of_the_servers_own_schemas_is_none(void **state)
{
	static const char *const tables[] = {"information_schema.TABLES", "performance_schema.threads", "mysql.user", "SYS.statement_analysis"};

	for (unsigned i = 0; i < countof(tables); i++) {
		struct stats *s = helper_stats(100);
		struct stats_sink *k = helper_sink(s);
		struct stats_event e = scan();

		e.table = span_str(tables[i]);
		record(k, &e, 100);
		assert_none(s);
	}
}

static void a_scan_of_a_small_table_is_none(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();

	e.total_ns = NS_PER_MS / 2;
	record(k, &e, 1000);
	assert_none(s);
}

/* The same text in another schema is about another table: neither its sample, nor what it costs, is that of this one. */
static void a_fix_is_for_one_schema(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event here = scan(), elsewhere = helper_event(9, "select * from orders where email = 7");
	struct stats_index_advice a = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("full scan of 50000 rows"),
				       .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)"), .plan_json = span_str("{}"), .rows_examined = 50000};
	struct stats_explain x;
	const json_t *f;
	json_t *all;

	elsewhere.schema = span_str("tenant");
	elsewhere.no_index = true;
	elsewhere.table = here.table;
	elsewhere.total_ns = here.total_ns * 2; /* the slowest, but one */
	record(k, &here, 6);
	record(k, &elsewhere, 1);
	assert_int_equal(stats_next_explain(s, &x), RC_OK);
	assert_string_equal(x.schema, "shop");
	assert_string_equal(x.sql, "select * from orders where email = 1");
	mem_free(x.sql);
	mem_free(x.schema);
	mem_free(x.user);
	stats_put_advice(s, &a);
	all = helper_findings(s, true);
	f = helper_finding(all, "missing_index");
	assert_true(helper_number(json_object_get(f, "evidence"), "schema_share") == 0.75);
	assert_string_equal(helper_text(json_object_get(f, "evidence"), "example"), "select * from orders where email = 1");
	assert_true(helper_number(f, "cost_seconds") * 1e9 == (double)here.total_ns * 6);
	json_decref(all);
	stats_free(s);
}

static void the_adviser_gets_work_and_its_word_counts(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	struct stats_explain x;
	struct stats_index_advice a;
	json_t *all, *f, *q;

	record(k, &e, 3);
	assert_int_equal(stats_next_explain(s, &x), RC_OK);
	assert_int_equal(x.digest, 9);
	assert_string_equal(x.sql, "select * from orders where email = 1");
	assert_string_equal(x.schema, "shop");
	assert_string_equal(x.user, "app");
	mem_free(x.sql);
	mem_free(x.schema);
	mem_free(x.user);
	assert_int_equal(stats_next_explain(s, &x),
			 RC_DECLINED); /* neither within a second nor the same within minutes */
	a = (struct stats_index_advice){.digest = 9,
					.table = span_str("shop.orders"),
					.columns = span_str("email"),
					.reason = span_str("full scan of 50000 rows"),
					.fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)"),
					.plan_json = span_str("{\"query_block\": {\"select_id\": 1}}"),
					.rows_examined = 50000};
	stats_put_advice(s, &a);
	all = helper_findings(s, true);
	f = helper_finding(all, "missing_index");
	assert_string_equal(helper_text(f, "fix_sql"), "ALTER TABLE `shop`.`orders` ADD INDEX (`email`)");
	assert_int_equal(helper_uint(json_object_get(f, "evidence"), "rows_examined_per_call"), 50000);
	json_decref(all);
	q = helper_query(s, 9, true);
	assert_int_equal(helper_uint(q, "rows_examined"), 150000);
	assert_true(json_is_object(json_object_get(json_object_get(q, "plan"), "query_block")));
	assert_int_equal(json_array_size(json_object_get(q, "findings")), 1);
	json_decref(q);
	q = helper_query(s, 9, false);
	assert_true(json_is_null(json_object_get(q, "plan"))); /* S2: a plan shows literals */
	json_decref(q);
	stats_free(s);
}

static void the_advisers_no_ends_the_finding(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	struct stats_index_advice a = {
		.digest = 9, .reason = span_str("reads all rows, as it must"), .plan_json = span_str("{cut")};

	record(k, &e, 50);
	stats_put_advice(s, &a);
	assert_none(s);
}

/* Waits for the next; of the digest that all these tests have. False: none within most_ns. */
static bool asked_again(struct stats *s, uint64_t most_ns)
{
	uint64_t until = clock_mono_ns() + most_ns;
	struct stats_explain x;

	while (stats_next_explain(s, &x) != RC_OK) {
		if (clock_mono_ns() >= until)
			return false;
		nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
	}
	assert_int_equal(x.digest, 9);
	mem_free(x.sql);
	mem_free(x.schema);
	mem_free(x.user);
	return true;
}

static void what_was_found_in_a_changed_table_is_asked_about_again(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	struct stats_index_advice found = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
					   .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)")},
				  none = {.digest = 9, .reason = span_str("no full scan")};

	record(k, &e, 3);
	assert_true(asked_again(s, 0));
	stats_put_advice(s, &found);
	stats_table_changed(s, span_str("shop"), span_str("others"));
	stats_table_changed(s, span_str("other"), span_str("orders"));
	assert_false(asked_again(s, 1500 * NS_PER_MS));
	stats_table_changed(s, span_str("shop"), span_str("ORDERS"));
	assert_true(asked_again(s, 500 * NS_PER_MS));
	stats_put_advice(s, &found);
	assert_false(asked_again(s, 1500 * NS_PER_MS));
	assert_true(asked_again(s, 3 * NS_PER_SEC)); /* a replica may have come to it later */
	stats_put_advice(s, &none);
	assert_none(s); /* with s */
}

/* The digest that is asked about within most_ns, while the table is changed all the time, if it is; 0: none. It has a finding. */
static uint64_t finds(struct stats *s, uint64_t most_ns, bool changes)
{
	uint64_t until = clock_mono_ns() + most_ns;
	struct stats_index_advice found = {.table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
					   .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)")};
	struct stats_explain x;

	for (;;) {
		if (changes)
			stats_table_changed(s, span_str("shop"), span_str("orders"));
		if (stats_next_explain(s, &x) == RC_OK)
			break;
		if (clock_mono_ns() >= until)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 10 * NS_PER_MS}, NULL);
	}
	found.digest = x.digest;
	stats_put_advice(s, &found);
	mem_free(x.sql);
	mem_free(x.schema);
	mem_free(x.user);
	return found.digest;
}

static void a_table_that_changes_all_the_time_is_not_explained_all_the_time(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	unsigned asked = 0;
	uint64_t until;

	record(k, &e, 3);
	assert_int_equal(finds(s, 0, false), 9);
	until = clock_mono_ns() + 4500 * NS_PER_MS;
	while (clock_mono_ns() < until)
		asked += finds(s, 100 * NS_PER_MS, true) != 0;
	assert_in_range(asked, 1, 2);
	stats_free(s);
}

static void new_statements_wait_for_no_changed_ones(void **state)
{
	enum { FOUND = 3 };
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	bool is_new = false;

	for (e.digest = 1; e.digest <= FOUND; e.digest++) {
		record(k, &e, 50);
		assert_int_equal(finds(s, 2 * NS_PER_SEC, false), e.digest);
	}
	nanosleep(&(struct timespec){.tv_sec = 1}, NULL); /* once their table has changed, all are due */
	record(k, &e, 3);
	for (int i = 0; i < 2 && !is_new; i++)
		is_new = finds(s, 1500 * NS_PER_MS, true) == e.digest;
	assert_true(is_new);
	stats_free(s);
}

static void a_change_while_it_is_explained_is_not_lost(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan();
	struct stats_index_advice found = {.digest = 9, .table = span_str("shop.orders"), .columns = span_str("email"), .reason = span_str("r"),
					   .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)")};

	record(k, &e, 3);
	assert_true(asked_again(s, 0));
	stats_table_changed(s, span_str("shop"), span_str("orders"));
	stats_put_advice(s, &found);
	assert_true(asked_again(s, 3 * NS_PER_SEC));
	stats_free(s);
}

static void nothing_to_explain_without_samples(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_options off = {.slow_ns = NS_PER_SEC, .explain = true};
	struct stats_event e = scan();
	struct stats_explain x;

	record(k, &e, 3);
	stats_reconfigure(s, &off);
	assert_int_equal(stats_next_explain(s, &x), RC_DECLINED);
	stats_free(s);
}

static void repeated_reads_are_cacheable(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(0xabc, "select * from products where id = 1");
	json_t *all, *f;
	uint64_t repeats;

	e.cacheable = true;
	for (int i = 0; i < 400; i++) {
		e.literals = i % 20;
		record(k, &e, 1);
	}
	all = helper_findings(s, false);
	f = helper_finding(all, "cacheable");
	assert_non_null(f);
	repeats = helper_uint(json_object_get(f, "evidence"), "repeats");
	/* Of 20 values read 20 times each. Two that fall on one slot of what is remembered hide each other: a few may. */
	assert_in_range(repeats, 380 - 6 * 19, 380);
	assert_float_equal(helper_number(f, "cost_seconds"), (double)repeats / 1000, 1e-9);
	assert_non_null(
		strstr(helper_text(f, "fix_config"), "- match: {digest: \"0x0000000000000abc\"}\n      ttl: 60s"));
	json_decref(all);
	stats_free(s);
}

static void reads_that_do_not_repeat_are_not_cacheable(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select * from products where id = 1");

	e.cacheable = true;
	for (e.literals = 0; e.literals < 1000; e.literals++)
		record(k, &e, 1);
	assert_none(s);
}

static void reads_of_a_busy_table_are_not_cacheable(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select * from products where id = 1"),
			   w = helper_event(2, "update products set stock = 1 where id = 1");

	e.cacheable = true;
	w.is_read = false;
	w.verb = "update";
	record(k, &e, 400);
	record(k, &w, 300);
	assert_none(s);
}

static struct stats_event insert(void)
{
	struct stats_event e = helper_event(5, "insert into access_log values (1)");

	e.verb = "insert";
	e.table = span_str("access_log");
	e.is_read = false;
	e.queueable = true;
	e.rows_affected = 1;
	return e;
}

static void log_inserts_are_queueable(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = insert();
	json_t *all, *f;

	record(k, &e, 500);
	all = helper_findings(s, false);
	f = helper_finding(all, "queueable");
	assert_non_null(f);
	assert_non_null(strstr(helper_text(f, "fix_config"), "{table: shop.access_log, verb: insert}"));
	json_decref(all);
	stats_free(s);
}

static void inserts_into_a_table_that_is_read_are_not(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = insert(), r = helper_event(6, "select * from access_log where id = 1");

	r.table = span_str("access_log");
	record(k, &e, 500);
	record(k, &r, 400);
	assert_none(s);
}

/* Whoever asks for the generated id cannot wait for the queue. */
static void inserts_whose_id_is_asked_for_are_not(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = insert(), ask = helper_event(6, "select last_insert_id()");
	struct stats_nplus1 n = {0};
	json_t *all;

	ask.asks_outcome = true;
	ask.table = span_str("");
	for (int i = 0; i < 500; i++) {
		stats_record(k, &n, &e);
		if (i % 10 == 0)
			stats_record(k, &n, &ask);
	}
	assert_none(s);
	s = helper_stats(100);
	k = helper_sink(s);
	n = (struct stats_nplus1){0};
	for (int i = 0; i < 600; i++) {
		stats_record(k, &n, &e);
		if (i % 30 == 0)
			stats_record(k, &n, &ask);
	}
	all = helper_findings(s, false);
	assert_non_null(helper_finding(all, "queueable"));
	json_decref(all);
	stats_free(s);
}

static const char *value_of; /* of the next statement */
static uint64_t table_of;

static void values(const struct stats_event *e, struct stats_values *out)
{
	*out = (struct stats_values){.n = 1, .hash = {map_hash(value_of, strlen(value_of))}};
}

static unsigned tables(const struct stats_event *e, uint64_t *out, unsigned most)
{
	*out = table_of;
	return most > 0;
}

static const char *verb_between = "select";

/* An insert, some statements of no matter, then one with this value that reads (or writes) this table; is the insert still proposed? */
static bool proposed_before(unsigned between, const char *value, uint64_t table, bool reads)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = insert(), other = helper_event(7, "select 1"), next = helper_event(8, "select * from other join the_log using (id)");
	struct stats_nplus1 n = {0};
	char id[24] = "";
	json_t *all;
	bool is;

	e.tables = other.tables = next.tables = tables;
	e.values = other.values = next.values = values;
	next.is_read = reads;
	next.verb = reads ? "select" : "update";
	next.table = span_str("other");
	other.table = span_str("");
	other.verb = verb_between;
	other.is_read = *verb_between == 's';
	for (unsigned i = 0; i < 500; i++) {
		e.insert_id = 1000 + i;
		table_of = 77;
		stats_record(k, &n, &e);
		table_of = 5;
		value_of = "5";
		for (unsigned b = 0; b < between; b++)
			stats_record(k, &n, &other);
		if (i % 10 == 0) {
			(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)e.insert_id);
			table_of = table;
			value_of = value ? value : id;
			stats_record(k, &n, &next);
		}
	}
	all = helper_findings(s, false);
	is = helper_finding(all, "queueable") != NULL;
	json_decref(all);
	stats_free(s);
	return is;
}

/* Drivers take the generated id from the answer: what is seen of that is the id in a next statement. */
static void inserts_whose_outcome_is_used_are_not(void **state)
{
	assert_true(proposed_before(0, "5", 5, true));
	assert_false(proposed_before(0, NULL, 5, true)); /* its id is looked up */
	assert_false(proposed_before(2, NULL, 5, false)); /* ... or written beside */
	assert_false(proposed_before(0, "5", 77, true)); /* its table is read, whatever the text calls it */
	assert_false(proposed_before(3, "5", 77, true));
	assert_true(proposed_before(0, "5", 77, false));
	assert_true(proposed_before(9, NULL, 77, true)); /* long after */
	verb_between = "commit"; /* which ends loops, and not this */
	assert_false(proposed_before(1, "5", 77, true));
	verb_between = "select";
}

static void inserts_into_a_table_that_joins_read_are_not(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = insert(), r = helper_event(6, "select * from users as u join shop.access_log as a on a.user = u.id");
	json_t *all;

	r.table = span_str("users");
	record(k, &e, 500);
	record(k, &r, 40);
	all = helper_findings(s, false);
	assert_non_null(helper_finding(all, "queueable"));
	json_decref(all);
	record(k, &r, 400);
	assert_none(s);
	s = helper_stats(100);
	k = helper_sink(s);
	r.text = span_str("select * from users as u join access_log_old as a on a.user = u.id");
	record(k, &e, 500);
	record(k, &r, 400);
	all = helper_findings(s, false);
	assert_non_null(helper_finding(all, "queueable"));
	json_decref(all);
	stats_free(s);
}

/* What a CDN could hold of the route, by /api/costs; 0: it is not named. */
static uint64_t held(struct stats *s)
{
	struct iobuf out;
	json_t *costs, *route;
	uint64_t ttl;

	iobuf_init(&out, 0);
	assert_int_equal(stats_json_costs(s, &out), RC_OK);
	costs = helper_parse(&out);
	route = json_array_get(json_object_get(costs, "by_route"), 0);
	assert_string_equal(helper_text(route, "name"), "/news");
	ttl = json_object_get(route, "cdn_ttl") ? helper_uint(route, "cdn_ttl") : 0;
	json_decref(costs);
	return ttl;
}

static void a_route_of_reads_that_are_seldom_written_may_be_held(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event r = helper_event(1, "select * from products where id = 1"), w = helper_event(2, "update products"), e;

	w.verb = "update";
	w.is_read = false;
	r.cacheable = true;
	r.answer_ns = NS_PER_MS;
	r.tag_route = span_str("/news");
	s->before_ns = 6000 * NS_PER_SEC; /* counted in an earlier life */
	record(k, &r, 99);
	assert_int_equal(held(s), 0);
	record(k, &r, 1);
	assert_in_range(held(s), 600, 602);
	record(k, &w, 9);
	assert_in_range(held(s), 60, 61);
	record(k, &w, 100); /* oftener than once a minute */
	assert_int_equal(held(s), 0);
	stats_free(s);
	s = helper_stats(100);
	k = helper_sink(s);
	s->before_ns = 6000 * NS_PER_SEC;
	record(k, &r, 1000);
	assert_in_range(held(s), 600, 602);
	e = r;
	for (unsigned i = 0; i < 5; i++) { /* what more routes than are told apart send may be of this one, too */
		static const char *const others[] = {"/a", "/b", "/c", "/d", "/e"};

		e.digest = 3;
		e.table = span_str("stock");
		e.tag_route = span_str(others[i]);
		record(k, &e, 1);
	}
	w.table = span_str("stock");
	assert_in_range(held(s), 600, 602);
	record(k, &w, 1000);
	assert_int_equal(held(s), 0);
	r.cacheable = false;
	record(k, &r, 1); /* a statement that the cache could not answer */
	assert_int_equal(held(s), 0);
	stats_free(s);
}

/* An index that would cost the writes more than it saves is none. */
static void an_index_is_weighed_against_writes(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = scan(), w = insert();
	struct stats_index_advice a = {.digest = e.digest,
				       .table = span_str("shop.orders"),
				       .columns = span_str("email"),
				       .reason = span_str("full scan"),
				       .fix_sql = span_str("ALTER TABLE `shop`.`orders` ADD INDEX (`email`)")};
	json_t *all;

	e.table = w.table = span_str("orders");
	w.queueable = false;
	e.total_ns = 10 * NS_PER_MS;
	record(k, &e, 10);
	stats_put_advice(s, &a);
	w.rows_affected = 4000;
	record(k, &w, 1);
	all = helper_findings(s, false);
	assert_int_equal(helper_uint(json_object_get(helper_finding(all, "missing_index"), "evidence"), "rows_written"), 4000);
	json_decref(all);
	record(k, &w, 1);
	all = helper_findings(s, false);
	assert_null(helper_finding(all, "missing_index"));
	json_decref(all);
	stats_free(s);
}

static void findings_are_ranked_by_cost(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event a = scan(), b = insert();
	json_t *all, *list;

	record(k, &a, 5);   /* 0.1 s */
	ask_adviser(s);
	record(k, &b, 800); /* 0.8 s */
	all = helper_findings(s, false);
	list = json_object_get(all, "findings");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(helper_text(json_array_get(list, 0), "kind"), "queueable");
	assert_string_equal(helper_text(json_array_get(list, 1), "kind"), "missing_index");
	json_decref(all);
	stats_free(s);
}

/* Is it found, with 50,000 rows read for ten, in 20 ms? */
static bool page_is_found(const char *sql, const char *fix)
{
	struct stats *s = helper_stats(100);
	struct stats_event e = helper_event(9, sql);
	struct stats_index_advice a = {.digest = 9, .rows_examined = 50000, .table = span_str(""), .columns = span_str(""), .reason = span_str(""),
				       .fix_sql = span_str(""), .fix_text = span_str(""), .plan_json = span_str("")};
	json_t *all, *found;
	bool is;

	e.total_ns = 20 * NS_PER_MS;
	e.rows_sent = 10;
	record(helper_sink(s), &e, 20);
	stats_put_advice(s, &a);
	all = helper_findings(s, true);
	found = helper_finding(all, "heavy_aggregate");
	is = found && strstr(helper_text(found, "fix_text"), fix);
	json_decref(all);
	stats_free(s);
	return is;
}

static void a_page_far_from_the_beginning_is_heavy(void **state)
{
	assert_true(page_is_found("select a from t order by a limit 10 offset 50000", "Page by key"));
	assert_true(page_is_found("select a from t order by a LIMIT 50000, 10", "Page by key"));
	assert_true(page_is_found("select a from t order by a limit 50000 ,10", "Page by key"));
	assert_true(page_is_found("select a from (select a from u limit 5) as t order by a limit 10 offset 50000", "Page by key"));
	assert_true(page_is_found("select '(', a from t order by a limit 10 offset 50000", "Page by key"));
	assert_false(page_is_found("select a from t order by a limit 0, 10", "")); /* the first page, */
	assert_false(page_is_found("select a from t order by a limit 10 offset 100", "")); /* one of the first, */
	assert_false(page_is_found("select a, `offset` from t where offset > 50000 and t.offset = 50000 order by a limit 10", "")); /* a column, */
	assert_false(page_is_found("select a from t where b in (select c from u limit 50000, 1) order by a limit 10", ""));
	assert_false(page_is_found("select a from t where b = ' limit 50000, 1' /* limit 50000, 1 */ order by a limit 10", ""));
	assert_false(page_is_found("select a from t order by a limit 10", ""));
	assert_false(page_is_found("select a, b from t where c = 1 order by a limit 10", ""));
}

/* What waits for a connection, or for a lock on a few rows, is no aggregate's own time. */
static void an_aggregate_is_heavy_by_its_own_work(void **state)
{
	static const struct {
		uint64_t wait_ms, examined; /* rows a call; 0: not known */
		bool is;
		const char *text;
	} rows[] = {{0, 0, true}, {150, 0, false}, {0, 50000, true}, {0, 500, false}, {150, 50000, true}, {198, 50000, false},
		    {0, 50000, true, "select distinct name from t"}, {0, 50000, false, "select id from t where code in (select distinct code from u)"}};

	for (unsigned i = 0; i < countof(rows); i++) {
		struct stats *s = helper_stats(100);
		struct stats_event e = helper_event(9, rows[i].text ? rows[i].text : "select count(*) from t");
		struct stats_index_advice a = {.digest = 9, .rows_examined = rows[i].examined, .table = span_str(""), .columns = span_str("")};
		json_t *all;

		e.total_ns = 200 * NS_PER_MS;
		e.wait_ns = rows[i].wait_ms * NS_PER_MS;
		record(helper_sink(s), &e, 20);
		stats_put_advice(s, &a);
		all = helper_findings(s, true);
		assert_true((helper_finding(all, "heavy_aggregate") != NULL) == rows[i].is);
		json_decref(all);
		stats_free(s);
	}
}

static uint64_t calls_of(struct stats *s, const char *by, const char *name)
{
	struct iobuf out;
	uint64_t calls = 0;
	json_t *j, *row;
	size_t i;

	iobuf_init(&out, 1 << 20);
	assert_int_equal(stats_json_costs(s, &out), RC_OK);
	j = helper_parse(&out);
	json_array_foreach(json_object_get(j, by), i, row)
	{
		const char *is = json_string_value(json_object_get(row, "name"));

		if (name ? is && strcmp(is, name) == 0 : !is)
			calls += helper_uint(row, "calls");
	}
	json_decref(j);
	return calls;
}

/* Sessions side by side, each remembering for whom it counts, with tags now and then; one is handed to another user. */
static void whoever_pays_is_told_by_session_and_tags(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_nplus1 n[2];
	struct stats_event e = helper_event(7, "select 1 from t"), begin = helper_event(8, "begin");

	memset(n, 0, sizeof(n));
	begin.verb = "begin";
	for (unsigned i = 0; i < 100; i++) {
		e.user = begin.user = span_str(i & 1 ? "shop" : i < 50 ? "app" : "batch");
		e.host = begin.host = span_str(i & 1 ? "10.0.0.1" : "10.0.0.2");
		if (i == 50)
			memset(&n[0], 0, sizeof(n[0]));
		e.tag_route = span_str(i % 10 == 3 ? "/cart" : "");
		e.tag_service = span_str(i % 10 == 4 ? "web" : "");
		stats_record(k, &n[i & 1], &e);
		if (i % 7 == 0)
			stats_record(k, &n[i & 1], &begin);
	}
	assert_int_equal(calls_of(s, "by_user", "app"), 25 + 4);
	assert_int_equal(calls_of(s, "by_user", "batch"), 25 + 4);
	assert_int_equal(calls_of(s, "by_user", "shop"), 50 + 7);
	assert_int_equal(calls_of(s, "by_host", "10.0.0.1"), 57);
	assert_int_equal(calls_of(s, "by_host", "10.0.0.2"), 58);
	assert_int_equal(calls_of(s, "by_route", "/cart"), 10);
	assert_int_equal(calls_of(s, "by_route", NULL), 105);
	assert_int_equal(calls_of(s, "by_service", "web"), 10);
	stats_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_pays_is_told_by_session_and_tags),
		cmocka_unit_test(a_slow_scan_is_a_missing_index),
		cmocka_unit_test(what_an_index_would_save_is_foretold),
		cmocka_unit_test(a_scan_of_a_small_table_is_none),
		cmocka_unit_test(what_is_done_before_its_plan_says_needs_no_index),
		cmocka_unit_test(what_asks_for_every_row_needs_no_index),
		cmocka_unit_test(a_path_is_shown_to_few_and_must_stay),
		cmocka_unit_test(what_is_over_is_no_finding),
		cmocka_unit_test(nothing_is_found_of_a_table_that_was_dropped),
		cmocka_unit_test(what_the_adviser_said_is_withdrawn),
		cmocka_unit_test(an_aggregate_is_heavy_by_its_own_work),
		cmocka_unit_test(what_is_asked_of_the_servers_own_schemas_is_none),
		cmocka_unit_test(the_adviser_gets_work_and_its_word_counts),
		cmocka_unit_test(a_fix_is_for_one_schema),
		cmocka_unit_test(the_advisers_no_ends_the_finding),
		cmocka_unit_test(what_was_found_in_a_changed_table_is_asked_about_again),
		cmocka_unit_test(a_table_that_changes_all_the_time_is_not_explained_all_the_time),
		cmocka_unit_test(new_statements_wait_for_no_changed_ones),
		cmocka_unit_test(a_change_while_it_is_explained_is_not_lost),
		cmocka_unit_test(nothing_to_explain_without_samples),
		cmocka_unit_test(repeated_reads_are_cacheable),
		cmocka_unit_test(reads_that_do_not_repeat_are_not_cacheable),
		cmocka_unit_test(reads_of_a_busy_table_are_not_cacheable),
		cmocka_unit_test(log_inserts_are_queueable),
		cmocka_unit_test(inserts_whose_id_is_asked_for_are_not),
		cmocka_unit_test(inserts_whose_outcome_is_used_are_not),
		cmocka_unit_test(inserts_into_a_table_that_joins_read_are_not),
		cmocka_unit_test(an_index_is_weighed_against_writes),
		cmocka_unit_test(a_route_of_reads_that_are_seldom_written_may_be_held),
		cmocka_unit_test(inserts_into_a_table_that_is_read_are_not),
		cmocka_unit_test(a_page_far_from_the_beginning_is_heavy),
		cmocka_unit_test(findings_are_ranked_by_cost),
	};

	return cmocka_run_group_tests_name("stats: findings", tests, NULL, NULL);
}
