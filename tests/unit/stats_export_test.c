/*
 * What leaves the statistics: Prometheus text, JSON shapes, and no literal without leave (S2).
 */
#include "stats_helper.h"

static bool contains(const struct iobuf *out, const char *text)
{
	return memmem(iobuf_data(out), iobuf_len(out), text, strlen(text)) != NULL;
}

static void prometheus(struct stats *s, struct iobuf *out)
{
	iobuf_init(out, 0);
	assert_int_equal(stats_prometheus(s, out), RC_OK);
}

/* One line of the text format; returns the name without braces in name. */
static void check_line(const char *line, size_t len, char *name, size_t cap)
{
	const char *brace = memchr(line, '{', len), *space = memrchr(line, ' ', len);
	size_t n = (size_t)((brace ? brace : space) - line);
	char *end;

	assert_non_null(space);
	assert_true(n > 0 && n < cap);
	assert_memory_equal(line, "suimon_", 7);
	for (size_t i = 0; i < n; i++)
		assert_true((line[i] >= 'a' && line[i] <= 'z') || line[i] == '_' || (line[i] >= '0' && line[i] <= '9'));
	if (brace)
		assert_int_equal(space[-1], '}');
	strtod(space + 1, &end);
	assert_ptr_equal(end, line + len);
	memcpy(name, line, n);
	name[n] = '\0';
}

/* Families come once and whole: HELP, TYPE, then only their own samples; counters end _total. */
static void prometheus_text_is_well_formed(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select 1 from t");
	char family[128] = "", type[16] = "", name[128];
	char *seen[256];
	unsigned families = 0;
	struct iobuf out;

	stats_record(k, NULL, &e);
	prometheus(s, &out);
	for (const char *p = (const char *)iobuf_data(&out), *end = p + iobuf_len(&out), *nl; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		assert_non_null(nl);
		if (strncmp(p, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(p, "# HELP %127s", family), 1);
			assert_true((size_t)(nl - p) > strlen(family) + 10); /* says something */
			for (unsigned i = 0; i < families; i++)
				assert_string_not_equal(seen[i], family);
			seen[families++] = mem_strdup(family);
		} else if (strncmp(p, "# TYPE ", 7) == 0) {
			assert_int_equal(sscanf(p, "# TYPE %127s %15s", name, type), 2);
			assert_string_equal(name, family);
			if (strcmp(type, "counter") == 0)
				assert_string_equal(family + strlen(family) - 6, "_total");
		} else {
			check_line(p, (size_t)(nl - p), name, sizeof(name));
			assert_int_equal(strncmp(name, family, strlen(family)), 0);
		}
	}
	for (unsigned i = 0; i < families; i++)
		mem_free(seen[i]);
	iobuf_reset(&out);
	stats_free(s);
}

static void prometheus_counts_and_buckets(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select 1 from t");
	struct iobuf out;

	e.total_ns = 2 * NS_PER_MS;
	stats_record(k, NULL, &e);
	e.route = STATS_CACHE;
	e.total_ns = 50000;
	stats_record(k, NULL, &e);
	stats_record(k, NULL, &e);
	stats_count(k, STATS_C_CLIENT_CONNECTIONS_ACTIVE, 3);
	stats_count(k, STATS_C_CLIENT_CONNECTIONS_ACTIVE, (uint64_t)-1);
	prometheus(s, &out);
	assert_true(contains(&out, "\nsuimon_queries_total{route=\"cache\"} 2\n"));
	assert_true(contains(&out, "\nsuimon_client_connections 2\n"));
	assert_true(contains(&out, "suimon_query_duration_seconds_bucket{route=\"primary\",le=\"0.001\"} 0\n"));
	assert_true(contains(&out, "suimon_query_duration_seconds_bucket{route=\"primary\",le=\"0.0025\"} 1\n"));
	assert_true(contains(&out, "suimon_query_duration_seconds_bucket{route=\"cache\",le=\"+Inf\"} 2\n"));
	assert_true(contains(&out, "suimon_query_duration_seconds_sum{route=\"cache\"} 0.000100000\n"));
	assert_true(contains(&out, "suimon_query_time_seconds_total{part=\"total\"} 0.002100000\n"));
	iobuf_reset(&out);
	stats_free(s);
}

static void a_row_has_the_contracts_fields(void **state)
{
	static const char *const fields[] = {
		"digest",     "text",          "verb",          "schema",    "user",      "calls",      "errors",
		"total_time", "mean_time",     "p50",           "p95",       "p99",       "p999",       "max_time",
		"rows_sent",  "rows_examined", "rows_affected", "bytes_in",  "bytes_out", "cache_hits", "cache_misses",
		"routed",     "no_index",      "no_good_index", "slow",      "warnings",  "wait_time",  "server_time",
		"users",      "tags",          "first_seen",    "last_seen", "histogram", "samples",    "plan",
		"findings",   "errors_by_code", "cache_refused", "retries",  "answer_time", "servers",   "accounts"};
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select '\xff\"\\' from t\n");
	json_t *q;

	e.tag_route = span_str("orders#show");
	e.error = 1146;
	e.retries = 2;
	e.cache_refused = true;
	e.server = span_str("10.0.0.1:3306");
	stats_record(k, NULL, &e);
	q = helper_query(s, 1, true);
	assert_int_equal(helper_uint(q, "retries"), 2);
	assert_int_equal(helper_uint(q, "cache_refused"), 1);
	assert_string_equal(helper_text(json_array_get(json_object_get(q, "servers"), 0), "addr"), "10.0.0.1:3306");
	assert_string_equal(helper_text(json_array_get(json_object_get(q, "accounts"), 0), "user"), "app");
	for (unsigned i = 0; i < countof(fields); i++) {
		if (!json_object_get(q, fields[i]))
			print_error("missing: %s\n", fields[i]);
		assert_non_null(json_object_get(q, fields[i]));
	}
	assert_string_equal(helper_text(q, "text"), "select '\xef\xbf\xbd\"\\' from t\n");
	assert_string_equal(json_string_value(json_array_get(json_object_get(q, "tags"), 0)), "orders#show");
	assert_int_equal(helper_uint(json_array_get(json_object_get(q, "errors_by_code"), 0), "code"), 1146);
	assert_int_equal(helper_uint(json_array_get(json_object_get(q, "histogram"), 0), "count"), 1);
	assert_true(helper_number(q, "first_seen") > (double)(clock_wall_us() / 1000000) - 60);
	json_decref(q);
	assert_null(helper_query(s, 2, true));
	stats_free(s);
}

/* S2 */
static void literals_stay_inside_unless_samples_are_asked_for(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select * from t where card = 4111");
	struct stats_options off = {.slow_ns = NS_PER_SEC, .samples = false};
	json_t *q;

	stats_record(k, NULL, &e);
	q = helper_query(s, 1, true);
	assert_string_equal(helper_text(json_array_get(json_object_get(q, "samples"), 0), "sql"),
			    "select * from t where card = 4111");
	json_decref(q);
	q = helper_query(s, 1, false);
	assert_int_equal(json_array_size(json_object_get(q, "samples")), 0);
	assert_string_equal(helper_text(q, "text"), "select * from t where card = ?");
	json_decref(q);
	stats_reconfigure(s, &off); /* what is kept already is forgotten */
	stats_reconfigure(s, &(struct stats_options){.samples = true});
	q = helper_query(s, 1, true);
	assert_int_equal(json_array_size(json_object_get(q, "samples")), 0);
	json_decref(q);
	stats_free(s);
}

static void a_password_is_never_kept(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "create user x identified by 'secret'");
	json_t *q;
	char *all;

	e.private_text = true;
	e.verb = "create";
	stats_record(k, NULL, &e);
	q = helper_query(s, 1, true);
	all = json_dumps(q, 0);
	assert_null(strstr(all, "secret"));
	assert_string_equal(helper_text(q, "text"), "create ...");
	free(all);
	json_decref(q);
	stats_free(s);
}

static void the_slowest_sample_is_kept_and_cut(void **state)
{
	static char longer[3 * STATS_SAMPLE_MAX];
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select quick");
	json_t *q, *m;

	stats_record(k, NULL, &e);
	memset(longer, 'x', sizeof(longer) - 1);
	e.text = span_str(longer);
	e.total_ns *= 2;
	stats_record(k, NULL, &e);
	e.text = span_str("select quick again");
	e.total_ns /= 2;
	stats_record(k, NULL, &e);
	q = helper_query(s, 1, true);
	m = json_array_get(json_object_get(q, "samples"), 0);
	assert_int_equal(strlen(helper_text(m, "sql")), STATS_SAMPLE_MAX);
	assert_true(json_is_true(json_object_get(m, "cut")));
	assert_float_equal(helper_number(m, "time"), 0.002, 1e-9);
	json_decref(q);
	stats_free(s);
}

static void the_overview_has_history_by_route(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select 1 from t");
	struct iobuf out;
	json_t *j, *primary, *v;
	json_int_t sum = 0;
	size_t i;

	e.start_ns -= 5 * NS_PER_SEC;
	for (int n = 0; n < 7; n++)
		stats_record(k, NULL, &e);
	iobuf_init(&out, 0);
	assert_int_equal(stats_json_overview(s, &out), RC_OK);
	j = helper_parse(&out);
	assert_int_equal(helper_uint(json_object_get(j, "queries"), "primary"), 7);
	primary = json_object_get(json_object_get(j, "history"), "primary");
	assert_int_equal(json_array_size(primary), 300);
	json_array_foreach(primary, i, v) sum += json_integer_value(v);
	assert_int_equal(sum, 7);
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "latency"), "bounds")),
			 json_array_size(json_object_get(json_object_get(j, "latency"), "counts")));
	json_decref(j);
	stats_free(s);
}

/* Whatever allocation fails, the answer is an error and not half a document taken for a whole one. */
static void readers_survive_a_lack_of_memory(void **state)
{
	struct stats *s = helper_stats(100);
	struct stats_sink *k = helper_sink(s);
	struct stats_event e = helper_event(1, "select 1 from t");
	struct iobuf out;
	unsigned refused = 0;
	json_t *j;

	stats_record(k, NULL, &e);
	for (unsigned n = 1; n < 60; n++) {
		enum rc rc;

		iobuf_init(&out, 0);
		mem_fail_after(n, 1);
		rc = n & 1 ? stats_json_queries(s, STATS_BY_P99, 10, (struct stats_of){NULL}, &out) : stats_json_query(s, 1, true, &out);
		mem_fail_after(0, 0);
		if (rc == RC_OK) {
			j = helper_parse(&out);
			json_decref(j);
		} else {
			refused++;
			iobuf_reset(&out);
		}
	}
	assert_true(refused > 3);
	stats_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prometheus_text_is_well_formed),
		cmocka_unit_test(prometheus_counts_and_buckets),
		cmocka_unit_test(a_row_has_the_contracts_fields),
		cmocka_unit_test(literals_stay_inside_unless_samples_are_asked_for),
		cmocka_unit_test(a_password_is_never_kept),
		cmocka_unit_test(the_slowest_sample_is_kept_and_cut),
		cmocka_unit_test(the_overview_has_history_by_route),
		cmocka_unit_test(readers_survive_a_lack_of_memory),
	};

	return cmocka_run_group_tests_name("stats: what leaves", tests, NULL, NULL);
}
