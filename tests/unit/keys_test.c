/*
 * What an INSERT gives the columns that name rows (C6): literals and placeholders, row by row; anything else is not known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keys.h"

/* "id=1,2 email=? n! x-": values, unknown, not given; "declined". A + for a column that is assigned, * for REPLACE's kind, ~ for IGNORE. */
static const char *given(const char *sql)
{
	static const char *const columns[] = {"id", "email"};
	static char text[512];
	struct sql_insert_keys k = {.columns = columns, .ncolumns = 2};
	size_t at = 0;

	if (sql_insert_keys_parse(span_str(sql), 0, &k) != RC_OK)
		return "declined";
	for (unsigned i = 0; i < 2; i++) {
		const struct sql_insert_column *c = &k.at[i];

		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%s", i ? " " : "", columns[i],
				       c->given == SQL_GIVEN_NOT      ? "-"
				       : c->given == SQL_GIVEN_VALUES ? "="
								      : "!");
		for (unsigned v = 0; c->given == SQL_GIVEN_VALUES && v < c->n; v++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, v ? ",%.*s" : "%.*s",
					       c->values[v].param == SQL_NO_PARAM ? (int)c->values[v].text.len : 1,
					       c->values[v].param == SQL_NO_PARAM ? c->values[v].text.p : "?");
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", c->assigned ? "+" : "");
	}
	(void)snprintf(text + at, sizeof(text) - at, "%s%s", k.replaces ? " *" : "", k.ignores ? " ~" : "");
	return text;
}

static void test_values_are_found_by_the_list_of_columns(void **state)
{
	assert_string_equal(given("INSERT INTO t (id, email) VALUES (1, 'a')"), "id=1 email='a'");
	assert_string_equal(given("insert t (x, `Email`, y, ID) values (f(1, 2), 'a', (1), -7), (2, 'b', 3, 8)"),
			    "id=-7,8 email='a','b'");
	assert_string_equal(given("INSERT INTO s.t (t.id) VALUE (?), (?)"), "id=?,? email-");
	assert_string_equal(given("REPLACE INTO t (id) VALUES (1)"), "id=1 email- *");
	assert_string_equal(given("INSERT LOW_PRIORITY IGNORE t (id) VALUES (1)"), "id=1 email- ~");
	assert_string_equal(given("INSERT INTO t SET email = 'x', n = 1"), "id- email='x'");
}

static void test_what_is_no_literal_is_not_known(void **state)
{
	assert_string_equal(given("INSERT INTO t (id, email) VALUES (1 + 1, CONCAT('a', 'b'))"), "id! email!");
	assert_string_equal(given("INSERT INTO t (id, email) VALUES (1, 'a' 'b'), (2, NULL)"), "id=1,2 email!");
	assert_string_equal(given("INSERT INTO t (id, email) VALUES (DEFAULT, _utf8mb4'a')"), "id! email!");
	assert_string_equal(given("INSERT INTO t VALUES (1, 'a')"), "id! email!");
	assert_string_equal(given("INSERT INTO t () VALUES ()"), "id- email-");
	assert_string_equal(given("INSERT INTO t SET id = 1 + 1"), "id! email-");
	/* More rows than are kept. */
	assert_string_equal(given("INSERT INTO t (id) VALUES (1),(1),(1),(1),(1),(1),(1),(1),(1),(1),(1),(1),(1),(1),(1),(1),(1)"),
			    "id! email-");
}

static void test_what_a_duplicate_changes(void **state)
{
	assert_string_equal(given("INSERT INTO t (id) VALUES (1) ON DUPLICATE KEY UPDATE n = n + 1"), "id=1 email- *");
	assert_string_equal(given("INSERT INTO t (id, email) VALUES (1, 'a') ON DUPLICATE KEY UPDATE t.email = 'b'"),
			    "id=1 email='a'+ *");
}

static void test_rows_from_a_query_are_declined(void **state)
{
	assert_string_equal(given("INSERT INTO t (id) SELECT 1"), "declined");
	assert_string_equal(given("INSERT INTO t (id) VALUES ((SELECT 1))"), "declined");
	assert_string_equal(given("UPDATE t SET id = 1"), "declined");
	assert_string_equal(given("INSERT INTO t (id) VALUES (1); DELETE FROM t"), "declined");
	assert_string_equal(given("INSERT INTO t (id) VALUES (1"), "declined");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_found_by_the_list_of_columns),
		cmocka_unit_test(test_what_is_no_literal_is_not_known),
		cmocka_unit_test(test_what_a_duplicate_changes),
		cmocka_unit_test(test_rows_from_a_query_are_declined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
