#include "cli_top.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli_text.h"

static const char *const routes[] = {"primary", "replica", "cache", "queue", "local"};

void top_answers_reset(struct top_answers *a)
{
	json_decref(a->overview);
	json_decref(a->queries);
	json_decref(a->findings);
	json_decref(a->backends);
	json_decref(a->cache);
	json_decref(a->queue);
	*a = (struct top_answers){NULL};
}

/* ---- numbers ---- */

static double statements(const json_t *overview)
{
	const json_t *q = json_object_get(overview, "queries");
	double n = 0;

	for (size_t i = 0; i < countof(routes); i++)
		n += cli_number(q, routes[i]);
	return n;
}

/* Seconds the rates are taken over. */
static double seconds_between(const struct top_view *v)
{
	double s = cli_number(v->now->overview, "uptime") - cli_number(v->then->overview, "uptime");

	return s > 0.01 ? s : 0.01;
}

static double grown(const struct top_view *v, const char *object, const char *key)
{
	const json_t *now = v->now->overview, *then = v->then->overview;

	if (object) {
		now = json_object_get(now, object);
		then = json_object_get(then, object);
	}
	return cli_number(now, key) - cli_number(then, key);
}

/* The upper bound of the bucket that q of what was counted meanwhile is in, in seconds; below 0: nothing was. */
static double quantile(const struct top_view *v, double q)
{
	const json_t *now = json_object_get(v->now->overview, "latency"),
		     *then = json_object_get(v->then->overview, "latency");
	const json_t *bounds = json_object_get(now, "bounds"), *counts = json_object_get(now, "counts");
	const json_t *before = json_object_get(then, "counts");
	size_t n = json_array_size(counts);
	double total;

	if (n == 0)
		return -1;
	total = json_number_value(json_array_get(counts, n - 1)) - json_number_value(json_array_get(before, n - 1));
	for (size_t i = 0; total > 0 && i < n; i++)
		if (json_number_value(json_array_get(counts, i)) - json_number_value(json_array_get(before, i)) >=
		    q * total)
			return json_number_value(json_array_get(bounds, i));
	return -1;
}

static const char *quantile_text(const struct top_view *v, double q, char *out, size_t cap)
{
	double s = quantile(v, q);
	json_t *number = s < 0 ? NULL : json_real(s);

	(void)cli_seconds(number, out, cap);
	json_decref(number);
	return out;
}

/* ---- the head ---- */

/* One line, cut at the view's width. */
static enum rc put_line(struct iobuf *out, const struct top_view *v, const char *text)
{
	char line[CLI_TEXT_MAX];
	size_t n = 0, i = 0;

	(void)cli_line(text, line, sizeof(line));
	for (; line[i]; i++)
		if (((unsigned char)line[i] & 0xc0) != 0x80 && n++ == v->width)
			break;
	return iobuf_printf(out, "%.*s\n", (int)i, line);
}

static enum rc put_title(struct iobuf *out, const struct top_view *v)
{
	char text[CLI_TEXT_MAX], of[512] = "", up[64], clock[16] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm))
		(void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (v->user || v->schema)
		(void)snprintf(of, sizeof(of), " | statements%s%s%s%s", v->user ? " of " : "", v->user ? v->user : "", v->schema ? " in " : "",
			       v->schema ? v->schema : "");
	if (v->problem)
		(void)snprintf(text, sizeof(text), "suimon top %s | %s", clock, v->problem);
	else
		(void)snprintf(text, sizeof(text), "suimon %s at %s | up %s | %s%s",
			       cli_string(v->now->overview, "version"), v->where,
			       cli_seconds(json_object_get(v->now->overview, "uptime"), up, sizeof(up)), clock, of);
	return put_line(out, v, text);
}

static enum rc put_load(struct iobuf *out, const struct top_view *v)
{
	double seconds = seconds_between(v), total = statements(v->now->overview) - statements(v->then->overview);
	char text[CLI_TEXT_MAX], rate[32], errors[32], p50[32], p99[32];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "Load: %s statements/s, p50 %s, p99 %s, %s errors/s |",
			     cli_count(total / seconds, rate, sizeof(rate)), quantile_text(v, 0.5, p50, sizeof(p50)),
			     quantile_text(v, 0.99, p99, sizeof(p99)),
			     cli_count(grown(v, NULL, "errors") / seconds, errors, sizeof(errors)));
	for (size_t i = 0; i < countof(routes) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s %.0f%%", routes[i],
				      total > 0 ? 100 * grown(v, "queries", routes[i]) / total : 0);
	return put_line(out, v, text);
}

static const char *redis_text(const json_t *cache)
{
	const json_t *r = json_object_get(cache, "redis");

	if (!json_is_true(json_object_get(r, "configured")))
		return "not used";
	if (!json_is_true(json_object_get(r, "up")))
		return "down";
	return json_is_true(json_object_get(r, "bus_live")) ? "up" : "bus silent";
}

/* Of what was asked meanwhile, or since start where nothing was. */
static double hit_ratio(const json_t *now, const json_t *then)
{
	double hits = cli_number(now, "hits") + cli_number(now, "hits_redis"), all = hits + cli_number(now, "misses");
	double hits_then = cli_number(then, "hits") + cli_number(then, "hits_redis");
	double all_then = hits_then + cli_number(then, "misses");

	if (all > all_then)
		return (hits - hits_then) / (all - all_then);
	return all > 0 ? hits / all : 0;
}

static enum rc put_cache(struct iobuf *out, const struct top_view *v)
{
	const json_t *m = json_object_get(v->now->cache, "memory");
	char text[CLI_TEXT_MAX], entries[32], bytes[32], limit[32];

	if (json_is_false(json_object_get(v->now->cache, "enabled")))
		return put_line(out, v, "Cache: off");
	(void)snprintf(text, sizeof(text), "Cache: %.1f%% hits, %s entries, %s of %s, redis %s",
		       100 * hit_ratio(v->now->cache, v->then->cache),
		       cli_count(cli_number(m, "entries"), entries, sizeof(entries)),
		       cli_bytes(cli_number(m, "resident"), bytes, sizeof(bytes)),
		       cli_bytes(cli_number(m, "limit"), limit, sizeof(limit)), redis_text(v->now->cache));
	return put_line(out, v, text);
}

static enum rc put_queue(struct iobuf *out, const struct top_view *v)
{
	const json_t *q = v->now->queue;
	char text[CLI_TEXT_MAX], depth[32], age[32], rate[32];

	(void)snprintf(text, sizeof(text), "Queue: %s%s%s, %s waiting, oldest %s, %s applied/s, %.0f dead letters",
		       cli_string(q, "state"), cli_string(q, "reason")[0] ? ": " : "", cli_string(q, "reason"),
		       cli_count(cli_number(q, "depth"), depth, sizeof(depth)),
		       cli_seconds(json_object_get(q, "oldest_age"), age, sizeof(age)),
		       cli_count(cli_number(q, "drain_rate"), rate, sizeof(rate)), cli_number(q, "dead_waiting"));
	return put_line(out, v, text);
}

static enum rc put_connections(struct iobuf *out, const struct top_view *v)
{
	char text[CLI_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "Connections: %.0f from clients, %.0f to servers | sort %s",
		       cli_number(v->now->overview, "client_connections"),
		       cli_number(v->now->overview, "upstream_connections"), v->sort);
	return put_line(out, v, text);
}

/* ---- tables ---- */

static void cell_text(const json_t *row, const char *key, char *out, size_t cap)
{
	(void)cli_line(cli_string(row, key), out, cap);
}

#define TEXT_CELL(name, key)                                                                                           \
	static void name(const json_t *row, char *out, size_t cap)                                                     \
	{                                                                                                              \
		cell_text(row, key, out, cap);                                                                         \
	}
#define SECONDS_CELL(name, key)                                                                                        \
	static void name(const json_t *row, char *out, size_t cap)                                                     \
	{                                                                                                              \
		(void)cli_seconds(json_object_get(row, key), out, cap);                                                \
	}
#define COUNT_CELL(name, object, key)                                                                                  \
	static void name(const json_t *row, char *out, size_t cap)                                                     \
	{                                                                                                              \
		(void)cli_count(cli_number(object, key), out, cap);                                                    \
	}

TEXT_CELL(cell_addr, "addr")
TEXT_CELL(cell_role, "role")
TEXT_CELL(cell_state, "state")
SECONDS_CELL(cell_lag, "lag")
SECONDS_CELL(cell_latency, "latency")
COUNT_CELL(cell_active, json_object_get(row, "pool"), "active")
COUNT_CELL(cell_idle, json_object_get(row, "pool"), "idle")
COUNT_CELL(cell_waiting, json_object_get(row, "pool"), "waiting")
COUNT_CELL(cell_queries, row, "queries")
COUNT_CELL(cell_errors, row, "errors")
COUNT_CELL(cell_calls, row, "calls")
SECONDS_CELL(cell_total, "total_time")
SECONDS_CELL(cell_mean, "mean_time")
SECONDS_CELL(cell_p99, "p99")
TEXT_CELL(cell_sql, "text")
SECONDS_CELL(cell_cost, "cost_seconds")
TEXT_CELL(cell_kind, "kind")
TEXT_CELL(cell_title, "title")

static void cell_hits(const json_t *row, char *out, size_t cap)
{
	double hits = cli_number(row, "cache_hits"), all = hits + cli_number(row, "cache_misses");

	if (all > 0)
		(void)snprintf(out, cap, "%.0f%%", 100 * hits / all);
	else
		(void)snprintf(out, cap, "-");
}

static const struct cli_column backend_columns[] = {
	{"BACKEND", false, cell_addr},
	{"ROLE", false, cell_role},
	{"STATE", false, cell_state},
	{"LAG", true, cell_lag},
	{"CHECK", true, cell_latency},
	{"ACTIVE", true, cell_active},
	{"IDLE", true, cell_idle},
	{"WAITING", true, cell_waiting},
	{"QUERIES", true, cell_queries},
	{"ERRORS", true, cell_errors},
	{NULL, false, NULL},
};
static const struct cli_column query_columns[] = {
	{"CALLS", true, cell_calls},    {"TOTAL", true, cell_total},   {"MEAN", true, cell_mean},
	{"P99", true, cell_p99},        {"ERRORS", true, cell_errors}, {"CACHE", true, cell_hits},
	{"STATEMENT", false, cell_sql}, {NULL, false, NULL},
};
static const struct cli_column finding_columns[] = {
	{"COST", true, cell_cost},
	{"KIND", false, cell_kind},
	{"FINDING", false, cell_title},
	{NULL, false, NULL},
};

/* ---- the frame ---- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* An empty line, the titles, and as many rows as fit above `keep` lines; nothing where there are none or no room.
 * *room: lines left. */
static enum rc put_table(struct iobuf *out, const struct top_view *v, const struct cli_column *columns,
			 const json_t *rows, size_t keep, size_t *room)
{
	size_t n = json_array_size(rows);

	if (n == 0 || *room < keep + 3)
		return RC_OK;
	n = least(n, *room - keep - 2);
	*room -= n + 2;
	if (iobuf_append(out, "\n", 1) != RC_OK)
		return RC_ERROR;
	return cli_table(out, columns, rows, n, v->width);
}

/* Findings have up to a third of what the backends leave, statements the rest. */
static enum rc put_tables(struct iobuf *out, const struct top_view *v, size_t room)
{
	const json_t *findings = json_object_get(v->now->findings, "findings");
	enum rc rc = put_table(out, v, backend_columns, json_object_get(v->now->backends, "backends"), room / 2, &room);
	size_t keep = json_array_size(findings) ? least(json_array_size(findings) + 2, room / 3) : 0;

	if (rc == RC_OK)
		rc = put_table(out, v, query_columns, json_object_get(v->now->queries, "queries"), keep, &room);
	return rc == RC_OK ? put_table(out, v, finding_columns, findings, 0, &room) : rc;
}

enum rc top_frame(struct iobuf *out, const struct top_view *v)
{
	static enum rc (*const head[])(struct iobuf *out, const struct top_view *v) = {
		put_title, put_load, put_connections, put_cache, put_queue};
	size_t lines = least(v->height, v->now->overview ? countof(head) : 1);

	for (size_t i = 0; i < lines; i++)
		if (head[i](out, v) != RC_OK)
			return RC_ERROR;
	return put_tables(out, v, v->height - lines);
}
