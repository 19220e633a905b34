/*
 * The decoder of binary logs over files that a real server has written: full and minimal images, compressed and not, all
 * types of columns; and over bytes that none would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "binlog.h"
#include "iobuf.h"
#include "server_kit.h"

static struct server server;

static int setup(void **state)
{
	if (server_have())
		server_start(&server, 1, "--binlog-format=ROW");
	return 0;
}

static int teardown(void **state)
{
	if (server_have())
		server_remove(&server);
	return 0;
}

/* ---- a file ---- */

struct file { uint8_t *bytes; size_t len, at; };

/* The log that was written since the last call: the server begins another. */
static struct file take_file(void)
{
	struct file f = {.at = 4}; /* behind the magic */
	char path[300];
	FILE *in;
	long len;

	snprintf(path, sizeof(path), "%s/data/%s", server.dir, server_value(&server, "SHOW MASTER STATUS"));
	server_sql(&server, "FLUSH BINARY LOGS");
	in = fopen(path, "rb");
	assert_non_null(in);
	fseek(in, 0, SEEK_END);
	len = ftell(in);
	assert_true(len > 4);
	rewind(in);
	f.len = (size_t)len;
	f.bytes = malloc(f.len);
	assert_non_null(f.bytes);
	assert_int_equal(fread(f.bytes, 1, f.len, in), f.len);
	fclose(in);
	return f;
}

static bool next_event(struct file *f, struct span *event)
{
	uint32_t len;

	if (f->len - f->at < BINLOG_HEADER)
		return false;
	memcpy(&len, f->bytes + f->at + 9, sizeof(len));
	assert_true(len >= BINLOG_HEADER && len <= f->len - f->at);
	*event = span_of(f->bytes + f->at, len);
	f->at += len;
	return true;
}

/* ---- events as text ---- */

static char text[16384];

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	va_end(ap);
}

static void say_value(const struct binlog_value *v)
{
	int64_t n = 0;

	switch (v->kind) {
	case BINLOG_ABSENT:
		say(" -");
		break;
	case BINLOG_NULL:
		say(" NULL");
		break;
	case BINLOG_INTEGER:
		for (size_t i = v->raw.len; i-- > 0;)
			n = (int64_t)((uint64_t)n << 8 | (uint8_t)v->raw.p[i]);
		say(" %lld", v->raw.len == 4 ? (long long)(int32_t)n : (long long)n);
		break;
	case BINLOG_STRING:
		say(" '" SPAN_FMT "'", SPAN_ARG(v->raw));
		break;
	case BINLOG_OTHER:
		say(" ?");
		break;
	}
}

/* The first and the last of three columns: all between must have been stepped over. */
static void say_rows(struct binlog_rows *r, uint16_t last)
{
	static const char *const names[] = {"inserted", "updated", "deleted"};
	struct binlog_value v[2] = {{.column = 0}, {.column = last}};
	bool after = r->change == BINLOG_INSERTED;
	enum rc rc;

	say("%s " SPAN_FMT "." SPAN_FMT, names[r->change], SPAN_ARG(r->table->schema), SPAN_ARG(r->table->name));
	while ((rc = binlog_image_next(r, after, v, 2)) == RC_OK) {
		say_value(&v[0]);
		say_value(&v[1]);
		say(";");
		if (r->change == BINLOG_UPDATED)
			after = !after;
	}
	assert_int_equal(rc, RC_DECLINED);
	say("\n");
}

static void say_event(struct binlog_event *e, uint16_t last)
{
	switch (e->kind) {
	case BINLOG_BEGIN:
		say("begin%s%s\n", e->gtid.standalone ? " standalone" : "", e->gtid.xa ? " xa" : "");
		assert_true(e->gtid.known && !e->gtid.mysql && e->gtid.domain == 0 && e->gtid.seq > 0);
		break;
	case BINLOG_QUERY:
		say("query " SPAN_FMT ": " SPAN_FMT "\n", SPAN_ARG(e->query.schema), SPAN_ARG(e->query.sql));
		break;
	case BINLOG_COMMIT:
		say("commit\n");
		break;
	case BINLOG_ROWS:
		say_rows(&e->rows, last);
		break;
	case BINLOG_FILE:
		say("file " SPAN_FMT "\n", SPAN_ARG(e->file));
		break;
	case BINLOG_NOTHING:
		break;
	case BINLOG_PREPARE:
		say("prepare\n");
		break;
	default:
		say("kind %d of type %d\n", e->kind, e->type);
	}
}

static const char *read_log(uint16_t last)
{
	struct file f = take_file();
	struct binlog *b = binlog_new();
	struct binlog_event e;
	struct span event;

	assert_non_null(b);
	text[0] = '\0';
	while (next_event(&f, &event)) {
		assert_int_equal(binlog_read(b, event, false, &e), RC_OK);
		say_event(&e, last);
	}
	binlog_free(b);
	free(f.bytes);
	return text;
}

static void assert_has(const char *log, const char *expected)
{
	if (!strstr(log, expected))
		fail_msg("not in the log: %s\nwhich says:\n%s", expected, log);
}

/* ---- what a server writes ---- */

#define WIDE                                                                                                                 \
	"CREATE TABLE wide (id INT PRIMARY KEY, a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d BIGINT, e FLOAT, f DOUBLE, "  \
	"g DECIMAL(20,7), h DECIMAL(5,0), i BIT(13), j YEAR, k DATE, l TIME, m TIME(3), n DATETIME, o DATETIME(6), "          \
	"p TIMESTAMP NULL, q TIMESTAMP(2) NULL, r CHAR(10), s CHAR(200) CHARACTER SET utf8mb4, t VARCHAR(20), u VARCHAR(400), " \
	"v BINARY(5), w VARBINARY(300), x TINYTEXT, y MEDIUMTEXT, z LONGBLOB, aa ENUM('x','y'), bb SET('x','y','z'), "        \
	"cc POINT, dd JSON, ee INET6, ff UUID, gg TEXT COMPRESSED, hh VARCHAR(50) COMPRESSED, ii DECIMAL(65,30), "           \
	"last VARCHAR(40)) CHARACTER SET latin1"
#define WIDE_LAST 36

#define VALUES(id, last)                                                                                                     \
	"INSERT INTO wide VALUES (" id ", -1, 65535, -5, 123456789012, 1.5, 2.5, 1234567.7654321, 99, b'101', 2026, "         \
	"'2026-01-02', '10:11:12', '10:11:12.123', '2026-01-02 03:04:05', '2026-01-02 03:04:05.123456', '2026-01-02 03:04:05', " \
	"'2026-01-02 03:04:05.12', 'char', REPEAT('\xc3\xa4', 150), 'short', REPEAT('u', 300), 'bin', REPEAT('w', 299), "      \
	"'tiny', 'medium', REPEAT('z', 5000), 'y', 'x,z', POINT(1, 2), '{\"a\": 1}', '::1', "                                  \
	"'123e4567-e89b-12d3-a456-426655440000', REPEAT('g', 1000), 'hh', 12345.678, '" last "')"

static void test_every_type_is_stepped_over(void **state)
{
	const char *log;

	if (!server_have())
		skip();
	server_sql(&server, "CREATE DATABASE types");
	server_sql(&server, "USE types");
	server_sql(&server, "SET NAMES utf8mb4");
	server_sql(&server, WIDE);
	server_sql(&server, VALUES("1", "the end"));
	server_sql(&server, "INSERT INTO wide (id, last) VALUES (2, 'two'), (-3, NULL)");
	server_sql(&server, "UPDATE wide SET last = 'moved', id = id + 10");
	server_sql(&server, "DELETE FROM wide WHERE id > 7");
	log = read_log(WIDE_LAST);
	assert_has(log, "begin standalone\nquery types: CREATE TABLE wide");
	assert_has(log, "inserted types.wide 1 'the end';\ncommit\n");
	assert_has(log, "inserted types.wide 2 'two'; -3 NULL;\n");
	assert_has(log, " 1 'the end'; 11 'moved';");
	assert_has(log, " -3 NULL; 7 'moved';");
	assert_has(log, "deleted types.wide 11 'moved'; 12 'moved';\n");
	assert_has(log, "file bin.");
}

static void test_minimal_images(void **state)
{
	const char *log;

	if (!server_have())
		skip();
	server_sql(&server, "CREATE OR REPLACE DATABASE minimal");
	server_sql(&server, "USE minimal");
	server_sql(&server, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20) DEFAULT 'x', b INT UNIQUE)");
	server_sql(&server, "SET binlog_row_image = MINIMAL");
	server_sql(&server, "INSERT INTO t (id, b) VALUES (1, 10), (2, 20)");
	server_sql(&server, "UPDATE t SET b = b + 1 WHERE id = 2");
	server_sql(&server, "UPDATE t SET id = 5 WHERE id = 1");
	server_sql(&server, "DELETE FROM t WHERE a = 'x' AND id = 2");
	server_sql(&server, "SET binlog_row_image = FULL");
	log = read_log(2);
	assert_has(log, "inserted minimal.t 1 10; 2 20;\n");
	assert_has(log, "updated minimal.t 2 -; - 21;\n");
	assert_has(log, "updated minimal.t 1 -; 5 -;\n");
	assert_has(log, "deleted minimal.t 2 -;\n");
}

static void test_compressed_events(void **state)
{
	const char *log;

	if (!server_have())
		skip();
	server_sql(&server, "CREATE OR REPLACE DATABASE packed");
	server_sql(&server, "USE packed");
	server_sql(&server, "SET GLOBAL log_bin_compress = ON");
	server_sql(&server, "SET GLOBAL log_bin_compress_min_len = 10");
	server_sql(&server, "CREATE TABLE t (id INT PRIMARY KEY, a TEXT, b INT) COMMENT 'a comment that is long enough to be worth it'");
	server_sql(&server, "INSERT INTO t VALUES (1, REPEAT('a', 5000), 10)");
	server_sql(&server, "UPDATE t SET b = 11");
	server_sql(&server, "DELETE FROM t");
	server_sql(&server, "SET GLOBAL log_bin_compress = OFF");
	log = read_log(2);
	assert_has(log, "query packed: CREATE TABLE t (id INT PRIMARY KEY, a TEXT, b INT) COMMENT");
	assert_has(log, "inserted packed.t 1 10;\n");
	assert_has(log, "updated packed.t 1 10; 1 11;\n");
	assert_has(log, "deleted packed.t 1 11;\n");
}

static void test_transactions_and_statements(void **state)
{
	const char *log;

	if (!server_have())
		skip();
	server_sql(&server, "CREATE OR REPLACE DATABASE tx");
	server_sql(&server, "USE tx");
	server_sql(&server, "CREATE TABLE a (id INT PRIMARY KEY)");
	server_sql(&server, "CREATE TABLE b (id INT PRIMARY KEY)");
	server_sql(&server, "BEGIN");
	server_sql(&server, "INSERT INTO a VALUES (1)");
	server_sql(&server, "INSERT INTO b VALUES (2)");
	server_sql(&server, "COMMIT");
	server_sql(&server, "SET binlog_format = STATEMENT");
	server_sql(&server, "INSERT INTO a VALUES (3)");
	server_sql(&server, "SET binlog_format = ROW");
	server_sql(&server, "TRUNCATE b");
	server_sql(&server, "XA START 'x'");
	server_sql(&server, "INSERT INTO a VALUES (4)");
	server_sql(&server, "XA END 'x'");
	server_sql(&server, "XA PREPARE 'x'");
	server_sql(&server, "XA COMMIT 'x'");
	log = read_log(0);
	assert_has(log, "begin\ninserted tx.a 1 1;\ninserted tx.b 2 2;\ncommit\n");
	assert_has(log, "begin\nquery tx: INSERT INTO a VALUES (3)\ncommit\n");
	assert_has(log, "begin standalone\nquery tx: TRUNCATE b\n");
	assert_has(log, "begin xa\ninserted tx.a 4 4;\nquery tx: XA END X'78',X'',1\nprepare\n");
	assert_has(log, "begin standalone xa\nquery tx: XA COMMIT X'78',X'',1\n");
}

/* ---- what it would not ---- */

/* Every byte of a real log, changed one at a time, and every end: nothing is read that is not there (the sanitizers see it). */
static void test_damage(void **state)
{
	struct file f;
	struct binlog *b = binlog_new();
	struct binlog_event e;
	struct span event;
	unsigned refused = 0;

	if (!server_have())
		skip();
	assert_non_null(b);
	server_sql(&server, "CREATE OR REPLACE DATABASE damage");
	server_sql(&server, "USE damage");
	server_sql(&server, "SET GLOBAL binlog_checksum = NONE");
	free(take_file().bytes); /* what follows has none */
	server_sql(&server, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(300), b DECIMAL(10,2))");
	server_sql(&server, "INSERT INTO t VALUES (1, 'one', 1.5), (2, 'two', 2.5)");
	server_sql(&server, "UPDATE t SET a = 'three'");
	f = take_file();
	server_sql(&server, "SET GLOBAL binlog_checksum = CRC32");
	while (next_event(&f, &event)) {
		uint8_t *copy = malloc(event.len);

		assert_non_null(copy);
		for (size_t i = BINLOG_HEADER; b->described && i < event.len; i++) {
			memcpy(copy, event.p, event.len);
			copy[i] ^= 0xff;
			if (binlog_read(b, span_of(copy, event.len), false, &e) == RC_OK && e.kind == BINLOG_ROWS && e.rows.table) {
				struct binlog_value v = {.column = 2};
				bool after = e.rows.change == BINLOG_INSERTED;
				enum rc rc;

				while ((rc = binlog_image_next(&e.rows, after, &v, 1)) == RC_OK)
					after ^= e.rows.change == BINLOG_UPDATED;
				refused += rc == RC_ERROR;
			}
		}
		for (size_t i = 0; i < event.len; i++) {
			memcpy(copy, event.p, i);
			assert_int_equal(binlog_read(b, span_of(copy, i), false, &e), RC_ERROR);
		}
		free(copy);
		assert_int_equal(binlog_read(b, event, false, &e), RC_OK);
	}
	assert_true(refused > 0);
	binlog_free(b);
	free(f.bytes);
}

static void test_a_wrong_checksum_ends_it(void **state)
{
	struct file f;
	struct binlog *b = binlog_new();
	struct binlog_event e;
	struct span event;
	unsigned checked = 0;

	if (!server_have())
		skip();
	assert_non_null(b);
	server_sql(&server, "CREATE OR REPLACE DATABASE checked");
	f = take_file();
	while (next_event(&f, &event)) {
		size_t last = f.at - 5;

		f.bytes[last] ^= 1;
		if (b->described) {
			assert_int_equal(binlog_read(b, event, false, &e), RC_ERROR);
			checked++;
		}
		f.bytes[last] ^= 1;
		assert_int_equal(binlog_read(b, event, false, &e), RC_OK);
	}
	assert_true(b->checksums && checked > 2);
	binlog_free(b);
	free(f.bytes);
}

/* ---- sets of GTIDs ---- */

#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static void test_sets_of_gtids(void **state)
{
	static const uint8_t uuid[16] = {0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62};
	static const struct { const char *set; uint64_t seq; bool has; } cases[] = {
		{UUID ":1-3:7", 1, true},	{UUID ":1-3:7", 3, true},  {UUID ":1-3:7", 4, false},
		{UUID ":1-3:7", 7, true},	{"", 1, false},		   {"nonsense", 1, false},
		{"4" UUID ":1-3", 1, false},	{UUID ":0", 0, false},	   {UUID ":3-1", 2, false},
		{UUID ":tag:1-3", 2, false},	{UUID ":tag:1-3,\n" UUID ":5", 5, true},
		{"00000000-0000-0000-0000-000000000000:1-9, " UUID ":2", 2, true},
		{"00000000-0000-0000-0000-000000000000:1-9, " UUID ":2", 3, false},
	};

	for (size_t i = 0; i < countof(cases); i++)
		if (binlog_gtids_has(span_str(cases[i].set), uuid, cases[i].seq) != cases[i].has)
			fail_msg("%s: %d", cases[i].set, (int)cases[i].seq);
}

static void test_sets_as_a_server_takes_them(void **state)
{
	static const uint8_t expected[] = {1, 0, 0, 0, 0, 0, 0, 0, 0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a,
					   0xa9, 0x42, 0x95, 0x62, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
					   7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0};
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(binlog_gtids_encode(span_str(UUID ":1-3:7"), &b), RC_OK);
	assert_int_equal(iobuf_len(&b), sizeof(expected));
	assert_memory_equal(iobuf_data(&b), expected, sizeof(expected));
	iobuf_consume(&b, iobuf_len(&b));
	assert_int_equal(binlog_gtids_encode(span_str(""), &b), RC_OK);
	assert_int_equal(iobuf_len(&b), 8);
	assert_int_equal(binlog_gtids_encode(span_str("3e11"), &b), RC_DECLINED);
	assert_int_equal(binlog_gtids_encode(span_str(UUID ":a23456789_123456789_123456789_1234:1"), &b), RC_DECLINED);
	iobuf_reset(&b);
}

/* As MySQL 9.7 writes "UUID:1-3:ab:1:7-8,other:2" at the head of its log. */
static void test_sets_with_tags_as_a_server_takes_them(void **state)
{
	static const uint8_t head[] = {1, 3, 0, 0, 0, 0, 0, 1}, uuid[] = {0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1,
									    0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62};
	static const uint8_t plain[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t tagged[] = {4, 'a', 'b', 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
					 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0};
	const struct { const uint8_t *p; size_t len; } parts[] = {
		{head, sizeof(head)}, {uuid, sizeof(uuid)}, {plain, sizeof(plain)}, {uuid, sizeof(uuid)}, {tagged, sizeof(tagged)}};
	size_t at = 0;
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(binlog_gtids_encode(span_str(UUID ":1-3:ab:1:7-8,\n00000000-0000-0000-0000-000000000001:2"), &b), RC_OK);
	assert_int_equal(iobuf_len(&b), 8 + 3 * 16 + sizeof(plain) + sizeof(tagged) + 25);
	for (size_t i = 0; i < countof(parts); at += parts[i++].len)
		assert_memory_equal(iobuf_data(&b) + at, parts[i].p, parts[i].len);
	iobuf_reset(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_is_stepped_over),
		cmocka_unit_test(test_minimal_images),
		cmocka_unit_test(test_compressed_events),
		cmocka_unit_test(test_transactions_and_statements),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_a_wrong_checksum_ends_it),
		cmocka_unit_test(test_sets_of_gtids),
		cmocka_unit_test(test_sets_as_a_server_takes_them),
		cmocka_unit_test(test_sets_with_tags_as_a_server_takes_them),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
