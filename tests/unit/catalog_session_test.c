/*
 * catalog_session_test.c - what bodies set for the session that runs them, what DDL has changed since they were read, and what that makes of a statement.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "catalog_load.h"
#include "catalog_parse.h"
#include "catalog_session.h"
#include "routine.h"

/* ---- bodies ---- */

static struct entity *routine(struct snapshot *s, const char *name, bool procedure, const char *body)
{
	struct entity *e = snapshot_get_routine(s, span_str("d"), span_str(name), procedure);

	assert_non_null(e);
	e->kind = CATALOG_ROUTINE;
	assert_int_equal(catalog_take_routine(s, e, span_str(body), span_str("p1,p2"), span_str("")), RC_OK);
	return e;
}

static void table(struct snapshot *s, const char *name, const char *trigger)
{
	struct entity *e = snapshot_get(s, span_str("d"), span_str(name));

	assert_non_null(e);
	e->kind = CATALOG_TABLE;
	if (trigger)
		assert_int_equal(catalog_take_trigger(s, e, span_str(trigger), span_str("")), RC_OK);
}

static void view(struct snapshot *s, const char *name, const char *definition)
{
	struct entity *e = snapshot_get(s, span_str("d"), span_str(name));

	assert_non_null(e);
	e->kind = CATALOG_VIEW;
	assert_int_equal(catalog_take_view(s, e, span_str(definition)), RC_OK);
}

static const struct { const char *body; bool sets, tells; } bodies[] = {
	{"SET @v = 1", true, false},
	{"SET p1 = 1, @v = 1", true, false},
	{"SELECT n INTO @v FROM t", true, false},
	{"SELECT n INTO p1 FROM t", false, false},
	{"SELECT @v := n FROM t", true, false},
	{"RETURN @v := 1", true, false},
	{"BEGIN DECLARE v INT DEFAULT @w := 1; END", true, false},
	{"BEGIN IF (@v := 1) THEN SELECT 1; END IF; END", true, false},
	{"BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SET @v = 1; SELECT 1; END", true, false},
	{"GET DIAGNOSTICS CONDITION 1 @v = MESSAGE_TEXT", true, false},
	{"GET DIAGNOSTICS CONDITION 1 p1 = MESSAGE_TEXT", false, false},
	{"CALL other(@v)", true, false},
	{"CALL other(p1)", false, false},
	{"SET ROLE r", true, false},
	{"DO GET_LOCK('x', 1)", true, false},
	{"SET @@sql_mode = ''", true, true},
	{"SET @@session.sql_mode = ''", false, true},
	{"SET SESSION sql_mode = ''", false, true},
	{"SET sql_mode = ''", false, true},
	{"SET p1 = 1, sql_mode = ''", false, true},
	{"SET p1 = (SELECT COUNT(*) FROM t WHERE a IN (1, 2)), P2 = 2", false, false},
	{"BEGIN DECLARE v, w INT; SET v = 1, `w` := 2; END", false, true}, /* a name in quotes is taken for another one */
	{"SET NEW.a = 1", false, false},
	{"SET NEW.a = @v", false, false},
	{"SELECT @v, @@sql_mode, 'a@b' FROM t WHERE @v = 1", false, false},
	{"INSERT INTO t VALUES ('@v') /* SET @v = 1 */", false, false},
	{"EXECUTE IMMEDIATE 'SET @v = 1'", true, false},
	{"FOR i IN 1..2 DO SET @v = 1; END FOR", true, false},
	{"FOR i IN 1..2 DO INSERT INTO t VALUES (i); END FOR", false, false},
	{"", true, false}, /* not to be seen */
};

static void what_a_body_sets(void **state)
{
	for (size_t i = 0; i < countof(bodies); i++) {
		struct snapshot *s = snapshot_new(false);
		const struct entity *e;

		assert_non_null(s);
		e = routine(s, "f", false, bodies[i].body);
		if (e->sets != bodies[i].sets || e->tells != bodies[i].tells)
			fail_msg("%s: sets %d, tells %d", bodies[i].body, e->sets, e->tells);
		snapshot_unref(s);
	}
}

static const struct { const char *body; bool left, dropped; } makers[] = {
	{"CREATE TEMPORARY TABLE a (n INT)", true, false},
	{"CREATE TEMPORARY TABLE a LIKE b", true, false},
	{"CREATE TABLE a (n INT)", false, false},
	{"DROP TEMPORARY TABLE a", false, false},
	{"EXPLAIN SELECT 'temporary'", false, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); SELECT n FROM a; DROP TEMPORARY TABLE a; END", false, true},
	{"begin create temporary table d.a like b; drop /* all */ table if exists d.a -- of it\n; end", false, true},
	{"BEGIN IF p1 THEN CREATE TEMPORARY TABLE a (n INT); END IF; DROP TEMPORARY TABLE IF EXISTS a; END", false, true},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); CREATE TEMPORARY TABLE b (n INT); DROP TEMPORARY TABLE b, a; END", false, true},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); CREATE TEMPORARY TABLE b (n INT); DROP TABLE b; DROP TABLE a; END", false, true},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); CREATE TEMPORARY TABLE b (n INT); DROP TABLE b; DO 1; DROP TABLE a; END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); DROP TEMPORARY TABLE b; END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); DROP TEMPORARY TABLE d.a; END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); DROP VIEW a; END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); DROP INDEX i ON a; END", true, false},
	{"BEGIN DROP TEMPORARY TABLE a; CREATE TEMPORARY TABLE a (n INT); END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); DROP TEMPORARY TABLE a; SELECT 1; END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); IF p1 THEN DROP TEMPORARY TABLE a; END IF; END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); IF p1 THEN DO 1; ELSE DROP TEMPORARY TABLE a; END IF; DROP TEMPORARY TABLE b; END", true, false},
	{"BEGIN CREATE TEMPORARY TABLE a (n INT); WHILE p1 DO DROP TEMPORARY TABLE a; END WHILE; END", true, false},
	{"l: BEGIN CREATE TEMPORARY TABLE a (n INT); IF p1 THEN LEAVE l; END IF; DROP TEMPORARY TABLE a; END l", true, false},
	{"IF p1 THEN CREATE TEMPORARY TABLE a (n INT); DROP TEMPORARY TABLE a; END IF", true, false},
	{"FOR i IN 1..2 DO CREATE TEMPORARY TABLE a (n INT); END FOR", true, false},
};

static void what_temporary_tables_a_body_leaves(void **state)
{
	for (size_t i = 0; i < countof(makers); i++) {
		struct snapshot *s = snapshot_new(false);
		const struct entity *e;

		assert_non_null(s);
		e = routine(s, "p", true, makers[i].body);
		if (e->temporary != makers[i].left || e->drops != makers[i].dropped)
			fail_msg("%s: left %d, dropped %d", makers[i].body, e->temporary, e->drops);
		e = routine(s, "f", false, makers[i].body);
		if (e->temporary != (makers[i].left || makers[i].dropped) || e->drops)
			fail_msg("a function: %s", makers[i].body);
		snapshot_unref(s);
	}
}

/* ---- statements ---- */

static const struct { const char *sql; enum catalog_sets sets; const char *changed; } statements[] = {
	{"INSERT INTO plain VALUES (1)", CATALOG_SETS_NOTHING, ""},
	{"INSERT INTO sets VALUES (1)", CATALOG_SETS, ""},
	{"SELECT * FROM sets", CATALOG_SETS_NOTHING, ""},
	{"SELECT * FROM sets FOR UPDATE", CATALOG_SETS_NOTHING, ""},
	{"REPLACE INTO sets SELECT * FROM plain", CATALOG_SETS, ""},
	{"INSERT INTO plain SELECT * FROM sets", CATALOG_SETS_NOTHING, ""},
	{"UPDATE plain JOIN sets USING (a) SET sets.a = 1", CATALOG_SETS, ""},
	{"LOAD DATA INFILE 'x' INTO TABLE sets", CATALOG_SETS, ""},
	{"SET STATEMENT max_statement_time = 1 FOR INSERT INTO sets VALUES (1)", CATALOG_SETS, ""},
	{"ANALYZE INSERT INTO sets VALUES (1)", CATALOG_SETS, ""},
	{"EXPLAIN INSERT INTO sets VALUES (1)", CATALOG_SETS_NOTHING, ""},
	{"SELECT 1; INSERT INTO sets VALUES (1)", CATALOG_SETS, ""},
	{"ALTER TABLE sets ADD b INT", CATALOG_SETS_NOTHING, ""},
	{"TRUNCATE sets", CATALOG_SETS_NOTHING, ""},
	{"LOCK TABLES sets WRITE", CATALOG_SETS_NOTHING, ""},
	{"INSERT INTO leads VALUES (1)", CATALOG_SETS, ""},
	{"INSERT INTO parent VALUES (1)", CATALOG_SETS_NOTHING, ""},
	{"INSERT INTO tells VALUES (1)", CATALOG_SETS_TOLD, ""},
	{"INSERT INTO not_there VALUES (1)", CATALOG_SETS_NOTHING, ""},
	{"SELECT f(1)", CATALOG_SETS, ""},
	{"SELECT d.g(1)", CATALOG_SETS, ""},
	{"SELECT h(1), nosuch(1)", CATALOG_SETS_NOTHING, ""},
	{"DELETE FROM plain WHERE f(a)", CATALOG_SETS, ""},
	{"CALL p()", CATALOG_SETS, ""},
	{"CALL writes()", CATALOG_SETS, ""},
	{"CALL nothing(h(1))", CATALOG_SETS_NOTHING, ""},
	{"CALL nothing(f(1))", CATALOG_SETS, ""},
	{"CALL f()", CATALOG_SETS_MISSING, ""},
	{"CALL sys.diagnostics(1, 1, 'current')", CATALOG_SETS, ""},
	{"SELECT sys.version_major()", CATALOG_SETS_NOTHING, ""},
	{"CALL calls_none()", CATALOG_SETS_MISSING, ""},
	{"CALL makes_and_calls_none()", CATALOG_SETS_TEMPORARY | CATALOG_SETS_MISSING, ""},
	{"DO h(1); CALL nothing()", CATALOG_SETS_NOTHING, ""},
	{"CALL nothing(); CALL nosuch()", CATALOG_SETS_MISSING, ""},
	{"CALL nothing()", CATALOG_SETS_NOTHING, "p"},
	{"CALL nothing()", CATALOG_SETS_UNSURE, "`Nothing`"},
	{"CALL outer_one()", CATALOG_SETS_TEMPORARY | CATALOG_SETS_UNSURE, "nothing"},
	{"CALL drops()", CATALOG_SETS_DROPPED | CATALOG_SETS_UNSURE, "drops"},
	{"CALL outer_one()", CATALOG_SETS_TEMPORARY, ""},
	{"CALL drops()", CATALOG_SETS_DROPPED, ""},
	{"CALL nothing(); CALL drops()", CATALOG_SETS_TEMPORARY, ""},
	{"CALL handles()", CATALOG_SETS_TEMPORARY, ""},
	{"CALL renames()", CATALOG_SETS_TEMPORARY, ""},
	{"INSERT INTO makes VALUES (1)", CATALOG_SETS_TEMPORARY, ""},
	{"INSERT INTO calls VALUES (1)", CATALOG_SETS_TEMPORARY, ""},
	{"CALL `odd``one`()", CATALOG_SETS_UNSURE, "`odd``One`"},
	{"CALL p()", CATALOG_SETS, "p"},
	{"CALL nosuch()", CATALOG_SETS_MISSING | CATALOG_SETS_UNSURE, "nosuch"},
	{"SELECT nosuch()", CATALOG_SETS_UNSURE, "nosuch"},
	{"SELECT h(1)", CATALOG_SETS_UNSURE, "h"},
	{"INSERT INTO plain VALUES (1)", CATALOG_SETS_UNSURE, "plain"},
	{"SELECT * FROM plain", CATALOG_SETS_NOTHING, "plain"},
	{"SELECT * FROM new_view", CATALOG_SETS_UNSURE, "new_view"},
	{"SELECT * FROM view_of", CATALOG_SETS_NOTHING, "sets"},
	{"SELECT * FROM view_of_view", CATALOG_SETS_UNSURE, "view_of"},
	{"SELECT * FROM view_of_view", CATALOG_SETS_NOTHING, ""},
	{"UPDATE view_of_view SET a = 1", CATALOG_SETS, ""},
	{"INSERT INTO plain SELECT * FROM view_of_view", CATALOG_SETS_NOTHING, ""},
	{"SELECT * FROM view_of_f", CATALOG_SETS, ""},
	{"CALL reads_view()", CATALOG_SETS_NOTHING, ""},
	{"CALL writes_view()", CATALOG_SETS, ""},
	{"CALL reads_and_writes_view()", CATALOG_SETS, ""},
	{"SELECT `äf`(1)", CATALOG_SETS_NOTHING, ""},
	{"SELECT `Äf`(1)", CATALOG_SETS, ""},
	{"SELECT calls_it(1)", CATALOG_SETS, ""},
	{"SELECT `äf`(1)", CATALOG_SETS_UNSURE, "Äf"},
};

static struct snapshot *schema(void)
{
	struct snapshot *s = snapshot_new(false);

	assert_non_null(s);
	table(s, "plain", NULL);
	table(s, "sets", "SELECT a INTO @v FROM plain");
	table(s, "leads", "BEGIN IF 1 THEN DELETE FROM sets; END IF; END");
	table(s, "parent", NULL);
	assert_int_equal(snapshot_link(&snapshot_find(s, span_str("d"), span_str("parent"))->writes, snapshot_find(s, span_str("d"), span_str("sets"))), RC_OK);
	table(s, "tells", "SET SESSION sort_buffer_size = 1");
	(void)routine(s, "f", false, "BEGIN SET @v = 1; RETURN 1; END");
	(void)routine(s, "g", false, "RETURN f()");
	(void)routine(s, "h", false, "RETURN p1 + 1");
	(void)routine(s, "p", true, "SET @v = 1");
	(void)routine(s, "writes", true, "BEGIN CREATE TEMPORARY TABLE x (n INT); INSERT INTO sets VALUES (1); END");
	(void)routine(s, "nothing", true, "SELECT p1");
	(void)routine(s, "outer_one", true, "BEGIN CREATE TEMPORARY TABLE x (n INT); CALL nothing(); END");
	(void)routine(s, "calls_none", true, "CALL none()");
	(void)routine(s, "makes_and_calls_none", true, "BEGIN CREATE TEMPORARY TABLE x (n INT); CALL none(); END");
	view(s, "view_of", "SELECT a FROM sets");
	view(s, "view_of_view", "SELECT a FROM view_of");
	view(s, "view_f", "SELECT f(1) AS a");
	view(s, "view_of_f", "SELECT a FROM view_f");
	(void)routine(s, "reads_view", true, "SELECT a FROM view_of_view");
	(void)routine(s, "writes_view", true, "DELETE FROM view_of_view");
	(void)routine(s, "reads_and_writes_view", true, "BEGIN SELECT a FROM view_of_view; DELETE FROM view_of; SELECT a FROM view_of; END");
	(void)routine(s, "äf", false, "RETURN 1");
	(void)routine(s, "calls_it", false, "RETURN `ÄF`()");
	(void)routine(s, "drops", true, "BEGIN CREATE TEMPORARY TABLE x (n INT); DROP TABLE x; END");
	(void)routine(s, "handles", true, "BEGIN DECLARE CONTINUE HANDLER FOR 1062 DO 1; CALL drops(); END");
	(void)routine(s, "renames", true, "BEGIN CREATE TEMPORARY TABLE x (n INT); ALTER TABLE x RENAME y; DROP TABLE IF EXISTS x; END");
	table(s, "makes", "CREATE TEMPORARY TABLE x (n INT)");
	table(s, "calls", "CALL drops()");
	(void)routine(s, "odd`one", true, "SELECT p1");
	return s;
}

static void what_a_statement_sets(void **state)
{
	struct snapshot *s = schema();

	for (size_t i = 0; i < countof(statements); i++) {
		struct catalog_history history = {.n = 0};
		struct catalog_changed changed;
		struct catalog_unseen unseen;
		struct sql_facts f;
		enum catalog_sets sets;

		if (*statements[i].changed)
			catalog_history_add(&history, span_str(statements[i].changed), 1, CATALOG_ADDS);
		catalog_history_waiting(&history, &changed);
		assert_int_equal(sql_facts_parse(span_str(statements[i].sql), 0, &f), RC_OK);
		sets = catalog_judge_sets(s, &changed, &f, span_str("d"), &unseen);
		if (sets != statements[i].sets)
			fail_msg("%s (%s changed): %d, not %d", statements[i].sql, statements[i].changed, sets, statements[i].sets);
		assert_int_equal(unseen.name.len != 0, (sets & CATALOG_SETS_MISSING) != 0);
		sql_facts_free(&f);
	}
	snapshot_unref(s);
}

static const struct { const char *view, *changed; bool quiet; } views[] = {
	{"SELECT a FROM plain", "", true},
	{"SELECT a FROM plain", "plain", false},
	{"SELECT a, COUNT(*), NOW() FROM plain p JOIN not_there n ON p.a = n.a WHERE a IN (SELECT a FROM parent) GROUP BY a", "", true},
	{"SELECT a FROM plain UNION SELECT 1", "sets", true},
	{"SELECT a FROM not_there", "not_there", false},
	{"SELECT a FROM sets", "", false}, /* who writes it fires that trigger */
	{"SELECT a FROM leads", "", false},
	{"SELECT a FROM view_of_view", "", false},
	{"SELECT a FROM view_f", "", false},
	{"SELECT a FROM view_of_f", "", false},
	{"SELECT h(a) FROM plain", "", false}, /* another body may come to bear its name */
	{"SELECT GET_LOCK('a', 1)", "", false},
	{"SELECT NEXTVAL(q)", "", false},
	{"SELECT a FROM plain INTO @v", "", false},
	{"SELECT a FROM plain ODD", "", true},
	{"SELECT a FROM plain WHERE (", "", false},
	{"DELETE FROM plain", "", false},
};

static void which_views_set_nothing(void **state)
{
	struct snapshot *s = schema();

	for (size_t i = 0; i < countof(views); i++) {
		struct catalog_history history = {.n = 0};
		struct catalog_changed changed;
		struct sql_facts f;

		if (*views[i].changed)
			catalog_history_add(&history, span_str(views[i].changed), 1, CATALOG_ADDS);
		catalog_history_waiting(&history, &changed);
		assert_int_equal(sql_facts_parse(span_str(views[i].view), 0, &f), RC_OK);
		if (catalog_view_is_quiet(s, &changed, &f, span_str("d")) != views[i].quiet)
			fail_msg("%s (%s changed)", views[i].view, views[i].changed);
		sql_facts_free(&f);
	}
	snapshot_unref(s);
}

static const struct { const char *sql, *select; } makers_of_views[] = {
	{"CREATE VIEW v AS SELECT 1", " SELECT 1"},
	{"create or replace algorithm = merge definer = `view`@`%` sql security invoker view d.`as` (`as`, b) as select 1 as a, 2 as b;", " select 1 as a, 2 as b"},
	{"ALTER VIEW v AS (SELECT a FROM t) -- more", " (SELECT a FROM t)"},
	{"CREATE VIEW v AS SELECT a FROM t WITH CHECK OPTION", " SELECT a FROM t "},
	{"CREATE VIEW v AS SELECT a FROM t WITH LOCAL CHECK OPTION ;", " SELECT a FROM t "},
	{"CREATE VIEW v AS SELECT a, COUNT(*) FROM t GROUP BY a WITH ROLLUP", " SELECT a, COUNT(*) FROM t GROUP BY a WITH ROLLUP"},
	{"CREATE VIEW v AS WITH c AS (SELECT 1) SELECT * FROM c WITH CASCADED CHECK OPTION", " WITH c AS (SELECT 1) SELECT * FROM c "},
	{"CREATE VIEW v AS SELECT 1; SELECT 2", NULL},
	{"CREATE TABLE view AS SELECT 1", NULL},
	{"CREATE TABLE t (view INT) AS SELECT 1", NULL},
	{"ALTER TABLE view ADD a INT", NULL},
	{"DROP VIEW v", NULL},
	{"SELECT 1 AS view", NULL},
	{"CREATE VIEW v", NULL},
	{"CREATE VIEW v (a", NULL},
	{"CREATE VIEW v AS SELECT 'a", NULL},
};

static void what_a_view_is_made_of(void **state)
{
	for (size_t i = 0; i < countof(makers_of_views); i++) {
		struct span select;
		bool makes = sql_view_select(span_str(makers_of_views[i].sql), 0, &select);

		if (makes != (makers_of_views[i].select != NULL) || (makes && !span_eq(select, span_str(makers_of_views[i].select))))
			fail_msg("%s: " SPAN_FMT, makers_of_views[i].sql, SPAN_ARG(makes ? select : span_str("nothing")));
	}
}

/* ---- changes ---- */

/* Who ran it from first to last cannot know what it was. */
static bool is_lost(const struct catalog_history *c, uint64_t first, uint64_t last)
{
	struct catalog_changed lost;

	return !catalog_history_lost(c, first, last, &lost) || lost.n;
}

static void changes_last_until_they_are_read(void **state)
{
	struct catalog_history c = {.n = 0};

	catalog_history_add(&c, span_str("a"), 1, CATALOG_ADDS);
	catalog_history_add(&c, span_str("b"), 2, CATALOG_ADDS);
	catalog_history_add(&c, span_str("A"), 3, CATALOG_ADDS);
	catalog_history_add(&c, span_str("c"), 3, CATALOG_LOSES);
	assert_int_equal(c.n, 2);
	catalog_history_until(&c, 2, 3);
	assert_true(!c.of[0].read && c.of[1].read == 3 && c.waiting == 1);
	catalog_history_add(&c, span_of("", 0), 4, CATALOG_ADDS);
	catalog_history_until(&c, 3, 4);
	assert_int_equal(c.waiting, 0);
	assert_true(c.any);
	catalog_history_until(&c, 4, 4);
	assert_false(c.any);
}

static unsigned waiting(const struct catalog_history *c)
{
	struct catalog_changed changed;

	catalog_history_waiting(c, &changed);
	return changed.n;
}

static void nobody_waits_for_quiet_views(void **state)
{
	const unsigned view = CATALOG_ADDS | CATALOG_OF_VIEW;
	struct catalog_history c = {.n = 0};

	catalog_history_add(&c, span_str("v"), 1, view | CATALOG_QUIET);
	catalog_history_add(&c, span_str("v"), 2, view | CATALOG_QUIET | CATALOG_OVER);
	assert_int_equal(waiting(&c), 0);
	catalog_history_add(&c, span_str("w"), 3, CATALOG_LOSES);
	assert_int_equal(waiting(&c), 0);
	catalog_history_add(&c, span_str("t"), 4, CATALOG_ADDS | CATALOG_TRIGGER); /* which v may be made of */
	assert_int_equal(waiting(&c), 2);
	catalog_history_add(&c, span_str("v"), 5, view | CATALOG_QUIET); /* what it was counts until it has been read */
	assert_int_equal(waiting(&c), 2);
	catalog_history_until(&c, 5, 6);
	assert_int_equal(waiting(&c), 0);
	catalog_history_add(&c, span_str("v"), 7, view | CATALOG_QUIET);
	assert_int_equal(waiting(&c), 0);
	catalog_history_add(&c, span_of("", 0), 8, CATALOG_ADDS | CATALOG_LOSES); /* of which nobody knows what it was */
	assert_int_equal(waiting(&c), 1);
	catalog_history_add(&c, span_str("v"), 9, view);
	assert_int_equal(waiting(&c), 1);
}

static void add_number(struct catalog_history *c, unsigned i, uint64_t at, unsigned how)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "p%u", i);
	catalog_history_add(c, span_str(name), at, how);
}

static void as_many_as_there_is_room_for(void **state)
{
	struct catalog_history c = {.n = 0};
	struct catalog_changed some;
	unsigned i;

	for (i = 0; i <= CATALOG_CHANGED_MOST; i++) {
		assert_false(c.any);
		add_number(&c, i, 5, CATALOG_ADDS);
	}
	assert_true(c.any);
	catalog_history_waiting(&c, &some);
	assert_int_equal(some.n, CATALOG_CHANGED_MOST);
	for (i = c.n; i < CATALOG_HISTORY_MOST; i++) {
		catalog_history_until(&c, 5, 6);
		add_number(&c, i, 5, CATALOG_ADDS);
	}
	assert_false(is_lost(&c, 5, 5)); /* who ran one of these is told apart yet */
	add_number(&c, 0, 6, CATALOG_LOSES);
	assert_true(catalog_history_lost(&c, 5, 5, &some) && some.n == 1);
	catalog_history_add(&c, span_of("", 0), 6, CATALOG_LOSES);
	assert_false(catalog_history_lost(&c, 5, 5, &some)); /* too many */
	catalog_history_add(&c, span_str("one more"), 7, CATALOG_ADDS);
	assert_int_equal(c.n, CATALOG_HISTORY_MOST);
	assert_int_equal(c.forgotten, 6);
	assert_false(catalog_history_lost(&c, 6, 6, &some));
	assert_true(catalog_history_lost(&c, 7, 7, &some));
	assert_int_equal(some.n, 0);
}

static void what_is_lost_after_it_was_run_and_before_it_was_read(void **state)
{
	struct catalog_history made = {.n = 0}, c;

	catalog_history_add(&made, span_str("p"), 2, CATALOG_ADDS);
	catalog_history_add(&made, span_str("p"), 3, CATALOG_ADDS | CATALOG_OVER);
	assert_false(is_lost(&made, 3, 3));
	c = made;
	catalog_history_add(&c, span_str("q"), 4, CATALOG_LOSES);
	catalog_history_lose_triggers(&c, 4);
	assert_false(is_lost(&c, 3, 3));
	catalog_history_add(&c, span_str("P"), 5, CATALOG_LOSES);
	catalog_history_add(&c, span_str("P"), 6, CATALOG_LOSES | CATALOG_OVER);
	assert_true(is_lost(&c, 3, 3) && is_lost(&c, 5, 5) && is_lost(&c, 1, 2));
	assert_false(is_lost(&c, 6, 6) || is_lost(&c, 1, 1));
	catalog_history_until(&c, 6, 6);
	assert_true(is_lost(&c, 3, 3)); /* what was read may be what was left of it */
	c = made;
	catalog_history_until(&c, 3, 4);
	catalog_history_add(&c, span_str("p"), 7, CATALOG_LOSES);
	assert_true(is_lost(&c, 4, 4)); /* it may not have looked again in between */
	assert_false(is_lost(&c, 5, 5));
}

static void what_replaces_itself_has_lost_nothing(void **state)
{
	const unsigned anew = CATALOG_ADDS | CATALOG_LOSES;
	struct catalog_history c = {.n = 0};

	catalog_history_add(&c, span_str("p"), 2, anew);
	catalog_history_add(&c, span_str("p"), 3, anew | CATALOG_OVER);
	assert_false(is_lost(&c, 2, 2) || is_lost(&c, 3, 3));
	catalog_history_add(&c, span_str("p"), 4, anew);
	catalog_history_add(&c, span_str("p"), 5, anew | CATALOG_OVER);
	assert_true(is_lost(&c, 2, 2) && is_lost(&c, 3, 3) && is_lost(&c, 4, 4));
	assert_false(is_lost(&c, 5, 5));
	catalog_history_add(&c, span_str("t"), 6, CATALOG_ADDS | CATALOG_TRIGGER);
	catalog_history_lose_triggers(&c, 7);
	assert_true(is_lost(&c, 6, 6));
}

/* DROP DATABASE, and what a procedure drops. */
static void what_is_not_known_may_have_lost_all(void **state)
{
	struct catalog_history c = {.n = 0};

	catalog_history_add(&c, span_str("p"), 2, CATALOG_ADDS);
	catalog_history_add(&c, span_str("t"), 2, CATALOG_ADDS | CATALOG_TRIGGER);
	catalog_history_add(&c, span_of("", 0), 3, CATALOG_ADDS);
	assert_false(is_lost(&c, 2, 2));
	catalog_history_add(&c, span_of("", 0), 4, CATALOG_LOSES);
	assert_true(c.any == 4 && c.of[0].lost == 4 && c.of[1].lost == 4);
	assert_true(is_lost(&c, 3, 3));
	assert_false(is_lost(&c, 4, 4));
}

static void which_routine_ddl_is_about(void **state)
{
	static const struct { const char *sql, *name; } ddl[] = {
		{"CREATE PROCEDURE p() DO 1", "p"},
		{"create or replace definer=`a`@`%` procedure if not exists `d`.`p q`(in a int) begin select 1; select 2; end", "`p q`"},
		{"/*!50003 DROP PROCEDURE IF EXISTS p */", "p"},
		{"CREATE AGGREGATE FUNCTION d.f(a INT) RETURNS INT RETURN 1;", "f"},
		{"ALTER PROCEDURE p COMMENT 'x'", "p"},
		{"DROP FUNCTION f", "f"},
		{"DROP PROCEDURE p; DROP PROCEDURE q", NULL},
		{"DROP DATABASE procedures", NULL},
		{"CREATE TABLE t (procedure INT)", NULL},
		{"CREATE PACKAGE BODY x AS PROCEDURE p AS BEGIN DO 1; END; END", NULL},
		{"SELECT 1", NULL},
		{"DROP PROCEDURE", NULL},
	};

	for (size_t i = 0; i < countof(ddl); i++) {
		struct span name;
		bool is = sql_routine_of(span_str(ddl[i].sql), 0, &name);

		if (is != !!ddl[i].name || (is && !span_eq(name, span_str(ddl[i].name))))
			fail_msg("%s: %.*s", ddl[i].sql, is ? (int)name.len : 0, is ? name.p : "");
	}
}

static void which_ddl_replaces(void **state)
{
	assert_true(sql_is_or_replace(span_str("/* a */ create or replace view v as select 1"), 0));
	assert_true(sql_is_or_replace(span_str("/*!50003 CREATE OR REPLACE */ TRIGGER t BEFORE INSERT ON t FOR EACH ROW DO 1"), 0));
	assert_false(sql_is_or_replace(span_str("CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW REPLACE INTO u VALUES (1 OR 2)"), 0));
	assert_false(sql_is_or_replace(span_str("DROP PROCEDURE or"), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_body_sets),
		cmocka_unit_test(what_temporary_tables_a_body_leaves),
		cmocka_unit_test(what_a_statement_sets),
		cmocka_unit_test(which_views_set_nothing),
		cmocka_unit_test(what_a_view_is_made_of),
		cmocka_unit_test(nobody_waits_for_quiet_views),
		cmocka_unit_test(changes_last_until_they_are_read),
		cmocka_unit_test(as_many_as_there_is_room_for),
		cmocka_unit_test(what_is_lost_after_it_was_run_and_before_it_was_read),
		cmocka_unit_test(what_replaces_itself_has_lost_nothing),
		cmocka_unit_test(what_is_not_known_may_have_lost_all),
		cmocka_unit_test(which_routine_ddl_is_about),
		cmocka_unit_test(which_ddl_replaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
