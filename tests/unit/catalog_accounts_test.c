/*
 * catalog_accounts_test.c - no way to change accounts is overlooked, and what changes none is known not to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "catalog_accounts.h"
#include "catalog_load.h"
#include "facts.h"
#include "mem.h"

/* "safe" is a procedure that changes none; all that are called are noted. */
static char called[256];

static enum rc on_call(void *arg, struct span schema, struct span name)
{
	size_t n = strlen(called);

	snprintf(called + n, sizeof(called) - n, "%s" SPAN_FMT "." SPAN_FMT, n ? " " : "", SPAN_ARG(schema), SPAN_ARG(name));
	return span_eq(name, span_str("safe")) ? RC_OK : RC_DECLINED;
}

static enum rc judge(const char *text, unsigned mode, bool names_known)
{
	struct catalog_accounts a = {.mode = mode, .names_known = names_known, .call = on_call};

	called[0] = '\0';
	return catalog_accounts_text(&a, span_str(text));
}

static enum rc judge_body(const char *body, unsigned mode)
{
	struct catalog_accounts a = {.mode = mode, .call = on_call};

	called[0] = '\0';
	return catalog_accounts_body(&a, span_str(body));
}

#define CHANGES(text) assert_int_equal(judge(text, 0, true), RC_DECLINED)
#define KEEPS(text) assert_int_equal(judge(text, 0, true), RC_OK)

static void what_says_so_itself(void **state)
{
	CHANGES("REVOKE SELECT ON *.* FROM u");
	CHANGES("grant r TO u");
	CHANGES("CREATE OR REPLACE USER u");
	CHANGES("DROP ROLE r");
	CHANGES("RENAME USER a TO b");
	CHANGES("ALTER USER u ACCOUNT LOCK");
	CHANGES("SET PASSWORD = PASSWORD('x')");
	CHANGES("SET @a = 1, DEFAULT ROLE NONE FOR u");
	CHANGES("FLUSH LOCAL PRIVILEGES");
	CHANGES("DROP SCHEMA s");
	CHANGES("ALTER DATABASE s COLLATE utf8mb4_bin");
	CHANGES("CREATE OR REPLACE DATABASE s");
	CHANGES("UPDATE mysql.global_priv SET Priv = '{}'");
	CHANGES("SET @a = 1; REVOKE r FROM u");
	CHANGES("CREATE TABLE t (n INT); REVOKE r FROM u");
	CHANGES("SELECT 1 /*!50000REVOKE r FROM u */");
	KEEPS("CREATE DATABASE s");
	KEEPS("SELECT user, password FROM mysql.user");
	KEEPS("SHOW GRANTS FOR u");
	KEEPS("UPDATE users SET role = 'x', password = 'revoke'");
	KEEPS("CREATE PROCEDURE p() REVOKE r FROM u");
	KEEPS("SET ROLE r");
	CHANGES("PREPARE s FROM 'CREATE PROCEDURE p() REVOKE r FROM u'");
	CHANGES("BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'CREATE PROCEDURE p() SELECT 1'; END");
}

static void what_is_not_understood_by_its_words(void **state)
{
	KEEPS("FROBNICATE t");
	KEEPS("FROBNICATE users WITH user_id");
	CHANGES("FROBNICATE USER u");
	CHANGES("SELECT FROM WHERE; REVOKE r FROM u");
	CHANGES("/*! FROBNICATE */ CALL safe()");
	assert_int_equal(judge("BEGIN p; END", SQL_MODE_ORACLE, true), RC_DECLINED); /* calls p */
}

static void texts_in_texts(void **state)
{
	CHANGES("EXECUTE IMMEDIATE 'REVOKE r FROM u'");
	CHANGES("EXECUTE IMMEDIATE 'REV' 'OKE r FROM u'");
	CHANGES("EXECUTE IMMEDIATE 'REV' || 'OKE r FROM u'");
	CHANGES("EXECUTE IMMEDIATE @x");
	CHANGES("EXECUTE IMMEDIATE 'EXECUTE IMMEDIATE ''REVOKE r FROM u'''");
	CHANGES("PREPARE s FROM CONCAT('x')");
	CHANGES("PREPARE s FROM 'DROP USER u'");
	CHANGES("SELECT 1; EXECUTE IMMEDIATE 'REVOKE r FROM u'");
	KEEPS("EXECUTE IMMEDIATE 'SELECT ?' USING 'REVOKE'");
	KEEPS("PREPARE s FROM 'SELECT user FROM t'; EXECUTE s; DEALLOCATE PREPARE s");
	KEEPS("EXECUTE s USING @a");
	assert_int_equal(judge("EXECUTE s USING @a", 0, false), RC_DECLINED);
}

static void procedures(void **state)
{
	KEEPS("CALL safe()");
	CHANGES("CALL d.taken(f(1))");
	assert_string_equal(called, "d.taken");
	KEEPS("DO 1; CALL safe(1); CALL safe()");
	assert_string_equal(called, ".safe .safe");
	CHANGES("CALL safe(); CALL taken()");
	CHANGES("USE d; CALL safe()");
	CHANGES("SET NAMES gbk; CALL safe()");
	KEEPS("CALL safe(); USE d");
	KEEPS("EXECUTE IMMEDIATE 'CALL safe()'");
	CHANGES("EXECUTE IMMEDIATE 'CALL taken()'");
}

static void blocks(void **state)
{
	KEEPS("BEGIN NOT ATOMIC DECLARE user INT; SELECT 1 INTO user; IF user THEN CALL safe(); END IF; END");
	assert_string_equal(called, ".safe");
	CHANGES("BEGIN NOT ATOMIC IF 1 THEN REVOKE r FROM u; END IF; END");
	CHANGES("IF 1 THEN EXECUTE IMMEDIATE @x; END IF");
	CHANGES("SELECT 1; BEGIN NOT ATOMIC BEGIN REVOKE r FROM u; END; END");
	CHANGES("BEGIN NOT ATOMIC SELECT 1; END; REVOKE r FROM u");
	CHANGES("BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION REVOKE r FROM u; SELECT 1; END");
	CHANGES("FOR i IN 1..2 DO CALL safe(); END FOR"); /* not understood */
	KEEPS("FOR i IN 1..2 DO INSERT INTO t VALUES (i); END FOR");
}

static void bodies(void **state)
{
	assert_int_equal(judge_body("BEGIN CREATE TEMPORARY TABLE t (user INT); CALL safe(); COMMIT; END", 0), RC_OK);
	assert_int_equal(judge_body("REVOKE r FROM u", 0), RC_DECLINED);
	assert_int_equal(judge_body("BEGIN PREPARE s FROM @x; EXECUTE s; END", 0), RC_DECLINED);
	assert_int_equal(judge_body("BEGIN EXECUTE s; END", 0), RC_DECLINED);
	assert_int_equal(judge_body("BEGIN EXECUTE IMMEDIATE 'DO 1'; END", 0), RC_OK);
	assert_int_equal(judge_body("BEGIN p; END", SQL_MODE_ORACLE), RC_DECLINED);
}

/* ---- through the catalog's snapshot ---- */

static void take(struct snapshot *s, const char *name, const char *body)
{
	struct entity *e = snapshot_get_routine(s, span_str("d"), span_str(name), true);

	assert_non_null(e);
	e->kind = CATALOG_ROUTINE;
	assert_int_equal(catalog_take_routine(s, e, span_str(body), span_str(""), span_str("")), RC_OK);
}

static void assert_kept(const struct snapshot *s, const char *name, enum rc rc)
{
	assert_int_equal(snapshot_keeps_accounts(s, span_str("d"), span_str(name)), rc);
}

static void what_procedures_call_counts(void **state)
{
	struct snapshot *s = snapshot_new(false);

	assert_non_null(s);
	take(s, "deep", "BEGIN CALL middle(); END");
	take(s, "middle", "BEGIN CREATE TABLE t (n INT); CALL d.low(); CALL low(); CALL deep(); END");
	take(s, "low", "BEGIN SELECT 1; END");
	take(s, "taken", "REVOKE r FROM u");
	take(s, "calls_taken", "BEGIN IF 1 THEN CALL taken(); END IF; END");
	take(s, "calls_nothing", "CALL nothing()");
	take(s, "hidden", "");
	take(s, "sets", "BEGIN SET @@sql_mode = ''; END");
	assert_kept(s, "sets", RC_OK);
	assert_kept(s, "DEEP", RC_OK);
	assert_kept(s, "middle", RC_OK);
	assert_kept(s, "taken", RC_DECLINED);
	assert_kept(s, "calls_taken", RC_DECLINED);
	assert_kept(s, "calls_nothing", RC_DECLINED);
	assert_kept(s, "hidden", RC_DECLINED);
	assert_kept(s, "nothing", RC_AGAIN);
	assert_kept(s, "other", RC_AGAIN);
	snapshot_unref(s);
}

static void what_makes_procedures(void **state)
{
	assert_true(catalog_accounts_routines(span_str("CREATE OR REPLACE PROCEDURE p() DO 1")));
	assert_true(catalog_accounts_routines(span_str("drop database d")));
	assert_false(catalog_accounts_routines(span_str("CREATE TABLE procedures (n INT)")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_says_so_itself), cmocka_unit_test(what_is_not_understood_by_its_words),
		cmocka_unit_test(texts_in_texts),      cmocka_unit_test(procedures),
		cmocka_unit_test(blocks),	       cmocka_unit_test(bodies),
		cmocka_unit_test(what_procedures_call_counts), cmocka_unit_test(what_makes_procedures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
