/*
 * queue_merge_test.c - which INSERTs become one (Q6), and what an error of the database means (Q5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "errclass.h"
#include "merge.h"
#include "runs.h"

#define STRICT "sql_mode='STRICT_TRANS_TABLES'"

/* The values are what stands between the first "(" behind VALUES and `tail`. */
static struct queue_record insert(const char *sql, const char *tail)
{
	const char *values = strstr(sql, "VALUES ");
	struct queue_record r = {
		.digest = 1, .time_us = 5000000, .environment = span_str(STRICT), .sql = span_str(sql)};

	r.rows_at = (uint32_t)(values + 7 - sql);
	r.rows_end = (uint32_t)(r.sql.len - strlen(tail));
	return r;
}

static enum time_need need(const char *sql)
{
	struct queue_record r = insert(sql, "");

	return merge_time_need(&r);
}

static void the_clock_is_found_in_the_values(void **state)
{
	assert_int_equal(need("INSERT INTO t VALUES (1,'a',NULL,DEFAULT,-2.5e3,x'00',_utf8'x',TRUE)"), TIME_FREE);
	assert_int_equal(need("INSERT INTO t VALUES (INET6_ATON('::1'),UNHEX('00'), concat('a','b'))"), TIME_FREE);
	assert_int_equal(need("INSERT INTO t VALUES (now())"), TIME_SECOND);
	assert_int_equal(need("INSERT INTO t VALUES (NOW( ) + INTERVAL 1 DAY)"), TIME_SECOND);
	assert_int_equal(need("INSERT INTO t VALUES (CURRENT_TIMESTAMP)"), TIME_SECOND);
	assert_int_equal(need("INSERT INTO t VALUES (CURRENT_TIMESTAMP, 1)"), TIME_SECOND);
	assert_int_equal(need("INSERT INTO t VALUES (NOW(6))"), TIME_MICRO);
	assert_int_equal(need("INSERT INTO t VALUES (SYSDATE())"), TIME_NEVER);
	assert_int_equal(need("INSERT INTO t VALUES (my_function(1))"), TIME_NEVER);
	assert_int_equal(need("INSERT INTO t VALUES (@a)"), TIME_NEVER);
	assert_int_equal(need("INSERT INTO t VALUES (1 /*! , NOW(6) */)"), TIME_NEVER);
}

/* Rows of one statement would see each other, or not, where statements one by one do otherwise. */
static void what_reads_is_never_merged(void **state)
{
	struct queue_record r = insert("INSERT INTO t VALUES ((SELECT a FROM t LIMIT 1))", "");

	assert_int_equal(merge_time_need(&r), TIME_NEVER);
	assert_false(merge_same(&r, &r, merge_time_need(&r)));
	assert_int_equal(need("INSERT INTO t VALUES (@a:=@a+1)"), TIME_NEVER);
	assert_int_equal(need("INSERT INTO t VALUES (NEXTVAL(s))"), TIME_NEVER);
	assert_int_equal(need("INSERT INTO t VALUES ('select', `select`)"), TIME_FREE);
}

static void text_in_quotes_is_not_code(void **state)
{
	struct queue_record r;

	assert_int_equal(need("INSERT INTO t VALUES ('call NOW(6) (please)', \"f(x) -- no\")"), TIME_FREE);
	assert_int_equal(need("INSERT INTO t VALUES ('it''s NOW(6)')"), TIME_FREE);
	assert_int_equal(need("INSERT INTO t VALUES ('it\\'s NOW(6)')"), TIME_FREE);
	assert_int_equal(need("INSERT INTO t VALUES ('open NOW("), TIME_NEVER);
	/* There the backslash is a character, and the string ends before NOW. */
	r = insert("INSERT INTO t VALUES ('it\\', NOW(6))", "");
	r.environment = span_str("sql_mode='STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES'");
	assert_int_equal(merge_time_need(&r), TIME_MICRO);
}

static void the_tail_counts_too(void **state)
{
	const char *tail = " ON DUPLICATE KEY UPDATE hits=hits+VALUES(hits)";
	struct queue_record r = insert("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE hits=hits+VALUES(hits)", tail);

	assert_int_equal(merge_time_need(&r), TIME_FREE);
	r = insert("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE seen=NOW()",
		   " ON DUPLICATE KEY UPDATE seen=NOW()");
	assert_int_equal(merge_time_need(&r), TIME_SECOND);
}

static void times_may_differ_as_far_as_it_does_not_show(void **state)
{
	struct queue_record a = insert("INSERT INTO t VALUES (1)", ""), b = insert("INSERT INTO t VALUES (2)", "");

	a.time_us = 5000000;
	b.time_us = 5999999;
	assert_true(merge_same(&a, &b, TIME_SECOND));
	assert_false(merge_same(&a, &b, TIME_MICRO));
	b.time_us = 6000000;
	assert_false(merge_same(&a, &b, TIME_SECOND));
	assert_true(merge_same(&a, &b, TIME_FREE));
	b.time_us = a.time_us;
	assert_true(merge_same(&a, &b, TIME_MICRO));
}

static void only_the_same_statement_in_the_same_state_is_merged(void **state)
{
	struct queue_record a = insert("INSERT INTO t VALUES (1)", ""), b = a;

	assert_true(merge_same(&a, &b, TIME_FREE));
	b.environment = span_str(STRICT ",time_zone='+01:00'");
	assert_false(merge_same(&a, &b, TIME_FREE));
	b = a;
	b.schema = span_str("other");
	assert_false(merge_same(&a, &b, TIME_FREE));
	b = insert("INSERT INTO u VALUES (1)", "");
	assert_false(merge_same(&a, &b, TIME_FREE));
	b = insert("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a=1", " ON DUPLICATE KEY UPDATE a=1");
	assert_false(merge_same(&a, &b, TIME_FREE));
	b = a;
	b.digest = 2;
	assert_false(merge_same(&a, &b, TIME_FREE));
	b = a;
	b.on_error = QUEUE_HALT;
	assert_false(merge_same(&a, &b, TIME_FREE));
}

static void a_comment_at_either_end_does_not_keep_them_apart(void **state)
{
	struct queue_record a = insert("INSERT INTO t VALUES (1) /*route='/a'*/", " /*route='/a'*/");
	struct queue_record b = insert("/* req 7 */ INSERT INTO t VALUES (2) /*route='/b'*/", " /*route='/b'*/");

	assert_true(merge_same(&a, &b, TIME_FREE));
	b = insert("INSERT INTO t VALUES (2) /*! ON DUPLICATE KEY UPDATE a=1 */",
		   " /*! ON DUPLICATE KEY UPDATE a=1 */");
	assert_false(merge_same(&a, &b, TIME_FREE));
}

/* Alone, NULL for a NOT NULL column is an error there; in company it becomes 0. */
static void without_strict_mode_nothing_is_merged(void **state)
{
	struct queue_record r = insert("INSERT INTO t VALUES (1)", "");

	assert_true(merge_possible(&r, false));
	r.environment = span_str("sql_mode=''");
	assert_false(merge_possible(&r, true));
	r.environment = span_str("time_zone='+00:00'");
	assert_true(merge_possible(&r, true));
	assert_false(merge_possible(&r, false));
	r = insert("INSERT IGNORE INTO t VALUES (1)", "");
	assert_false(merge_possible(&r, true));
	r = insert("INSERT INTO ignored VALUES (1)", "");
	assert_true(merge_possible(&r, true));
	r.rows_at = r.rows_end = 0;
	assert_false(merge_possible(&r, true));
}

/* The records of a batch, each looked at alone and behind the one before it. */
static void what_is_known_of_one_serves_the_next(void **state)
{
	static const char odd[] = "sql_mode='STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES'";
	static const struct { const char *sql, *tail, *environment; } rows[] = {
		{"INSERT INTO t VALUES (1)", "", STRICT},
		{"INSERT INTO t VALUES (2, NOW(), 'a')", "", STRICT},
		{"INSERT INTO t VALUES (3, 'it\\'s NOW(6)')", "", STRICT},
		{"INSERT INTO t VALUES (3, 'it\\', NOW(6))", "", odd},
		{"INSERT INTO t VALUES (4, 'NOW(6)', 10, 0x1f, 1e5, 7 )", "", STRICT},
		{"INSERT INTO u VALUES (5)", "", STRICT},
		{"INSERT INTO u VALUES (6) ON DUPLICATE KEY UPDATE a=NOW()", " ON DUPLICATE KEY UPDATE a=NOW()", STRICT},
		{"INSERT INTO u VALUES (7) ON DUPLICATE KEY UPDATE a=NOW()", " ON DUPLICATE KEY UPDATE a=NOW()", STRICT},
		{"INSERT INTO u VALUES (8) ON DUPLICATE KEY UPDATE a=f(1)", " ON DUPLICATE KEY UPDATE a=f(1)", STRICT},
		{"INSERT INTO u VALUES (9)", "", "sql_mode=''"},
		{"INSERT INTO u VALUES (10)", "", STRICT},
		{"INSERT IGNORE INTO u VALUES (11)", "", STRICT},
		{"INSERT IGNORE INTO u VALUES (12)", "", STRICT},
		{"INSERT INTO u VALUES ((SELECT 13))", "", STRICT},
		{"INSERT INTO u VALUES (14)", "", STRICT},
	};
	struct queue_record r[countof(rows)];
	struct merge_known known = {0};

	for (size_t i = 0; i < countof(rows); i++) {
		enum time_need alone;

		r[i] = insert(rows[i].sql, rows[i].tail);
		r[i].environment = span_str(rows[i].environment);
		alone = merge_possible(&r[i], true) ? merge_time_need(&r[i]) : TIME_NEVER;
		assert_int_equal(merge_look(&known, &r[i], true), alone);
	}
	r[0].rows_at = r[0].rows_end = 0;
	assert_int_equal(merge_look(&known, &r[0], true), TIME_NEVER);
	assert_int_equal(merge_look(&known, &r[1], true), TIME_SECOND);
}

static struct apply_item item(const char *sql, const char *tables, bool mergeable)
{
	struct apply_item it = {.mergeable = mergeable};

	if (mergeable)
		it.rec.r = insert(sql, "");
	else
		it.rec.r.sql = span_str(sql);
	it.rec.r.tables = span_of(tables, 4);
	it.seq = 1;
	return it;
}

/* The statements as numbers of records, each run as "(first,second,…)". */
static const char *planned(struct apply_item *items, size_t n, uint64_t most, bool strict, bool *reordered)
{
	static char out[256];
	struct runs r = {0};
	size_t len = 0;

	assert_int_equal(runs_plan(&r, items, n, most, strict), RC_OK);
	out[0] = '\0';
	for (size_t i = 0; i < r.n; i++) {
		len += (size_t)snprintf(out + len, sizeof(out) - len, "(");
		for (struct apply_item *it = r.run[i].first; it; it = it->next)
			len += (size_t)snprintf(out + len, sizeof(out) - len, "%d", (int)(it - items));
		len += (size_t)snprintf(out + len, sizeof(out) - len, ")");
	}
	*reordered = r.reordered;
	runs_reset(&r);
	return out;
}

#define A "INSERT INTO a VALUES (1)"
#define B "INSERT INTO b VALUES (1)"
#define IN_A "s\0a\0"
#define IN_B "s\0b\0"

static void records_of_other_tables_may_be_passed_by(void **state)
{
	struct apply_item items[] = {item(A, IN_A, true), item(B, IN_B, true), item(A, IN_A, true),
				     item(B, IN_B, true)};
	bool reordered;

	assert_string_equal(planned(items, 4, 1000, false, &reordered), "(02)(13)");
	assert_true(reordered);
	assert_string_equal(planned(items, 4, 1000, true, &reordered), "(0)(1)(2)(3)");
	assert_false(reordered);
	assert_string_equal(planned(items, 4, strlen(A) + 3, false, &reordered),
			    "(0)(1)(2)(3)"); /* too long together */
	items[2].skip = true;
	assert_string_equal(planned(items, 4, 1000, false, &reordered), "(0)(13)");
	assert_false(reordered);
}

static void order_within_a_table_is_kept(void **state)
{
	struct apply_item update_a[] = {item(A, IN_A, true), item("UPDATE a", IN_A, false), item(A, IN_A, true)};
	struct apply_item update_b[] = {item(A, IN_A, true), item("UPDATE b", IN_B, false), item(A, IN_A, true)};
	struct apply_item trigger_b[] = {item(A, IN_A, true), item(B, IN_B, true), item(A, IN_A, true)};
	struct apply_item other_a[] = {item(A, IN_A, true), item("INSERT INTO a (x) VALUES (1)", IN_A, true),
				       item(A, IN_A, true)};
	bool reordered;

	assert_string_equal(planned(update_a, 3, 1000, false, &reordered), "(0)(1)(2)");
	assert_string_equal(planned(update_b, 3, 1000, false, &reordered), "(0)(1)(2)"); /* it may read a */
	trigger_b[1].need = TIME_MICRO;
	assert_string_equal(planned(trigger_b, 3, 1000, false, &reordered), "(0)(1)(2)");
	assert_string_equal(planned(other_a, 3, 1000, false, &reordered), "(0)(1)(2)");
}

/* With lower_case_table_names other than 0 they are one; the order key has them in lower case. */
static void a_table_spelled_otherwise_is_not_passed_by(void **state)
{
	struct apply_item keyed[] = {item(A, IN_A, true), item("INSERT INTO A VALUES (1)", "s\0A\0", true), item(A, IN_A, true)};
	struct apply_item bare[] = {item(A, IN_A, true), item("INSERT INTO A VALUES (1)", "S\0A\0", true), item(A, IN_A, true)};
	struct apply_item other[] = {item(A, IN_A, true), item(B, "s\0B\0", true), item(A, IN_A, true)};
	bool reordered;

	for (int i = 0; i < 3; i++)
		keyed[i].rec.r.order_key = span_of("s\0a\0x", i == 1 ? 5 : 4);
	assert_string_equal(planned(keyed, 3, 1000, false, &reordered), "(0)(1)(2)");
	assert_string_equal(planned(bare, 3, 1000, false, &reordered), "(0)(1)(2)");
	assert_string_equal(planned(other, 3, 1000, false, &reordered), "(02)(1)");
}

static void errors_are_classified(void **state)
{
	static const struct {
		unsigned code;
		enum errclass class;
	} cases[] = {
		{1062, ERRCLASS_PERMANENT}, {1064, ERRCLASS_PERMANENT}, {1146, ERRCLASS_PERMANENT},
		{1452, ERRCLASS_PERMANENT}, {1406, ERRCLASS_PERMANENT}, {1048, ERRCLASS_PERMANENT},
		{1153, ERRCLASS_PERMANENT}, {4025, ERRCLASS_PERMANENT}, {1205, ERRCLASS_RETRY},
		{1213, ERRCLASS_RETRY},     {1020, ERRCLASS_RETRY},     {1040, ERRCLASS_WAIT},
		{1142, ERRCLASS_WAIT},      {1114, ERRCLASS_WAIT},      {1290, ERRCLASS_RECONNECT},
		{1836, ERRCLASS_RECONNECT}, {1792, ERRCLASS_RECONNECT}, {2006, ERRCLASS_RECONNECT},
		{2013, ERRCLASS_RECONNECT}, {2002, ERRCLASS_RECONNECT}, {1053, ERRCLASS_RECONNECT},
		{1927, ERRCLASS_RECONNECT}, {1026, ERRCLASS_WAIT},      {1105, ERRCLASS_PERMANENT},
		{1197, ERRCLASS_SMALLER},   {1705, ERRCLASS_SMALLER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(errclass_of(cases[i].code), cases[i].class);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_is_found_in_the_values),
		cmocka_unit_test(what_reads_is_never_merged),
		cmocka_unit_test(text_in_quotes_is_not_code),
		cmocka_unit_test(the_tail_counts_too),
		cmocka_unit_test(times_may_differ_as_far_as_it_does_not_show),
		cmocka_unit_test(only_the_same_statement_in_the_same_state_is_merged),
		cmocka_unit_test(a_comment_at_either_end_does_not_keep_them_apart),
		cmocka_unit_test(without_strict_mode_nothing_is_merged),
		cmocka_unit_test(what_is_known_of_one_serves_the_next),
		cmocka_unit_test(records_of_other_tables_may_be_passed_by),
		cmocka_unit_test(order_within_a_table_is_kept),
		cmocka_unit_test(a_table_spelled_otherwise_is_not_passed_by),
		cmocka_unit_test(errors_are_classified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
