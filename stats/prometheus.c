/*
 * prometheus.c - the text exposition format 0.0.4: the counters by their table, and the time statements took, by route.
 *
 * No label holds anything a client or a statement brought: the number of series is fixed at build.
 */
#include "core.h"

#include <inttypes.h>

#include "iobuf.h"

struct counter_row {
	enum stats_kind kind;
	const char *name, *labels, *help;
};

static const struct counter_row rows[] = {
#define ROW(suffix, kind, name, labels, help) {STATS_KIND_##kind, name, labels, help},
	STATS_COUNTERS(ROW)
#undef ROW
};

static const char *const route_names[STATS_ROUTES] = {"primary", "replica", "cache", "queue", "local"};

/* Nanoseconds, and the same in seconds as a label: 100 us to 10 s. */
static const uint64_t bounds[] = {100000,     250000,     500000,     1000000,    2500000,   5000000,
				  10000000,   25000000,   50000000,   100000000,  250000000, 500000000,
				  1000000000, 2500000000, 5000000000, 10000000000};
static const char *const bound_names[] = {"0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
					  "0.05",   "0.1",     "0.25",   "0.5",   "1",      "2.5",   "5",    "10"};
_Static_assert(countof(bounds) == countof(bound_names), "a name a bound");

const char *stats_route_name(enum stats_route route)
{
	return route_names[route];
}

static enum rc put_seconds(struct iobuf *out, uint64_t ns)
{
	return iobuf_printf(out, " %" PRIu64 ".%09" PRIu64 "\n", ns / NS_PER_SEC, ns % NS_PER_SEC);
}

static enum rc put_value(struct iobuf *out, enum stats_kind kind, uint64_t v)
{
	switch (kind) {
	case STATS_KIND_seconds:
		return put_seconds(out, v);
	case STATS_KIND_gauge: /* sums of ups and downs: read in between, it may be below 0 for a moment */
		return iobuf_printf(out, " %" PRId64 "\n", (int64_t)v < 0 ? 0 : (int64_t)v);
	case STATS_KIND_counter:
		break;
	}
	return iobuf_printf(out, " %" PRIu64 "\n", v);
}

static enum rc put_head(struct iobuf *out, const char *name, const char *help, const char *type)
{
	return iobuf_printf(out, "# HELP suimon_%s %s\n# TYPE suimon_%s %s\n", name, help, name, type);
}

static enum rc put_counter(struct stats *s, unsigned i, struct iobuf *out)
{
	const struct counter_row *r = &rows[i];
	bool first = i == 0 || strcmp(rows[i - 1].name, r->name) != 0, labels = r->labels[0] != '\0';

	if (first && put_head(out, r->name, r->help, r->kind == STATS_KIND_gauge ? "gauge" : "counter") != RC_OK)
		return RC_ERROR;
	if (iobuf_printf(out, "suimon_%s%s%s%s", r->name, labels ? "{" : "", r->labels, labels ? "}" : "") != RC_OK)
		return RC_ERROR;
	return put_value(out, r->kind, stats_sum(s, i));
}

static enum rc merge_route(struct stats *s, unsigned route, struct hist *out)
{
	hist_init(out);
	for (struct stats_sink *k = atomic_load(&s->sinks); k; k = k->next) {
		if (k->table && hist_merge(out, &k->table->route[route]) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

/* +Inf and _count are of one source, so that they agree: hist's count, or the last bucket where that is ahead. */
static enum rc put_buckets(const struct hist *h, const char *route, struct iobuf *out)
{
	uint64_t below[countof(bounds)], count = stats_get(&h->count);

	hist_cumulative(h, bounds, countof(bounds), below);
	if (count < below[countof(bounds) - 1])
		count = below[countof(bounds) - 1];
	for (unsigned i = 0; i < countof(bounds); i++) {
		if (iobuf_printf(out, "suimon_query_duration_seconds_bucket{route=\"%s\",le=\"%s\"} %" PRIu64 "\n",
				 route, bound_names[i], below[i]) != RC_OK)
			return RC_ERROR;
	}
	if (iobuf_printf(out,
			 "suimon_query_duration_seconds_bucket{route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
			 "suimon_query_duration_seconds_sum{route=\"%s\"}",
			 route, count, route) != RC_OK ||
	    put_seconds(out, stats_get(&h->sum_ns)) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, "suimon_query_duration_seconds_count{route=\"%s\"} %" PRIu64 "\n", route, count);
}

static enum rc put_route(struct stats *s, unsigned route, struct iobuf *out)
{
	struct hist h;
	enum rc rc = merge_route(s, route, &h);

	if (rc == RC_OK)
		rc = put_buckets(&h, route_names[route], out);
	hist_reset(&h);
	return rc;
}

static enum rc put_process(struct stats *s, struct iobuf *out)
{
	uint64_t up = clock_mono_ns() - s->mono_ns;

	if (put_head(out, "uptime_seconds", "Seconds since the process began to count.", "gauge") != RC_OK ||
	    iobuf_printf(out, "suimon_uptime_seconds") != RC_OK || put_seconds(out, up) != RC_OK)
		return RC_ERROR;
	if (put_head(out, "digests", "Distinct statements kept now.", "gauge") != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, "suimon_digests %u\n", atomic_load_explicit(&s->ndigests, memory_order_relaxed));
}

enum rc stats_prometheus(struct stats *s, struct iobuf *out)
{
	for (unsigned i = 0; i < STATS_COUNTERS_N; i++) {
		if (put_counter(s, i, out) != RC_OK)
			return RC_ERROR;
	}
	if (put_head(out, "query_duration_seconds", "Time from a statement's first byte to its answer's last.",
		     "histogram") != RC_OK)
		return RC_ERROR;
	for (unsigned r = 0; r < STATS_ROUTES; r++) {
		if (put_route(s, r, out) != RC_OK)
			return RC_ERROR;
	}
	return put_process(s, out);
}
