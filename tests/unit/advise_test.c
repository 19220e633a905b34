/*
 * advise_test.c - the adviser with a real server: which index it proposes, and when it has the sense not to (S3).
 */
#include <unistd.h>

#include "advise_impl.h"
#include "advise.h"
#include "log.h"
#include "server_kit.h"
#include "stats_helper.h"

static struct server server;
static struct stats *stats;
static struct stats_sink *sink;
static struct sqlconn *conn;

static int begin(void **state)
{
	struct secret *password = secret_new(span_str("reader"));
	struct sqlconn_target t = {.host = "127.0.0.1",
				   .port = server.port,
				   .user = "reader",
				   .password = password,
				   .connect_ns = 2 * NS_PER_SEC};

	stats = helper_stats(100);
	sink = helper_sink(stats);
	conn = sqlconn_new();
	assert_non_null(conn);
	assert_int_equal(sqlconn_connect(conn, &t), RC_OK);
	secret_unref(password);
	return 0;
}

static int end(void **state)
{
	sqlconn_free(conn);
	stats_free(stats);
	return 0;
}

static void record(const char *sql)
{
	struct stats_event e = helper_event(7, sql);

	e.no_index = true;
	e.total_ns = 10 * NS_PER_MS;
	e.table = span_str("t");
	stats_record(sink, NULL, &e);
}

static uint64_t calls_before, sent_before; /* of the digest */
static double saved;                       /* the share of its time that is foretold; below 0: none is */

/* The SQL of the fix, or NULL. evidence: the reason, when there is a finding. */
static const char *fix_of(char reason[512])
{
	static char fix[1024];
	json_t *all = helper_findings(stats, true), *f = helper_finding(all, "missing_index");
	const json_t *sql = f ? json_object_get(f, "fix_sql") : NULL;

	fix[0] = '\0';
	saved = -1;
	if (f && json_is_object(json_object_get(f, "predicted")))
		saved = helper_number(json_object_get(f, "predicted"), "time_saved") / helper_number(f, "cost_seconds");
	if (f) {
		snprintf(fix, sizeof(fix), "%s", json_is_string(sql) ? json_string_value(sql) : "");
		snprintf(reason, 512, "%s", helper_text(json_object_get(f, "evidence"), "reason"));
	}
	json_decref(all);
	return fix;
}

static void advised(const char *sql, const char *fix, const char *reason)
{
	struct stats_explain e = {.digest = 7, .schema = (char[]){"shop"}, .user = (char[]){"app"},
				  .calls = calls_before, .rows_sent = sent_before};
	char said[512] = "";
	char *copy = mem_strdup(sql);
	enum rc rc;

	assert_non_null(copy);
	e.sql = copy;
	record(sql);
	rc = advise_statement(conn, stats, &e);
	if (rc == RC_ERROR)
		print_error("%s: %s\n", sql, sqlconn_error(conn));
	assert_int_not_equal(rc, RC_ERROR);
	assert_string_equal(fix_of(said), fix);
	if (reason)
		assert_non_null(strstr(said, reason));
	mem_free(copy);
	end(NULL);
	begin(NULL);
}

static void an_equality_gets_an_index(void **state)
{
	advised("SELECT * FROM orders WHERE customer_email = 'u5@x'",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)",
		"rows of shop.orders for `customer_email` = ?");
	advised("SELECT * FROM orders WHERE customer_email = ? LIMIT ?",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)", NULL);
}

static void several_conditions_get_one_index(void **state)
{
	advised("SELECT id FROM orders WHERE created > '2020-01-01' AND total = 5 AND customer_email = 'a'",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`total`, `customer_email`, `created`)",
		"for `total` = ? and `customer_email` = ? and `created` in a range");
	advised("SELECT * FROM orders WHERE total = 3 ORDER BY created DESC LIMIT 5",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`total`, `created`)", "ordered by `created`");
	advised("SELECT * FROM orders ORDER BY created LIMIT 5", "ALTER TABLE `shop`.`orders` ADD INDEX (`created`)",
		"to order by `created`");
}

static void the_table_that_is_scanned_gets_it(void **state)
{
	advised("SELECT * FROM orders o JOIN items i ON i.order_id = o.id WHERE o.id = 5",
		"ALTER TABLE `shop`.`items` ADD INDEX (`order_id`)", NULL);
	advised("SELECT * FROM orders o WHERE o.id IN (SELECT order_id FROM items WHERE sku = 's5')",
		"ALTER TABLE `shop`.`items` ADD INDEX (`sku`)", NULL);
	advised("SELECT * FROM cheap_orders WHERE customer_email = 'a'",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`, `total`)", NULL);
}

static void long_columns_get_an_index_on_their_beginning(void **state)
{
	advised("SELECT id FROM items WHERE note = 'x'", "ALTER TABLE `shop`.`items` ADD INDEX (`note`(100))", NULL);
}

static void an_index_that_is_there_is_not_proposed_again(void **state)
{
	advised("SELECT * FROM items WHERE flag = 1", "", NULL);              /* matches too much for its index */
	advised("SELECT * FROM items WHERE kind = 1 AND flag = 1", "", NULL); /* (flag, kind) serves (kind, flag) */
}

static void small_tables_and_hopeless_conditions_get_none(void **state)
{
	advised("SELECT * FROM few WHERE a = 1", "", NULL);
	advised("SELECT * FROM orders WHERE REVERSE(customer_email) = 'a'", "", NULL);
	advised("SELECT * FROM orders WHERE id = 3", "", NULL);
}

/* Where it can be mended: neither helps alone. */
static void a_function_without_an_index_needs_both(void **state)
{
	advised("SELECT * FROM orders WHERE LOWER(customer_email) = 'a'", "ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)", "no index begins with customer_email");
}

/* Reading most of a table through an index is slower than reading it whole. */
static void conditions_that_many_rows_match_get_none(void **state)
{
	advised("SELECT * FROM orders WHERE flag = 1", "", NULL);
	advised("SELECT * FROM orders WHERE flag = 7", "ALTER TABLE `shop`.`orders` ADD INDEX (`flag`)", NULL);
	advised("SELECT * FROM orders WHERE flag = 1 AND total = 5",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`total`, `flag`)", NULL); /* the more values, the earlier */
	advised("SELECT * FROM orders WHERE total > 5", "", NULL);
	advised("SELECT * FROM orders WHERE total BETWEEN 5 AND 7", "ALTER TABLE `shop`.`orders` ADD INDEX (`total`)",
		NULL);
	advised("SELECT * FROM orders WHERE customer_email LIKE 'u%'", "", NULL);
	advised("SELECT * FROM orders WHERE customer_email IN ('a', 'it''s', '\\\\')",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)", NULL);
	advised("SELECT * FROM cheap_orders", "ALTER TABLE `shop`.`orders` ADD INDEX (`total`)", NULL);
}

static void each_side_of_an_or_gets_an_index(void **state)
{
	advised("SELECT * FROM orders WHERE customer_email = 'u5@x' OR total = 7",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`), ADD INDEX (`total`)",
		"for an OR, of which a side has no index: customer_email; total");
	advised("SELECT * FROM orders WHERE status = 'done' AND (customer_email = 'u5@x' AND flag = 0 OR total = 7 OR total = 9)",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`, `flag`), ADD INDEX (`total`)", NULL);
	advised("SELECT * FROM orders WHERE id = 7 OR customer_email = 'u5@x'",
		"ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)", NULL);
	advised("SELECT * FROM orders WHERE total = 7 OR flag = 1", "", NULL); /* half of all rows */
	advised("SELECT * FROM orders WHERE total = 7 OR LOWER(customer_email) = 'a'", "", NULL);
	advised("SELECT * FROM orders WHERE total = 7 XOR customer_email = 'a'", "", NULL);
	advised("SELECT * FROM orders o JOIN items i ON i.id = o.id WHERE o.total = i.kind OR o.customer_email = i.sku", "", NULL);
}

static void what_a_write_looks_for_gets_an_index(void **state)
{
	static const char fix[] = "ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)";

	advised("UPDATE orders SET status = 'x' WHERE customer_email = 'u5@x'", fix, "rows of shop.orders for `customer_email` = ?");
	advised("UPDATE LOW_PRIORITY IGNORE shop.orders AS o SET o.status = (SELECT MAX(a) FROM few WHERE a = 1) WHERE o.customer_email = 'u5@x' LIMIT 1",
		fix, NULL);
	advised("UPDATE orders o JOIN items i ON i.order_id = o.id SET o.status = 'x' WHERE o.id = 5",
		"ALTER TABLE `shop`.`items` ADD INDEX (`order_id`)", NULL);
	advised("DELETE FROM orders WHERE customer_email = 'u5@x' RETURNING id", fix, NULL);
	advised("DELETE o FROM items JOIN orders o USING (id) WHERE o.customer_email = 'u5@x'", fix, NULL);
	advised("DELETE FROM o USING few f JOIN orders o WHERE f.a = 1 AND o.customer_email = 'u5@x'", fix, NULL);
	advised("DELETE FROM orders WHERE id = 7", "", NULL);
	assert_int_equal(server_number(&server, "SELECT COUNT(*) FROM shop.orders WHERE status <> 'done'"), 0);
	assert_int_equal(server_number(&server, "SELECT COUNT(*) FROM shop.orders"), 3000);
}

/* An index on a string cannot be searched for a number: one is neither proposed, nor left unnamed where it is there. */
static void a_join_of_a_string_and_a_number_is_mended(void **state)
{
	advised("SELECT c.id FROM refs r JOIN codes c ON c.code = r.num WHERE r.id < 20",
		"select c.id from refs r join codes c on c.code = concat(r.num) where r.id < ?", "code is a string compared with a number, num");
	advised("SELECT c.id FROM refs r JOIN codes c ON r.num = c.code WHERE r.id < 20",
		"select c.id from refs r join codes c on c.code = concat(r.num) where r.id < ?", NULL);
	advised("SELECT c.id FROM refs r JOIN codes c ON c.bare = r.num WHERE r.id < 20", "", NULL);
	advised("SELECT c.id FROM refs r JOIN codes c ON c.bare = r.text WHERE r.id < 20", "ALTER TABLE `shop`.`codes` ADD INDEX (`bare`)", NULL);
	advised("SELECT c.id FROM refs r JOIN codes c ON c.code = r.text WHERE r.id < 20", "", NULL);
	assert_int_equal(server_number(&server, "SELECT COUNT(*) FROM shop.refs r JOIN shop.codes c ON c.code = concat(r.num) WHERE r.id < 20"),
			 server_number(&server, "SELECT COUNT(*) FROM shop.refs r JOIN shop.codes c ON c.code = r.num WHERE r.id < 20"));
}

/* Of an outer join's inner side. */
static void what_has_no_partner_is_looked_up_by_what_joins(void **state)
{
	static const char fix[] = "ALTER TABLE `shop`.`notes` ADD INDEX (`item`)";

	advised("SELECT i.id FROM items i LEFT JOIN notes n ON n.item = i.id WHERE n.id IS NULL AND i.id < 20", fix, "for `item` = ?");
	advised("SELECT i.id FROM items i LEFT JOIN notes n ON n.item = i.id WHERE n.item IS NULL AND i.id < 20", fix, NULL);
	advised("SELECT i.id FROM items i LEFT JOIN notes n ON n.item = i.id WHERE n.gone IS NULL AND i.id < 20", fix, NULL);
	advised("SELECT n.id FROM notes n WHERE n.item IS NULL", "", NULL); /* it never is */
	advised("SELECT n.id FROM notes n WHERE n.late IS NULL", "ALTER TABLE `shop`.`notes` ADD INDEX (`late`)", NULL);
	advised("SELECT n.id FROM notes n WHERE n.late IS NULL AND n.item = 7", "ALTER TABLE `shop`.`notes` ADD INDEX (`item`, `late`)", NULL);
}

/* What a table is compared with besides may drop little: by the column that joins each of the other's rows has few. */
static void the_column_that_joins_counts(void **state)
{
	static const char fix[] = "ALTER TABLE `shop`.`notes` ADD INDEX (`item`)";

	advised("SELECT n.id FROM items i LEFT JOIN notes n ON n.item = i.id AND n.gone IS NULL WHERE i.id < 20", fix, NULL);
	advised("SELECT n.id FROM items i LEFT JOIN notes n ON n.item = i.id AND n.kind = 2 WHERE i.id < 20", fix, NULL);
	advised("SELECT n.id FROM codes c JOIN notes n ON n.item = c.id AND n.gone IS NULL WHERE c.code = '77'", fix, NULL);
	advised("SELECT n.id FROM codes c JOIN notes n ON n.item = c.id AND n.kind = 2 WHERE c.code = '77'", fix, NULL);
	advised("SELECT n.id FROM items i LEFT JOIN notes n ON n.item = i.id AND n.late IS NULL WHERE i.id < 20",
		"ALTER TABLE `shop`.`notes` ADD INDEX (`item`, `late`)", NULL);
	advised("SELECT n.id FROM items i LEFT JOIN notes n ON n.few = i.kind AND n.gone IS NULL WHERE i.id < 20", "", NULL);
	advised("SELECT n.id FROM items i LEFT JOIN notes n ON n.keyed = i.id AND n.gone IS NULL WHERE i.id < 20", "", NULL);
	advised("SELECT n.id FROM orders o JOIN notes n ON n.item = o.id AND n.kind = 2 WHERE o.flag = 1", "", NULL); /* half of them */
	advised("SELECT n.id FROM notes n LEFT JOIN items i ON i.id = n.item AND i.sku = 's5' WHERE n.kind = 2", "", NULL); /* it comes first all the same */
	advised("SELECT n.id FROM notes n LEFT JOIN items i ON i.id = n.item AND i.sku = 's5'", "", NULL);
}

/* An index that gives the order alone is walked until the LIMIT is reached: past all rows that do not match, one by one. */
static void an_order_behind_a_filter_is_walked(void **state)
{
	static const char fix[] = "ALTER TABLE `shop`.`posts` ADD INDEX (`created`)";

	advised("SELECT id FROM posts WHERE body LIKE '%foo%' ORDER BY created DESC LIMIT 10", "", NULL);
	advised("SELECT id FROM posts WHERE body LIKE '%bar%' ORDER BY created DESC LIMIT 10", fix, NULL);
	calls_before = 10;
	sent_before = 30;
	advised("SELECT id FROM posts WHERE body LIKE '%bar%' ORDER BY created DESC LIMIT 10", "", NULL);
	advised("SELECT id FROM posts ORDER BY created DESC LIMIT 10", fix, NULL); /* the sample is one of a short list, say */
	sent_before = 100;
	advised("SELECT id FROM posts WHERE body LIKE '%bar%' ORDER BY created DESC LIMIT 10 OFFSET 20", fix, NULL);
	calls_before = sent_before = 0;
	advised("SELECT p.id FROM posts p JOIN items i ON i.id = p.id WHERE i.sku LIKE '%7%' ORDER BY p.created LIMIT 10", "", NULL);
	advised("SELECT id FROM posts WHERE body LIKE '%foo%' ORDER BY created DESC LIMIT 0", "", NULL);
	advised("SELECT id FROM posts WHERE body LIKE '%none%' ORDER BY created DESC LIMIT 0", "", NULL);
	advised("SELECT id FROM posts ORDER BY title LIMIT 10", "", NULL); /* its index would be on a beginning of it */
}

/* Where its first rows are unlike the others. */
static void a_large_table_is_sampled_all_over(void **state)
{
	advised("SELECT * FROM posts WHERE owner = 7", "", NULL);
	advised("SELECT * FROM named WHERE owner = 7", "", NULL);
	advised("SELECT * FROM posts WHERE owner = 8", "ALTER TABLE `shop`.`posts` ADD INDEX (`owner`)", NULL);
	advised("SELECT * FROM gaps WHERE owner = 7", "", NULL);
	advised("SELECT * FROM gaps WHERE owner = 8", "ALTER TABLE `shop`.`gaps` ADD INDEX (`owner`)", NULL);
	advised("SELECT * FROM named WHERE owner = 8", "ALTER TABLE `shop`.`named` ADD INDEX (`owner`)", NULL);
}

/* An index that would find half of the rows is no better for being usable. */
static void what_a_hidden_index_would_find_is_counted(void **state)
{
	advised("SELECT body FROM posts WHERE DATE(placed) = '2021-05-05'",
		"select body from posts where (placed >= ? and placed < ? + interval 1 day)", NULL);
	assert_true(saved > 0.6);
	advised("SELECT body FROM posts WHERE DATE(placed) >= '2022-08-01'", "", NULL);
	assert_true(saved < 0);
	advised("SELECT COUNT(*) FROM posts WHERE DATE(placed) >= '2022-08-01'", "select count(*) from posts where placed >= ?", NULL);
	assert_true(saved > 0.2 && saved < 0.5); /* from the index alone: half of it is left */
}

static void a_number_becomes_a_string_where_it_means_the_same(void **state)
{
	advised("SELECT id FROM posts WHERE code = 7", "select id from posts where code = concat(?)", NULL);
	assert_int_equal(server_number(&server, "SELECT COUNT(*) FROM shop.posts WHERE code = CONCAT(7)"), 1);
	advised("SELECT id FROM spelt WHERE code = 7", "", "code is a string compared with a number");
	advised("SELECT s.id FROM refs r JOIN spelt s ON s.code = r.num WHERE r.id < 20", "", "code is a string compared with a number, num");
	advised("SELECT id, body FROM posts WHERE size = 2", "", NULL);
}

/* Neither an index nor the number as a string helps alone. */
static void a_number_without_an_index_needs_both(void **state)
{
	static const char fix[] = "ALTER TABLE `shop`.`codes` ADD INDEX (`bare`)";

	advised("SELECT id FROM codes WHERE bare = 1234", fix, "full scan of");
	assert_true(saved > 0.5);
	advised("UPDATE codes SET code = 'x' WHERE bare = 1234", fix, NULL);
	advised("SELECT id FROM codes WHERE bare = 0", "", NULL); /* which all strings equal that are no number */
	advised("SELECT id FROM codes WHERE bare = 012", "", NULL);
	advised("SELECT id FROM codes WHERE bare = -7", "", NULL);
	advised("SELECT id FROM codes WHERE bare = 7.5", "", NULL);
	advised("SELECT id FROM codes WHERE bare > 2990", "", NULL); /* strings are in another order */
	advised("SELECT id FROM codes WHERE bare = 1 + 7", "", NULL);
	advised("SELECT id FROM spelt WHERE bare = 7", "", NULL);
	advised("SELECT id FROM spelt WHERE mixed = 2000", "", NULL); /* '5-A' is 5 */
	advised("SELECT id FROM spelt WHERE same = 7", "", NULL); /* half of the rows */
	advised("SELECT id FROM orders WHERE total = 7 AND customer_email = 7", "ALTER TABLE `shop`.`orders` ADD INDEX (`total`)", NULL);
}

/* The narrower of two character sets is converted, and its index is not used; the ALTER has all that the column is. */
static void a_column_of_another_character_set_is_altered(void **state)
{
	static const char alter[] = "ALTER TABLE `shop`.`narrow` MODIFY `code` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL "
				    "DEFAULT 'a, (' COMMENT 'it''s'",
			  unicode[] = "ALTER TABLE `shop`.`narrow` MODIFY `code` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL "
				      "DEFAULT 'a, (' COMMENT 'it''s'";

	advised("SELECT n.val FROM wide w JOIN narrow n ON n.code = w.code WHERE w.grp = 7", alter,
		"code is latin1 and is compared with shop.wide.code as utf8mb4, so that each row is converted, which the index code cannot serve");
	assert_true(saved > 0.5);
	advised("SELECT n.val FROM wide w JOIN narrow n ON n.code = w.code WHERE w.id = 7", alter, NULL);
	advised("SELECT n.val FROM wide w LEFT JOIN narrow n ON (w.code = n.code) WHERE w.id BETWEEN 7 AND 9", alter, NULL);
	advised("UPDATE wide w JOIN narrow n ON n.code = w.code SET n.val = 3 WHERE w.id = 7", alter, NULL);
	advised("SELECT n.val FROM wide w JOIN narrow n ON n.code = w.code COLLATE utf8mb4_unicode_ci WHERE w.id = 7", unicode, NULL);
	/* nobody but the server converts these */
	advised("SELECT val FROM narrow WHERE code = 'k7' COLLATE utf8mb4_unicode_ci", "", NULL);
	advised("SELECT val FROM narrow WHERE code = CONVERT('k7' USING utf8mb4)", "", NULL);
	advised("SELECT val FROM narrow WHERE code = _utf8mb4'k7'", "", NULL);
	advised("SELECT w.grp FROM narrow n JOIN wide w ON w.code = n.code WHERE n.id = 7", "", NULL);
	advised("SELECT n.val FROM wide w JOIN narrow n ON n.code = w.code AND n.id = w.id WHERE w.grp = 7", "", NULL);
	advised("SELECT n.val FROM wide w JOIN narrow n ON CONVERT(n.code USING utf8mb4) = w.code WHERE w.id = 7", "", "convert() around code keeps the index");
}

static void a_collation_is_as_good_as_a_character_set(void **state)
{
	static const char alter[] = "ALTER TABLE `shop`.`other` MODIFY `code` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci DEFAULT NULL";

	advised("SELECT o.val FROM wide w JOIN other o ON o.code = w.code COLLATE utf8mb4_general_ci WHERE w.grp = 7", alter,
		"code is utf8mb4_unicode_ci and is compared with shop.wide.code");
	advised("SELECT o.val FROM wide w JOIN other o ON o.code COLLATE utf8mb4_general_ci = w.code WHERE w.grp = 7", alter, NULL);
	advised("SELECT o.val FROM wide w JOIN other o ON o.code COLLATE utf8mb4_unicode_ci = w.code WHERE w.grp = 7",
		"select o.val from wide w join other o on o.code = w.code collate utf8mb4_unicode_ci where w.grp = ?", "COLLATE at code");
	advised("SELECT o.val FROM wide w JOIN other o ON o.code = w.code COLLATE utf8mb4_unicode_ci WHERE w.grp = 7", "", NULL);
}

/* What is against changing a column by itself leaves words alone. */
static void a_column_that_others_hang_on_is_not_altered(void **state)
{
	static const char *const why[][2] = {{"uniq", "unique key"}, {"fk", "foreign key"}, {"gen", "generated column"}, {"bin", "binary one"},
					     {"base", "something else of the table"}, {"far", "foreign key"}, {"part", "unique key"}};
	char sql[256], reason[512];

	for (size_t i = 0; i < countof(why); i++) {
		struct stats_explain e = {.digest = 7, .schema = (char[]){"shop"}, .user = (char[]){"app"}, .sql = sql};
		json_t *all;

		snprintf(sql, sizeof(sql), "SELECT n.val FROM wide w JOIN hang n ON n.%s = w.code WHERE w.id = 7", why[i][0]);
		if (strcmp(why[i][0], "part") == 0)
			snprintf(sql, sizeof(sql), "SELECT n.val FROM wide w JOIN parted n ON n.code = w.code WHERE w.id = 7");
		record(sql);
		assert_int_equal(advise_statement(conn, stats, &e), RC_OK);
		assert_string_equal(fix_of(reason), "");
		all = helper_findings(stats, true);
		if (!strstr(helper_text(helper_finding(all, "missing_index"), "fix_text"), why[i][1]))
			fail_msg("%s: %s", why[i][0], helper_text(helper_finding(all, "missing_index"), "fix_text"));
		json_decref(all);
		end(NULL);
		begin(NULL);
	}
}

/* EXPLAIN may evaluate what is constant: a statement that does more than read is not explained. */
static void statements_with_effects_are_not_explained(void **state)
{
	static const char *const texts[] = {"SELECT * FROM (SELECT * FROM orders WHERE customer_email = 'a' FOR UPDATE) AS o",
					    "SELECT shop.side_effect(), id FROM orders WHERE total = 5",
					    "DELETE FROM orders", "SELECT GET_LOCK('x', 1) FROM orders WHERE total = 5",
					    "SELECT 1; DELETE FROM orders"};

	for (size_t i = 0; i < countof(texts); i++) {
		struct stats_explain e = {.digest = 7,
					  .schema = (char[]){"shop"},
					  .user = (char[]){"app"},
					  .sql = (char *)(uintptr_t)texts[i]};

		assert_int_equal(advise_statement(conn, stats, &e), RC_DECLINED);
	}
	assert_int_equal(server_number(&server, "SELECT COUNT(*) FROM shop.effects"), 0);
}

/* Out of memory at any step is an error, and leaves nothing behind. */
static void short_memory_is_said(void **state)
{
	struct stats_explain e = {.digest = 7,
				  .schema = (char[]){"shop"},
				  .user = (char[]){"app"},
				  .sql = (char[]){"SELECT * FROM orders WHERE customer_email = 'a'"}};
	enum rc rc = RC_ERROR;

	record(e.sql);
	for (uint64_t n = 1; rc != RC_OK; n++) {
		mem_fail_after(n, 0);
		rc = advise_statement(conn, stats, &e);
		mem_fail_after(0, 0);
		assert_true(n < 500);
	}
}

static bool never_stuck(void *arg)
{
	return false;
}

static enum rc on_target(void *arg, const char *user, struct catalog_target *out)
{
	assert_string_equal(user, "app");
	snprintf(out->host, sizeof(out->host), "%s", server.socket);
	snprintf(out->user, sizeof(out->user), "root");
	return RC_OK;
}

static void the_thread_takes_its_work_from_the_statistics(void **state)
{
	struct advise_hooks hooks = {.target = on_target, .stuck = never_stuck};
	struct advise *a = advise_new(stats, &hooks);
	char reason[512];

	assert_non_null(a);
	advise_enable(a, false);
	assert_int_equal(advise_start(a), RC_OK);
	record("SELECT * FROM orders WHERE customer_email = 'u5@x'");
	usleep(1200000);
	assert_string_equal(fix_of(reason), "");
	advise_enable(a, true);
	for (int i = 0; i < 300 && !fix_of(reason)[0]; i++)
		usleep(10000);
	advise_stop(a);
	advise_free(a);
	assert_string_equal(fix_of(reason), "ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)");
}

/* An ALTER TABLE, say, has the table for itself for longer than a question may take: it is asked again. */
static void a_table_that_is_held_is_asked_about_again(void **state)
{
	struct advise_hooks hooks = {.target = on_target, .stuck = never_stuck};
	struct advise *a = advise_new(stats, &hooks);
	char reason[512];

	assert_non_null(a);
	server_sql(&server, "LOCK TABLES shop.orders WRITE");
	assert_int_equal(advise_start(a), RC_OK);
	record("SELECT * FROM orders WHERE customer_email = 'u5@x'");
	usleep(3500000);
	assert_string_equal(fix_of(reason), "");
	server_sql(&server, "UNLOCK TABLES");
	for (int i = 0; i < 400 && !fix_of(reason)[0]; i++)
		usleep(10000);
	advise_stop(a);
	advise_free(a);
	assert_string_equal(fix_of(reason), "ALTER TABLE `shop`.`orders` ADD INDEX (`customer_email`)");
}

static const char *const schema[] = {
	"CREATE DATABASE shop",
	"USE shop",
	"CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'reader'",
	"GRANT SELECT, SHOW VIEW ON shop.* TO reader@'127.0.0.1'",
	"CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer_email VARCHAR(100), status VARCHAR(10), "
	"created DATETIME, total INT, flag BOOL, KEY (status))",
	"CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, order_id INT, sku VARCHAR(20), flag INT, kind INT, "
	"note TEXT, "
	"KEY (flag, kind))",
	"CREATE TABLE few (a INT)",
	"INSERT INTO few VALUES (1), (2)",
	"CREATE TABLE effects (a INT)",
	"CREATE FUNCTION side_effect() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO effects VALUES "
	"(1); RETURN 1; END",
	"CREATE VIEW cheap_orders AS SELECT * FROM orders WHERE total < 10",
	"INSERT INTO orders (customer_email, status, created, total, flag) SELECT CONCAT('u', seq, '@x'), 'done', "
	"NOW() - INTERVAL seq MINUTE, seq, seq % 2 FROM seq_1_to_3000",
	"INSERT INTO items (order_id, sku, flag, kind) SELECT seq % 3000, CONCAT('s', seq % 100), 1, 1 FROM "
	"seq_1_to_6000",
	"CREATE TABLE codes (id INT PRIMARY KEY, code VARCHAR(20), bare VARCHAR(20), KEY (code))",
	"CREATE TABLE refs (id INT PRIMARY KEY, num INT, text VARCHAR(20))",
	"INSERT INTO codes SELECT seq, seq, seq FROM seq_1_to_3000",
	"INSERT INTO refs SELECT seq, seq * 3, seq * 3 FROM seq_1_to_500",
	"CREATE TABLE posts (id INT PRIMARY KEY, body VARCHAR(40), title VARCHAR(300) CHARACTER SET utf8mb4, created DATETIME, placed DATETIME, "
	"owner INT, size ENUM('s', 'm', 'l'), code VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, KEY (placed), KEY (size), KEY (code))",
	"INSERT INTO posts SELECT seq, IF(seq % 4000 = 0, 'a foo', 'a bar'), seq, '2022-01-01' - INTERVAL seq HOUR, '2018-01-01' + INTERVAL seq * 2 HOUR, "
	"IF(seq < 30000, seq, 7), IF(seq % 500, 's', 'm'), seq FROM seq_1_to_40000",
	"CREATE TABLE named (name CHAR(6) PRIMARY KEY, owner INT, note CHAR(20))",
	"INSERT INTO named SELECT LPAD(seq, 6, '0'), IF(seq < 30000, seq, 7), 'x' FROM seq_1_to_40000",
	"CREATE TABLE gaps (id BIGINT UNSIGNED PRIMARY KEY, owner INT, note CHAR(20))",
	"INSERT INTO gaps SELECT IF(seq < 30000, seq, 18446744073709000000 + seq), IF(seq < 30000, seq, 7), 'x' FROM seq_1_to_40000",
	"CREATE TABLE spelt (id INT PRIMARY KEY, code VARCHAR(20), note CHAR(20), bare VARCHAR(20), mixed VARCHAR(20), same VARCHAR(20), KEY (code))",
	"INSERT INTO spelt SELECT seq, LPAD(seq, 5, '0'), 'x', LPAD(seq, 5, '0'), IF(seq = 5, '5-A', seq), 7 + seq % 2 FROM seq_1_to_3000",
	"CREATE TABLE wide (id INT PRIMARY KEY, code VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, grp INT, KEY (code), KEY (grp))",
	"INSERT INTO wide SELECT seq, CONCAT('k', seq), seq % 300 FROM seq_1_to_6000",
	"CREATE TABLE narrow (id INT PRIMARY KEY, val INT, code VARCHAR(20) CHARACTER SET latin1 NOT NULL DEFAULT 'a, (' COMMENT 'it''s', KEY (code))",
	"INSERT INTO narrow SELECT seq, seq, CONCAT('k', seq) FROM seq_1_to_6000",
	"CREATE TABLE other (id INT PRIMARY KEY, val INT, code VARCHAR(20) COLLATE utf8mb4_unicode_ci, KEY (code)) CHARACTER SET utf8mb4",
	"INSERT INTO other SELECT seq, seq, CONCAT('k', seq) FROM seq_1_to_6000",
	"CREATE TABLE narrow_codes (code VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY)",
	"INSERT INTO narrow_codes SELECT code FROM narrow",
	"CREATE TABLE hang (id INT PRIMARY KEY, val INT, uniq VARCHAR(20), fk VARCHAR(20), bin VARCHAR(20) COLLATE latin1_bin, base VARCHAR(20), far VARCHAR(20), "
	"gen VARCHAR(20) AS (CONCAT('k', id)) STORED, made VARCHAR(30) AS (CONCAT(base, 'x')) VIRTUAL, UNIQUE KEY (uniq), KEY (fk), KEY (bin), KEY (base), "
	"KEY (gen), KEY (far), FOREIGN KEY (fk) REFERENCES narrow_codes (code)) CHARACTER SET latin1",
	"INSERT INTO hang (id, val, uniq, fk, bin, base, far) SELECT seq, seq, CONCAT('k', seq), CONCAT('k', seq), CONCAT('k', seq), CONCAT('k', seq), CONCAT('k', seq) "
	"FROM seq_1_to_6000",
	"CREATE TABLE hung (id INT PRIMARY KEY, far VARCHAR(20), FOREIGN KEY (far) REFERENCES hang (far)) CHARACTER SET latin1",
	"CREATE TABLE parted (id INT, val INT, code VARCHAR(20), PRIMARY KEY (code, id)) CHARACTER SET latin1 PARTITION BY KEY (code) PARTITIONS 2",
	"INSERT INTO parted SELECT seq, seq, CONCAT('k', seq) FROM seq_1_to_6000",
	"CREATE TABLE notes (id INT PRIMARY KEY, item INT NOT NULL, kind INT, few INT, keyed INT, gone DATETIME, late DATETIME, KEY (keyed))",
	"INSERT INTO notes SELECT seq, 1 + seq % 3000, seq % 3, seq % 4, seq % 3000, IF(seq % 10, NULL, NOW()), IF(seq % 500, NOW() - INTERVAL seq % 300 DAY, NULL) FROM seq_1_to_9000",
	"ANALYZE TABLE notes, orders, items, codes, refs, posts, named, gaps, spelt, wide, narrow, other, narrow_codes, hang, parted",
};

static int server_up(void **state)
{
	server_start(&server, 1, "--log-bin-trust-function-creators=1");
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
#define WITH_SERVER(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		WITH_SERVER(an_equality_gets_an_index),
		WITH_SERVER(several_conditions_get_one_index),
		WITH_SERVER(the_table_that_is_scanned_gets_it),
		WITH_SERVER(long_columns_get_an_index_on_their_beginning),
		WITH_SERVER(an_index_that_is_there_is_not_proposed_again),
		WITH_SERVER(small_tables_and_hopeless_conditions_get_none),
		WITH_SERVER(a_function_without_an_index_needs_both),
		WITH_SERVER(conditions_that_many_rows_match_get_none),
		WITH_SERVER(each_side_of_an_or_gets_an_index),
		WITH_SERVER(what_a_write_looks_for_gets_an_index),
		WITH_SERVER(a_join_of_a_string_and_a_number_is_mended),
		WITH_SERVER(what_has_no_partner_is_looked_up_by_what_joins),
		WITH_SERVER(the_column_that_joins_counts),
		WITH_SERVER(an_order_behind_a_filter_is_walked),
		WITH_SERVER(a_large_table_is_sampled_all_over),
		WITH_SERVER(what_a_hidden_index_would_find_is_counted),
		WITH_SERVER(a_number_becomes_a_string_where_it_means_the_same),
		WITH_SERVER(a_number_without_an_index_needs_both),
		WITH_SERVER(a_column_of_another_character_set_is_altered),
		WITH_SERVER(a_collation_is_as_good_as_a_character_set),
		WITH_SERVER(a_column_that_others_hang_on_is_not_altered),
		WITH_SERVER(statements_with_effects_are_not_explained),
		WITH_SERVER(short_memory_is_said),
		WITH_SERVER(the_thread_takes_its_work_from_the_statistics),
		WITH_SERVER(a_table_that_is_held_is_asked_about_again),
	};

	log_setup(LOG_LEVEL_ERROR, false);
	if (!server_have()) {
		print_message("no MariaDB server is installed\n");
		return 77; /* skipped */
	}
	return cmocka_run_group_tests(tests, server_up, server_down);
}
