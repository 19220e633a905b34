/*
 * The snapshot: what was counted is there after a restart, literals only where they may be kept (S2), a file that is not right
 * is not taken at all, whatever its bytes (F2), and where there is no place for it all else goes on (F1).
 */
#include "stats_helper.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "snapshot.h"

static char folder[64], path[96];

static int make_folder(void **state)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/stats_snapshot_XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/statistics", folder);
	return 0;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"statistics", "statistics.new", "statistics.lock"};
	char name[128];

	for (unsigned i = 0; i < countof(names); i++) {
		(void)snprintf(name, sizeof(name), "%s/%s", folder, names[i]);
		(void)unlink(name);
	}
	return rmdir(folder);
}

static struct stats *stats_of(uint64_t digests, bool samples)
{
	struct stats_options opt = {.slow_ns = 200 * NS_PER_MS, .digests = digests, .samples = samples,
				    .nplus1_repeats = 8, .nplus1_window_ns = NS_PER_SEC, .explain = true};
	struct stats *s = stats_new(&opt);

	assert_non_null(s);
	return s;
}

/* 1000 digests, 500 of which need the room of others where there is less; the first ten from two accounts. */
static void fill(struct stats_sink *k, unsigned digests)
{
	for (unsigned d = 1; d <= digests; d++) {
		struct stats_event e = helper_event(d, "select name from products where id = 4711");

		e.total_ns = d * NS_PER_MS / 100;
		e.answer_ns = e.total_ns;
		e.error = d % 7 == 0 ? 1146 : 0;
		e.tag_route = span_str("/shop/:id");
		e.tag_service = span_str("web");
		e.host = span_str("10.1.2.3");
		e.server = span_str("db1:3306");
		for (unsigned i = 0; i < 3; i++)
			stats_record(k, NULL, &e);
		if (d <= 10) {
			e.user = span_str("report");
			stats_record(k, NULL, &e);
		}
	}
}

static void advise(struct stats *s)
{
	struct stats_index_advice a = {.digest = 200, /* 2 ms a call */ .table = span_str("shop.products"), .columns = span_str("id"),
				       .reason = span_str("full scan of 5 rows"),
				       .fix_sql = span_str("ALTER TABLE products ADD INDEX (id)"), .fix_text = span_str("Both."),
				       .fix_statement = span_str("select name from products where id = concat(?)"),
				       .plan_json = span_str("{\"condition\": \"id = 4711\"}"), .rows_examined = 50000, .rows_left = 1};

	stats_put_advice(s, &a);
	a.digest = 199;
	a.fix_text = span_str("A generated column.");
	a.fix_sql = span_str("ALTER TABLE products ADD COLUMN doc_4711 LONGTEXT AS (json_value(doc,'$.4711'))");
	a.fix_statement = span_str("select name from products where `doc_4711` = ?");
	a.path = span_str("$.4711"); /* a literal, and so are the former two */
	stats_put_advice(s, &a);
}

static void values(const struct stats_event *e, struct stats_values *out)
{
	*out = (struct stats_values){.hash = {e->literals, 7}, .at = {0, 1}, .n = 2, .keys = 3, .all = true};
}

static struct stats_list listed(const struct stats_event *e, const struct stats_list *first, const struct stats_values *sought)
{
	return (struct stats_list){.digest = 5000, .rows = 20, .which = 1};
}

/* A list and its loop, of a key and a value that is always the same. */
static void loop(struct stats_sink *k)
{
	struct stats_nplus1 n = {0};
	struct stats_event list = helper_event(5000, "select id from orders"), child = helper_event(5001, "select * from items where id = 1 and kind = 7");

	child.values = values;
	child.listed = listed;

	list.rows_sent = 20;
	stats_record(k, &n, &list);
	for (unsigned i = 0; i < 20; i++) {
		child.start_ns = list.start_ns + list.total_ns + i;
		child.literals = i;
		child.tag_route = span_str("/orders");
		stats_record(k, &n, &child);
	}
}

static void whole(struct stats *s, struct stats_sink *k)
{
	fill(k, 200);
	loop(k);
	advise(s);
}

static json_t *without(json_t *o, const char *key)
{
	size_t i;
	json_t *v;

	json_object_del(o, key);
	json_array_foreach(json_object_get(o, "queries"), i, v)
		json_object_del(v, key);
	return o;
}

static void assert_same(json_t *a, json_t *b)
{
	if (!json_equal(a, b)) {
		char *x = json_dumps(a, JSON_SORT_KEYS), *y = json_dumps(b, JSON_SORT_KEYS);

		print_error("%s\n--- against\n%s\n", x, y);
		free(x);
		free(y);
	}
	assert_true(json_equal(a, b));
	json_decref(a);
	json_decref(b);
}

static json_t *costs(struct stats *s)
{
	struct iobuf out;
	json_t *j;

	iobuf_init(&out, 0);
	assert_int_equal(stats_json_costs(s, &out), RC_OK);
	j = helper_parse(&out);
	json_object_del(j, "since");
	return j;
}

static struct iobuf bytes_of(struct stats *s)
{
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(snapshot_put(s, &out), RC_OK);
	return out;
}

static enum rc take(struct stats_sink *k, const struct iobuf *b)
{
	const char *why;
	bool values;

	return snapshot_take(k, span_of(iobuf_data(b), iobuf_len(b)), &values, &why);
}

static void all_that_was_counted_comes_back(void **state)
{
	static const unsigned looked_at[] = {3, 7, 200}; /* with samples and accounts; with errors; with a plan */
	struct stats *a = stats_of(1000, true), *b = stats_of(1000, true);
	struct stats_sink *ka = helper_sink(a), *kb = helper_sink(b);
	struct iobuf file;
	json_t *x, *y;

	whole(a, ka);
	file = bytes_of(a);
	assert_int_equal(take(kb, &file), RC_OK);
	/* moments go through microseconds */
	x = without(without(helper_queries(a, STATS_BY_TOTAL_TIME, 2000), "first_seen"), "last_seen");
	y = without(without(helper_queries(b, STATS_BY_TOTAL_TIME, 2000), "first_seen"), "last_seen");
	assert_int_equal(json_array_size(json_object_get(x, "queries")), 202);
	assert_same(x, y);
	assert_same(costs(a), costs(b));
	for (unsigned i = 0; i < countof(looked_at); i++) {
		x = helper_query(a, looked_at[i], true);
		y = helper_query(b, looked_at[i], true);
		assert_float_equal(helper_number(x, "first_seen"), helper_number(y, "first_seen"), 1e-5);
		assert_float_equal(helper_number(x, "last_seen"), helper_number(y, "last_seen"), 1e-5);
		assert_int_equal(json_array_size(json_object_get(y, "samples")), 1);
		assert_true(json_equal(json_object_get(x, "histogram"), json_object_get(y, "histogram")));
		assert_true(json_equal(json_object_get(x, "plan"), json_object_get(y, "plan")));
		json_decref(x);
		json_decref(y);
	}
	x = helper_findings(b, true);
	assert_non_null(helper_finding(x, "n_plus_one"));
	assert_string_equal(helper_text(helper_finding(x, "n_plus_one"), "fix_sql"), "select * from items where id in (?, ?, ...) and kind = ?");
	assert_non_null(helper_finding(x, "missing_index"));
	json_decref(x);
	iobuf_reset(&file);
	stats_free(a);
	stats_free(b);
}

static void two_lives_add_up(void **state)
{
	struct stats *a = stats_of(1000, true), *b = stats_of(1000, true);
	struct stats_sink *ka = helper_sink(a), *kb = helper_sink(b);
	struct stats_event e = helper_event(3, "select name from products where id = 4711");
	struct iobuf file;
	json_t *q;

	whole(a, ka);
	file = bytes_of(a);
	assert_int_equal(take(kb, &file), RC_OK);
	stats_record(kb, NULL, &e);
	q = helper_query(b, 3, false);
	assert_int_equal(helper_uint(q, "calls"), 5);
	assert_true(helper_number(q, "last_seen") >= helper_number(q, "first_seen"));
	json_decref(q);
	iobuf_reset(&file);
	stats_free(a);
	stats_free(b);
}

static void a_smaller_table_keeps_the_heavy_and_sums_the_rest(void **state)
{
	struct stats *a = stats_of(1000, true), *b = stats_of(50, true);
	struct stats_sink *ka = helper_sink(a), *kb = helper_sink(b);
	struct iobuf file;
	json_t *q, *row;
	uint64_t calls;
	size_t i;

	fill(ka, 200);
	file = bytes_of(a);
	assert_int_equal(take(kb, &file), RC_OK);
	q = helper_queries(b, STATS_BY_TOTAL_TIME, 1000);
	calls = helper_uint(json_object_get(q, "other"), "calls");
	assert_string_equal(helper_text(json_array_get(json_object_get(q, "queries"), 0), "digest"), "0x00000000000000c8");
	json_array_foreach(json_object_get(q, "queries"), i, row)
		calls += helper_uint(row, "calls");
	assert_int_equal(calls, 200 * 3 + 10);
	json_decref(q);
	iobuf_reset(&file);
	stats_free(a);
	stats_free(b);
}

static bool holds(const struct iobuf *b, const char *word)
{
	return memmem(iobuf_data(b), iobuf_len(b), word, strlen(word)) != NULL;
}

static void no_literal_is_written_where_samples_are_off(void **state)
{
	struct stats *a = stats_of(1000, true);
	struct stats_options off = {.digests = 1000, .nplus1_repeats = 8, .nplus1_window_ns = NS_PER_SEC};
	struct iobuf file;

	whole(a, helper_sink(a));
	file = bytes_of(a);
	assert_true(holds(&file, "4711"));
	iobuf_reset(&file);
	stats_reconfigure(a, &off);
	file = bytes_of(a);
	assert_false(holds(&file, "4711"));
	assert_true(holds(&file, "select name from products"));
	iobuf_reset(&file);
	stats_free(a);
}

static void no_literal_is_taken_where_samples_are_off(void **state)
{
	struct stats *a = stats_of(1000, true), *b = stats_of(1000, false);
	struct stats_options on = {.digests = 1000, .samples = true, .nplus1_repeats = 8, .nplus1_window_ns = NS_PER_SEC};
	struct iobuf file;
	json_t *q;
	char *text;

	whole(a, helper_sink(a));
	file = bytes_of(a);
	assert_int_equal(take(helper_sink(b), &file), RC_OK);
	iobuf_reset(&file);
	stats_reconfigure(b, &on); /* what had been kept meanwhile would show now */
	q = helper_query(b, 3, true);
	assert_int_equal(json_array_size(json_object_get(q, "samples")), 0);
	assert_true(json_is_null(json_object_get(q, "plan")));
	json_decref(q);
	q = helper_findings(b, true);
	text = json_dumps(q, 0);
	assert_non_null(strstr(text, "A generated column."));
	assert_null(strstr(text, "4711"));
	free(text);
	json_decref(q);
	stats_free(a);
	stats_free(b);
}

static void assert_empty(struct stats *s)
{
	json_t *q = helper_queries(s, STATS_BY_TOTAL_TIME, 10);

	assert_int_equal(json_array_size(json_object_get(q, "queries")), 0);
	assert_true(json_is_null(json_object_get(q, "other")));
	json_decref(q);
}

static void set_sum(struct iobuf *b)
{
	uint8_t *p = b->data + b->start;
	uint64_t n = iobuf_len(b) - SNAPSHOT_HEADER, sum = XXH3_64bits(p + SNAPSHOT_HEADER, n);

	for (unsigned i = 0; i < 8; i++) {
		p[16 + i] = (uint8_t)(n >> (8 * i));
		p[24 + i] = (uint8_t)(sum >> (8 * i));
	}
}

static void a_damaged_file_is_not_taken(void **state)
{
	struct stats *a = stats_of(1000, true), *b = stats_of(1000, true);
	struct stats_sink *kb = helper_sink(b);
	struct iobuf file;
	size_t len;

	fill(helper_sink(a), 2);
	file = bytes_of(a);
	len = iobuf_len(&file);
	for (size_t i = 0; i < len; i++) {
		if (i >= 12 && i < 16)
			continue; /* the flags say only what is in it */
		file.data[file.start + i] ^= 0x41;
		assert_int_equal(take(kb, &file), RC_DECLINED);
		file.data[file.start + i] ^= 0x41;
	}
	for (size_t cut = 0; cut < len; cut++) {
		file.end = file.start + cut;
		assert_int_equal(take(kb, &file), RC_DECLINED);
	}
	assert_empty(b);
	iobuf_reset(&file);
	stats_free(a);
	stats_free(b);
}

static uint64_t le(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = width; i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

/* The first record of the kind, without its head. */
static uint8_t *record_of(const struct iobuf *b, enum snapshot_kind kind)
{
	uint8_t *p = b->data + b->start + SNAPSHOT_HEADER, *end = b->data + b->end;

	while (p < end && *p != kind)
		p += 5 + le(p + 1, 4);
	assert_true(p < end);
	return p + 5;
}

/* Three records of one digest, whose calls are none together: its time would be divided by that. */
static void calls_of_many_records_do_not_wrap(void **state)
{
	static const uint64_t rows[][2] = {{UINT64_C(1) << 44, RC_OK}, {(UINT64_C(1) << 44) + 1, RC_DECLINED}, {INT64_MAX, RC_DECLINED}};
	struct stats *a = stats_of(1000, true);
	struct iobuf file;
	uint8_t *p;

	fill(helper_sink(a), 1);
	file = bytes_of(a);
	p = record_of(&file, SNAPSHOT_DIGEST) + 8 + 1;
	for (unsigned i = 0; i < 5; i++) /* verb, schema, user, table, text */
		p += 4 + le(p, 4);
	assert_in_range(le(p, 8), 1, 3); /* from either account */
	for (unsigned r = 0; r < countof(rows); r++) {
		struct stats *b = stats_of(1000, true);

		for (unsigned i = 0; i < 8; i++)
			p[i] = (uint8_t)(rows[r][0] >> (8 * i));
		set_sum(&file);
		assert_int_equal(take(helper_sink(b), &file), rows[r][1]);
		stats_free(b);
	}
	iobuf_reset(&file);
	stats_free(a);
}

static void every_byte_may_be_hostile(void **state)
{
	struct stats *a = stats_of(1000, true);
	struct iobuf file;
	size_t len;
	json_t *q;

	whole(a, helper_sink(a));
	file = bytes_of(a);
	len = iobuf_len(&file) < 6000 ? iobuf_len(&file) : 6000;
	for (size_t i = SNAPSHOT_HEADER; i < len; i += 29) { /* the fuzzer tries more */
		struct stats *b = stats_of(100, true);
		struct stats_sink *kb = helper_sink(b);
		uint8_t was = file.data[file.start + i];

		file.data[file.start + i] = (uint8_t)(i % 2 ? 0xff : was + 1);
		set_sum(&file);
		if (take(kb, &file) == RC_DECLINED)
			assert_empty(b);
		q = helper_queries(b, STATS_BY_P99, 1000);
		json_decref(q);
		q = helper_findings(b, true);
		json_decref(q);
		file.data[file.start + i] = was;
		stats_free(b);
	}
	iobuf_reset(&file);
	stats_free(a);
}

static void memory_may_be_short(void **state)
{
	struct stats *a = stats_of(1000, true);
	struct iobuf file, out;

	whole(a, helper_sink(a));
	file = bytes_of(a);
	for (uint64_t n = 1; n < 400; n += 23) {
		struct stats *b = stats_of(1000, true);
		struct stats_sink *kb = helper_sink(b);
		enum rc rc;

		mem_fail_after(n, 1);
		rc = take(kb, &file);
		mem_fail_after(0, 0);
		assert_true(rc == RC_ERROR || rc == RC_OK);
		stats_free(b);
		iobuf_init(&out, 0);
		mem_fail_after(n, 1);
		rc = snapshot_put(a, &out);
		mem_fail_after(0, 0);
		assert_true(rc == RC_ERROR || rc == RC_OK);
		iobuf_reset(&out);
	}
	iobuf_reset(&file);
	stats_free(a);
}

/* ---- the file ---- */

static void the_file_is_written_at_the_end_and_taken_at_the_start(void **state)
{
	struct stats *s = stats_of(1000, true);
	struct stats_sink *k = helper_sink(s);
	struct stat st;
	json_t *q;

	assert_int_equal(stats_keep(s, path, 3600 * NS_PER_SEC), RC_OK); /* there is none yet */
	assert_int_equal(stats_sum(s, STATS_C_SNAPSHOTS_IGNORED), 0);
	fill(k, 20);
	stats_free(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	s = stats_of(1000, true);
	k = helper_sink(s);
	assert_int_equal(stats_keep(s, path, 3600 * NS_PER_SEC), RC_OK);
	q = helper_queries(s, STATS_BY_TOTAL_TIME, 1000);
	assert_int_equal(json_array_size(json_object_get(q, "queries")), 20);
	json_decref(q);
	stats_free(s);
}

static void wait_for_sum(struct stats *s, enum stats_counter c)
{
	for (unsigned i = 0; i < 3000 && stats_sum(s, c) == 0; i++)
		usleep(10000);
	assert_true(stats_sum(s, c) > 0);
}

static void it_is_written_at_intervals(void **state)
{
	struct stats *s = stats_of(1000, true);
	struct stats_sink *k = helper_sink(s);

	assert_int_equal(stats_keep(s, path, NS_PER_MS), RC_OK);
	fill(k, 20);
	wait_for_sum(s, STATS_C_SNAPSHOTS);
	assert_int_equal(access(path, F_OK), 0);
	stats_free(s);
}

static void switching_samples_off_rewrites_it(void **state)
{
	struct stats_options off = {.digests = 1000, .nplus1_repeats = 8, .nplus1_window_ns = NS_PER_SEC};
	struct stats *s = stats_of(1000, true);
	struct stats_sink *k = helper_sink(s);

	assert_int_equal(stats_keep(s, path, 3600 * NS_PER_SEC), RC_OK);
	fill(k, 20);
	stats_free(s);
	off.samples = false;
	s = stats_new(&off); /* started without samples: the file of a life that had them does not stay */
	assert_non_null(s);
	assert_int_equal(stats_keep(s, path, 3600 * NS_PER_SEC), RC_OK);
	wait_for_sum(s, STATS_C_SNAPSHOTS);
	stats_free(s);
	s = stats_of(1000, true);
	k = helper_sink(s);
	assert_int_equal(stats_keep(s, path, 3600 * NS_PER_SEC), RC_OK);
	assert_null(s->registry.all[0]->sample);
	stats_free(s);
}

static void garbage_is_ignored_and_replaced(void **state)
{
	struct stats *s = stats_of(1000, true);
	struct stats_sink *k = helper_sink(s);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	(void)fputs("this is no snapshot, but longer than its header would be", f);
	(void)fclose(f);
	assert_int_equal(stats_keep(s, path, 3600 * NS_PER_SEC), RC_OK);
	assert_int_equal(stats_sum(s, STATS_C_SNAPSHOTS_IGNORED), 1);
	assert_empty(s);
	fill(k, 5);
	stats_free(s);
	s = stats_of(1000, true);
	assert_int_equal(stats_keep(s, path, 3600 * NS_PER_SEC), RC_OK);
	assert_int_equal(stats_sum(s, STATS_C_SNAPSHOTS_IGNORED), 0);
	stats_free(s);
}

/* As when one process takes over from another: both run for a while, and the first to end leaves what it has to the second. */
static void one_process_keeps_it_and_the_next_takes_it_up(void **state)
{
	struct stats *a = stats_of(1000, true), *b = stats_of(1000, true);
	struct stats_sink *ka = helper_sink(a), *kb = helper_sink(b);
	json_t *q = NULL;

	assert_int_equal(stats_keep(a, path, NS_PER_SEC), RC_OK);
	assert_int_equal(stats_keep(b, path, NS_PER_MS), RC_OK);
	assert_int_equal(stats_sum(b, STATS_C_SNAPSHOT_FAILURES), 1);
	fill(ka, 20);
	fill(kb, 5);
	stats_free(a);
	for (unsigned i = 0; i < 3000; i++) {
		q = helper_query(b, 20, false);
		if (q)
			break;
		usleep(10000);
	}
	assert_non_null(q);
	json_decref(q);
	q = helper_query(b, 5, false);
	assert_int_equal(helper_uint(q, "calls"), 2 * 4);
	json_decref(q);
	stats_free(b);
}

/* As when an upgrade fails half-way: the other process has taken what was there, has written it, and is gone. */
static void what_was_given_up_is_kept_again(void **state)
{
	struct stats *a = stats_of(1000, true), *b = stats_of(1000, true);
	struct stats_sink *ka = helper_sink(a), *kb = helper_sink(b);
	uint64_t written;
	json_t *q;

	assert_int_equal(stats_keep_again(a), RC_OK); /* none is kept */
	assert_int_equal(stats_keep(a, path, NS_PER_MS), RC_OK);
	fill(ka, 20);
	stats_keep_no_more(a);
	assert_int_equal(stats_keep(b, path, NS_PER_SEC), RC_OK);
	fill(kb, 5);
	written = stats_sum(a, STATS_C_SNAPSHOTS);
	assert_int_equal(stats_keep_again(a), RC_OK);
	assert_int_equal(stats_keep_again(a), RC_OK); /* it is */
	fill(ka, 20);
	usleep(50000);
	assert_int_equal(stats_sum(a, STATS_C_SNAPSHOTS), written); /* the other one has it yet */
	stats_free(b);
	for (unsigned i = 0; i < 3000 && stats_sum(a, STATS_C_SNAPSHOTS) == written; i++)
		usleep(10000);
	assert_int_not_equal(stats_sum(a, STATS_C_SNAPSHOTS), written);
	q = helper_query(a, 20, false);
	assert_int_equal(helper_uint(q, "calls"), 2 * 3); /* nothing was taken twice */
	json_decref(q);
	stats_free(a);
	a = stats_of(1000, true);
	assert_int_equal(stats_keep(a, path, NS_PER_SEC), RC_OK);
	q = helper_query(a, 20, false);
	assert_int_equal(helper_uint(q, "calls"), 2 * 3);
	json_decref(q);
	stats_free(a);
}

static void a_place_that_is_none_is_no_reason_to_stop(void **state)
{
	struct stats *s = stats_of(1000, true);
	struct stats_sink *k = helper_sink(s);

	assert_int_equal(stats_keep(s, "/nowhere/at/all", NS_PER_SEC), RC_OK);
	fill(k, 5);
	stats_free(s);
}

/* The disk fails while it runs: counted, and the next interval tries again. */
static void a_write_that_fails_is_counted(void **state)
{
	struct stats *s = stats_of(1000, true);
	struct stats_sink *k = helper_sink(s);
	char blocked[128];

	(void)snprintf(blocked, sizeof(blocked), "%s.new", path);
	assert_int_equal(mkdir(blocked, 0700), 0);
	assert_int_equal(stats_keep(s, path, NS_PER_MS), RC_OK);
	fill(k, 5);
	wait_for_sum(s, STATS_C_SNAPSHOT_FAILURES);
	assert_int_equal(rmdir(blocked), 0);
	wait_for_sum(s, STATS_C_SNAPSHOTS);
	stats_free(s);
}

int main(void)
{
#define in_folder(fn) cmocka_unit_test_setup_teardown(fn, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_was_counted_comes_back),
		cmocka_unit_test(two_lives_add_up),
		cmocka_unit_test(a_smaller_table_keeps_the_heavy_and_sums_the_rest),
		cmocka_unit_test(no_literal_is_written_where_samples_are_off),
		cmocka_unit_test(no_literal_is_taken_where_samples_are_off),
		cmocka_unit_test(a_damaged_file_is_not_taken),
		cmocka_unit_test(calls_of_many_records_do_not_wrap),
		cmocka_unit_test(every_byte_may_be_hostile),
		cmocka_unit_test(memory_may_be_short),
		in_folder(the_file_is_written_at_the_end_and_taken_at_the_start),
		in_folder(it_is_written_at_intervals),
		in_folder(switching_samples_off_rewrites_it),
		in_folder(garbage_is_ignored_and_replaced),
		in_folder(one_process_keeps_it_and_the_next_takes_it_up),
		in_folder(what_was_given_up_is_kept_again),
		in_folder(a_place_that_is_none_is_no_reason_to_stop),
		in_folder(a_write_that_fails_is_counted),
	};

	return cmocka_run_group_tests_name("stats_snapshot", tests, NULL, NULL);
}
