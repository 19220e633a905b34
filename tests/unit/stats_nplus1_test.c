/*
 * N+1 loops: which sequences of statements in a session are one, and which only look like one.
 */
#include "stats_helper.h"

#define LIST 100
#define CHILD 200
#define OTHER 300

/* A session that sends statements one after the other. */
struct session {
	struct stats *s;
	struct stats_sink *k;
	struct stats_nplus1 n;
	uint64_t now, literals;
	const char *route, *framework;
	const char *written; /* the table of its writes */
};

static void begin(struct session *c)
{
	*c = (struct session){.s = helper_stats(100), .now = clock_mono_ns() - 600 * NS_PER_SEC, .route = "", .framework = "", .written = ""};
	c->k = helper_sink(c->s);
}

static void send(struct session *c, uint64_t digest, const char *text, const char *verb, uint64_t rows)
{
	struct stats_event e = helper_event(digest, text);

	e.verb = verb;
	e.is_read = strcmp(verb, "select") == 0;
	e.table = span_str(e.is_read ? "customers" : c->written);
	e.literals = ++c->literals;
	e.rows_sent = rows;
	e.start_ns = c->now;
	e.tag_route = span_str(c->route);
	e.tag_framework = span_str(c->framework);
	stats_record(c->k, &c->n, &e);
	c->now += 2 * NS_PER_MS;
}

static void list(struct session *c, uint64_t rows)
{
	send(c, LIST, "select id, customer_id from orders limit 20", "select", rows);
}

static void child(struct session *c)
{
	send(c, CHILD, "select id, name from customers where id = 9876543219", "select", 1);
}

/* The finding, or NULL; *all is to be released. */
static json_t *loop_found(struct session *c, json_t **all)
{
	*all = helper_findings(c->s, true);
	return helper_finding(*all, "n_plus_one");
}

static void assert_no_loop(struct session *c)
{
	json_t *all;

	assert_null(loop_found(c, &all));
	json_decref(all);
	stats_free(c->s);
}

/* Whatever is sent, a run whose parent comes again is found: the bitmap knows every parent, and not all there is. */
static void every_runs_parent_is_in_the_bitmap(void **state)
{
	struct session c;
	unsigned parents = 0, unknown = 0;
	uint32_t r = 1;

	begin(&c);
	for (unsigned n = 0; n < 200000; n++) {
		uint64_t digest, of;

		r = r * 1664525 + 1013904223;
		of = n / 500 * 0x9e3779b9u;
		digest = of % 1000 + 1 + (r >> 16) % (n % 3 ? 4 : 100);
		if ((r >> 8) % 64 == 0)
			send(&c, 999, "commit", "commit", 0);
		else if ((r >> 8) % 16 == 0)
			send(&c, 998, "update t", "update", 0);
		else
			send(&c, digest, "select 1", "select", digest % 4 ? 1 : 10);
		for (unsigned i = 0; i < STATS_NPLUS1_SLOTS; i++) {
			uint64_t parent = c.n.run[i].parent;

			parents += parent != 0;
			assert_true(!parent || c.n.parents >> (parent & 63) & 1);
		}
		unknown += c.n.parents != UINT64_MAX;
	}
	assert_true(parents > 10000 && unknown > 100000);
	stats_free(c.s);
}

static void the_hint_is_that_of_the_framework(void **state)
{
	static const char *const rows[][3] = {{"django:4.2", "prefetch_related", "includes"}, {"rails_v7", "includes(", "select_related"},
					      {"laravel", "with(", "select_related"}, {"Hibernate", "JOIN FETCH", "includes("},
					      {"something", "select_related", "knex"}};

	for (unsigned r = 0; r < countof(rows); r++) {
		struct session c;
		json_t *all, *f;

		begin(&c);
		c.framework = rows[r][0];
		list(&c, 20);
		for (int i = 0; i < 20; i++)
			child(&c);
		f = loop_found(&c, &all);
		assert_non_null(f);
		assert_non_null(strstr(helper_text(f, "fix_text"), rows[r][1]));
		assert_null(strstr(helper_text(f, "fix_text"), rows[r][2]));
		assert_string_equal(helper_text(json_object_get(f, "evidence"), "framework"), rows[r][0]);
		json_decref(all);
		stats_free(c.s);
	}
}

static void a_read_for_each_row_of_a_list_is_found(void **state)
{
	struct session c;
	json_t *all, *f, *ev;

	begin(&c);
	c.route = "orders#index";
	for (int n = 0; n < 3; n++) {
		list(&c, 20);
		for (int i = 0; i < 20; i++)
			child(&c);
	}
	f = loop_found(&c, &all);
	assert_non_null(f);
	ev = json_object_get(f, "evidence");
	assert_string_equal(helper_text(f, "digest"), "0x00000000000000c8");
	assert_string_equal(helper_text(f, "title"), "N+1 loop over shop.customers");
	assert_string_equal(helper_text(ev, "parent_digest"), "0x0000000000000064");
	assert_string_equal(helper_text(ev, "route"), "orders#index");
	assert_int_equal(helper_uint(ev, "occurrences"), 3);
	assert_int_equal(helper_uint(ev, "queries"), 60);
	assert_int_equal(helper_uint(ev, "max_repeats"), 20);
	assert_float_equal(helper_number(ev, "mean_repeats"), 20, 0.01);
	assert_float_equal(helper_number(f, "cost_seconds"), 0.057, 1e-6); /* all but one query of each run */
	/* The first of each run takes what it did, each of the 57 others' keys 5 us and its row one more. */
	assert_float_equal(helper_number(json_object_get(f, "predicted"), "time_left"), 0.003 + 57 * 6e-6, 1e-6);
	assert_string_equal(helper_text(f, "fix_sql"), "select id, name from customers where id in (?, ?, ...)");
	assert_non_null(strstr(helper_text(f, "fix_text"), "select_related"));
	assert_string_equal(helper_text(ev, "example"), "select id, name from customers where id = 9876543219");
	assert_int_equal(stats_sum(c.s, STATS_C_NPLUS1), 3);
	json_decref(all);
	stats_free(c.s);
}

/* Of many keys at once, where each one's rows can be told apart and none are lost. NULL: it cannot be said. */
static void the_statement_for_all_keys_is_said(void **state)
{
	static const char *const rows[][2] = { /* 0: NULL, which is normalised likewise */
		{"select name from t where id = 5 limit 1", "select name, id from t where id in (?, ?, ...)"},
		{"select a, id from t where a = 5", "select a, id from t where a in (?, ?, ...)"},
		{"select distinct id, t.a as k from t where a = 5", "select distinct id, t.a as k from t where a in (?, ?, ...)"},
		{"select a + id from t where a = 5", "select a + id, a from t where a in (?, ?, ...)"},
		{"select u.* from t join u on u.t = t.id where t.a = 5", "select u.*, t.a from t join u on u.t = t.id where t.a in (?, ?, ...)"},
		{"select * from t join u on u.t = t.id where t.a = 5", "select * from t join u on u.t = t.id where t.a in (?, ?, ...)"},
		{"select t.*, u.a from t, u where u.t = t.id and t.a = 5", "select t.*, u.a from t, u where u.t = t.id and t.a in (?, ?, ...)"},
		{"select t.id from t, u where u.t = t.id and `u`.`a` = 5", "select t.id, `u`.`a` from t, u where u.t = t.id and `u`.`a` in (?, ?, ...)"},
		{"select `t`.* from `t` where `t`.`a` = 5 order by `t`.`id` desc", "select `t`.* from `t` where `t`.`a` in (?, ?, ...) order by `t`.`id` desc"},
		{"select id from t where a = 5 and gone is 0", "select id, a from t where a in (?, ?, ...) and gone is null"},
		{"select id from t where gone is not 0 and a = 5 and b is 0 order by id", "select id, a from t where gone is not null and a in (?, ?, ...) and b is null order by id"},
		{"select t.id from t, u where u.t = t.id and u.a = 5", "select t.id, u.a from t, u where u.t = t.id and u.a in (?, ?, ...)"},
		{"select count(*) from t where a = 5", "select a, count(*) from t where a in (?, ?, ...) group by a"},
		{"select max(t.id) as newest from t where t.a = 5 and gone is 0", "select t.a, max(t.id) as newest from t where t.a in (?, ?, ...) and gone is null group by t.a"},
		{"select name from t where (`t`.`id` = 5 and gone is 0) limit 1", "select name, `t`.`id` from t where (`t`.`id` in (?, ?, ...) and gone is null)"},
		{"select t.id from t inner join u on (t.id = u.t) where (gone is 0 and u.a = 5) order by t.id", "select t.id, u.a from t inner join u on (t.id = u.t) where (gone is null and u.a in (?, ?, ...)) order by t.id"},
		{"select count(*) as n from t where (a = 5)", "select a, count(*) as n from t where (a in (?, ?, ...)) group by a"},
		{"select id from t where (a = 5 and gone is 0", NULL},
		{"select id from t where (a = 5 or gone is 0)", NULL},
		{"select id from t where (a = 5) and gone is 0", "select id, a from t where (a in (?, ?, ...)) and gone is null"},
		{"select id from t where ((a = 5 and gone is 0) and ( b ) ) order by id", "select id, a from t where ((a in (?, ?, ...) and gone is null) and ( b ) ) order by id"},
		{"select id from t where (a = 5 and t.shown) order by id", "select id, a from t where (a in (?, ?, ...) and t.shown) order by id"},
		{"select name from t where not gone and id = 5 limit 1", "select name, id from t where not gone and id in (?, ?, ...)"},
		{"select id from t where a = 5 and b = true", "select id, a from t where a in (?, ?, ...) and b = true"},
		{"select 1 as one from t where a = 5 limit 1", "select distinct a from t where a in (?, ?, ...)"},
		{"select (1) as `a` from `t` where (`t`.`a` = 5 and not `t`.`gone`) limit 1", "select distinct `t`.`a` from `t` where (`t`.`a` in (?, ?, ...) and not `t`.`gone`)"},
		{"select 1 from t join u on u.t = t.id where u.a = 5 limit 1", "select distinct u.a from t join u on u.t = t.id where u.a in (?, ?, ...)"},
		{"select 1 from t where a = 5", NULL}, /* as many as there are */
		{"select name from t where t.id = 5 order by t.id asc limit 1", "select name, t.id from t where t.id in (?, ?, ...)"},
		{"select name from t where id = 5 order by id limit 1", "select name, id from t where id in (?, ?, ...)"},
		{"select id from t where a = 5 limit 1", NULL}, /* there may be more of each */
		{"select u.name from t, u where u.t = t.id and t.id = 5 limit 1", NULL},
		{"select u.name from t join u on u.t = t.id where t.id = 5 limit 1", NULL},
		{"select 1 as one from t where a = 5 order by id limit 1", NULL},
		{"select 1 as one from t where a = 5 order by id", NULL},
		{"select 1, id from t where a = 5", NULL},
		{"select (1) + id from t where a = 5", NULL},
		{"select id from t where a = 5 order by a, id limit 1", NULL},
		{"select id from t where a = 5 order by a limit 1, 2", NULL},
		{"select id from t where (a = 5) or gone", NULL},
		{"select id from t where not (a = 5)", NULL},
		{"select id from t where not a = 5", NULL},
		{"select id from t where (a = 5 and b)) limit 1", NULL},
		{"select id from t where a = 5 and b between 1 and 2", NULL},
		{"select d.id from (select id, a from t) as d where d.a = 5", NULL},
		{"select id from t where a = 5 order by id desc limit 1", NULL}, /* the last of each */
		{"select id from t where a = 5 order by id for update", NULL},
		{"select id from t where a = 5 and b = 6", NULL}, /* which of both varies? */
		{"select id from t where a = 5 or gone is 0", NULL},
		{"select id from t where a = 5 and b > 6", NULL},
		{"select id from t where a = 5 group by id", NULL},
		{"select id from t where a = 5 limit 1 for update", NULL},
		{"select id from t where a = 5 union select id from u where b = 5", NULL},
		{"select id from t where lower(a) = 7", NULL},
		{"select count(*), max(id) from t where a = 5", NULL},
		{"select count(*) + max(id) from t where a = 5", NULL},
		{"select coalesce(max(id), 0) from t where a = 5", NULL},
		{"select exists(select 1 from t where a = 5)", NULL},
		{"select id from t where a = 5 and gone is", NULL},
	};

	for (unsigned r = 0; r < countof(rows); r++) {
		struct session c;
		json_t *all, *f;

		begin(&c);
		for (int n = 0; n < 3; n++) {
			list(&c, 20);
			for (int i = 0; i < 20; i++)
				send(&c, CHILD, rows[r][0], "select", 1);
		}
		f = loop_found(&c, &all);
		assert_non_null(f);
		if (rows[r][1])
			assert_string_equal(helper_text(f, "fix_sql"), rows[r][1]);
		else
			assert_null(json_object_get(f, "fix_sql"));
		json_decref(all);
		stats_free(c.s);
	}
}

/* A LIMIT that may have cut rows off: the statement for all keys would give more. */
static void a_limit_that_cuts_has_no_statement_for_all_keys(void **state)
{
	for (uint64_t rows = 1; rows <= 5; rows += 4) {
		struct session c;
		json_t *all, *f;

		begin(&c);
		list(&c, 20);
		for (int i = 0; i < 20; i++)
			send(&c, CHILD, "select name from t where id = 5 limit 5", "select", rows);
		f = loop_found(&c, &all);
		assert_non_null(f);
		assert_int_equal(json_object_get(f, "fix_sql") != NULL, rows == 1);
		json_decref(all);
		stats_free(c.s);
	}
}

/* S2: without leave no literal is in it. */
static void no_literal_leaves_without_leave(void **state)
{
	struct session c;
	struct iobuf out;

	begin(&c);
	list(&c, 20);
	for (int i = 0; i < 20; i++)
		child(&c);
	iobuf_init(&out, 0);
	assert_int_equal(stats_json_findings(c.s, false, &out), RC_OK);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	assert_null(strstr((const char *)iobuf_data(&out), "9876543219"));
	iobuf_reset(&out);
	stats_free(c.s);
}

static void two_reads_for_each_row_have_the_list_as_parent(void **state)
{
	struct session c;
	json_t *all, *f;
	size_t i, n = 0;

	begin(&c);
	list(&c, 15);
	for (int r = 0; r < 15; r++) {
		send(&c, OTHER, "select * from items where order_id = 3", "select", 3);
		child(&c);
	}
	all = helper_findings(c.s, false);
	json_array_foreach(json_object_get(all, "findings"), i, f)
	{
		n += strcmp(helper_text(f, "kind"), "n_plus_one") == 0;
		assert_string_equal(helper_text(json_object_get(f, "evidence"), "parent_digest"), "0x0000000000000064");
	}
	assert_int_equal(n, 2);
	json_decref(all);
	stats_free(c.s);
}

/* A long list, worked off: each row is read to be changed. */
static void a_job_is_none(bool reads_twice)
{
	struct session c;
	json_t *all;

	begin(&c);
	list(&c, 100);
	for (int i = 0; i < 100; i++) {
		child(&c);
		if (reads_twice)
			send(&c, OTHER + 1, "select name from users where id = 1", "select", 1);
		send(&c, OTHER, "update orders set a = 1", "update", 0);
	}
	assert_null(loop_found(&c, &all));
	json_decref(all);
	stats_free(c.s);
}

static void a_job_that_changes_each_row_is_none(void **state)
{
	a_job_is_none(false);
}

/* So it is where more is read of each before that. */
static void a_job_that_reads_twice_is_none(void **state)
{
	a_job_is_none(true);
}

/* Ten at a time, each read and written: of its own run, so that nothing is counted and taken back. */
static void a_worker_that_takes_few_is_none(void **state)
{
	struct session c;
	json_t *all;

	begin(&c);
	c.written = "customers";
	for (int n = 0; n < 5; n++) {
		list(&c, 10);
		for (int i = 0; i < 10; i++) {
			child(&c);
			if (n % 2)
				send(&c, OTHER + 1, "select name from users where id = 1", "select", 1);
			send(&c, OTHER, "update customers set a = 1", "update", 0);
		}
	}
	assert_null(loop_found(&c, &all));
	assert_int_equal(stats_sum(c.s, STATS_C_NPLUS1), 0);
	json_decref(all);
	stats_free(c.s);
}

/* All are read before the first is written: one statement can do that. */
static void rows_read_first_and_written_then_are_a_loop(void **state)
{
	struct session c;
	json_t *all;

	begin(&c);
	c.written = "customers";
	for (int n = 0; n < 3; n++) {
		list(&c, 10);
		for (int i = 0; i < 10; i++)
			child(&c);
		for (int i = 0; i < 10; i++)
			send(&c, OTHER, "update customers set a = 1", "update", 0);
	}
	assert_non_null(loop_found(&c, &all));
	json_decref(all);
	stats_free(c.s);
}

static void writes_between_do_not_hide_a_loop(void **state)
{
	struct session c;
	json_t *all;

	begin(&c);
	list(&c, 20);
	c.written = "orders";
	for (int i = 0; i < 20; i++) {
		child(&c);
		send(&c, OTHER, "update orders set a = 1", "update", 0);
	}
	assert_non_null(loop_found(&c, &all));
	json_decref(all);
	stats_free(c.s);
}

static void look_ups_without_a_list_are_a_batch_job(void **state)
{
	struct session c;

	begin(&c);
	for (int i = 0; i < 500; i++)
		child(&c);
	assert_no_loop(&c);
}

static void a_list_of_one_row_starts_no_loop(void **state)
{
	struct session c;

	begin(&c);
	list(&c, 1);
	for (int i = 0; i < 50; i++)
		child(&c);
	assert_no_loop(&c);
}

static void fewer_than_the_threshold_is_no_loop(void **state)
{
	struct session c;

	begin(&c);
	for (int n = 0; n < 50; n++) {
		list(&c, 7);
		for (int i = 0; i < 7; i++)
			child(&c);
	}
	assert_no_loop(&c);
}

static void slow_look_ups_are_no_loop(void **state)
{
	struct session c;

	begin(&c);
	list(&c, 50);
	for (int i = 0; i < 50; i++) {
		child(&c);
		c.now += 300 * NS_PER_MS;
	}
	assert_no_loop(&c);
}

static void the_same_literals_again_are_the_caches_business(void **state)
{
	struct session c;

	begin(&c);
	list(&c, 50);
	for (int i = 0; i < 50; i++) {
		c.literals = 5;
		child(&c);
	}
	assert_no_loop(&c);
}

/* Single look-ups of many requests over one pooled connection, with a list now and then. */
static void a_stream_of_look_ups_follows_no_list(void **state)
{
	struct session c;

	begin(&c);
	for (int n = 0; n < 10; n++) {
		list(&c, 10);
		for (int i = 0; i < 300; i++)
			child(&c);
	}
	assert_no_loop(&c);
}

/* Requests of several kinds over one pooled connection, each with one look-up. */
static void scattered_look_ups_are_no_loop(void **state)
{
	struct session c;

	begin(&c);
	for (unsigned n = 0; n < 2000; n++) {
		if (n % 40 == 0)
			list(&c, 25);
		send(&c, OTHER + n % 3, "select a from t where id = 1", "select", 1);
		send(&c, OTHER + 9, "update t set a = 1", "update", 0);
		if (n % 2 == 0)
			child(&c);
	}
	assert_no_loop(&c);
}

static void a_transactions_end_ends_the_run(void **state)
{
	struct session c;

	begin(&c);
	for (int n = 0; n < 20; n++) {
		list(&c, 5);
		for (int i = 0; i < 5; i++)
			child(&c);
		send(&c, OTHER, "commit", "commit", 0);
	}
	assert_no_loop(&c);
}

static void a_loop_that_rarely_follows_its_list_is_not_reported(void **state)
{
	struct session c;

	begin(&c);
	for (int n = 0; n < 100; n++)
		list(&c, 20);
	for (int i = 0; i < 10; i++)
		child(&c);
	assert_no_loop(&c);
}

/* Many different loops: the table of a sink is bounded, the costly are kept. */
static void many_loops_are_bounded(void **state)
{
	struct session c;
	json_t *all;

	begin(&c);
	for (uint64_t n = 0; n < 1000; n++) {
		char route[32];

		snprintf(route, sizeof(route), "/page/%u", (unsigned)n);
		c.route = route;
		list(&c, 20);
		for (int i = 0; i < (n == 3 ? 40 : 10); i++)
			child(&c);
	}
	assert_string_equal(helper_text(json_object_get(loop_found(&c, &all), "evidence"), "route"), "/page/3");
	assert_true(json_array_size(json_object_get(all, "findings")) <= 256);
	json_decref(all);
	stats_free(c.s);
}

/* The look-ups that went before followed no list, those behind the list do. */
static void look_ups_before_the_list_do_not_hide_the_loop(void **state)
{
	struct session c;
	json_t *all;

	begin(&c);
	for (int i = 0; i < 5; i++)
		child(&c);
	list(&c, 20);
	for (int i = 0; i < 20; i++)
		child(&c);
	assert_non_null(loop_found(&c, &all));
	json_decref(all);
	stats_free(c.s);
}

/* A run that was too long for its list does not swallow the next list's. */
static void a_run_too_long_ends_with_the_next_list(void **state)
{
	struct session c;
	json_t *all, *f;

	begin(&c);
	send(&c, OTHER, "select a from tiny", "select", 5);
	for (int i = 0; i < 30; i++)
		child(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 30);
		for (int i = 0; i < 30; i++)
			send(&c, CHILD, "select id, name from customers where id = 9876543219", "select", 10);
	}
	f = loop_found(&c, &all);
	assert_non_null(f);
	assert_int_equal(helper_uint(json_object_get(f, "evidence"), "occurrences"), 3);
	assert_string_equal(helper_text(json_object_get(f, "evidence"), "parent_digest"), "0x0000000000000064");
	json_decref(all);
	stats_free(c.s);
}

/* What a driver asks of the schema is not the application's list. */
static void the_schema_is_no_list(void **state)
{
	struct session c;

	begin(&c);
	send(&c, OTHER, "show full fields from customers", "show", 20);
	for (int i = 0; i < 20; i++)
		child(&c);
	assert_no_loop(&c);
}

/* One request whose statements go over four connections, on two threads: its trace holds them together. */
static void a_trace_over_many_sessions_is_one_loop(void **state)
{
	struct stats_event e = helper_event(LIST, "select id, customer_id from orders limit 20");
	struct session c;
	struct stats_nplus1 other[4] = {0};
	struct stats_sink *k;
	json_t *all, *f;

	begin(&c);
	k = helper_sink(c.s);
	for (int n = 0; n < 2; n++) {
		e = helper_event(LIST, "select id, customer_id from orders limit 20");
		e.trace = 77 + (uint64_t)n;
		e.rows_sent = 20;
		e.start_ns = c.now;
		stats_record(c.k, &c.n, &e);
		e = helper_event(CHILD, "select id, name from customers where id = 9876543219");
		e.trace = 77 + (uint64_t)n;
		for (int i = 0; i < 20; i++) {
			c.now += 2 * NS_PER_MS;
			e.start_ns = c.now;
			e.literals = ++c.literals;
			stats_record(i & 1 ? k : c.k, &other[i % 4], &e);
		}
	}
	f = loop_found(&c, &all);
	assert_non_null(f);
	assert_int_equal(helper_uint(json_object_get(f, "evidence"), "occurrences"), 2);
	assert_int_equal(helper_uint(json_object_get(f, "evidence"), "queries"), 40);
	assert_null(helper_finding(all, "cacheable"));
	json_decref(all);
	stats_free(c.s);
}

/* The value that varies is the literal's number; lists hold what `held` says. */
struct held {
	uint64_t digest, from, to;
	uint64_t each;   /* a reply holds so many of them; 0: all */
	unsigned nokeys; /* values that are no key, as bits */
	unsigned varied; /* further values that vary with it */
	bool told;       /* where in the text they stand */
	bool unordered, again; /* they come in no order; oftener than the list has them */
};

static void one_value(const struct stats_event *e, struct stats_values *out)
{
	const struct held *h = e->arg;

	*out = (struct stats_values){.hash = {7, e->literals, h->varied > 0 ? e->literals : 8, h->varied > 1 ? e->literals + 1000000 : 9},
				     .n = 4,
				     .at = {0, 1, 2, 3},
				     .all = h->told,
				     .keys = 15 & ~h->nokeys};
}

static struct stats_list held_in(const struct stats_event *e, const struct stats_list *first, const struct stats_values *sought)
{
	const struct held *h = e->arg;
	uint64_t each = h->each ? h->each : h->to - h->from;

	for (unsigned i = 0; i < sought->n; i++)
		if (sought->hash[i] < h->from || sought->hash[i] >= h->to)
			return (struct stats_list){0};
	return (struct stats_list){.digest = h->digest, .rows = each, .which = 1 + (sought->hash[0] - h->from) / each,
				   .back = h->unordered && sought->hash[0] & 1, .again = h->again};
}

static void one_of(struct session *c, const struct held *held, uint64_t digest, uint64_t value, uint64_t rows)
{
	struct stats_event e = helper_event(digest, "select id, name from customers where id = 9876543219");

	e.verb = "select";
	e.literals = value;
	e.rows_sent = rows;
	e.start_ns = c->now;
	e.arg = held;
	e.values = one_value;
	e.listed = held_in;
	stats_record(c->k, &c->n, &e);
	c->now += 2 * NS_PER_MS;
}

static void children_of(struct session *c, const struct held *held, uint64_t from, int n)
{
	for (int i = 0; i < n; i++)
		one_of(c, held, CHILD, from + (uint64_t)i, 1);
}

/* What is sorted otherwise asks for no row again, what goes through its list twice does so in order; neither of both are requests that have
 * nothing to do with each other. */
static void rows_asked_for_in_no_order_and_again_are_no_loop(void **state)
{
	static const bool rows[][2] = {{false, false}, {true, false}, {false, true}, {true, true}};

	for (unsigned r = 0; r < countof(rows); r++) {
		struct held held = {.digest = LIST, .from = 100, .to = 120, .unordered = rows[r][0], .again = rows[r][1]};
		struct session c;
		json_t *all;

		begin(&c);
		for (int n = 0; n < 3; n++) {
			list(&c, 20);
			children_of(&c, &held, 100, 20);
		}
		assert_int_equal(loop_found(&c, &all) != NULL, !(rows[r][0] && rows[r][1]));
		json_decref(all);
		stats_free(c.s);
	}
}

static bool is_child_of(const json_t *f, const char *child, const char *parent)
{
	return strcmp(helper_text(f, "digest"), child) == 0 && strcmp(helper_text(json_object_get(f, "evidence"), "parent_digest"), parent) == 0;
}

/* One loop over a list and behind it another: both are found, if both look for values of the list. */
static void the_next_loop_over_a_list_is_found(void **state)
{
	struct held held = {LIST, 1000, 1020};

	for (uint64_t from = 1000; from <= 2000; from += 1000) {
		struct session c;
		json_t *all, *found;

		begin(&c);
		for (int n = 0; n < 3; n++) {
			list(&c, 20);
			children_of(&c, &held, 1000, 20);
			for (uint64_t i = 0; i < 20; i++)
				one_of(&c, &held, OTHER, from + i, 1);
		}
		assert_non_null(loop_found(&c, &all));
		found = json_object_get(all, "findings");
		assert_int_equal(json_array_size(found), from == 1000 ? 2 : 1);
		for (size_t i = 0; i < json_array_size(found); i++)
			assert_true(is_child_of(json_array_get(found, i), "0x00000000000000c8", "0x0000000000000064") ||
				    is_child_of(json_array_get(found, i), "0x000000000000012c", "0x0000000000000064"));
		json_decref(all);
		stats_free(c.s);
	}
}

/* What a loop is not seen to find in the list tells nothing of what comes behind it. */
static void behind_a_loop_only_the_values_tell(void **state)
{
	struct session c;
	json_t *all;

	begin(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 20);
		for (int i = 0; i < 20; i++)
			child(&c);
		for (int i = 0; i < 20; i++)
			send(&c, OTHER, "select id from notes where id = 5", "select", 1);
	}
	assert_string_equal(helper_text(loop_found(&c, &all), "digest"), "0x00000000000000c8");
	assert_int_equal(json_array_size(json_object_get(all, "findings")), 1);
	json_decref(all);
	stats_free(c.s);
}

/* Two reads for each row, of which one returns many: these are no list that the other goes through. */
static void what_is_read_beside_is_no_list_of_its(void **state)
{
	struct held held = {LIST, 1000, 1010};
	struct session c;
	json_t *all;

	begin(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 10);
		for (uint64_t i = 0; i < 10; i++) {
			one_of(&c, &held, CHILD, 1000 + i, 30);
			one_of(&c, &held, OTHER, 1000 + i, 1);
		}
	}
	assert_non_null(loop_found(&c, &all));
	assert_int_equal(json_array_size(json_object_get(all, "findings")), 2);
	json_decref(all);
	stats_free(c.s);
}

/* Look-ups that come after a list by chance: none of their values stands in it. */
static void values_from_elsewhere_are_no_loop(void **state)
{
	struct held held = {LIST, 1000, 1020};
	struct session c;

	begin(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 20);
		children_of(&c, &held, 1, 20);
	}
	assert_no_loop(&c);
}

/* The list whose rows hold the values is the parent, though another was read after it. */
static void the_list_that_holds_the_values_is_the_parent(void **state)
{
	struct held held = {LIST, 1000, 1020};
	struct session c;
	json_t *all, *f, *ev;

	begin(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 20);
		send(&c, OTHER, "select a from settings", "select", 12);
		children_of(&c, &held, 1000, 20);
	}
	f = loop_found(&c, &all);
	assert_non_null(f);
	ev = json_object_get(f, "evidence");
	assert_string_equal(helper_text(ev, "parent_digest"), "0x0000000000000064");
	assert_int_equal(helper_uint(ev, "occurrences"), 3);
	assert_float_equal(helper_number(ev, "values_from_list_share"), 1, 0.001);
	json_decref(all);
	stats_free(c.s);
}

/* What the list [1000, 1020) and 20 look-ups by its values, so described, are found as. */
static bool is_loop(struct held held)
{
	struct session c;
	json_t *all;
	bool found;

	held.digest = LIST;
	held.from = 1000;
	held.to = 1020;
	begin(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 20);
		children_of(&c, &held, 1000, 20);
	}
	found = loop_found(&c, &all) != NULL;
	json_decref(all);
	stats_free(c.s);
	return found;
}

/* The statement for all keys of a loop with further values, of which these vary; "": it cannot be said. */
static const char *fix_of(struct held held)
{
	static char fix[200];
	struct session c;
	json_t *all, *f;

	held.digest = LIST;
	held.from = 1000;
	held.to = 2001020;
	begin(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 20);
		for (uint64_t i = 0; i < 20; i++) {
			struct stats_event e = helper_event(CHILD, "select a from t where kind = 7 and owner = 5 and b > 8 and c = 9");

			e.literals = 1000 + i;
			e.start_ns = c.now;
			e.arg = &held;
			e.values = one_value;
			e.listed = held_in;
			stats_record(c.k, &c.n, &e);
			c.now += 2 * NS_PER_MS;
		}
	}
	f = loop_found(&c, &all);
	assert_non_null(f);
	(void)snprintf(fix, sizeof(fix), "%s", json_object_get(f, "fix_sql") ? helper_text(f, "fix_sql") : "");
	json_decref(all);
	stats_free(c.s);
	return fix;
}

/* Values that were the same each time stay; where two vary, or it is not known which, no statement is for all keys. */
static void the_value_that_varies_is_the_key(void **state)
{
	assert_string_equal(fix_of((struct held){.told = true}), "select a, owner from t where kind = ? and owner in (?, ?, ...) and b > ? and c = ?");
	assert_string_equal(fix_of((struct held){.told = true, .varied = 1}), "");
	assert_string_equal(fix_of((struct held){.told = false}), "");
}

/* A key of two columns, both of the list's row; not one of which only a part is. */
static void a_key_of_several_columns_is_one(void **state)
{
	assert_true(is_loop((struct held){.varied = 1}));
	assert_false(is_loop((struct held){.varied = 2}));
}

/* id < ?, LIMIT ?: whatever stands in the list, no row is looked up by it. */
static void a_bound_that_varies_is_no_key(void **state)
{
	assert_true(is_loop((struct held){.nokeys = 1}));
	assert_false(is_loop((struct held){.nokeys = 2}));
}

/* A loop goes through the rows of a list; here each value stands in another. */
static void values_of_many_lists_are_there_by_chance(void **state)
{
	assert_true(is_loop((struct held){.each = 2}));
	assert_false(is_loop((struct held){.each = 1}));
}

/* The same numbers for one kind of read after the other, as scripts have them: what stands before the second is no list for it. */
static void once_after_a_list_read_often_is_by_chance(void **state)
{
	struct held held = {.digest = LIST, .from = 1000, .to = 1020};
	struct session c;

	begin(&c);
	for (int n = 0; n < 12; n++)
		list(&c, 20);
	children_of(&c, &held, 1000, 12);
	assert_no_loop(&c);
}

/* Lists are read for each row of another, and their rows looked up one by one: at once, or when all have been read. */
static void loops_in_loops_are_found_both(void **state)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct session c;
		json_t *all, *f;
		size_t i, outer = 0, inner = 0;

		begin(&c);
		for (int page = 0; page < 2; page++) {
			list(&c, 15);
			for (int row = 0; row < 15; row++) {
				send(&c, OTHER, "select * from items where order_id = 3", "select", 4);
				for (int n = 0; n < 4 && at_once; n++)
					child(&c);
			}
			for (int n = 0; n < 60 && !at_once; n++)
				child(&c);
		}
		all = helper_findings(c.s, false);
		json_array_foreach(json_object_get(all, "findings"), i, f)
		{
			const json_t *ev = json_object_get(f, "evidence");
			bool of_list = strcmp(helper_text(ev, "parent_digest"), "0x0000000000000064") == 0;

			assert_int_equal(helper_uint(ev, "queries"), of_list ? 30 : 120);
			assert_int_equal(helper_uint(ev, "occurrences"), 2);
			outer += of_list;
			inner += strcmp(helper_text(ev, "parent_digest"), "0x000000000000012c") == 0;
		}
		assert_true(outer == 1 && inner == 1);
		json_decref(all);
		stats_free(c.s);
	}
}

/* One statement for rows that take as long anyway. */
static void a_loop_whose_fix_saves_nothing_is_none(void **state)
{
	struct session c;

	begin(&c);
	for (int n = 0; n < 3; n++) {
		list(&c, 20);
		for (int i = 0; i < 20; i++)
			send(&c, CHILD, "select body from notes where customer = 9", "select", 100000);
	}
	assert_no_loop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_runs_parent_is_in_the_bitmap),
		cmocka_unit_test(a_read_for_each_row_of_a_list_is_found),
		cmocka_unit_test(the_hint_is_that_of_the_framework),
		cmocka_unit_test(the_statement_for_all_keys_is_said),
		cmocka_unit_test(a_limit_that_cuts_has_no_statement_for_all_keys),
		cmocka_unit_test(no_literal_leaves_without_leave),
		cmocka_unit_test(two_reads_for_each_row_have_the_list_as_parent),
		cmocka_unit_test(writes_between_do_not_hide_a_loop),
		cmocka_unit_test(a_job_that_changes_each_row_is_none),
		cmocka_unit_test(a_job_that_reads_twice_is_none),
		cmocka_unit_test(rows_asked_for_in_no_order_and_again_are_no_loop),
		cmocka_unit_test(a_worker_that_takes_few_is_none),
		cmocka_unit_test(rows_read_first_and_written_then_are_a_loop),
		cmocka_unit_test(look_ups_without_a_list_are_a_batch_job),
		cmocka_unit_test(a_list_of_one_row_starts_no_loop),
		cmocka_unit_test(fewer_than_the_threshold_is_no_loop),
		cmocka_unit_test(slow_look_ups_are_no_loop),
		cmocka_unit_test(the_same_literals_again_are_the_caches_business),
		cmocka_unit_test(a_stream_of_look_ups_follows_no_list),
		cmocka_unit_test(scattered_look_ups_are_no_loop),
		cmocka_unit_test(a_transactions_end_ends_the_run),
		cmocka_unit_test(a_loop_that_rarely_follows_its_list_is_not_reported),
		cmocka_unit_test(many_loops_are_bounded),
		cmocka_unit_test(values_from_elsewhere_are_no_loop),
		cmocka_unit_test(the_list_that_holds_the_values_is_the_parent),
		cmocka_unit_test(the_next_loop_over_a_list_is_found),
		cmocka_unit_test(behind_a_loop_only_the_values_tell),
		cmocka_unit_test(what_is_read_beside_is_no_list_of_its),
		cmocka_unit_test(the_value_that_varies_is_the_key),
		cmocka_unit_test(a_key_of_several_columns_is_one),
		cmocka_unit_test(a_bound_that_varies_is_no_key),
		cmocka_unit_test(values_of_many_lists_are_there_by_chance),
		cmocka_unit_test(once_after_a_list_read_often_is_by_chance),
		cmocka_unit_test(loops_in_loops_are_found_both),
		cmocka_unit_test(a_loop_whose_fix_saves_nothing_is_none),
		cmocka_unit_test(look_ups_before_the_list_do_not_hide_the_loop),
		cmocka_unit_test(a_run_too_long_ends_with_the_next_list),
		cmocka_unit_test(the_schema_is_no_list),
		cmocka_unit_test(a_trace_over_many_sessions_is_one_loop),
	};

	return cmocka_run_group_tests_name("stats: N+1 loops", tests, NULL, NULL);
}
