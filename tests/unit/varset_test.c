/*
 * varset_test.c - the replayable part of a session's state (P3): equal sets are one, and SQL brings one to another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "mem.h"
#include "varlater.h"
#include "varset.h"

static struct varsets table;

static int begin(void **state)
{
	varsets_init(&table);
	return 0;
}

/* Whatever a test does, all it made must be gone. */
static int end(void **state)
{
	assert_int_equal(table.sets.count, 0);
	varsets_reset(&table);
	return 0;
}

static const struct varset *with(const struct varset *s, const char *name, const char *value)
{
	const struct varset *next = varset_with(s, span_str(name), span_str(value));

	assert_non_null(next);
	varset_unref(s);
	return next;
}

static const struct varset *empty(void)
{
	const struct varset *s = varset_empty(&table);

	assert_non_null(s);
	return s;
}

static void sql_is(const struct varset *from, const struct varset *to, const char *expected)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(varset_difference(from, to, &b), RC_OK);
	assert_int_equal(iobuf_append(&b, "", 1), RC_OK);
	assert_string_equal((const char *)iobuf_data(&b), expected);
	iobuf_reset(&b);
}

/* ---- tests ---- */

static void equal_sets_are_one(void **state)
{
	const struct varset *a = with(with(empty(), "sql_mode", "ANSI"), "autocommit", "ON");
	const struct varset *b = with(with(with(empty(), "AutoCommit", "OFF"), "SQL_MODE", "ANSI"), "autocommit", "ON");
	const struct varset *c = with(varset_ref(a), "autocommit", "OFF");

	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_int_not_equal(a->id, c->id);
	assert_int_equal(a->n, 2);
	varset_unref(a);
	varset_unref(b);
	varset_unref(c);
}

/* Lengths are part of it: no two different sets have the same bytes. */
static void different_sets_are_two(void **state)
{
	const struct varset *a = with(empty(), "ab", "c"), *b = with(empty(), "a", "bc");
	const struct varset *e = empty(), *c = varset_with_schema(e, span_str("ab"));

	assert_non_null(c);
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_false(span_eq(a->bytes, b->bytes));
	varset_unref(a);
	varset_unref(b);
	varset_unref(c);
	varset_unref(e);
}

static void taking_back_what_was_set_is_the_set_before(void **state)
{
	const struct varset *a = with(empty(), "sql_mode", "ANSI"),
			    *b = varset_with(a, span_str("time_zone"), span_str("UTC"));
	const struct varset *c = varset_without(b, span_str("TIME_ZONE")), *d = varset_without(c, span_str("nothing"));

	assert_ptr_equal(a, c);
	assert_ptr_equal(a, d);
	varset_unref(a);
	varset_unref(b);
	varset_unref(c);
	varset_unref(d);
}

static void the_environment_is_what_changes_a_write(void **state)
{
	const struct varset *none = empty(), *s = with(with(with(with(empty(), "time_zone", "UTC"), "autocommit", "ON"), "sql_mode", ""), "wait_timeout", "1");
	const struct varset *only = with(empty(), "autocommit", "OFF");
	struct span first, again;

	assert_int_equal(varset_environment(s, &first), RC_OK);
	assert_true(span_eq(first, span_str("sql_mode='',time_zone='UTC'")));
	assert_int_equal(varset_environment(s, &again), RC_OK);
	assert_ptr_equal(first.p, again.p);
	assert_int_equal(varset_environment(none, &first), RC_OK);
	assert_int_equal(first.len, 0);
	assert_int_equal(varset_environment(only, &first), RC_OK);
	assert_int_equal(first.len, 0);
	varset_unref(none);
	varset_unref(s);
	varset_unref(only);
}

static void each_variable_has_a_class(void **state)
{
	static const struct { const char *name; enum varlater is; } table_of[] = {
		{"sql_mode", VARLATER_MEANING},		     {"@names", VARLATER_MEANING},
		{"@login", VARLATER_MEANING},		     {"windowing_use_high_precision", VARLATER_MEANING},
		{"foreign_key_checks", VARLATER_MEANING},    {"time_zone", VARLATER_MEANING},
		{"autocommit", VARLATER_HARMLESS},	     {"alter_algorithm", VARLATER_HARMLESS},
		{"wait_timeout", VARLATER_HARMLESS},	     {"xa_detach_on_prepare", VARLATER_HARMLESS},
		{"completion_type", VARLATER_HARMLESS},	     {"transaction_isolation", VARLATER_HARMLESS},
		{"max_execution_time", VARLATER_HARMLESS},   {"optimizer_switch", VARLATER_HARMLESS},
		{"sql_log_bin", VARLATER_DIRECT},	     {"binlog_format", VARLATER_DIRECT},
		{"auto_increment_offset", VARLATER_DIRECT},  {"gtid_domain_id", VARLATER_DIRECT},
		{"sql_mod", VARLATER_DIRECT},		     {"sql_modes", VARLATER_DIRECT},
		{"no_such_variable", VARLATER_DIRECT},	     {"", VARLATER_DIRECT},
		{"zzz", VARLATER_DIRECT},
	};

	for (size_t i = 0; i < countof(table_of); i++) {
		const struct varset *s;

		assert_int_equal(varlater_of(span_str(table_of[i].name)), table_of[i].is);
		if (!*table_of[i].name)
			continue;
		s = with(empty(), table_of[i].name, "0");
		assert_int_equal(s->not_later, table_of[i].is == VARLATER_DIRECT);
		varset_unref(s);
	}
}

static void values_are_found(void **state)
{
	const struct varset *e = empty(), *s = varset_with_schema(e, span_str("shop"));

	s = with(with(s, "b", ""), "a", "x");
	assert_true(span_eq(s->schema, span_str("shop")));
	assert_true(span_eq(varset_get(s, "a"), span_str("x")));
	assert_non_null(varset_get(s, "b").p);
	assert_int_equal(varset_get(s, "b").len, 0);
	assert_null(varset_get(s, "c").p);
	varset_unref(s);
	varset_unref(e);
}

static void sql_mode_tells_how_text_reads(void **state)
{
	const struct varset *s = empty();

	assert_false(s->mode.ansi_quotes || s->mode.no_backslash || s->mode.oracle || s->autocommit_off);
	s = with(s, "sql_mode", "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES");
	assert_true(s->mode.no_backslash && !s->mode.ansi_quotes);
	s = with(s, "sql_mode", "PIPES_AS_CONCAT,ANSI_QUOTES,NO_BACKSLASH_ESCAPES_NOT");
	assert_true(s->mode.ansi_quotes && !s->mode.no_backslash);
	s = with(s, "sql_mode", "oracle");
	assert_true(s->mode.oracle && s->mode.ansi_quotes);
	s = with(s, "autocommit", "off");
	assert_true(s->autocommit_off);
	varset_unref(s);
}

/* What the servers' configuration says holds until the session says otherwise, and goes along with what is queued. */
static void an_sql_mode_may_be_the_servers_own(void **state)
{
	const struct varset *e = empty(), *s = with(varset_ref(e), "div_precision_increment", "1");
	struct span environment;

	varsets_begin_with(&table, span_str("STRICT_TRANS_TABLES"));
	assert_int_equal(table.mode_serial, 0);
	assert_true(varset_mode(e)->strict && varset_mode(s)->strict);
	assert_int_equal(varset_environment(s, &environment), RC_OK);
	assert_true(span_eq(environment, span_str("div_precision_increment=1")));
	varsets_begin_with(&table, span_str("NO_BACKSLASH_ESCAPES,ANSI_QUOTES"));
	assert_true(varset_mode(e)->no_backslash && varset_mode(s)->ansi_quotes);
	assert_int_equal(varset_environment(s, &environment), RC_OK);
	assert_true(span_eq(environment, span_str("div_precision_increment=1,sql_mode='NO_BACKSLASH_ESCAPES,ANSI_QUOTES'")));
	assert_false(varset_mode(e)->strict);
	s = with(s, "sql_mode", "STRICT_ALL_TABLES");
	assert_true(varset_mode(s)->strict);
	s = with(s, "sql_mode", "");
	assert_false(varset_mode(s)->no_backslash || varset_mode(s)->ansi_quotes || varset_mode(s)->strict);
	assert_int_equal(varset_environment(s, &environment), RC_OK);
	assert_true(span_eq(environment, span_str("div_precision_increment=1,sql_mode=''")));
	varsets_begin_with(&table, span_str("ORACLE"));
	assert_true(varset_mode(e)->oracle && !varset_mode(e)->no_backslash && !varset_mode(s)->oracle);
	varsets_begin_with(&table, span_str(""));
	assert_false(varset_mode(e)->oracle);
	assert_int_equal(table.mode_serial, 3);
	varset_unref(s);
	varset_unref(e);
}

static void sql_says_only_what_differs(void **state)
{
	const struct varset *e = empty(), *a = with(with(varset_ref(e), "sql_mode", "ANSI"), "wait_timeout", "5");
	const struct varset *b = with(varset_ref(a), "wait_timeout", "-7.5");

	sql_is(a, a, "");
	sql_is(e, a, "SET sql_mode='ANSI',wait_timeout=5");
	sql_is(a, b, "SET wait_timeout=-7.5");
	varset_unref(a);
	varset_unref(b);
	varset_unref(e);
}

static void what_was_set_once_only_a_reset_takes_back(void **state)
{
	const struct varset *e = empty(), *a = with(varset_ref(e), "m", "1"), *b = with(varset_ref(e), "a", "1");
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(varset_difference(a, e, &out), RC_DECLINED);
	assert_int_equal(varset_difference(a, b, &out), RC_DECLINED);
	assert_int_equal(varset_difference(b, a, &out), RC_DECLINED);
	assert_int_equal(iobuf_len(&out), 0);
	iobuf_reset(&out);
	varset_unref(a);
	varset_unref(b);
	varset_unref(e);
}

/* The SQL must read the same whether or not a backslash escapes on that connection. */
static void values_are_quoted_for_any_mode(void **state)
{
	const struct varset *e = empty(), *a = with(varset_ref(e), "a", "it's"),
			    *b = with(varset_ref(e), "a", "\\' OR 1");
	const struct varset *c = with(varset_ref(e), "a", ""), *d = with(varset_ref(e), "a", "1.2.3");
	const struct varset *null = with(with(varset_ref(e), "character_set_results", ""), "enforce_storage_engine", "");
	const struct varset *back = with(with(varset_ref(e), "innodb_tmpdir", ""), "system_versioning_asof", "DEFAULT");

	sql_is(e, a, "SET a='it''s'");
	sql_is(e, b, "SET a=x'5c27204f522031'");
	sql_is(e, c, "SET a=''");
	sql_is(e, d, "SET a='1.2.3'");
	sql_is(e, null, "SET character_set_results=NULL,enforce_storage_engine=NULL");
	sql_is(e, back, "SET innodb_tmpdir=NULL,system_versioning_asof=DEFAULT");
	varset_unref(back);
	varset_unref(a);
	varset_unref(b);
	varset_unref(c);
	varset_unref(d);
	varset_unref(null);
	varset_unref(e);
}

/* A login's collation says three variables and the collation of results: what was set behind it is set again behind it. */
static void a_logins_collation_is_said_first(void **state)
{
	const struct varset *e = empty();
	const struct varset *a =
		with(with(varset_ref(e), "character_set_results", "latin1"), VARSET_LOGIN_COLLATION, "8");
	const struct varset *b = with(varset_ref(a), VARSET_LOGIN_COLLATION, "45");
	const struct varset *c = with(varset_ref(e), VARSET_LOGIN_COLLATION, "255");
	const struct varset *d = with(varset_ref(e), VARSET_LOGIN_COLLATION, "83");

	sql_is(a, b, "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci,character_set_results='latin1'");
	sql_is(e, c, "SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci");
	sql_is(e, d, "SET character_set_client=utf8mb3,character_set_results=utf8mb3,collation_connection=83");
	varset_unref(a);
	varset_unref(b);
	varset_unref(c);
	varset_unref(d);
	varset_unref(e);
}

static void more_than_the_bounds_is_refused(void **state)
{
	const struct varset *s = empty();
	static char big[VARSET_MOST_BYTES + 1];
	char name[16], longer[65];

	for (int i = 0; i < VARSET_MOST; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		s = with(s, name, "x");
	}
	assert_null(varset_with(s, span_str("one_more"), span_str("x")));
	s = with(s, "v7", "y"); /* not one more */
	memset(big, 'x', sizeof(big));
	assert_null(varset_with(s, span_str("v7"), span_of(big, sizeof(big))));
	memset(longer, 'n', sizeof(longer));
	assert_null(varset_with(s, span_of(longer, sizeof(longer)), span_str("x")));
	assert_null(varset_with(s, span_of(longer, 0), span_str("x")));
	varset_unref(s);
}

static void short_memory_leaves_the_set_as_it_was(void **state)
{
	const struct varset *s = with(empty(), "a", "1"), *next = NULL;

	for (uint64_t n = 1; !next; n++) {
		mem_fail_after(n, 0);
		next = varset_with(s, span_str("b"), span_str("2"));
		mem_fail_after(0, 0);
		assert_true(span_eq(varset_get(s, "a"), span_str("1")));
		assert_true(n < 10);
	}
	varset_unref(next);
	varset_unref(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(equal_sets_are_one),
		TEST(different_sets_are_two),
		TEST(taking_back_what_was_set_is_the_set_before),
		TEST(the_environment_is_what_changes_a_write),
		TEST(each_variable_has_a_class),
		TEST(values_are_found),
		TEST(sql_mode_tells_how_text_reads),
		TEST(an_sql_mode_may_be_the_servers_own),
		TEST(sql_says_only_what_differs),
		TEST(what_was_set_once_only_a_reset_takes_back),
		TEST(values_are_quoted_for_any_mode),
		TEST(a_logins_collation_is_said_first),
		TEST(more_than_the_bounds_is_refused),
		TEST(short_memory_leaves_the_set_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
