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

static enum rc on_piece(void *arg, struct span text, enum catalog_piece piece)
{
	struct pieces *p = arg;
	bool expression = piece == CATALOG_EXPRESSION;

	if (piece == CATALOG_VARIABLE)
		return RC_OK;
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
	WALK("BEGIN NOT DELETE FROM a; END", "?");
}

static void functions_return_expressions(void **state)
{
	WALK("RETURN 3", "(3)");
	WALK("BEGIN DECLARE a INT; IF b THEN RETURN (SELECT c FROM d); END IF; RETURN a + 1; END",
	     "(b)|((SELECT c FROM d))|(a + 1)");
}

static void add_names(char *text, size_t cap, const struct edge *list)
{
	size_t len = 0;

	text[0] = '\0';
	for (; list; list = list->next) {
		struct span name = list->to->name;
		const char *kind = *name.p == '\1' ? "f:" : *name.p == '\2' ? "p:" : "";

		if (*kind)
			name = span_of(name.p + 1, name.len - 1);
		len += (size_t)snprintf(text + len, cap - len, "%s%s" SPAN_FMT "." SPAN_FMT, len ? " " : "", kind,
					SPAN_ARG(list->to->schema), SPAN_ARG(name));
	}
}

/* What the table's entity says after such a trigger: "schema.table ..." or "? why". */
static const char *taken(const char *body, const char *sql_mode)
{
	static char text[512];
	struct snapshot *s = snapshot_new(false);
	struct entity *e = snapshot_get(s, span_str("shop"), span_str("t"));

	assert_non_null(e);
	assert_int_equal(catalog_take_trigger(s, e, span_str(body), span_str(sql_mode)), RC_OK);
	add_names(text, sizeof(text), e->writes);
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
	TAKEN("FLUSH TABLES", "? a trigger on it is not understood");
	TAKEN("gibberish of some kind", "? a trigger on it is not understood");
	assert_string_equal(taken("BEGIN x := 1; END", "ORACLE"), "? a trigger on it is not understood");
	TAKEN("", "? the account that reads the schema may not see a trigger on it");
}

static void a_trigger_calls_routines(void **state)
{
	TAKEN("CALL p()", "p:shop.p");
	TAKEN("BEGIN CALL other.P(); END", "p:other.p");
	TAKEN("INSERT INTO log VALUES (f(1))", "f:shop.f shop.log");
	TAKEN("BEGIN IF f(NEW.a) THEN DELETE FROM a; END IF; END", "shop.a f:shop.f");
	TAKEN("BEGIN DECLARE v INT DEFAULT f(3); END", "f:shop.f");
	TAKEN("BEGIN WHILE f(1) DO SET NEW.a = 2; END WHILE; END", "f:shop.f");
}

/* What a routine's entity says: "reads / writes", each "schema.table ..." or "? why". */
static const char *routine(const char *body, const char *parameters)
{
	static char text[1100];
	char reads[512], writes[512];
	struct snapshot *s = snapshot_new(false);
	struct entity *e = snapshot_get_routine(s, span_str("shop"), span_str("R"), false);

	assert_non_null(e);
	assert_ptr_equal(e, snapshot_find_routine(s, span_str("shop"), span_str("r"), false));
	assert_null(snapshot_find_routine(s, span_str("shop"), span_str("r"), true));
	assert_null(snapshot_find(s, span_str("shop"), span_str("r")));
	assert_int_equal(catalog_take_routine(s, e, span_str(body), span_str(parameters), span_str("")), RC_OK);
	add_names(reads, sizeof(reads), e->reads);
	add_names(writes, sizeof(writes), e->writes);
	snprintf(text, sizeof(text), "%s%s / %s%s", e->why_reads ? "? " : "", e->why_reads ? e->why_reads : reads,
		 e->why_writes ? "? " : "", e->why_writes ? e->why_writes : writes);
	snapshot_unref(s);
	return text;
}

#define ROUTINE(body, expected) assert_string_equal(routine(body, "a,`b`"), expected)

static void a_routine_reads_and_writes(void **state)
{
	ROUTINE("RETURN a + 1", " / ");
	ROUTINE("RETURN (SELECT MAX(x) FROM t WHERE y = a)", "shop.t / ");
	ROUTINE("BEGIN DECLARE v, w INT; SELECT x INTO v FROM t; SET v = v + 1, w = (SELECT y FROM u); RETURN v; END",
		"shop.u shop.t / ");
	ROUTINE("BEGIN SET a = 1; SET A := a + 1; RETURN a; END", " / ");
	ROUTINE("UPDATE t SET x = (SELECT y FROM u)", "? it calls a routine that writes / shop.t");
	ROUTINE("BEGIN CALL p(f(1)); RETURN g(2); END", "f:shop.g f:shop.f p:shop.p / f:shop.g f:shop.f p:shop.p");
}

#define MORE "? it calls a routine whose answer hangs on more than tables / "

static void a_routine_that_is_no_plain_read(void **state)
{
	ROUTINE("RETURN NOW()", MORE);
	ROUTINE("RETURN a + RAND()", MORE);
	ROUTINE("RETURN @x", MORE);
	ROUTINE("RETURN @@sql_mode", MORE);
	ROUTINE("BEGIN SELECT x INTO @x FROM t; RETURN 1; END", MORE);
	ROUTINE("BEGIN SET @x = 1; RETURN 1; END", MORE);
	ROUTINE("BEGIN SET sql_mode = ''; RETURN 1; END", MORE);
	ROUTINE("BEGIN SET a = 1, sql_mode = ''; RETURN 1; END", MORE);
	ROUTINE("BEGIN SET other = 1; RETURN 1; END", MORE);
	ROUTINE("RETURN (SELECT x FROM t FOR UPDATE)", MORE);
	ROUTINE("RETURN GET_LOCK('x', 1)", MORE);
	ROUTINE("RETURN (SELECT COUNT(*) FROM information_schema.tables)", MORE);
}

#define BEYOND "? a routine does more than read and write rows"

static void a_routine_that_is_not_understood(void **state)
{
	ROUTINE("BEGIN COMMIT; END", BEYOND " / " BEYOND);
	ROUTINE("CREATE TEMPORARY TABLE x (a INT)", BEYOND " / " BEYOND);
	ROUTINE("BEGIN PREPARE s FROM 'x'; EXECUTE s; END", BEYOND " / " BEYOND);
	ROUTINE("gibberish of some kind", "? a routine is not understood / ? a routine is not understood");
	ROUTINE("FOR i IN 1..2 DO DELETE FROM t; END FOR", "? a routine is not understood / ? a routine is not understood");
	ROUTINE("", "? the account that reads the schema may not see a routine's body / "
		    "? the account that reads the schema may not see a routine's body");
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
		cmocka_unit_test(functions_return_expressions),
		cmocka_unit_test(a_trigger_calls_routines),
		cmocka_unit_test(a_routine_reads_and_writes),
		cmocka_unit_test(a_routine_that_is_no_plain_read),
		cmocka_unit_test(a_routine_that_is_not_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
