/*
 * What a statement does to the locks of GET_LOCK: one that is taken or given back by its name is told from all that may take any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rc.h"
#include "userlock.h"

static void one_lock_by_its_name_is_told(void **state)
{
	static const struct { const char *sql; enum sql_user_lock what; const char *name; } cases[] = {
		{"SELECT GET_LOCK('a', 0)", SQL_LOCK_TAKEN, "a"},
		{"select get_lock( 'my lock' , -1 ) ;", SQL_LOCK_TAKEN, "my lock"},
		{"DO GET_LOCK('a', 0.5) -- now", SQL_LOCK_TAKEN, "a"},
		{"SELECT GET_LOCK('a', 10) AS got", SQL_LOCK_TAKEN, "a"},
		{"SELECT GET_LOCK('a', 10) AS 'got'", SQL_LOCK_TAKEN, "a"},
		{"SELECT RELEASE_LOCK('a')", SQL_LOCK_GIVEN, "a"},
		{"/* x */ DO release_lock('A');", SQL_LOCK_GIVEN, "A"},
		{"SELECT RELEASE_LOCK('a') `given`", SQL_LOCK_GIVEN, "a"},
		{"SELECT RELEASE_ALL_LOCKS()", SQL_LOCK_ALL_GIVEN, ""},
		{"DO RELEASE_ALL_LOCKS()", SQL_LOCK_ALL_GIVEN, ""},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct span name = span_of("", 0);

		assert_int_equal(sql_user_lock(span_str(cases[i].sql), 0, &name), cases[i].what);
		if (cases[i].what == SQL_LOCK_TAKEN || cases[i].what == SQL_LOCK_GIVEN)
			assert_true(span_eq(name, span_str(cases[i].name)));
	}
}

static void what_takes_none_takes_none(void **state)
{
	static const char *const none[] = {"SELECT IS_FREE_LOCK('a')", "SELECT IS_USED_LOCK(@a)", "SELECT RELEASE_LOCK(@a)", "SELECT RELEASE_LOCK('a'), 1", "SELECT RELEASE_LOCK('a') FROM t",
					   "SELECT RELEASE_LOCK('a', 'b')", "SELECT RELEASE_LOCK('a' 'b')", "SELECT RELEASE_LOCK(n'a')", "SELECT RELEASE_LOCK('\\a')", "SELECT RELEASE_LOCK('a''b')",
					   "SELECT RELEASE_LOCK(\"a\")", "SELECT RELEASE_LOCK('\303\251')", "SELECT RELEASE_LOCK('a'); SELECT 1", "SELECT 'GET_LOCK(1, 2)', `get_lock`, IS_FREE_LOCK('a')"};

	for (size_t i = 0; i < countof(none); i++) {
		struct span name;

		assert_int_equal(sql_user_lock(span_str(none[i]), 0, &name), SQL_LOCK_NONE);
	}
}

static void what_may_take_any_is_not_told(void **state)
{
	static const char *const untold[] = {"SELECT GET_LOCK(@a, 0)", "SELECT GET_LOCK(?, 0)", "SELECT GET_LOCK('a', @t)", "SELECT GET_LOCK('a', 0), 1", "SELECT 1, GET_LOCK('a', 0)", "SELECT GET_LOCK('a', 0) FROM t",
					     "SELECT GET_LOCK('a', 0) + 1", "SELECT GET_LOCK('a' 'b', 0)", "SELECT GET_LOCK('\303\251', 0)", "SELECT GET_LOCK('a', 0); SELECT 1", "SELECT RELEASE_LOCK('a'), GET_LOCK('b', 0)",
					     "SELECT RELEASE_LOCK('a') /*!99999 , GET_LOCK('b', 0) */", "SELECT RELEASE_LOCK('a", "SELECT IF(RELEASE_LOCK('a'), GET_LOCK('b', 0), 0)",
					     "UPDATE t SET a = GET_LOCK('a', 0)", "SELECT RELEASE_ALL_LOCKS() /*M! , GET_LOCK('b', 0) */"};

	for (size_t i = 0; i < countof(untold); i++) {
		struct span name;

		assert_int_equal(sql_user_lock(span_str(untold[i]), 0, &name), SQL_LOCK_UNTOLD);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_lock_by_its_name_is_told),
		cmocka_unit_test(what_takes_none_takes_none),
		cmocka_unit_test(what_may_take_any_is_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
