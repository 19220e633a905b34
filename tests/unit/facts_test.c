/*
 * Facts stay within their bounds and answer running out of memory. What they say of statements: tests/golden/facts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "digest.h"
#include "facts.h"
#include "keys.h"
#include "mem.h"

static struct sql_facts facts(const char *text)
{
	struct sql_facts f;

	assert_int_equal(sql_facts_parse(span_str(text), 0, &f), RC_OK);
	return f;
}

/* A text of copies: head, then part over and over, then tail. */
static char *repeated(const char *head, const char *part, size_t n, const char *tail)
{
	size_t h = strlen(head), p = strlen(part), t = strlen(tail);
	char *text = malloc(h + n * p + t + 1), *at = text;

	assert_non_null(text);
	at = mempcpy(at, head, h);
	for (size_t i = 0; i < n; i++)
		at = mempcpy(at, part, p);
	memcpy(at, tail, t + 1);
	return text;
}

static void nesting_is_bounded(void **state)
{
	static const char *const parts[][3] = {
		{"SELECT ", "(", "1"},
		{"SELECT ", "f(", "1"},
		{"SELECT * FROM ", "(", "t"},
		{"", "(", "SELECT 1"},
		{"SELECT ", "(SELECT ", "1"},
		{"", "WITH a AS (", "SELECT 1"},
		{"", "EXPLAIN ", "SELECT 1"},
		{"", "SET STATEMENT a=1 FOR ", "SELECT 1"},
		{"SELECT ", "CASE ", "1"},
		{"SELECT ", "@a:=", "1"},
		{"SELECT ", "INTERVAL ", "1"},
		{"SELECT ", "{d ", "1"},
		{"SELECT * FROM ", "{oj ", "t"},
		{"SELECT ", "EXISTS (", "1"},
		{"SELECT * FROM t WHERE ", "(", "a = 1"},
	};

	for (size_t i = 0; i < countof(parts); i++) {
		char *text = repeated(parts[i][0], parts[i][1], 100000, parts[i][2]);
		struct sql_facts f = facts(text);
		struct sql_keys k;

		assert_true(f.flags & SQL_F_UNKNOWN);
		assert_int_equal(sql_keys_parse(span_str(text), 0, &k), RC_DECLINED);
		sql_facts_free(&f);
		free(text);
	}
}

static void tables_are_bounded(void **state)
{
	char *text = repeated("DROP TABLE a", ", b", 1000, "");
	struct sql_facts f = facts(text);

	assert_true(f.flags & SQL_F_UNKNOWN);
	assert_string_equal(f.unknown_why, "too many tables");
	assert_int_equal(f.ntables, 2);
	sql_facts_free(&f);
	free(text);
	f = facts("DROP TABLE a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,aa,ab,ac,ad,ae,af");
	assert_int_equal(f.ntables, SQL_MAX_TABLES);
	assert_false(f.flags & SQL_F_UNKNOWN);
	sql_facts_free(&f);
	f = facts("DROP TABLE a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,aa,ab,ac,ad,ae,af,ag");
	assert_true(f.flags & SQL_F_UNKNOWN);
	sql_facts_free(&f);
}

static void long_statements_are_read_to_the_end(void **state)
{
	char *text = repeated("INSERT INTO t VALUES (1)", ", (2, 'x', f(3))", 50000, "");
	struct sql_facts f = facts(text);

	assert_false(f.flags & SQL_F_UNKNOWN);
	assert_true(f.flags & SQL_F_INSERT_VALUES);
	assert_int_equal(f.nroutines, 1);
	sql_facts_free(&f);
	free(text);
}

static void memory_may_run_out_anywhere(void **state)
{
	const char *text = "SELECT a, NOW(), f(x) FROM s.t JOIN `u` WHERE b = 1 AND c = (SELECT @@d)";
	enum rc rc = RC_ERROR;

	for (uint64_t n = 1; rc != RC_OK; n++) {
		struct sql_facts f;

		assert_true(n < 20);
		mem_fail_after(n, 0);
		rc = sql_facts_parse(span_str(text), 0, &f);
		mem_fail_after(0, 0);
		if (rc == RC_OK)
			assert_int_equal(f.ntables, 2);
		else
			assert_null(f.memory);
		sql_facts_free(&f);
	}
}

static void names_outlive_the_text(void **state)
{
	char text[] = "SELECT NOW() FROM `a``b`.c";
	struct sql_facts f = facts(text);

	memset(text, 'x', sizeof text - 1);
	assert_true(span_eq(f.tables[0].schema, span_str("a`b")));
	assert_true(span_eq(f.tables[0].name, span_str("c")));
	assert_string_equal(f.nondeterministic, "NOW");
	sql_facts_free(&f);
}

static void keys_tell_parameters_apart(void **state)
{
	struct sql_keys k;

	assert_int_equal(sql_keys_parse(span_str("UPDATE s.t SET a = ?, b = ? WHERE c > ? AND id IN (?, 5, ?)"), 0, &k),
			 RC_OK);
	assert_int_equal(k.nkeys, 1);
	assert_true(span_eq(k.schema, span_str("s")));
	assert_int_equal(k.keys[0].n, 3);
	assert_int_equal(k.values[k.keys[0].first].param, 3);
	assert_int_equal(k.values[k.keys[0].first + 1].param, SQL_NO_PARAM);
	assert_int_equal(k.values[k.keys[0].first + 2].param, 4);
}

static json_t *described(const char *text)
{
	struct iobuf b;
	json_t *o;

	iobuf_init(&b, 0);
	assert_int_equal(sql_digest_json(span_str(text), 0, &b), RC_OK);
	o = json_loadb((const char *)iobuf_data(&b), iobuf_len(&b), 0, NULL);
	iobuf_reset(&b);
	assert_non_null(o);
	return o;
}

static void describes_a_statement_as_json(void **state)
{
	json_t *o = described(
		"SELECT a, NOW() FROM shop.t WHERE id IN (5, 'x\\'y', ?) /* suimon: cache=30s */ /*route='%2Fa'*/");
	json_t *key = json_array_get(json_object_get(o, "row_keys"), 0), *values = json_object_get(key, "values");

	assert_int_equal(json_string_length(json_object_get(o, "digest")), 18);
	assert_string_equal(json_string_value(json_object_get(o, "text")),
			    "select a, now() from shop.t where id in(?+)");
	assert_string_equal(json_string_value(json_object_get(o, "kind")), "select");
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "tables_read"), 0)), "shop.t");
	assert_int_equal(json_array_size(json_object_get(o, "tables_written")), 0);
	assert_string_equal(json_string_value(json_object_get(key, "schema")), "shop");
	assert_string_equal(json_string_value(json_object_get(key, "table")), "t");
	assert_string_equal(json_string_value(json_object_get(key, "column")), "id");
	assert_int_equal(json_integer_value(json_array_get(values, 0)), 5);
	assert_string_equal(json_string_value(json_array_get(values, 1)), "x'y");
	assert_true(json_is_null(json_array_get(values, 2)));
	assert_true(json_is_false(json_object_get(o, "cacheable")));
	assert_string_equal(json_string_value(json_object_get(o, "cacheable_why")),
			    "it calls a function whose answer changes: NOW");
	assert_true(json_is_true(json_object_get(o, "replica_safe")));
	assert_string_equal(json_string_value(json_object_get(o, "replica_safe_why")),
			    "it reads, and leaves nothing behind");
	assert_true(json_is_false(json_object_get(o, "queueable")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "hints"), 0)), "cache=30s");
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "tags"), "route")), "/a");
	json_decref(o);
}

static void gives_a_reason_for_yes_and_no(void **state)
{
	static const struct {
		const char *sql, *yes;
	} rows[] = {
		{"SELECT a FROM t", "cacheable"},
		{"SELECT NOW()", "replica_safe"},
		{"INSERT INTO t VALUES (1)", "queueable"},
		{"COMMIT", ""},
	};
	static const char *const verdicts[] = {"cacheable", "replica_safe", "queueable"};

	for (size_t i = 0; i < countof(rows); i++) {
		json_t *o = described(rows[i].sql);

		for (size_t v = 0; v < countof(verdicts); v++) {
			char *why = mem_printf("%s_why", verdicts[v]);

			assert_non_null(why);
			assert_true(json_string_length(json_object_get(o, why)) > 0);
			if (strcmp(verdicts[v], rows[i].yes) == 0)
				assert_true(json_is_true(json_object_get(o, verdicts[v])));
			mem_free(why);
		}
		json_decref(o);
	}
}

static void describes_any_bytes(void **state)
{
	json_t *o = described("SELECT '\xff\xfe' FROM `\xc3\x28` WHERE a = '\xff'");

	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "tables_read"), 0)), "?(");
	json_decref(o);
	o = described("");
	assert_string_equal(json_string_value(json_object_get(o, "kind")), "other");
	json_decref(o);
}

static void a_password_may_stand_in_what_a_text_holds(void **state)
{
	static const struct {
		const char *text;
		bool private;
	} rows[] = {
		{"CREATE USER a IDENTIFIED BY 'x'", true},
		{"PREPARE p FROM 'create user a identified by \"x\"'", true},
		{"PREPARE p FROM 'SELECT 1'", false},
		{"EXECUTE IMMEDIATE 'SET PASSWORD = \"x\"'", true},
		{"BEGIN NOT ATOMIC ALTER USER a IDENTIFIED BY 'x'; END", true},
		{"GRNT ALL ON *.* TO a IDENTIFIED BY 'x'", true},
		{"UPDATE mysql.user SET authentication_string = 'x'", true},
		{"UPDATE mysql.user SET max_questions = 1", false},
		{"CREATE TABLE t (a INT)", false},
		{"SELECT id FROM users WHERE password = 'x'", false},
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct sql_facts f = facts(rows[i].text);

		assert_int_equal(sql_is_private(&f, span_str(rows[i].text)), rows[i].private);
		sql_facts_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(tables_are_bounded),
		cmocka_unit_test(long_statements_are_read_to_the_end),
		cmocka_unit_test(memory_may_run_out_anywhere),
		cmocka_unit_test(names_outlive_the_text),
		cmocka_unit_test(keys_tell_parameters_apart),
		cmocka_unit_test(describes_a_statement_as_json),
		cmocka_unit_test(gives_a_reason_for_yes_and_no),
		cmocka_unit_test(describes_any_bytes),
		cmocka_unit_test(a_password_may_stand_in_what_a_text_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
