/*
 * The statements about a connection's number are told from those that only look like them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "facts.h"
#include "thread.h"
#include "unscoped.h"

static void a_kill_by_number_is_read(void **state)
{
	static const struct { const char *sql; uint64_t id; bool query; const char *how; } cases[] = {
		{"KILL 5", 5, false, ""},
		{"kill connection 1073741825;", 1073741825, false, ""},
		{"KILL QUERY 7 -- now", 7, true, ""},
		{"KILL HARD 8", 8, false, "HARD "},
		{"/* a */ KILL soft QUERY 9 ; ", 9, true, "SOFT "},
		{"KILL /*! QUERY */ 10", 10, true, ""},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct sql_kill k;

		assert_int_equal(sql_kill_parse(span_str(cases[i].sql), 0, &k), RC_OK);
		assert_int_equal(k.id, cases[i].id);
		assert_int_equal(k.query, cases[i].query);
		assert_string_equal(k.how, cases[i].how);
	}
}

static void what_stands_behind_a_kill_is_told(void **state)
{
	static const struct { const char *sql, *rest; } cases[] = {
		{"KILL 5; SELECT 1", "; SELECT 1"},
		{"KILL QUERY 5 ;SELECT 1; SELECT 2;", ";SELECT 1; SELECT 2;"},
		{"KILL 5;; SELECT 1", ";; SELECT 1"},
		{"KILL 5;", ""},
		{"KILL 5 ; ; -- x", ""},
		{"KILL 5", ""},
	};
	struct sql_kill k;

	for (size_t i = 0; i < countof(cases); i++) {
		assert_int_equal(sql_kill_parse(span_str(cases[i].sql), 0, &k), RC_OK);
		assert_int_equal(k.id, 5);
		assert_true(span_eq(k.rest, span_str(cases[i].rest)));
	}
}

static void any_other_kill_is_the_servers(void **state)
{
	static const char *const cases[] = {"KILL", "KILL QUERY ID 5", "KILL USER 'a'", "KILL @x", "KILL 5 + 1", "KILL CONNECTION_ID()",
					    "KILL 1e3", "KILL 0x05", "KILL -5", "KILL 99999999999999999999", "SELECT 5", "KILL 5 SELECT 1", ""};
	struct sql_kill k;

	for (size_t i = 0; i < countof(cases); i++)
		assert_int_equal(sql_kill_parse(span_str(cases[i]), 0, &k), RC_DECLINED);
}

static void a_kill_of_a_user_is_read(void **state)
{
	static const struct { const char *sql, *name, *host; } cases[] = {
		{"KILL USER app", "app", "%"},
		{"kill hard connection user 'a b'@'10.0.0.1'; ", "a b", "10.0.0.1"},
		{"KILL SOFT USER `app`@localhost -- x", "app", "localhost"},
		{"KILL USER ''@'%'", "", "%"},
		{"KILL USER \"app\"@`h`", "app", "h"},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct span name, host;

		assert_int_equal(sql_kill_user_parse(span_str(cases[i].sql), 0, &name, &host), RC_OK);
		assert_true(span_eq(name, span_str(cases[i].name)));
		assert_true(span_eq(host, span_str(cases[i].host)));
	}
}

static void any_other_kill_ends_no_user(void **state)
{
	static const char *const cases[] = {"KILL 5", "KILL USER", "KILL QUERY USER app", "KILL USER CURRENT_USER", "KILL USER CURRENT_USER()",
					    "KILL USER 'a''b'", "KILL USER 'a\\'b'", "KILL USER app@", "KILL USER app, other",
					    "KILL USER app; SELECT 1", "KILL USER 5", "SELECT 5", ""};
	struct span name, host;

	for (size_t i = 0; i < countof(cases); i++)
		assert_int_equal(sql_kill_user_parse(span_str(cases[i]), 0, &name, &host), RC_DECLINED);
}

static void variables_set_without_a_scope_are_found(void **state)
{
	static const struct { const char *sql, *names; } cases[] = {
		{"SET @@sql_mode = 'ANSI'", "sql_mode,"},
		{"set @x = f(1, @@a = 2), @@time_zone:=@@global.time_zone, @@`b`=3", "time_zone,`b`,"},
		{"SET @@session.a = 1, @@global.b = 2, c = @@d, @e = 5", ""},
		{"SET a = 1; SET @@b = 2; SELECT @@c", "b,"},
		{"SET @@hot.key_buffer_size = 1", ""},
		{"SET @@session = 1", "session,"},
		{"SET", ""}, {"SET @@", ""}, {"SET @@a", ""}, {"", ""},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct span names[4];
		size_t n = sql_set_unscoped(span_str(cases[i].sql), 0, names, countof(names));
		char got[64] = "";

		for (size_t k = 0; k < n; k++)
			(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), SPAN_FMT ",", SPAN_ARG(names[k]));
		assert_string_equal(got, cases[i].names);
	}
	assert_int_equal(sql_set_unscoped(span_str("SET @@a=1, @@b=2"), 0, (struct span[1]){{NULL, 0}}, 1), 1);
}

static void a_question_for_one_number_stands_alone(void **state)
{
	static const char *const yes[] = {"SELECT CONNECTION_ID()", "select connection_id( ) ;", "SELECT CONNECTION_ID() AS id",
					  "SELECT CONNECTION_ID() `my id`", "SELECT connection_id() as 'x'", "SELECT /* a */ CONNECTION_ID() id -- b"};
	static const char *const no[] = {"SELECT CONNECTION_ID", "SELECT CONNECTION_ID() + 1", "SELECT CONNECTION_ID(), 1", "SELECT 1, CONNECTION_ID()",
					 "SELECT CONNECTION_ID() FROM t", "SELECT IS_USED_LOCK('x') = CONNECTION_ID()", "SELECT (CONNECTION_ID())",
					 "SELECT CONNECTION_ID() INTO @x", "SELECT CONNECTION_ID() AS", "SELECT CONNECTION_ID(); SELECT 1",
					 "SELECT CONNECTION_ID() UNION SELECT 1", ""};

	for (size_t i = 0; i < countof(yes); i++)
		assert_true(sql_asks_alone(span_str(yes[i]), 0) == SQL_F_CONNECTION_ID);
	for (size_t i = 0; i < countof(no); i++)
		assert_true(sql_asks_alone(span_str(no[i]), 0) == 0);
	assert_true(sql_asks_alone(span_str("SELECT FOUND_ROWS()"), 0) == SQL_F_FOUND_ROWS);
	assert_true(sql_asks_alone(span_str("select row_count() AS n;"), 0) == SQL_F_ROW_COUNT);
	assert_true(sql_asks_alone(span_str("SELECT FOUND_ROWS(), ROW_COUNT()"), 0) == 0);
	assert_true(sql_asks_alone(span_str("SELECT LAST_INSERT_ID()"), 0) == SQL_F_LAST_INSERT_ID);
	assert_true(sql_asks_alone(span_str("SELECT LAST_INSERT_ID(7)"), 0) == 0);
}

static void a_question_for_several_numbers_is_told_by_column(void **state)
{
	uint64_t what[3];

	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS() AS a, row_count() b ,LAST_INSERT_ID();"), 0, what, 3), 3);
	assert_true(what[0] == SQL_F_FOUND_ROWS && what[1] == SQL_F_ROW_COUNT && what[2] == SQL_F_LAST_INSERT_ID);
	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS()"), 0, what, 3), 1);
	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS(), ROW_COUNT(), FOUND_ROWS()"), 0, what, 2), 0);
	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS(), ROW_COUNT() + 1"), 0, what, 3), 0);
	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS(), 1"), 0, what, 3), 0);
	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS(),"), 0, what, 3), 0);
	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS(), ROW_COUNT() FROM t"), 0, what, 3), 0);
	assert_int_equal(sql_asks_each(span_str("SELECT FOUND_ROWS(), ROW_COUNT(); SELECT 1"), 0, what, 3), 0);
}

static void what_a_limit_passes_over_is_told(void **state)
{
	static const struct { const char *sql; int offset; } cases[] = {
		{"SELECT a FROM t", 0}, {"SELECT a FROM t LIMIT 5", 0}, {"SELECT a FROM t LIMIT 3, 5", 3}, {"SELECT a FROM t LIMIT 5 OFFSET 7", 7},
		{"SELECT a FROM t LIMIT 5 OFFSET 7 FOR UPDATE", 7}, {"SELECT 'LIMIT 1, 2', `limit` FROM t /* LIMIT 4, 4 */ LIMIT 2", 0},
		{"SELECT a FROM t LIMIT ?", 0}, {"SELECT a FROM t LIMIT ?, 5", -1}, {"SELECT a FROM t LIMIT 5 OFFSET ?", -1}, {"SELECT a FROM t LIMIT 5 OFFSET @a", -1},
		{"SELECT a FROM (SELECT b FROM u LIMIT 2, 2) d LIMIT 5", -1}, {"SELECT a FROM t LIMIT 0x2, 5", -1},
		{"SELECT GROUP_CONCAT(a LIMIT 2, 3) FROM t", -1}, {"SELECT a FROM t WHERE b IN (SELECT c FROM u) LIMIT 2, 3", 2}, {"SELECT a FROM t ORDER BY a OFFSET 2 ROWS", -1},
		{"SELECT a FROM t ORDER BY(a)LIMIT 2,3", 2}, {"SELECT a FROM t /*!999999 LIMIT 2, 3 */", -1},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		uint64_t n = 99;
		enum rc rc = sql_offset(span_str(cases[i].sql), 0, &n);

		assert_int_equal(rc, cases[i].offset < 0 ? RC_DECLINED : RC_OK);
		if (rc == RC_OK)
			assert_int_equal(n, cases[i].offset);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_by_number_is_read),
		cmocka_unit_test(what_stands_behind_a_kill_is_told),
		cmocka_unit_test(any_other_kill_is_the_servers),
		cmocka_unit_test(a_kill_of_a_user_is_read),
		cmocka_unit_test(any_other_kill_ends_no_user),
		cmocka_unit_test(variables_set_without_a_scope_are_found),
		cmocka_unit_test(a_question_for_one_number_stands_alone),
		cmocka_unit_test(a_question_for_several_numbers_is_told_by_column),
		cmocka_unit_test(what_a_limit_passes_over_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
