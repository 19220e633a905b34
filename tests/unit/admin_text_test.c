/*
 * admin_text_test.c - paths and their variable part, Prometheus' text, the queue's JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "admin_route.h"
#include "mem.h"
#include "prom.h"
#include "queue_json.h"

/* ---- paths ---- */

static void a_path_fits_its_pattern_alone(void **state)
{
	static const struct {
		const char *pattern, *path;
		enum rc rc;
		const char *arg;
	} rows[] = {
		{"/api/queue", "/api/queue", RC_OK, ""},
		{"/api/queue", "/api/queue/", RC_DECLINED, ""},
		{"/api/queue", "/api/queues", RC_DECLINED, ""},
		{"/api/queries/*", "/api/queries/0x12", RC_OK, "0x12"},
		{"/api/queries/*", "/api/queries", RC_DECLINED, ""},
		{"/api/queries/*", "/api/queries/", RC_ERROR, ""},
		{"/api/queries/*", "/api/queries/a/b", RC_DECLINED, ""},
		{"/api/b/*/disable", "/api/b/10.0.0.1:3306/disable", RC_OK, "10.0.0.1:3306"},
		{"/api/b/*/disable", "/api/b/unix%3A%2Frun%2Fdb.sock/disable", RC_OK, "unix:/run/db.sock"},
		{"/api/b/*/disable", "/api/b/disable", RC_DECLINED, ""},
		{"/api/b/*/disable", "/api/b//disable", RC_ERROR, ""},
		{"/api/b/*/disable", "/api/b/x/enable", RC_DECLINED, ""},
		{"/api/b/*/disable", "/api/b/%zz/disable", RC_ERROR, ""},
		{"/api/b/*", "/api/b/%4", RC_ERROR, ""},
		{"/api/b/*", "/api/b/%", RC_ERROR, ""},
		{"/api/b/*", "/api/b/a%00b", RC_ERROR, ""},
		{"/api/b/*", "/api/b/%41", RC_OK, "A"},
	};
	char arg[ROUTE_ARG_MAX];

	for (size_t i = 0; i < countof(rows); i++) {
		enum rc rc = route_match(rows[i].pattern, rows[i].path, arg);

		if (rc != rows[i].rc || (rc == RC_OK && strcmp(arg, rows[i].arg) != 0))
			fail_msg("%s on %s: %d '%s'", rows[i].path, rows[i].pattern, rc, arg);
	}
}

static void a_part_that_is_too_long_is_an_error(void **state)
{
	char path[ROUTE_ARG_MAX + 16] = "/a/", arg[ROUTE_ARG_MAX];

	memset(path + 3, 'x', ROUTE_ARG_MAX);
	assert_int_equal(route_match("/a/*", path, arg), RC_ERROR);
	path[3 + ROUTE_ARG_MAX - 1] = '\0';
	assert_int_equal(route_match("/a/*", path, arg), RC_OK);
	assert_int_equal(strlen(arg), ROUTE_ARG_MAX - 1);
}

/* ---- Prometheus ---- */

static char *text_of(struct iobuf *out)
{
	char *text = mem_dup(iobuf_data(out), iobuf_len(out));

	assert_non_null(text);
	iobuf_reset(out);
	return text;
}

static void labels_are_escaped(void **state)
{
	struct iobuf out;
	struct prom p = {.out = &out};
	char *text;

	iobuf_init(&out, 0);
	prom_family(&p, "x_bytes", "gauge", "What it is.");
	prom_uint(&p, PROM_LABELS({"a", "b\"c\\d\ne"}, {"f", ""}), 7);
	prom_seconds(&p, NULL, 1500000000);
	prom_state(&p, PROM_LABELS({"a", "b"}), "up", "up");
	prom_state(&p, NULL, "down", "up");
	assert_int_equal(p.rc, RC_OK);
	text = text_of(&out);
	assert_string_equal(text, "# HELP suimon_x_bytes What it is.\n# TYPE suimon_x_bytes gauge\n"
				  "suimon_x_bytes{a=\"b\\\"c\\\\d\\ne\",f=\"\"} 7\n"
				  "suimon_x_bytes 1.500000000\n"
				  "suimon_x_bytes{a=\"b\",state=\"up\"} 1\n"
				  "suimon_x_bytes{state=\"down\"} 0\n");
	mem_free(text);
}

static void no_room_is_told(void **state)
{
	struct iobuf out;
	struct prom p = {.out = &out};

	iobuf_init(&out, 10);
	prom_gauge(&p, "x", "What it is.", 1);
	assert_int_equal(p.rc, RC_ERROR);
	iobuf_reset(&out);
}

/* ---- the queue ---- */

static const struct queue_view letter = {
	.seq = 9,
	.time_us = 1500000,
	.digest = 0xabc,
	.account = {.p = "app", .len = 3},
	.schema = {.p = "shop", .len = 4},
	.tables = {.p = "shop\0log\0shop\0audit", .len = 20},
	.sql = {.p = "INSERT INTO log VALUES ('s3cret')", .len = 33},
	.environment = {.p = "sql_mode=''", .len = 11},
	.dead_id = 4,
	.error_code = 1062,
	.error = {.p = "Duplicate entry 's3cret'", .len = 24},
};

static json_t *view_json(bool samples, size_t most, uint64_t only)
{
	struct iobuf out;
	struct jsonw w;
	struct queue_json_list l = {.w = &w, .samples = samples, .statement_most = most, .only = only};
	json_t *v;

	iobuf_init(&out, 0);
	jsonw_init(&w, &out);
	jsonw_open(&w, NULL, '[');
	queue_json_view(&l, &letter);
	jsonw_close(&w, ']');
	assert_int_equal(jsonw_end(&w), RC_OK);
	v = json_loadb((const char *)iobuf_data(&out), iobuf_len(&out), 0, NULL);
	assert_non_null(v);
	if (!samples)
		assert_null(memmem(iobuf_data(&out), iobuf_len(&out), "s3cret", 6));
	iobuf_reset(&out);
	return v;
}

/* S2: neither the statement nor the server's text about it. */
static void a_letter_hides_its_values_from_those_who_may_not_see_them(void **state)
{
	json_t *v = view_json(false, 100, 0), *row = json_array_get(v, 0);

	assert_true(json_is_null(json_object_get(row, "statement")));
	assert_int_equal(json_integer_value(json_object_get(row, "error_code")), 1062);
	assert_int_equal(json_integer_value(json_object_get(row, "id")), 4);
	json_decref(v);
}

static void a_letter_shows_what_it_is(void **state)
{
	json_t *v = view_json(true, 11, 4), *row = json_array_get(v, 0), *tables = json_object_get(row, "tables");

	assert_string_equal(json_string_value(json_object_get(row, "statement")), "INSERT INTO");
	assert_int_equal(json_integer_value(json_object_get(row, "statement_bytes")), 33);
	assert_string_equal(json_string_value(json_object_get(row, "error")), "Duplicate entry 's3cret'");
	assert_int_equal(json_array_size(tables), 2);
	assert_string_equal(json_string_value(json_array_get(tables, 1)), "shop.audit");
	json_decref(v);
	v = view_json(true, 11, 5); /* another one was asked for */
	assert_int_equal(json_array_size(v), 0);
	json_decref(v);
}

static void no_queue_is_off_and_empty(void **state)
{
	struct iobuf out;
	struct jsonw w;
	json_t *v;

	iobuf_init(&out, 0);
	jsonw_init(&w, &out);
	jsonw_open(&w, NULL, '{');
	queue_json_totals(&w, NULL);
	jsonw_close(&w, '}');
	v = json_loadb((const char *)iobuf_data(&out), iobuf_len(&out), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(v, "state")), "off");
	assert_int_equal(json_integer_value(json_object_get(v, "depth")), 0);
	assert_true(json_is_number(json_object_get(json_object_get(v, "fsync"), "mean")));
	json_decref(v);
	iobuf_reset(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_fits_its_pattern_alone),
		cmocka_unit_test(a_part_that_is_too_long_is_an_error),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(no_room_is_told),
		cmocka_unit_test(a_letter_hides_its_values_from_those_who_may_not_see_them),
		cmocka_unit_test(a_letter_shows_what_it_is),
		cmocka_unit_test(no_queue_is_off_and_empty),
	};

	return cmocka_run_group_tests_name("admin: paths, metrics, the queue's records", tests, NULL, NULL);
}
