/*
 * catalog_body_test.c - triggers' bodies taken apart: nothing they could run is overlooked (C5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "catalog_body.h"
#include "catalog_load.h"
#include "facts.h"

struct pieces {
	char text[2048];
	size_t len;
};

static enum rc on_piece(void *arg, struct span text, bool expression)
{
	struct pieces *p = arg;

	p->len += (size_t)snprintf(p->text + p->len, sizeof(p->text) - p->len, "%s%s" SPAN_FMT "%s", p->len ? "|" : "",
				   expression ? "(" : "", SPAN_ARG(text), expression ? ")" : "");
	assert_true(p->len < sizeof(p->text));
	return RC_OK;
}

/* The pieces between bars, expressions in parentheses; "?" when it is not understood. Static. */
static const char *walk(const char *body)
{
	static struct pieces p;

	p = (struct pieces){0};
	return catalog_body_walk(span_str(body), 0, on_piece, &p) == RC_OK ? p.text : "?";
}

#define WALK(body, expected) assert_string_equal(walk(body), expected)

static void a_plain_statement_is_itself(void **state)
{
	WALK("INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (1)");
	WALK("INSERT INTO a VALUES (1);", "INSERT INTO a VALUES (1)");
	WALK("SET NEW.a = ';'", "SET NEW.a = ';'");
	WALK("INSERT INTO a SELECT CASE WHEN b THEN 1 ELSE 2 END FROM c",
	     "INSERT INTO a SELECT CASE WHEN b THEN 1 ELSE 2 END FROM c");
}

static void blocks_hold_statements(void **state)
{
	WALK("BEGIN INSERT INTO a VALUES (1); UPDATE b SET c = 2; END", "INSERT INTO a VALUES (1)|UPDATE b SET c = 2");
	WALK("lbl: BEGIN NOT ATOMIC DELETE FROM a; LEAVE lbl; END lbl", "DELETE FROM a");
	WALK("BEGIN BEGIN DELETE FROM a; END; END", "DELETE FROM a");
	WALK("BEGIN END", "");
}

static void branches_bring_their_conditions_and_statements(void **state)
{
	WALK("IF NEW.a > 3 THEN DELETE FROM a; ELSEIF f(NEW.b) THEN DELETE FROM b; ELSE DELETE FROM c; END IF",
	     "(NEW.a > 3)|DELETE FROM a|(f(NEW.b))|DELETE FROM b|DELETE FROM c");
	WALK("CASE NEW.a WHEN 1 THEN DELETE FROM a; WHEN 2 THEN DELETE FROM b; ELSE DELETE FROM c; END CASE",
	     "(NEW.a)|(1)|DELETE FROM a|(2)|DELETE FROM b|DELETE FROM c");
	WALK("CASE WHEN NEW.a THEN DELETE FROM a; END CASE", "(NEW.a)|DELETE FROM a");
	WALK("IF CASE WHEN a THEN b ELSE c END THEN DELETE FROM a; END IF",
	     "(CASE WHEN a THEN b ELSE c END)|DELETE FROM a");
	WALK("IF (SELECT COUNT(*) FROM t) THEN IF b THEN DELETE FROM a; END IF; END IF",
	     "((SELECT COUNT(*) FROM t))|(b)|DELETE FROM a");
}

static void loops_bring_theirs(void **state)
{
	WALK("WHILE i < 3 DO INSERT INTO a VALUES (i); SET i = i + 1; END WHILE",
	     "(i < 3)|INSERT INTO a VALUES (i)|SET i = i + 1");
	WALK("l: LOOP DELETE FROM a; ITERATE l; END LOOP l", "DELETE FROM a");
	WALK("REPEAT DELETE FROM a; UNTIL i = 3 END REPEAT; DELETE FROM b", "DELETE FROM a|(i = 3)|DELETE FROM b");
	WALK("`a b`: WHILE 1 DO LEAVE `a b`; END WHILE", "(1)");
}

static void declarations_may_hold_queries_and_handlers(void **state)
{
	WALK("BEGIN DECLARE a, b INT DEFAULT f(1); DECLARE c INT; DELETE FROM a; END", "(f(1))|DELETE FROM a");
	WALK("BEGIN DECLARE c CURSOR FOR SELECT a FROM b WHERE d = ';'; OPEN c; FETCH c INTO x; CLOSE c; END",
	     "SELECT a FROM b WHERE d = ';'");
	WALK("BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND BEGIN DELETE FROM a; END; DELETE FROM b; END",
	     "DELETE FROM a|DELETE FROM b");
	WALK("BEGIN DECLARE CONTINUE HANDLER FOR SQLSTATE VALUE '23000', 1062, dup INSERT INTO a VALUES (1); END",
	     "INSERT INTO a VALUES (1)");
	WALK("BEGIN DECLARE dup CONDITION FOR SQLSTATE '23000'; SIGNAL dup SET MESSAGE_TEXT = 'x'; END", "");
}

static void what_is_not_understood_is_said(void **state)
{
	WALK("FOR i IN 1..3 DO DELETE FROM a; END FOR", "?");
	WALK("BEGIN /*!100000 DELETE FROM a; */ END", "?");
	WALK("IF a", "?");
	WALK("IF a; THEN", "?");
	WALK("WHILE a DELETE FROM b", "?");
	WALK("BEGIN 'x", "?");
	WALK("DECLARE EXIT", "?");
	WALK("RETURN 3", "?");
	WALK("BEGIN NOT DELETE FROM a; END", "?");
}

/* What the table's entity says after such a trigger: "schema.table ..." or "? why". */
static const char *taken(const char *body, const char *sql_mode)
{
	static char text[512];
	struct snapshot *s = snapshot_new(false);
	struct entity *e = snapshot_get(s, span_str("shop"), span_str("t"));
	size_t len = 0;

	assert_non_null(e);
	assert_int_equal(catalog_take_trigger(s, e, span_str(body), span_str(sql_mode)), RC_OK);
	text[0] = '\0';
	for (struct edge *w = e->writes; w && !e->why_writes; w = w->next)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s" SPAN_FMT "." SPAN_FMT, len ? " " : "",
					SPAN_ARG(w->to->schema), SPAN_ARG(w->to->name));
	if (e->why_writes)
		snprintf(text, sizeof(text), "? %s", e->why_writes);
	snapshot_unref(s);
	return text;
}

#define TAKEN(body, expected) assert_string_equal(taken(body, ""), expected)

static void a_trigger_writes_what_its_statements_write(void **state)
{
	TAKEN("INSERT INTO log VALUES (NEW.id)", "shop.log");
	TAKEN("BEGIN IF NEW.a > 3 THEN INSERT INTO log VALUES (1); ELSE UPDATE other.far SET n = 2; END IF; END",
	      "other.far shop.log");
	TAKEN("SET NEW.a = UPPER(NEW.a), NEW.b = (SELECT MAX(id) FROM x)", "");
	TAKEN("BEGIN DECLARE v INT; SELECT COUNT(*) INTO v FROM x; SET v = v + 1; INSERT INTO log VALUES (v); END",
	      "shop.log");
	TAKEN("BEGIN DECLARE v INT DEFAULT 0; SET NEW.a = v; END", "");
	TAKEN("BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END", "");
	assert_string_equal(taken("INSERT INTO \"log\" VALUES ('x')", "ANSI_QUOTES"), "shop.log");
}

static void a_trigger_that_can_do_more_is_not_known(void **state)
{
	TAKEN("CALL p()", "? a trigger on it calls a procedure");
	TAKEN("BEGIN CALL p(); END", "? a trigger on it calls a procedure");
	TAKEN("INSERT INTO log VALUES (f(1))", "? a trigger on it calls a stored function");
	TAKEN("BEGIN IF f(NEW.a) THEN DELETE FROM a; END IF; END", "? a trigger on it calls a stored function");
	TAKEN("BEGIN DECLARE v INT DEFAULT f(3); END", "? a trigger on it calls a stored function");
	TAKEN("BEGIN WHILE f(1) DO DELETE FROM a; END WHILE; END", "? a trigger on it calls a stored function");
	TAKEN("FLUSH TABLES", "? a trigger on it is not understood");
	TAKEN("gibberish of some kind", "? a trigger on it is not understood");
	assert_string_equal(taken("BEGIN x := 1; END", "ORACLE"), "? a trigger on it is not understood");
	TAKEN("", "? the account that reads the schema may not see a trigger on it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_statement_is_itself),
		cmocka_unit_test(blocks_hold_statements),
		cmocka_unit_test(branches_bring_their_conditions_and_statements),
		cmocka_unit_test(loops_bring_theirs),
		cmocka_unit_test(declarations_may_hold_queries_and_handlers),
		cmocka_unit_test(what_is_not_understood_is_said),
		cmocka_unit_test(a_trigger_writes_what_its_statements_write),
		cmocka_unit_test(a_trigger_that_can_do_more_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
