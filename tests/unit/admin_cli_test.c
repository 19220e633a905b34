/*
 * admin_cli_test.c - what the verbs print: numbers, lines that no control character passes, tables, a frame of top.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cli_http.h"
#include "cli_queue.h"
#include "cli_text.h"
#include "cli_top.h"

static void addresses_are_read(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} good[] = {
		{"127.0.0.1:6034", "127.0.0.1", 6034}, {"http://db.example:80/", "db.example", 80},
		{"0.0.0.0:1", "127.0.0.1", 1},         {":7", "127.0.0.1", 7},
		{"[::1]:65535", "::1", 65535},         {"[::]:9", "::1", 9},
	};
	static const char *const bad[] = {"",        "127.0.0.1", "127.0.0.1:", "h:0",
					  "h:65536", "h:1x",      "h:-1",       "http://h:1/path"};
	struct cli_host at;

	for (size_t i = 0; i < countof(good); i++) {
		assert_int_equal(cli_host_parse(good[i].text, &at), RC_OK);
		assert_string_equal(at.host, good[i].host);
		assert_int_equal(at.port, good[i].port);
	}
	for (size_t i = 0; i < countof(bad); i++)
		assert_int_equal(cli_host_parse(bad[i], &at), RC_ERROR);
}

static void numbers_are_short(void **state)
{
	static const struct {
		double s;
		const char *text;
	} rows[] = {{0, "0"},       {0.00002, "20 us"}, {0.0123, "12.3 ms"}, {0.5, "500 ms"},
		    {12, "12.0 s"}, {600, "10 min"},    {86400, "24.0 h"}};
	char out[32];

	for (size_t i = 0; i < countof(rows); i++) {
		json_t *v = json_real(rows[i].s);

		assert_string_equal(cli_seconds(v, out, sizeof(out)), rows[i].text);
		json_decref(v);
	}
	assert_string_equal(cli_seconds(json_null(), out, sizeof(out)), "-");
	assert_string_equal(cli_bytes(1023, out, sizeof(out)), "1023 B");
	assert_string_equal(cli_bytes(1536, out, sizeof(out)), "1.5 KiB");
	assert_string_equal(cli_count(950, out, sizeof(out)), "950");
	assert_string_equal(cli_count(12345, out, sizeof(out)), "12.3k");
}

/* A statement is whatever a client sent: no escape sequence of it may reach the terminal. */
static void control_characters_reach_no_terminal(void **state)
{
	char out[64];
	struct iobuf text;

	assert_string_equal(cli_line("a\033[2Jb\r\n\tc\177d", out, sizeof(out)), "a [2Jb c d");
	assert_string_equal(cli_line("\xc2\x9b"
				     "2J",
				     out, sizeof(out)),
			    "2J");
	assert_string_equal(cli_line("\xff\xfe"
				     "x\xe6\xb0",
				     out, sizeof(out)),
			    "x ");
	assert_string_equal(cli_line("\xe6\xb0\xb4\xe9\x96\x80", out, sizeof(out)), "\xe6\xb0\xb4\xe9\x96\x80");
	assert_string_equal(cli_line("\xe6\xb0\xb4\xe9\x96\x80", out, 5), "\xe6\xb0\xb4");
	assert_string_equal(cli_line(NULL, out, sizeof(out)), "");
	iobuf_init(&text, 0);
	assert_int_equal(cli_put_text(&text, "a\n\tb\033c"), RC_OK);
	assert_int_equal(iobuf_len(&text), 6);
	assert_memory_equal(iobuf_data(&text), "a\n\tb c", 6);
	iobuf_reset(&text);
}

static void cell_name(const json_t *row, char *out, size_t cap)
{
	(void)cli_line(cli_string(row, "name"), out, cap);
}

static void cell_n(const json_t *row, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%.0f", cli_number(row, "n"));
}

static void tables_line_up_and_are_cut(void **state)
{
	static const struct cli_column columns[] = {
		{"N", true, cell_n}, {"NAME", false, cell_name}, {NULL, false, NULL}};
	json_t *rows = json_pack("[{s:i,s:s},{s:i,s:s},{s:i,s:s}]", "n", 5, "name", "x", "n", 1234, "name",
				 "\xe6\xb0\xb4xxxx", "n", 1, "name", "not shown");
	struct iobuf out;

	assert_non_null(rows);
	iobuf_init(&out, 0);
	assert_int_equal(cli_table(&out, columns, rows, 2, 9), RC_OK);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	assert_string_equal((const char *)iobuf_data(&out), "   N  NAM\n   5  x\n1234  \xe6\xb0\xb4xx\n");
	iobuf_reset(&out);
	json_decref(rows);
}

/* ---- top ---- */

static json_t *overview(double uptime, int primary, int cache)
{
	return json_pack("{s:s,s:f,s:{s:i,s:i},s:i,s:{s:[f,f],s:[i,i]}}", "version", "9.9", "uptime", uptime, "queries",
			 "primary", primary, "cache", cache, "errors", 0, "latency", "bounds", 0.001, 0.002, "counts",
			 primary, primary + cache);
}

static struct iobuf frame_of(const struct top_view *v)
{
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(top_frame(&out, v), RC_OK);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	return out;
}

static void rates_are_taken_between_two_looks(void **state)
{
	struct top_answers now = {.overview = overview(12, 300, 100)}, then = {.overview = overview(10, 100, 100)};
	struct top_view v = {.now = &now, .then = &then, .where = "here", .sort = "calls", .width = 100, .height = 10};
	struct iobuf out = frame_of(&v);

	assert_non_null(strstr((const char *)iobuf_data(&out), "Load: 100 statements/s, p50 1.0 ms"));
	assert_non_null(strstr((const char *)iobuf_data(&out), "primary 100% replica 0% cache 0%"));
	iobuf_reset(&out);
	top_answers_reset(&now);
	top_answers_reset(&then);
}

static json_t *many_queries(void)
{
	json_t *list = json_array();

	for (int i = 0; i < 200; i++)
		assert_int_equal(json_array_append_new(list, json_pack("{s:s,s:i}", "text",
								       "select \033 long long long", "calls", i)),
				 0);
	return json_pack("{s:o}", "queries", list);
}

static void a_frame_fits_every_terminal(void **state)
{
	struct top_answers now = {.overview = overview(12, 300, 100),
				  .queries = many_queries(),
				  .findings = json_pack("{s:[{s:s,s:s}]}", "findings", "kind", "n_plus_one", "title",
							"a loop"),
				  .backends = json_pack("{s:[{s:s},{s:s}]}", "backends", "addr", "a:1", "addr", "b:1")},
			   then = {NULL};
	struct top_view v = {.now = &now, .then = &then, .where = "here", .sort = "calls"};

	for (v.height = 0; v.height < 60; v.height++) {
		for (v.width = 1; v.width < 120; v.width += 17) {
			struct iobuf out = frame_of(&v);
			const char *p = (const char *)iobuf_data(&out);
			size_t lines = 0;

			assert_null(strchr(p, '\033'));
			for (; *p; lines++) {
				size_t len = strcspn(p, "\n");

				assert_true(len <= v.width);
				p += len + 1;
			}
			assert_true(lines <= v.height);
			iobuf_reset(&out);
		}
	}
	top_answers_reset(&now);
}

static void an_instance_that_does_not_answer_is_said(void **state)
{
	struct top_answers none = {NULL};
	struct top_view v = {.now = &none,
			     .then = &none,
			     .where = "here",
			     .problem = "cannot be reached",
			     .sort = "calls",
			     .width = 80,
			     .height = 20};
	struct iobuf out = frame_of(&v);

	assert_non_null(strstr((const char *)iobuf_data(&out), "cannot be reached\n"));
	iobuf_reset(&out);
}

/* What is shown is what `show` and `bury` are given: numbers of Redis and SQS are larger than a double holds. */
static void numbers_of_records_are_whole(void **state)
{
	json_t *what = json_pack("{s:{s:s,s:I},s:[{s:I}],s:{s:I,s:f}}", "queue", "state", "waiting", "waits_for", (json_int_t)7530836014735032323,
				 "pending", "seq", (json_int_t)7530836014735032321, "record", "seq", (json_int_t)7530836014735032322, "other", 2.0);
	struct iobuf out;

	assert_non_null(what);
	iobuf_init(&out, 0);
	assert_int_equal(queue_put_list(&out, what), RC_OK);
	assert_int_equal(queue_put_record(&out, what), RC_OK);
	assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
	assert_non_null(strstr((const char *)iobuf_data(&out), "waits for 7530836014735032323:"));
	assert_non_null(strstr((const char *)iobuf_data(&out), "7530836014735032321  "));
	assert_non_null(strstr((const char *)iobuf_data(&out), "seq              7530836014735032322\n"));
	assert_non_null(strstr((const char *)iobuf_data(&out), "other            2\n"));
	iobuf_reset(&out);
	json_decref(what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read),
		cmocka_unit_test(numbers_are_short),
		cmocka_unit_test(control_characters_reach_no_terminal),
		cmocka_unit_test(tables_line_up_and_are_cut),
		cmocka_unit_test(rates_are_taken_between_two_looks),
		cmocka_unit_test(a_frame_fits_every_terminal),
		cmocka_unit_test(an_instance_that_does_not_answer_is_said),
		cmocka_unit_test(numbers_of_records_are_whole),
	};

	return cmocka_run_group_tests_name("cli: text and frames", tests, NULL, NULL);
}
