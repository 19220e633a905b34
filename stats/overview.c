/*
 * overview.c - GET /api/overview: what the dashboard's head shows. Totals since start, and the last minutes by the
 * second.
 */
#include "core.h"

#include "jsonw.h"
#include "mem.h"

#define HISTORY 300 /* seconds given; fewer than STATS_SECONDS, so that none is taken over while it is read */

struct history {
	uint32_t count[HISTORY][STATS_ROUTES], errors[HISTORY];
	uint64_t total_ns[HISTORY];
};

static void put_counters(struct stats *s, struct jsonw *w)
{
	static const struct {
		const char *name;
		enum stats_counter c;
	} rows[] = {
		{"errors", STATS_C_ERRORS},
		{"slow", STATS_C_SLOW_QUERIES},
		{"no_index", STATS_C_NO_INDEX_QUERIES},
		{"nplus1", STATS_C_NPLUS1},
		{"rows_sent", STATS_C_ROWS_SENT},
		{"rows_affected", STATS_C_ROWS_AFFECTED},
		{"client_connections", STATS_C_CLIENT_CONNECTIONS_ACTIVE},
		{"upstream_connections", STATS_C_UPSTREAM_ACTIVE},
	};

	jsonw_open(w, "queries", '{');
	for (unsigned r = 0; r < STATS_ROUTES; r++)
		jsonw_uint(w, stats_route_name(r), stats_sum(s, STATS_C_QUERIES_PRIMARY + r));
	jsonw_close(w, '}');
	for (unsigned i = 0; i < countof(rows); i++)
		jsonw_uint(w, rows[i].name, stats_sum(s, rows[i].c));
}

enum rc stats_latency(struct stats *s, struct hist *out)
{
	enum rc rc = RC_OK;

	for (struct stats_sink *k = atomic_load(&s->sinks); k && rc == RC_OK; k = k->next) {
		for (unsigned r = 0; k->table && r < STATS_ROUTES && rc == RC_OK; r++)
			rc = hist_merge(out, &k->table->route[r]);
	}
	return rc;
}

/* Cumulative counts at half-octave bounds: the caller takes differences for the latency of an interval. */
static enum rc put_latency(struct stats *s, struct jsonw *w)
{
	uint64_t bound[64], below[64];
	unsigned n = 0;
	struct hist h;
	enum rc rc;

	hist_init(&h);
	rc = stats_latency(s, &h);
	for (uint64_t octave = 4096; octave < 64 * NS_PER_SEC && n + 2 <= countof(bound); octave *= 2) {
		bound[n++] = octave;
		bound[n++] = octave + octave / 2;
	}
	hist_cumulative(&h, bound, n, below);
	jsonw_open(w, "latency", '{');
	jsonw_open(w, "bounds", '[');
	for (unsigned i = 0; i < n; i++)
		jsonw_seconds(w, NULL, bound[i]);
	jsonw_close(w, ']');
	jsonw_open(w, "counts", '[');
	for (unsigned i = 0; i < n; i++)
		jsonw_uint(w, NULL, below[i]);
	jsonw_close(w, ']');
	jsonw_close(w, '}');
	hist_reset(&h);
	return rc;
}

/* from: the first second wanted. */
static void history_add(struct history *h, struct stats_table *t, uint64_t from)
{
	for (unsigned i = 0; i < HISTORY; i++) {
		const struct stats_second *sec = &t->second[(from + i) & (STATS_SECONDS - 1)];

		if (stats_get(&sec->second) != from + i)
			continue;
		for (unsigned r = 0; r < STATS_ROUTES; r++)
			h->count[i][r] += atomic_load_explicit(&sec->count[r], memory_order_relaxed);
		h->errors[i] += atomic_load_explicit(&sec->errors, memory_order_relaxed);
		h->total_ns[i] += stats_get(&sec->total_ns);
	}
}

static void put_history_rows(const struct history *h, struct jsonw *w)
{
	for (unsigned r = 0; r < STATS_ROUTES; r++) {
		jsonw_open(w, stats_route_name(r), '[');
		for (unsigned i = 0; i < HISTORY; i++)
			jsonw_uint(w, NULL, h->count[i][r]);
		jsonw_close(w, ']');
	}
	jsonw_open(w, "errors", '[');
	for (unsigned i = 0; i < HISTORY; i++)
		jsonw_uint(w, NULL, h->errors[i]);
	jsonw_close(w, ']');
	jsonw_open(w, "time", '[');
	for (unsigned i = 0; i < HISTORY; i++)
		jsonw_seconds(w, NULL, h->total_ns[i]);
	jsonw_close(w, ']');
}

static enum rc put_history(struct stats *s, uint64_t now, struct jsonw *w)
{
	uint64_t from = now / NS_PER_SEC - HISTORY; /* the second now running is not complete */
	struct history *h = mem_zalloc(sizeof(*h));

	if (!h)
		return RC_ERROR;
	for (struct stats_sink *k = atomic_load(&s->sinks); k; k = k->next) {
		if (k->table)
			history_add(h, k->table, from);
	}
	jsonw_open(w, "history", '{');
	jsonw_time(w, "start", stats_wall_us(s, from * NS_PER_SEC));
	jsonw_uint(w, "step", 1);
	put_history_rows(h, w);
	jsonw_close(w, '}');
	mem_free(h);
	return RC_OK;
}

enum rc stats_json_overview(struct stats *s, struct iobuf *out)
{
	uint64_t now = clock_mono_ns();
	struct jsonw w;
	enum rc rc;

	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	jsonw_text(&w, "version", SUIMON_VERSION);
	jsonw_time(&w, "now", stats_wall_us(s, now));
	jsonw_seconds(&w, "uptime", now - s->mono_ns);
	put_counters(s, &w);
	jsonw_uint(&w, "digests", atomic_load_explicit(&s->ndigests, memory_order_relaxed));
	rc = put_latency(s, &w);
	if (rc == RC_OK)
		rc = put_history(s, now, &w);
	jsonw_close(&w, '}');
	return rc == RC_OK ? jsonw_end(&w) : rc;
}
