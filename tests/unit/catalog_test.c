/*
 * catalog_test.c - what the catalog knows of a real server's schema, and when it admits that it does not know (C5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "catalog.h"
#include "catalog_load.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "server_kit.h"

static struct server server;
static struct catalog *catalog;
static const char *login; /* user and password; NULL: no account is known */
static _Atomic int changes;

static enum rc on_target(void *arg, struct catalog_target *out)
{
	if (!login)
		return RC_DECLINED;
	snprintf(out->host, sizeof(out->host), "127.0.0.1");
	snprintf(out->user, sizeof(out->user), "%s", login);
	out->port = server.port;
	out->password = secret_new(span_str(login));
	return out->password ? RC_OK : RC_DECLINED;
}

static void on_changed(void *arg)
{
	atomic_fetch_add(&changes, 1);
}

static void start_unwanted(const char *who)
{
	struct catalog_hooks hooks = {.target = on_target, .changed = on_changed};

	login = who;
	changes = 0;
	catalog = catalog_new(&hooks);
	assert_non_null(catalog);
	assert_int_equal(catalog_start(catalog), RC_OK);
}

static void start(const char *who)
{
	start_unwanted(who);
	catalog_want(catalog);
}

static struct catalog_status status(void)
{
	struct catalog_status s;

	catalog_status(catalog, &s);
	return s;
}

static void wait_fresh(void)
{
	for (int i = 0; i < 1000 && (status().stale || !status().readable); i++)
		usleep(5000);
	if (status().stale || !status().readable)
		fail_msg("not read: %s", status().problem);
}

static int stop(void **state)
{
	if (catalog) {
		catalog_stop(catalog);
		catalog_free(catalog);
	}
	catalog = NULL;
	return 0;
}

/* ---- answers as text: "shop.a shop.b", sorted, or "? why" ---- */

struct names {
	char *at[16];
	size_t n;
};

static enum rc put_name(void *arg, struct span schema, struct span table)
{
	struct names *s = arg;

	if (s->n == countof(s->at))
		return RC_ERROR;
	if (asprintf(&s->at[s->n], SPAN_FMT "." SPAN_FMT, SPAN_ARG(schema), SPAN_ARG(table)) < 0)
		return RC_ERROR;
	s->n++;
	return RC_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *as_text(enum rc rc, struct names *s, const char *why)
{
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	if (rc != RC_OK) {
		assert_non_null(why);
		snprintf(text, sizeof(text), "? %s", why);
	}
	qsort(s->at, s->n, sizeof(s->at[0]), by_name);
	for (size_t i = 0; i < s->n; i++) {
		if (rc == RC_OK)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "", s->at[i]);
		free(s->at[i]);
	}
	return text;
}

static const char *answer(bool write, const char *schema, const char *table)
{
	struct names s = {0};
	const char *why = NULL;
	enum rc rc = write ? catalog_writes(catalog, span_str(schema), span_str(table), put_name, &s, &why)
			   : catalog_reads(catalog, span_str(schema), span_str(table), put_name, &s, &why);

	return as_text(rc, &s, why);
}

static const char *needs(const char *schema, const char *table)
{
	struct names s = {0};
	const char *why = NULL;
	enum rc rc = catalog_needs(catalog, span_str(schema), span_str(table), put_name, &s, &why);

	return as_text(rc, &s, why);
}

/* procedure: "p:name", a function: "name" */
static const char *routine(enum catalog_effect effect, const char *name)
{
	struct names s = {0};
	const char *why = NULL;
	bool procedure = strncmp(name, "p:", 2) == 0;
	struct span n = span_str(procedure ? name + 2 : name);
	enum rc rc = catalog_routine(catalog, span_str("shop"), n, procedure, effect, put_name, &s, &why);

	return as_text(rc, &s, why);
}

#define READS(table, expected) assert_string_equal(answer(false, "shop", table), expected)
#define WRITES(table, expected) assert_string_equal(answer(true, "shop", table), expected)

/* ---- tests ---- */

static void tables_are_themselves(void **state)
{
	start("all");
	wait_fresh();
	READS("t", "shop.t");
	WRITES("t", "shop.t");
	READS("nothing", "? it is not in the catalog");
	WRITES("nothing", "? it is not in the catalog");
	READS("T", "? it is not in the catalog"); /* this server minds letter case */
	assert_string_equal(answer(false, "other", "far"), "other.far");
	assert_int_equal(changes, 0); /* there was none before it */
}

static void views_lead_to_their_tables(void **state)
{
	start("all");
	wait_fresh();
	READS("v", "shop.t");
	READS("v_join", "other.far shop.parent shop.t");
	READS("v_of_views", "other.far shop.parent shop.t");
	READS("v_union", "shop.child shop.t");
	READS("v_sub", "shop.child shop.parent");
	WRITES("v", "shop.t");
	WRITES("v_trig", "shop.log shop.trig");
}

static void views_that_hang_on_more_are_not_known(void **state)
{
	start("all");
	wait_fresh();
	assert_int_equal(answer(false, "shop", "v_now")[0], '?');
	assert_int_equal(answer(false, "shop", "v_user")[0], '?');
	assert_int_equal(answer(false, "shop", "v_func_now")[0], '?');
	assert_int_equal(answer(false, "shop", "v_system")[0], '?');
	assert_int_equal(answer(false, "shop", "v_over_now")[0], '?');
	assert_int_equal(answer(false, "shop", "v_broken")[0], '?');
}

static const char *called(const char *table)
{
	struct names s = {0};
	const char *why = NULL;
	enum rc rc = catalog_called(catalog, span_str("shop"), span_str(table), put_name, &s, &why);

	return as_text(rc, &s, why);
}

static void a_view_writes_what_it_calls_writes(void **state)
{
	static const char all[] = "other.far shop.log shop.trig shop.trig2";

	start("all");
	wait_fresh();
	assert_string_equal(called("v_writes"), all);
	assert_string_equal(called("v_over_writes"), all);
	assert_string_equal(called("v_backslash"), all);
	assert_string_equal(called("v_join"), "");
	assert_string_equal(called("v_func_reads"), "");
	assert_string_equal(called("trig2"), "");
	assert_string_equal(called("nothing"), "");
	catalog_invalidate(catalog);
	assert_string_equal(called("v_writes"), "? the schema has changed and is being read");
}

static void a_column_may_change_by_itself(void **state)
{
	start("all");
	wait_fresh();
	READS("computed", "? a column of it is computed from more than its row");
	WRITES("computed", "shop.computed");
	READS("computed_kept", "shop.computed_kept");
}

static void triggers_write_what_they_write(void **state)
{
	start("all");
	wait_fresh();
	READS("trig", "shop.trig");
	WRITES("trig", "shop.log shop.trig");
	WRITES("trig2", "other.far shop.log shop.trig shop.trig2"); /* a trigger that fires a trigger */
	WRITES("trig_set", "shop.trig_set");
	WRITES("trig_block", "other.far shop.log shop.trig_block");
	WRITES("trig_call", "shop.log shop.trig_call");
	WRITES("trig_func", "shop.log shop.trig_func");
	assert_int_equal(answer(true, "shop", "trig_dynamic")[0], '?');
	READS("trig_call", "shop.trig_call");
}

#define CALL_READS(name, expected) assert_string_equal(routine(CATALOG_PLAIN_READ, name), expected)
#define CALL_WRITES(name, expected) assert_string_equal(routine(CATALOG_WRITE, name), expected)

static void routines_read_and_write_what_their_bodies_do(void **state)
{
	start("all");
	wait_fresh();
	CALL_READS("func", "");
	CALL_WRITES("FUNC", "");
	CALL_READS("f_reads", "other.far shop.t");  /* through a view and another function */
	CALL_WRITES("f_reads", "");
	CALL_READS("f_writes", "? it calls a routine that writes");
	CALL_WRITES("f_writes", "other.far shop.log shop.trig shop.trig2"); /* and their triggers */
	assert_string_equal(routine(CATALOG_READ, "f_writes"), "shop.trig2");
	assert_string_equal(routine(CATALOG_READ, "p:p_calls"), "shop.log shop.parent");
	CALL_READS("f_now", "? it calls a routine whose answer hangs on more than tables");
	CALL_WRITES("f_now", "");
	CALL_WRITES("p:proc", "shop.log");
	CALL_WRITES("p:p_calls", "other.grandchild shop.child shop.log shop.parent");
	CALL_WRITES("p:dynamic", "? a routine does more than read and write rows");
	CALL_WRITES("p:func", "? it is not in the catalog");
	CALL_WRITES("nothing", "? it is not in the catalog");
	CALL_READS("f_again", "shop.t"); /* it calls itself */
	READS("v_func", "shop.t");
	READS("v_func_reads", "other.far shop.t");
}

static enum rc keeps_accounts(const char *name)
{
	return catalog_keeps_accounts(catalog, span_str("shop"), span_str(name));
}

static void procedures_are_known_to_keep_accounts_whatever_happens_to_tables(void **state)
{
	start("all");
	assert_int_equal(keeps_accounts("proc"), RC_DECLINED); /* not read yet */
	wait_fresh();
	assert_int_equal(keeps_accounts("proc"), RC_OK);
	assert_int_equal(keeps_accounts("P_CALLS"), RC_OK);
	assert_int_equal(keeps_accounts("dynamic"), RC_DECLINED);
	assert_int_equal(keeps_accounts("func"), RC_AGAIN); /* a function */
	assert_int_equal(keeps_accounts("nothing"), RC_AGAIN);
	assert_int_equal(catalog_keeps_accounts(catalog, span_str("sys"), span_str("proc")), RC_DECLINED);
	stop(NULL); /* what follows is not read again */
	start_unwanted("all");
	wait_fresh();
	catalog_invalidate_tables(catalog);
	assert_int_equal(keeps_accounts("proc"), RC_OK);
	catalog_invalidate(catalog);
	assert_int_equal(keeps_accounts("proc"), RC_DECLINED);
}

static enum catalog_ddl ddl(const char *name)
{
	return catalog_ddl(catalog, span_str("shop"), span_str(name), false);
}

static void procedures_are_known_to_leave_the_schema_as_it_is(void **state)
{
	start("all");
	assert_int_equal(ddl("proc"), CATALOG_DDL_MAY); /* not read yet */
	wait_fresh();
	assert_int_equal(ddl("proc"), CATALOG_DDL_NONE);
	assert_int_equal(ddl("P_CALLS"), CATALOG_DDL_NONE);
	assert_int_equal(ddl("ddl_temporary"), CATALOG_DDL_NONE);
	assert_int_equal(ddl("ddl_drops"), CATALOG_DDL_MAY);
	assert_int_equal(ddl("ddl_view"), CATALOG_DDL_MAY);
	assert_int_equal(ddl("ddl_calls"), CATALOG_DDL_MAY);
	assert_int_equal(ddl("ddl_text"), CATALOG_DDL_MAY);
	assert_int_equal(ddl("ddl_for"), CATALOG_DDL_MAY); /* not understood, and it says so */
	assert_int_equal(ddl("ddl_for_not"), CATALOG_DDL_NONE);
	assert_int_equal(ddl("ddl_given"), CATALOG_DDL_MAY);
	assert_int_equal(ddl("dynamic"), CATALOG_DDL_UNSEEN);
	assert_int_equal(catalog_ddl(catalog, span_str("shop"), span_str("dynamic"), true), CATALOG_DDL_MAY);
	assert_int_equal(catalog_ddl(catalog, span_str("shop"), span_str("proc"), true), CATALOG_DDL_NONE);
	assert_int_equal(ddl("nothing"), CATALOG_DDL_UNSEEN);
	stop(NULL); /* what follows is not read again */
	start_unwanted("all");
	wait_fresh();
	catalog_invalidate_tables(catalog);
	assert_int_equal(ddl("proc"), CATALOG_DDL_NONE);
	catalog_invalidate(catalog); /* it may be another one by now */
	assert_int_equal(ddl("proc"), CATALOG_DDL_UNSEEN);
	assert_int_equal(ddl("ddl_view"), CATALOG_DDL_MAY);
	assert_int_equal(ddl("nothing"), CATALOG_DDL_MAY);
	stop(NULL);
	start("app");
	wait_fresh();
	assert_int_equal(ddl("ddl_view"), CATALOG_DDL_UNSEEN); /* its body is hidden */
}

static void what_nobody_saw_is_found_when_it_is_looked_for(void **state)
{
	start("all");
	wait_fresh();
	server_sql(&server, "CREATE OR REPLACE VIEW v_moves AS SELECT * FROM parent");
	READS("v_moves", "shop.t");
	catalog_doubt(catalog);
	for (int i = 0; i < 1600 && !changes; i++)
		usleep(5000);
	assert_int_equal(changes, 1);
	READS("v_moves", "shop.parent");
	server_sql(&server, "CREATE OR REPLACE VIEW v_moves AS SELECT * FROM t");
}

/* The server hides bodies from those who may not see them. */
static void a_routine_whose_body_is_hidden_is_not_known(void **state)
{
	start("app");
	wait_fresh();
	CALL_READS("f_reads", "? the account that reads the schema may not see a routine's body");
	CALL_WRITES("f_reads", "? the account that reads the schema may not see a routine's body");
}

static void cascades_write_the_children(void **state)
{
	start("all");
	wait_fresh();
	WRITES("parent", "other.grandchild shop.child shop.parent");
	WRITES("child", "other.grandchild shop.child");
	WRITES("restricted", "shop.restricted");
	READS("parent", "shop.parent");
}

static void foreign_keys_need_their_parents(void **state)
{
	start("all");
	wait_fresh();
	assert_string_equal(needs("shop", "bound"), "shop.restricted");
	assert_string_equal(needs("shop", "child"), "shop.child shop.parent"); /* for its own child, which a change of it changes */
	assert_string_equal(needs("shop", "t"), "");
}

static void tables_whose_rows_lie_elsewhere_are_not_known(void **state)
{
	start("all");
	wait_fresh();
	assert_string_equal(answer(false, "shop", "merged"), "? its engine keeps rows elsewhere");
	assert_string_equal(answer(true, "shop", "merged"), "? its engine keeps rows elsewhere");
	assert_string_equal(answer(false, "shop", "seq"), "? it is neither a table nor a view");
}

static void system_schemas_are_never_known(void **state)
{
	static const char *const names[] = {"information_schema", "INFORMATION_SCHEMA", "mysql", "performance_schema",
					    "sys"};

	start("all");
	wait_fresh();
	for (size_t i = 0; i < countof(names); i++) {
		assert_string_equal(answer(false, names[i], "user"), "? it is of a system schema");
		assert_string_equal(answer(true, names[i], "user"), "? it is of a system schema");
	}
}

static void only_transactional_tables_are_transactional(void **state)
{
	const char *why;

	start("all");
	wait_fresh();
#define TRANSACTIONAL(t) catalog_transactional(catalog, span_str("shop"), span_str(t), &why)
	assert_int_equal(TRANSACTIONAL("t"), RC_OK);
	assert_int_equal(TRANSACTIONAL("isam"), RC_DECLINED);
	assert_string_equal(why, "its engine has no transactions");
	assert_int_equal(TRANSACTIONAL("trig"), RC_OK);
	assert_int_equal(TRANSACTIONAL("trig_isam"), RC_DECLINED);
	assert_int_equal(TRANSACTIONAL("v"), RC_DECLINED);
	assert_int_equal(TRANSACTIONAL("nothing"), RC_DECLINED);
}

static void ddl_makes_it_stale_until_it_is_read_again(void **state)
{
	uint64_t version;

	start("all");
	wait_fresh();
	version = catalog_version(catalog);
	server_sql(&server, "CREATE TABLE shop.fresh (a INT)");
	READS("fresh", "? it is not in the catalog");
	catalog_invalidate(catalog);
	assert_true(catalog_version(catalog) > version);
	READS("t", "? the schema has changed and is being read");
	version = catalog_version(catalog);
	wait_fresh();
	READS("fresh", "shop.fresh");
	for (int i = 0; i < 100 && catalog_version(catalog) == version; i++)
		usleep(1000);
	assert_true(catalog_version(catalog) > version);
	server_sql(&server, "DROP TABLE shop.fresh");
}

/* Where nothing is cached or queued, DDL costs the server no reading of its schema. */
static void it_is_not_read_again_for_nobody(void **state)
{
	start_unwanted("all");
	wait_fresh();
	catalog_invalidate(catalog);
	usleep(500000);
	assert_true(status().stale);
	catalog_want(catalog);
	wait_fresh();
	READS("t", "shop.t");
}

/* A name that is not there is looked for again, and the others stay known meanwhile. */
static void what_was_made_behind_our_back_is_found_when_asked_for(void **state)
{
	start("all");
	wait_fresh();
	usleep(250000);
	server_sql(&server, "CREATE TABLE shop.behind (a INT)");
	READS("behind", "? it is not in the catalog");
	READS("t", "shop.t");
	assert_false(status().stale);
	for (int i = 0; i < 400 && answer(false, "shop", "behind")[0] == '?'; i++)
		usleep(5000);
	READS("behind", "shop.behind");
	server_sql(&server, "DROP TABLE shop.behind");
}

/* An account that may not see triggers takes their absence for proof of nothing. */
static void without_the_trigger_privilege_nothing_is_known(void **state)
{
	start("reader");
	wait_fresh();
	READS("t", "? the account that reads the schema lacks SELECT or TRIGGER on it");
	WRITES("trig", "? the account that reads the schema lacks SELECT or TRIGGER on it");
	assert_string_equal(answer(true, "other", "far"), "other.far");
}

static void a_view_over_what_the_account_may_not_see_is_not_known(void **state)
{
	start("reader");
	wait_fresh();
	assert_int_equal(answer(false, "other", "v_far_t")[0], '?');
}

static void an_application_account_is_enough(void **state)
{
	start("app");
	wait_fresh();
	READS("v_union", "shop.child shop.t");
	WRITES("trig", "shop.log shop.trig");
	assert_int_equal(answer(false, "other", "far")[0], '?');
	/* Its grandchild lies where this account sees nothing: it is not found as a read either, so it is never cached. */
	WRITES("parent", "shop.child shop.parent");
	assert_string_equal(answer(false, "other", "grandchild"), "? it is not in the catalog");
}

static void it_waits_for_an_account_and_reads_when_nudged(void **state)
{
	start(NULL);
	for (int i = 0; i < 200 && !status().problem[0]; i++)
		usleep(5000);
	assert_false(status().readable);
	READS("t", "? the schema has not been read yet");
	usleep(250000);
	login = "all";
	catalog_nudge(catalog);
	for (int i = 0; i < 60 && status().stale; i++)
		usleep(5000);
	READS("t", "shop.t");
}

static void a_refused_account_makes_it_unreadable(void **state)
{
	start("all");
	wait_fresh();
	login = "nobody";
	catalog_invalidate(catalog);
	for (int i = 0; i < 400 && status().readable; i++)
		usleep(5000);
	assert_false(status().readable);
	assert_non_null(strstr(status().problem, "Access denied"));
	assert_int_equal(answer(false, "shop", "t")[0], '?');
}

static void a_server_that_is_gone_changes_nothing_until_ddl_is_seen(void **state)
{
	uint64_t begun;

	start("all");
	wait_fresh();
	kill(server.pid, SIGSTOP);
	READS("t", "shop.t");
	catalog_invalidate(catalog);
	READS("t", "? the schema has changed and is being read");
	usleep(300000);
	begun = clock_mono_ns();
	catalog_stop(catalog); /* in the midst of a login that hangs */
	kill(server.pid, SIGCONT);
	assert_true(clock_mono_ns() - begun < 300 * NS_PER_MS);
}

/* Out of memory at any step is said, and leaves nothing behind. */
static void short_memory_is_said(void **state)
{
	struct secret *password = secret_new(span_str("all"));
	struct sqlconn_target t = {.host = "127.0.0.1",
				   .port = server.port,
				   .user = "all",
				   .password = password,
				   .connect_ns = 2 * NS_PER_SEC};
	struct sqlconn *conn = sqlconn_new();
	struct snapshot *s = NULL;
	char problem[256];

	assert_non_null(conn);
	assert_int_equal(sqlconn_connect(conn, &t), RC_OK);
	for (uint64_t n = 1; !s; n += n < 20 ? 1 : 11) {
		mem_fail_after(n, 0);
		if (catalog_load(conn, &s, problem, sizeof(problem)) != RC_OK) {
			assert_null(s);
			assert_non_null(strstr(problem, "memory"));
		}
		mem_fail_after(0, 0);
		assert_true(sqlconn_is_open(conn));
		assert_true(n < 5000);
	}
	snapshot_unref(s);
	sqlconn_free(conn);
	secret_unref(password);
}

static const char *const schema[] = {
	"CREATE DATABASE shop",
	"CREATE DATABASE other",
	"USE shop",
	"CREATE USER 'all'@'127.0.0.1' IDENTIFIED BY 'all'",
	"GRANT SELECT, SHOW VIEW, TRIGGER ON *.* TO 'all'@'127.0.0.1'",
	"CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'",
	"GRANT ALL ON shop.* TO app@'127.0.0.1'",
	"CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'reader'",
	"GRANT SELECT, SHOW VIEW ON *.* TO reader@'127.0.0.1'",
	"GRANT TRIGGER ON other.* TO reader@'127.0.0.1'",
	"CREATE TABLE t (id INT PRIMARY KEY, n INT)",
	"CREATE TABLE other.far (id INT PRIMARY KEY, n INT)",
	"CREATE TABLE isam (id INT) ENGINE=MyISAM",
	"CREATE TABLE isam2 (id INT) ENGINE=MyISAM",
	"CREATE TABLE merged (id INT) ENGINE=MERGE UNION=(isam, isam2)",
	"CREATE SEQUENCE seq",
	"CREATE TABLE parent (id INT PRIMARY KEY)",
	"CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
	"CREATE TABLE other.grandchild (id INT, c INT, FOREIGN KEY (c) REFERENCES shop.child (id) ON UPDATE SET NULL)",
	"CREATE TABLE restricted (id INT PRIMARY KEY)",
	"CREATE TABLE bound (id INT, r INT, FOREIGN KEY (r) REFERENCES restricted (id) ON DELETE RESTRICT)",
	"CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what TEXT)",
	"CREATE TABLE trig (id INT)",
	"CREATE TABLE trig2 (id INT)",
	"CREATE TABLE trig_set (id INT)",
	"CREATE TABLE trig_call (id INT)",
	"CREATE TABLE trig_func (id INT)",
	"CREATE TABLE trig_isam (id INT)",
	"CREATE PROCEDURE proc() INSERT INTO log (what) VALUES ('p')",
	"CREATE FUNCTION func() RETURNS INT DETERMINISTIC READS SQL DATA RETURN 1",
	"CREATE TABLE trig_dynamic (id INT)",
	"CREATE PROCEDURE dynamic(a TEXT) BEGIN PREPARE s FROM a; EXECUTE s; END",
	"CREATE PROCEDURE p_calls(IN a INT) BEGIN CALL proc(); IF a > 1 THEN DELETE FROM parent; END IF; END",
	"CREATE FUNCTION f_far() RETURNS INT READS SQL DATA RETURN (SELECT MAX(n) FROM other.far)",
	"CREATE VIEW v_early AS SELECT id, n FROM t",
	"CREATE FUNCTION f_reads(a INT) RETURNS INT READS SQL DATA BEGIN DECLARE v INT; SET a = a + 1; "
	"SELECT COUNT(*) INTO v FROM v_early WHERE id = a; RETURN v + f_far(); END",
	"CREATE FUNCTION f_writes() RETURNS INT DETERMINISTIC BEGIN UPDATE trig2 SET id = 1; RETURN 1; END",
	"CREATE FUNCTION f_now() RETURNS DATETIME DETERMINISTIC RETURN NOW()",
	"CREATE FUNCTION f_again(a INT) RETURNS INT READS SQL DATA RETURN IF(a, f_again(a - 1), (SELECT MAX(id) FROM t))",
	"CREATE TRIGGER i AFTER INSERT ON trig_dynamic FOR EACH ROW CALL dynamic('x')",
	"CREATE TRIGGER a AFTER INSERT ON trig FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT('new ', NEW.id))",
	"CREATE TRIGGER b AFTER UPDATE ON trig2 FOR EACH ROW UPDATE trig SET id = NEW.id WHERE id = OLD.id",
	"CREATE TRIGGER c AFTER DELETE ON trig2 FOR EACH ROW DELETE FROM other.far WHERE id = OLD.id",
	"CREATE TRIGGER d BEFORE INSERT ON trig_set FOR EACH ROW SET NEW.id = NEW.id + 1",
	"CREATE TRIGGER e AFTER INSERT ON trig_call FOR EACH ROW CALL proc()",
	"CREATE TRIGGER f AFTER INSERT ON trig_func FOR EACH ROW INSERT INTO log (what) VALUES (func())",
	"CREATE TRIGGER g AFTER INSERT ON trig_isam FOR EACH ROW INSERT INTO isam VALUES (NEW.id)",
	"CREATE TABLE trig_block (id INT)",
	"CREATE TRIGGER h AFTER UPDATE ON trig_block FOR EACH ROW BEGIN DECLARE n INT DEFAULT 0; "
	"SELECT COUNT(*) INTO n FROM t; /* why */ IF n > 3 OR NEW.id <> OLD.id THEN INSERT INTO log (what) VALUES "
	"('x;y'); "
	"ELSE WHILE n < 3 DO UPDATE other.far SET n = n; SET n = n + 1; END WHILE; END IF; END",
	"CREATE PROCEDURE ddl_temporary() BEGIN DROP TABLE IF EXISTS tmp; CREATE TEMPORARY TABLE tmp SELECT 'create' AS a; TRUNCATE tmp; "
	"COMMIT; DROP TEMPORARY TABLE tmp; END",
	"CREATE PROCEDURE ddl_drops() DROP TABLE IF EXISTS trig2",
	"CREATE PROCEDURE ddl_view() BEGIN IF 1 THEN CREATE OR REPLACE VIEW v AS SELECT 1; END IF; END",
	"CREATE PROCEDURE ddl_calls() BEGIN CALL proc(); CALL ddl_view(); END",
	"CREATE PROCEDURE ddl_text(a TEXT) BEGIN SET @q = CONCAT('ALTER TABLE ', a); PREPARE s FROM @q; EXECUTE s; END",
	"CREATE PROCEDURE ddl_for() BEGIN FOR i IN 1..3 DO ALTER TABLE t COMMENT 'x'; END FOR; END",
	"CREATE PROCEDURE ddl_for_not() BEGIN FOR i IN 1..3 DO INSERT INTO t VALUES (i, i); END FOR; END",
	"CREATE PROCEDURE ddl_given() CALL dynamic('DROP TABLE trig2')",
	"CREATE VIEW v_moves AS SELECT id FROM t",
	"CREATE VIEW v AS SELECT id, n FROM t WHERE n > 3",
	"CREATE VIEW v_trig AS SELECT id FROM trig",
	"CREATE VIEW v_join AS SELECT t.id, far.n FROM t JOIN other.far USING (id) LEFT JOIN parent ON parent.id = t.n",
	"CREATE VIEW v_of_views AS SELECT v.id FROM v JOIN v_join ON v.id = v_join.id",
	"CREATE VIEW v_union AS SELECT id FROM t UNION ALL SELECT id FROM child",
	"CREATE VIEW v_sub AS SELECT id, (SELECT MAX(id) FROM parent) m FROM child WHERE p IN (SELECT id FROM parent)",
	"CREATE VIEW v_now AS SELECT id, NOW() FROM t",
	"CREATE VIEW v_user AS SELECT id, CURRENT_USER() FROM t",
	"CREATE VIEW v_func AS SELECT id, func() FROM t",
	"CREATE VIEW v_func_reads AS SELECT f_reads(1)",
	"CREATE VIEW v_func_now AS SELECT id, f_now() FROM t",
	"CREATE VIEW v_over_now AS SELECT id FROM v_now",
	"CREATE VIEW v_writes AS SELECT id, f_writes() FROM t",
	"CREATE VIEW v_over_writes AS SELECT id, NOW() FROM v_writes",
	"CREATE VIEW v_backslash AS SELECT 'a\\\\b' c, f_writes() FROM t",
	"CREATE TABLE computed (id INT, a INT AS (id + 1) VIRTUAL, b DATETIME AS (NOW()) VIRTUAL)",
	"CREATE TABLE computed_kept (id INT, a INT AS (id + 1) VIRTUAL, b INT AS (id + 2) STORED)",
	"CREATE VIEW v_system AS SELECT * FROM information_schema.PROCESSLIST",
	"CREATE TABLE gone (id INT)",
	"CREATE VIEW v_broken AS SELECT id FROM gone",
	"DROP TABLE gone",
	"CREATE VIEW other.v_far_t AS SELECT far.id FROM other.far JOIN shop.t USING (id)",
};

static int server_up(void **state)
{
	server_start(&server, 1, NULL);
	for (size_t i = 0; i < countof(schema); i++)
		server_sql(&server, schema[i]);
	return 0;
}

static int server_down(void **state)
{
	server_remove(&server);
	return 0;
}

int main(void)
{
#define WITH_CATALOG(f) cmocka_unit_test_teardown(f, stop)
	const struct CMUnitTest tests[] = {
		WITH_CATALOG(tables_are_themselves),
		WITH_CATALOG(views_lead_to_their_tables),
		WITH_CATALOG(views_that_hang_on_more_are_not_known),
		WITH_CATALOG(a_view_writes_what_it_calls_writes),
		WITH_CATALOG(a_column_may_change_by_itself),
		WITH_CATALOG(triggers_write_what_they_write),
		WITH_CATALOG(routines_read_and_write_what_their_bodies_do),
		WITH_CATALOG(procedures_are_known_to_keep_accounts_whatever_happens_to_tables),
		WITH_CATALOG(procedures_are_known_to_leave_the_schema_as_it_is),
		WITH_CATALOG(what_nobody_saw_is_found_when_it_is_looked_for),
		WITH_CATALOG(a_routine_whose_body_is_hidden_is_not_known),
		WITH_CATALOG(cascades_write_the_children),
		WITH_CATALOG(foreign_keys_need_their_parents),
		WITH_CATALOG(tables_whose_rows_lie_elsewhere_are_not_known),
		WITH_CATALOG(system_schemas_are_never_known),
		WITH_CATALOG(only_transactional_tables_are_transactional),
		WITH_CATALOG(ddl_makes_it_stale_until_it_is_read_again),
		WITH_CATALOG(it_is_not_read_again_for_nobody),
		WITH_CATALOG(what_was_made_behind_our_back_is_found_when_asked_for),
		WITH_CATALOG(without_the_trigger_privilege_nothing_is_known),
		WITH_CATALOG(a_view_over_what_the_account_may_not_see_is_not_known),
		WITH_CATALOG(an_application_account_is_enough),
		WITH_CATALOG(it_waits_for_an_account_and_reads_when_nudged),
		WITH_CATALOG(a_refused_account_makes_it_unreadable),
		WITH_CATALOG(short_memory_is_said),
		WITH_CATALOG(a_server_that_is_gone_changes_nothing_until_ddl_is_seen),
	};

	log_setup(LOG_LEVEL_ERROR, false);
	if (!server_have()) {
		print_message("no MariaDB server is installed\n");
		return 77; /* skipped */
	}
	return cmocka_run_group_tests(tests, server_up, server_down);
}
