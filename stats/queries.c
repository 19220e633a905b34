/*
 * queries.c - GET /api/queries and /api/queries/DIGEST: a row a digest.
 */
#include "queries.h"

#include "advice.h"
#include "findings.h"
#include "mem.h"

static void put_routes(const struct view_row *r, struct jsonw *w)
{
	jsonw_open(w, "routed", '{');
	for (unsigned i = 0; i < STATS_ROUTES; i++)
		jsonw_uint(w, stats_route_name(i), r->n[STATS_N_ROUTED + i]);
	jsonw_close(w, '}');
}

static void put_times(const struct view_row *r, const struct hist *h, struct jsonw *w)
{
	uint64_t calls = r->n[STATS_N_CALLS];

	jsonw_seconds(w, "total_time", r->n[STATS_N_TOTAL_NS]);
	jsonw_seconds(w, "mean_time", calls ? r->n[STATS_N_TOTAL_NS] / calls : 0);
	jsonw_seconds(w, "min_time", r->min_ns == UINT64_MAX ? 0 : r->min_ns);
	jsonw_seconds(w, "max_time", r->max_ns);
	jsonw_seconds(w, "p50", hist_quantile(h, 0.5));
	jsonw_seconds(w, "p95", hist_quantile(h, 0.95));
	jsonw_seconds(w, "p99", hist_quantile(h, 0.99));
	jsonw_seconds(w, "p999", hist_quantile(h, 0.999));
	jsonw_seconds(w, "wait_time", r->n[STATS_N_WAIT_NS]);
	jsonw_seconds(w, "server_time", r->n[STATS_N_SERVER_NS]);
	jsonw_seconds(w, "answer_time", r->n[STATS_N_ANSWER_NS]);
}

static void put_counts(const struct view_row *r, struct jsonw *w)
{
	static const struct {
		enum stats_number n;
		const char *name;
	} rows[] = {
		{STATS_N_CALLS, "calls"},
		{STATS_N_ERRORS, "errors"},
		{STATS_N_ROWS_SENT, "rows_sent"},
		{STATS_N_ROWS_AFFECTED, "rows_affected"},
		{STATS_N_BYTES_IN, "bytes_in"},
		{STATS_N_BYTES_OUT, "bytes_out"},
		{STATS_N_CACHE_HITS, "cache_hits"},
		{STATS_N_CACHE_MISSES, "cache_misses"},
		{STATS_N_CACHE_REFUSED, "cache_refused"},
		{STATS_N_RETRIES, "retries"},
		{STATS_N_NO_INDEX, "no_index"},
		{STATS_N_NO_GOOD_INDEX, "no_good_index"},
		{STATS_N_SLOW, "slow"},
		{STATS_N_WARNINGS, "warnings"},
	};

	for (unsigned i = 0; i < countof(rows); i++)
		jsonw_uint(w, rows[i].name, r->n[rows[i].n]);
	if (r->examined_from)
		jsonw_uint(w, "rows_examined", r->rows_examined);
	else
		jsonw_null(w, "rows_examined");
	jsonw_text(w, "rows_examined_from", view_examined_name(r));
}

static void put_row(const struct view *v, const struct view_row *r, const struct hist *h, struct jsonw *w)
{
	jsonw_hex64(w, "digest", r->digest);
	jsonw_text(w, "text", r->main ? r->main->text : "other");
	jsonw_text(w, "verb", r->main ? r->main->verb : "");
	jsonw_text(w, "schema", r->main ? r->main->schema : "");
	jsonw_text(w, "user", r->main ? r->main->user : "");
	jsonw_text(w, "table", r->main ? r->main->table : "");
	put_counts(r, w);
	put_times(r, h, w);
	put_routes(r, w);
	query_names_put(v, r, w);
	query_errors_put(v, r, w);
	jsonw_time(w, "first_seen", stats_wall_us(v->stats, r->first_ns));
	jsonw_time(w, "last_seen", stats_wall_us(v->stats, r->last_ns));
}

enum rc queries_put(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	struct hist h;
	enum rc rc = view_hist(v, r, &h);

	if (rc == RC_OK)
		put_row(v, r, &h, w);
	hist_reset(&h);
	return rc;
}

static enum rc put_other(const struct view *v, struct jsonw *w)
{
	enum rc rc;

	if (v->other.n[STATS_N_CALLS] == 0) {
		jsonw_null(w, "other");
		return RC_OK;
	}
	jsonw_open(w, "other", '{');
	rc = queries_put(v, &v->other, w);
	jsonw_close(w, '}');
	return rc;
}

static enum rc put_list(const struct view *v, unsigned limit, struct jsonw *w)
{
	jsonw_open(w, "queries", '[');
	for (size_t i = 0; i < v->count && i < limit; i++) {
		jsonw_open(w, NULL, '{');
		if (queries_put(v, &v->row[i], w) != RC_OK)
			return RC_ERROR;
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
	return RC_OK;
}

enum rc stats_json_queries(struct stats *s, enum stats_sort sort, unsigned limit, struct stats_of of, struct iobuf *out)
{
	struct view v;
	struct jsonw w;
	enum rc rc;

	if (view_open_of(s, of, &v) != RC_OK)
		return RC_ERROR;
	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	rc = view_sort(&v, sort);
	if (rc == RC_OK)
		rc = put_list(&v, limit, &w);
	if (rc == RC_OK)
		rc = put_other(&v, &w);
	jsonw_uint(&w, "digests", v.count);
	jsonw_uint(&w, "digests_limit", s->registry.cap);
	jsonw_close(&w, '}');
	view_close(&v);
	return rc == RC_OK ? jsonw_end(&w) : rc;
}

/* The detail's histogram: four steps an octave are fine enough to draw, from 1 us on. */
static void put_histogram(const struct hist *h, struct jsonw *w)
{
	uint64_t bound[128], below[128], last = 0;
	unsigned n = 0;

	for (uint64_t octave = 1024; octave < (UINT64_C(1) << 40) && n + 4 <= countof(bound); octave *= 2) {
		for (unsigned q = 0; q < 4; q++)
			bound[n++] = octave + octave / 4 * q;
	}
	hist_cumulative(h, bound, n, below);
	jsonw_open(w, "histogram", '[');
	for (unsigned i = 0; i < n; i++) {
		if (below[i] != last) {
			jsonw_open(w, NULL, '{');
			jsonw_seconds(w, "from", i ? bound[i - 1] : 0);
			jsonw_seconds(w, "to", bound[i]);
			jsonw_uint(w, "count", below[i] - last);
			jsonw_close(w, '}');
		}
		last = below[i];
	}
	jsonw_close(w, ']');
}

static void put_sample(struct stats *s, const struct stats_sample *m, struct jsonw *w)
{
	jsonw_open(w, NULL, '{');
	jsonw_str(w, "sql", span_of(m->text, m->len));
	jsonw_seconds(w, "time", m->total_ns);
	jsonw_uint(w, "rows_sent", m->rows_sent);
	jsonw_bool(w, "cut", m->cut);
	jsonw_time(w, "at", stats_wall_us(s, m->at_ns));
	jsonw_close(w, '}');
}

static void put_samples(const struct view *v, const struct view_row *r, bool allowed, struct jsonw *w)
{
	struct stats_sample *m = allowed ? view_sample(v, r) : NULL;

	jsonw_open(w, "samples", '[');
	if (m)
		put_sample(v->stats, m, w);
	jsonw_close(w, ']');
	jsonw_bool(w, "samples_allowed", allowed && atomic_load(&v->stats->samples));
	mem_free(m);
}

/* An EXPLAIN shows the sample's literals (attached_condition): whoever may not see those may not see it. */
static enum rc put_plan(struct stats *s, uint64_t digest, bool allowed, struct jsonw *w)
{
	struct stats_advice a;
	enum rc rc = allowed ? advice_copy(s, digest, &a) : RC_DECLINED;

	if (rc == RC_OK && a.plan[0] != '\0')
		jsonw_raw(w, "plan", span_str(a.plan));
	else
		jsonw_null(w, "plan");
	if (rc == RC_OK)
		advice_reset(&a);
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

static enum rc put_detail(const struct view *v, const struct view_row *r, bool samples, struct jsonw *w)
{
	struct hist h;
	enum rc rc = view_hist(v, r, &h);

	if (rc == RC_OK) {
		put_row(v, r, &h, w);
		put_histogram(&h, w);
		query_accounts_put(v, r, w);
		put_samples(v, r, samples, w);
		rc = put_plan(v->stats, r->digest, samples, w);
	}
	hist_reset(&h);
	return rc == RC_OK ? findings_put(v, r->digest, samples, w) : rc;
}

enum rc stats_json_query(struct stats *s, uint64_t digest, bool samples, struct iobuf *out)
{
	const struct view_row *r;
	struct jsonw w;
	struct view v;
	enum rc rc = RC_DECLINED;

	if (view_open(s, &v) != RC_OK)
		return RC_ERROR;
	jsonw_init(&w, out);
	r = view_find(&v, digest);
	if (r) {
		jsonw_open(&w, NULL, '{');
		rc = put_detail(&v, r, samples, &w);
		jsonw_close(&w, '}');
	}
	view_close(&v);
	return rc == RC_OK ? jsonw_end(&w) : rc;
}
