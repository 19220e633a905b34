/*
 * What MariaDB's Connector/C can do that the text protocol cannot: bulk executions, a statement prepared and executed in one go,
 * progress reports. Prints all that it is told; run direct and through suimon it must print the same.
 *
 *   bulk PORT SCHEMA all         everything, in tables of its own
 *   bulk PORT SCHEMA write       a bulk INSERT, UPDATE and DELETE on the table `cached`
 *   bulk PORT SCHEMA queue       a bulk INSERT, REPLACE, UPSERT, UPDATE and DELETE on the table `q`
 *   bulk PORT SCHEMA progress FILE   a LOAD DATA that takes its time, by the account `loader`
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mysql.h>

#define ROWS 5

static MYSQL *my;

static void say(const char *what, int failed, MYSQL_STMT *s)
{
	if (failed)
		printf("%s: error %u %s\n", what, s ? mysql_stmt_errno(s) : mysql_errno(my), s ? mysql_stmt_error(s) : mysql_error(my));
	else if (s)
		printf("%s: ok affected=%llu id=%llu warnings=%u\n", what, mysql_stmt_affected_rows(s), mysql_stmt_insert_id(s),
		       mysql_warning_count(my));
	else
		printf("%s: ok\n", what);
}

static void show(const char *sql)
{
	int failed = mysql_query(my, sql);
	MYSQL_RES *res = failed ? NULL : mysql_store_result(my);
	MYSQL_ROW row;

	say(sql, failed, NULL);
	while (res && (row = mysql_fetch_row(res))) {
		for (unsigned i = 0; i < mysql_num_fields(res); i++)
			printf("\t%s", row[i] ? row[i] : "NULL");
		printf("\n");
	}
	mysql_free_result(res);
}

static MYSQL_STMT *prepared(const char *sql)
{
	MYSQL_STMT *s = mysql_stmt_init(my);

	say(sql, mysql_stmt_prepare(s, sql, strlen(sql)), s);
	return s;
}

/* Two columns: a number and a text, either with an indicator a row. */
struct rows {
	int id[ROWS];
	const char *text[ROWS];
	unsigned long len[ROWS];
	char id_is[ROWS], text_is[ROWS];
	MYSQL_BIND bind[2];
};

static void fill(struct rows *r, int from)
{
	static const char *const texts[ROWS] = {"one", "two", "", "vier \xc3\xbc", "five"};

	memset(r, 0, sizeof(*r));
	for (int i = 0; i < ROWS; i++) {
		r->id[i] = from + i;
		r->text[i] = texts[i];
		r->len[i] = strlen(texts[i]);
	}
	r->bind[0].buffer_type = MYSQL_TYPE_LONG;
	r->bind[0].buffer = r->id;
	r->bind[0].u.indicator = r->id_is;
	r->bind[1].buffer_type = MYSQL_TYPE_STRING;
	r->bind[1].buffer = r->text;
	r->bind[1].length = r->len;
	r->bind[1].u.indicator = r->text_is;
}

static void bulk(const char *what, MYSQL_STMT *s, struct rows *r, unsigned n, MYSQL_BIND *bind)
{
	mysql_stmt_attr_set(s, STMT_ATTR_ARRAY_SIZE, &n);
	if (mysql_stmt_bind_param(s, bind ? bind : r->bind))
		say("bind", 1, s);
	say(what, mysql_stmt_execute(s), s);
	while (mysql_stmt_field_count(s) && mysql_stmt_store_result(s) == 0) {
		printf("%s: %llu rows\n", what, mysql_stmt_num_rows(s));
		if (mysql_stmt_next_result(s) != 0)
			break;
	}
	mysql_stmt_free_result(s);
}

static void inserts_and_their_kin(void)
{
	MYSQL_STMT *insert = prepared("INSERT INTO b (id, t) VALUES (?, ?)"), *again, *update, *delete, *returning;
	struct rows r;

	fill(&r, 1);
	bulk("insert", insert, &r, ROWS, NULL);
	show("SELECT * FROM b ORDER BY id");
	bulk("the same again", insert, &r, ROWS, NULL);
	fill(&r, 100);
	r.text_is[1] = STMT_INDICATOR_NULL;
	r.text_is[2] = STMT_INDICATOR_DEFAULT;
	bulk("indicators", insert, &r, ROWS, NULL);
	show("SELECT * FROM b WHERE id >= 100 ORDER BY id");
	again = prepared("INSERT INTO b (id, t) VALUES (?, ?) ON DUPLICATE KEY UPDATE t = CONCAT(t, '+')");
	bulk("on duplicate key", again, &r, 3, NULL);
	update = prepared("UPDATE b SET id = ?, n = n + 1 WHERE t = ?");
	fill(&r, 200);
	r.id_is[0] = STMT_INDICATOR_IGNORE;
	bulk("update", update, &r, 2, NULL);
	delete = prepared("DELETE FROM b WHERE id = ? OR t = ?");
	fill(&r, 1);
	bulk("delete", delete, &r, 2, NULL);
	returning = prepared("INSERT INTO b (id, t) VALUES (?, ?) RETURNING id, t");
	fill(&r, 300);
	bulk("returning", returning, &r, ROWS, NULL);
	show("SELECT * FROM b ORDER BY id");
	show("SELECT ROW_COUNT(), LAST_INSERT_ID()");
	fill(&r, 300);
	r.id[1] = 777;
	bulk("an error at the first row", insert, &r, 2, NULL);
	fill(&r, 776);
	bulk("warnings", prepared("INSERT IGNORE INTO b (id, t) VALUES (?, ?)"), &r, ROWS, NULL);
	show("SHOW WARNINGS");
	mysql_stmt_close(insert);
	mysql_stmt_close(again);
	mysql_stmt_close(update);
	mysql_stmt_close(delete);
	mysql_stmt_close(returning);
}

/* A bulk execution and a plain one tell each other's types apart; a transaction holds both. */
static void mixed(void)
{
	MYSQL_STMT *s = prepared("INSERT INTO b (id, t) VALUES (?, ?)");
	struct rows r;
	MYSQL_BIND one[2] = {{0}};
	long long id = 5000000;
	double d = 1.5;
	unsigned none = 0;

	show("BEGIN");
	fill(&r, 1000);
	bulk("bulk", s, &r, ROWS, NULL);
	mysql_stmt_attr_set(s, STMT_ATTR_ARRAY_SIZE, &none);
	one[0].buffer_type = MYSQL_TYPE_LONGLONG;
	one[0].buffer = &id;
	one[1].buffer_type = MYSQL_TYPE_DOUBLE;
	one[1].buffer = &d;
	mysql_stmt_bind_param(s, one);
	say("plain", mysql_stmt_execute(s), s);
	fill(&r, 2000);
	bulk("bulk again", s, &r, ROWS, NULL);
	show("SELECT COUNT(*), MIN(t), MAX(id) FROM b WHERE id >= 1000");
	show("ROLLBACK");
	show("SELECT COUNT(*) FROM b WHERE id >= 1000");
	mysql_stmt_close(s);
	s = prepared("SELECT ?, ?");
	bulk("a bulk SELECT", s, &r, 2, NULL);
	mysql_stmt_close(s);
}

static void in_one_go(void)
{
	MYSQL_STMT *s = mysql_stmt_init(my);
	MYSQL_BIND bind = {0};
	unsigned params = 1;
	int id = 3, got = 0;
	MYSQL_BIND result = {.buffer_type = MYSQL_TYPE_LONG, .buffer = &got};

	bind.buffer_type = MYSQL_TYPE_LONG;
	bind.buffer = &id;
	for (int i = 0; i < 3; i++, id++) {
		static const char *const sql[] = {"SELECT ? + 1", "SELEKT ?", "SELECT ? * 2"};

		mysql_stmt_attr_set(s, STMT_ATTR_PREBIND_PARAMS, &params);
		mysql_stmt_bind_param(s, &bind);
		say(sql[i], mariadb_stmt_execute_direct(s, sql[i], strlen(sql[i])), s);
		if (mysql_stmt_errno(s))
			continue;
		mysql_stmt_bind_result(s, &result);
		while (mysql_stmt_fetch(s) == 0)
			printf("\t%d\n", got);
		mysql_stmt_free_result(s);
	}
	mysql_stmt_close(s);
}

/* More than a packet of 1 MiB, and than one of 16 MB. */
static void large(unsigned bytes)
{
	MYSQL_STMT *s = prepared("INSERT INTO big (id, t) VALUES (?, ?)");
	char *text = malloc(bytes);
	struct rows r;

	memset(text, 'x', bytes);
	fill(&r, 1);
	for (int i = 0; i < ROWS; i++) {
		r.text[i] = text;
		r.len[i] = bytes - (unsigned)i;
	}
	for (int i = 0; i < 2; i++) {
		bulk("large", s, &r, ROWS, NULL);
		show("SELECT id, LENGTH(t), MD5(t) FROM big ORDER BY id");
		show("DELETE FROM big");
	}
	mysql_stmt_close(s);
	free(text);
}

static void write_cached(void)
{
	MYSQL_STMT *s;
	struct rows r;

	fill(&r, 10);
	s = prepared("INSERT INTO cached (id, t) VALUES (?, ?)");
	bulk("insert", s, &r, ROWS, NULL);
	mysql_stmt_close(s);
	s = prepared("UPDATE cached SET n = ? WHERE t = ?");
	bulk("update", s, &r, 2, NULL);
	mysql_stmt_close(s);
	s = prepared("DELETE FROM cached WHERE id = ? AND t = ?");
	bulk("delete", s, &r, 1, NULL);
	mysql_stmt_close(s);
}

static void one(const char *sql, struct rows *r, unsigned n)
{
	MYSQL_STMT *s = prepared(sql);

	bulk("bulk", s, r, n, NULL);
	mysql_stmt_close(s);
}

static void write_queued(void)
{
	struct rows r;

	fill(&r, 1);
	r.text_is[1] = STMT_INDICATOR_NULL;
	r.text_is[2] = STMT_INDICATOR_DEFAULT;
	r.text_is[3] = STMT_INDICATOR_IGNORE;
	one("INSERT INTO q (id, t) VALUES (?, ?)", &r, ROWS);
	fill(&r, 5);
	one("REPLACE INTO q (id, t) VALUES (?, ?)", &r, 2);
	one("INSERT INTO q (id, t) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = n + 10, t = CONCAT('again ', VALUES(t))", &r, ROWS);
	one("INSERT INTO q (id, t) VALUES (?, ?), (100, UPPER('x')) ON DUPLICATE KEY UPDATE n = n + 1", &r, ROWS);
	one("UPDATE q SET n = n + ? WHERE t LIKE CONCAT('%', ?)", &r, ROWS);
	fill(&r, 1);
	one("DELETE FROM q WHERE id = ? AND t LIKE CONCAT('%', ?)", &r, 2);
}

static int reports;

static void on_progress(const MYSQL *m, unsigned stage, unsigned stages, double percent, const char *what, unsigned len)
{
	if (reports++ == 0)
		printf("progress: %.*s, %u stages\n", (int)len, what, stages);
}

int main(int argc, char **argv)
{
	const char *user;

	if (argc < 4 || !(my = mysql_init(NULL)))
		return 2;
	user = strcmp(argv[3], "progress") == 0 ? "loader" : "app";
	mysql_optionsv(my, MYSQL_PROGRESS_CALLBACK, on_progress);
	mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	if (!mysql_real_connect(my, "127.0.0.1", user, user, argv[2], (unsigned)atoi(argv[1]), NULL, 0)) {
		fprintf(stderr, "%s\n", mysql_error(my));
		return 1;
	}
	if (strcmp(argv[3], "write") == 0) {
		write_cached();
	} else if (strcmp(argv[3], "queue") == 0) {
		write_queued();
	} else if (strcmp(argv[3], "progress") == 0) {
		char sql[1000];

		snprintf(sql, sizeof(sql), "LOAD DATA INFILE '%s' INTO TABLE slow (id) SET z = SLEEP(0.1)", argc > 4 ? argv[4] : "");
		show("SET progress_report_time = 1");
		show(sql);
	} else {
		show("CREATE OR REPLACE TABLE b (id INT PRIMARY KEY, t VARCHAR(30) DEFAULT 'default', n INT DEFAULT 0)");
		show("CREATE OR REPLACE TABLE big (id INT PRIMARY KEY, t LONGTEXT)");
		inserts_and_their_kin();
		mixed();
		in_one_go();
		large(700000);
		large(4000000);
	}
	mysql_close(my);
	return 0;
}
