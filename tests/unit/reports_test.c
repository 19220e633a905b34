/*
 * What a SET chooses to be reported is told, and what else it sets; what is not understood is declined.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "facts.h"
#include "reports.h"

#define S "session_track_system_variables"
#define ON_TOP "CONCAT(@@global." S ",',tx_isolation')"

static void a_choice_is_told_from_what_stands_around_it(void **state)
{
	static const struct { const char *sql, *before, *value, *behind, *names; bool to_default; } cases[] = {
		{"SET " S "='a,b'", "", "'a,b'", "", "a,b", false},
		{"set " S " = " ON_TOP, "", ON_TOP, "", ",tx_isolation", true},
		{"SET autocommit=1, " S " = " ON_TOP ",NAMES utf8mb4 -- x", "autocommit=1", ON_TOP, ",NAMES utf8mb4 -- x", ",tx_isolation", true},
		{"SET SESSION " S " := '' ;", "", "''", " ;", "", false},
		{"SET @@session." S "='x', a=(1, 2)", "", "'x'", ", a=(1, 2)", "x", false},
		{"SET " S "='*'", "", "'*'", "", "*", false},
		{"SET @@" S "='x'", "", "'x'", "", "x", false},
		{"/* a */ SET names utf8 collate utf8_bin /* b */ , LOCAL " S "=DEFAULT", "names utf8 collate utf8_bin", "DEFAULT", "", "", true},
		{"SET " S "=concat ( @@Global." S " , ',x' )", "", "concat ( @@Global." S " , ',x' )", "", ",x", true},
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct sql_reports r;

		assert_int_equal(sql_set_reports(span_str(cases[i].sql), 0, &r), RC_OK);
		assert_true(span_eq(r.before, span_str(cases[i].before)));
		assert_true(span_eq(r.value, span_str(cases[i].value)));
		assert_true(span_eq(r.behind, span_str(cases[i].behind)));
		assert_true(span_eq(r.names, span_str(cases[i].names)));
		assert_int_equal(r.to_default, cases[i].to_default);
	}
}

static void what_is_not_understood_is_declined(void **state)
{
	static const char *const cases[] = {
		"", "SET", "SET a=1", "SELECT @@" S, "SET GLOBAL " S "='a'", "SET @@global." S "='a'", "SET a=1, GLOBAL " S "='a'",
		"SET " S "='*,a'", "SET " S "='a," S "'", "SET " S "=CONCAT(@@global." S ",'*')", "SET " S "='a b'", "SET " S "='a''b'", "SET " S "='a\\nb'", "SET " S "=\"a\"", "SET " S "=@v", "SET " S "=?",
		"SET " S "=x'61'", "SET " S "='a' 'b'", "SET " S "=_utf8'a'", "SET " S "='a' COLLATE utf8_bin", "SET " S "=('a')",
		"SET " S "=CONCAT(@@" S ",',a')", "SET " S "=CONCAT(@@session." S ",',a')", "SET " S "=CONCAT(',a',@@global." S ")",
		"SET " S "=CONCAT(@@global." S ",',a',',b')", "SET " S "=CONCAT(@@global.sql_mode,',a')", "SET " S "=@@global." S,
		"SET " S "='a'; SELECT 1", "SET a=1; SET " S "='a'", "SET " S "='a', " S "='b'", "SET session_track_schema=1, " S "='a'",
		"SET " S "='a', @@session_track_state_change=1", "SET `" S "`='a'", "SET a=`b`, " S "='a'", "SET @" S "='a'",
		"SET STATEMENT " S "='a' FOR SELECT 1", "SET a=1 /*! , " S "='a' */", "SET /*M!100101 a=1,*/ " S "='a'", "SET a=1, " S "='a", "SET " S "=",
		"SET TRANSACTION READ ONLY, " S "='a'", "SET PERSIST " S "='a'", "SET " S "='a' b", "SET @a=@@" S ", " S "='a'",
	};

	for (size_t i = 0; i < countof(cases); i++) {
		struct sql_reports r;

		assert_int_equal(sql_set_reports(span_str(cases[i]), 0, &r), RC_DECLINED);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_choice_is_told_from_what_stands_around_it),
		cmocka_unit_test(what_is_not_understood_is_declined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
