/*
 * Spans: what a collector gets is OTLP's JSON; a collector that is gone, refuses or never answers costs spans, counted, and nothing
 * else (F1); what waits is bounded (F3); no literal is in a span (S2).
 */
#include "stats_helper.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "otlp_impl.h"

/* A collector for one request. */
struct collector {
	pthread_t thread;
	int fd;
	uint16_t port;
	const char *answer; /* NULL: none at all */
	char got[256 * 1024];
	size_t len;
};

static bool whole(const struct collector *c)
{
	const char *end = memmem(c->got, c->len, "\r\n\r\n", 4), *length = strcasestr(c->got, "content-length:");

	return end && length && c->len - (size_t)(end + 4 - c->got) >= strtoul(length + 15, NULL, 10);
}

static void *serve(void *arg)
{
	struct collector *c = arg;
	int fd = accept(c->fd, NULL, NULL);
	ssize_t n = 1;

	while (fd >= 0 && !whole(c) && n > 0) {
		n = read(fd, c->got + c->len, sizeof(c->got) - 1 - c->len);
		c->len += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0 && c->answer && write(fd, c->answer, strlen(c->answer)) < 0)
		print_error("the answer was not taken\n");
	if (fd >= 0 && !c->answer)
		sleep(3);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void collector_start(struct collector *c, const char *answer)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	*c = (struct collector){.answer = answer};
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0 && bind(c->fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(c->fd, 4) == 0);
	assert_int_equal(getsockname(c->fd, (struct sockaddr *)&at, &len), 0);
	c->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&c->thread, NULL, serve, c), 0);
}

static void collector_end(struct collector *c)
{
	pthread_join(c->thread, NULL);
	close(c->fd);
}

static struct otlp_span span(void)
{
	struct otlp_span s = {.trace = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 0, 1},
			      .id = {1, 2, 3, 4, 5, 6, 7, 8},
			      .parent = {0xff, 0, 0, 0, 0, 0, 0, 0xfe},
			      .start_us = 1700000000000001,
			      .total_ns = 1500042,
			      .digest = 0x1234,
			      .rows_sent = 3,
			      .verb = "select",
			      .route = "replica",
			      .table = span_str("products"),
			      .schema = span_str("shop"),
			      .text = span_str("select \"name\" from products where id = ?")};

	return s;
}

static json_t *span_json(const struct collector *c)
{
	json_t *all = json_loads(strstr(c->got, "\r\n\r\n") + 4, 0, NULL), *scope;

	assert_non_null(all);
	scope = json_array_get(json_object_get(json_array_get(json_object_get(all, "resourceSpans"), 0), "scopeSpans"), 0);
	assert_true(json_array_size(json_object_get(scope, "spans")) > 0);
	return all;
}

static json_t *first_span(json_t *all)
{
	json_t *scope = json_array_get(json_object_get(json_array_get(json_object_get(all, "resourceSpans"), 0), "scopeSpans"), 0);

	return json_array_get(json_object_get(scope, "spans"), 0);
}

static const char *attribute(json_t *s, const char *key)
{
	json_t *a, *v;
	size_t i;

	json_array_foreach(json_object_get(s, "attributes"), i, a) {
		if (strcmp(helper_text(a, "key"), key) != 0)
			continue;
		v = json_object_get(a, "value");
		return helper_text(v, json_object_get(v, "intValue") ? "intValue" : "stringValue");
	}
	return NULL;
}

static struct otlp *sender(struct stats *s, uint16_t port, double share)
{
	struct otlp *o = otlp_new(s);
	char url[64];

	assert_non_null(o);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/traces", port);
	assert_int_equal(otlp_configure(o, url, share), RC_OK);
	assert_int_equal(otlp_start(o), RC_OK);
	return o;
}

static void wait_for(struct stats *s, enum stats_counter c, uint64_t n)
{
	for (unsigned i = 0; i < 3000 && stats_sum(s, c) < n; i++)
		usleep(10000);
	assert_int_equal(stats_sum(s, c), n);
}

static void a_collector_gets_the_span(void **state)
{
	static struct collector c;
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct otlp_span one = span();
	struct otlp *o;
	json_t *all, *j;

	collector_start(&c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
	o = sender(s, c.port, 1);
	one.error = 1146;
	otlp_add(o, k, &one);
	wait_for(s, STATS_C_SPANS_SENT, 1);
	collector_end(&c);
	assert_non_null(strstr(c.got, "POST /v1/traces HTTP/1.1"));
	assert_non_null(strcasestr(c.got, "content-type: application/json"));
	all = span_json(&c);
	j = first_span(all);
	assert_string_equal(helper_text(j, "traceId"), "ab0102030405060708090a0b00000001");
	assert_string_equal(helper_text(j, "spanId"), "0102030405060708");
	assert_string_equal(helper_text(j, "parentSpanId"), "ff000000000000fe");
	assert_string_equal(helper_text(j, "name"), "select products");
	assert_string_equal(helper_text(j, "startTimeUnixNano"), "1700000000000001000");
	assert_string_equal(helper_text(j, "endTimeUnixNano"), "1700000000001501042");
	assert_string_equal(attribute(j, "db.query.text"), "select \"name\" from products where id = ?");
	assert_string_equal(attribute(j, "db.namespace"), "shop");
	assert_string_equal(attribute(j, "db.system.name"), "mysql");
	assert_string_equal(attribute(j, "db.query.summary"), "select products");
	assert_string_equal(attribute(j, "error.type"), "1146");
	assert_string_equal(attribute(j, "db.response.status_code"), "1146");
	assert_string_equal(attribute(j, "db.response.returned_rows"), "3");
	assert_int_equal(helper_uint(json_object_get(j, "status"), "code"), 2);
	json_decref(all);
	otlp_stop(o);
	otlp_free(o);
	stats_free(s);
}

static void servers_are_named_as_the_conventions_want_it(void **state)
{
	static const struct {
		const char *server, *address, *port;
	} rows[] = {{"db1.example:3306", "db1.example", "3306"}, {"[fd00::1]:3307", "fd00::1", "3307"}, {"unix:/run/a:b.sock", "/run/a:b.sock", NULL}, {"", NULL, NULL}};

	for (unsigned i = 0; i < countof(rows); i++) {
		struct otlp_span one = span();
		struct iobuf out;
		json_t *j;

		one.server = span_str(rows[i].server);
		one.mariadb = true;
		iobuf_init(&out, 0);
		assert_int_equal(otlp_put_span(&one, &out), RC_OK);
		j = json_loadb((const char *)iobuf_data(&out) + 1, iobuf_len(&out) - 1, 0, NULL);
		assert_string_equal(attribute(j, "db.system.name"), "mariadb");
		assert_true(rows[i].address ? strcmp(attribute(j, "server.address"), rows[i].address) == 0 : !attribute(j, "server.address"));
		assert_true(rows[i].port ? strcmp(attribute(j, "server.port"), rows[i].port) == 0 : !attribute(j, "server.port"));
		assert_null(attribute(j, "db.response.status_code"));
		json_decref(j);
		iobuf_reset(&out);
	}
}

static void a_collector_that_refuses_costs_spans(void **state)
{
	static struct collector c;
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct otlp_span one = span();
	struct otlp *o;

	collector_start(&c, "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n");
	o = sender(s, c.port, 1);
	for (unsigned i = 0; i < 3; i++)
		otlp_add(o, k, &one);
	wait_for(s, STATS_C_SPANS_DROPPED, 3);
	collector_end(&c);
	otlp_stop(o);
	otlp_free(o);
	stats_free(s);
}

static void a_collector_that_is_gone_or_silent_holds_nobody_up(void **state)
{
	static struct collector c;
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct otlp_span one = span();
	struct otlp *o = sender(s, 1, 1); /* nobody listens on port 1 */
	uint64_t before;

	otlp_add(o, k, &one);
	wait_for(s, STATS_C_SPANS_DROPPED, 1);
	otlp_stop(o);
	otlp_free(o);

	collector_start(&c, NULL);
	o = sender(s, c.port, 1);
	otlp_add(o, k, &one);
	before = clock_mono_ns();
	otlp_stop(o); /* the last batch has a second */
	assert_true(clock_mono_ns() - before < 30 * NS_PER_SEC);
	assert_int_equal(stats_sum(s, STATS_C_SPANS_SENT), 0);
	otlp_free(o);
	collector_end(&c);
	stats_free(s);
}

static void what_waits_is_bounded(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct otlp_span one = span();
	struct otlp *o = otlp_new(s); /* no thread takes anything */

	assert_non_null(o);
	for (unsigned i = 0; i < 5000; i++)
		otlp_add(o, k, &one);
	assert_true(stats_sum(s, STATS_C_SPANS_DROPPED) > 1000);
	otlp_free(o);
	stats_free(s);
}

static void the_share_goes_by_the_trace(void **state)
{
	struct stats *s = helper_stats(100);
	struct otlp *o = otlp_new(s);
	unsigned wanted = 0;

	assert_non_null(o);
	assert_false(otlp_is_on(o));
	assert_int_equal(otlp_configure(o, "http://127.0.0.1:1/", 0.25), RC_OK);
	assert_true(otlp_is_on(o));
	for (unsigned i = 0; i < 4096; i++) {
		uint8_t trace[16] = {[12] = (uint8_t)(i >> 4), [13] = (uint8_t)(i << 4)};

		wanted += otlp_wants(o, trace);
	}
	assert_int_equal(wanted, 1024);
	assert_int_equal(otlp_configure(o, "", 1), RC_OK);
	assert_false(otlp_is_on(o));
	otlp_free(o);
	stats_free(s);
}

/* Names are whatever a client or a schema holds. */
static void hostile_names_stay_json(void **state)
{
	struct otlp_span one = span();
	struct iobuf spans, body;
	json_t *all;

	one.table = span_of("\"\\\n\x01\xff", 5);
	one.schema = span_of("\xf0\x9f\x92\xa9\xc3", 5);
	one.parent[0] = one.parent[7] = 0;
	iobuf_init(&spans, 0);
	iobuf_init(&body, 0);
	assert_int_equal(otlp_put_span(&one, &spans), RC_OK);
	assert_int_equal(otlp_put_span(&one, &spans), RC_OK);
	assert_int_equal(otlp_put_body(&spans, &body), RC_OK);
	all = helper_parse(&body);
	assert_null(json_object_get(first_span(all), "parentSpanId"));
	json_decref(all);
	iobuf_reset(&spans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_collector_gets_the_span),
		cmocka_unit_test(servers_are_named_as_the_conventions_want_it),
		cmocka_unit_test(a_collector_that_refuses_costs_spans),
		cmocka_unit_test(a_collector_that_is_gone_or_silent_holds_nobody_up),
		cmocka_unit_test(what_waits_is_bounded),
		cmocka_unit_test(the_share_goes_by_the_trace),
		cmocka_unit_test(hostile_names_stay_json),
	};

	return cmocka_run_group_tests_name("otlp", tests, NULL, NULL);
}
