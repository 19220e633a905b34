#include "emf.h"

#include <unistd.h>

#include "clock.h"
#include "hist.h"
#include "jsonw.h"
#include "log.h"
#include "mem.h"

#define NAME_MAX_BYTES 64 /* of a host, as Linux has them */

/* Counters: what came since the line before, of so many rows of stats/counters.h one after another. */
static const struct counter {
	const char *name, *unit;
	enum stats_counter first;
	unsigned n;
} counters[] = {
	{"Queries", "Count", STATS_C_QUERIES_PRIMARY, STATS_ROUTES},
	{"QueriesPrimary", "Count", STATS_C_QUERIES_PRIMARY, 1},
	{"QueriesReplica", "Count", STATS_C_QUERIES_REPLICA, 1},
	{"QueriesCache", "Count", STATS_C_QUERIES_CACHE, 1},
	{"QueriesQueue", "Count", STATS_C_QUERIES_QUEUE, 1},
	{"QueryTime", "Seconds", STATS_C_TIME_TOTAL, 1},
	{"Errors", "Count", STATS_C_ERRORS, 1},
	{"SlowQueries", "Count", STATS_C_SLOW_QUERIES, 1},
	{"NoIndexQueries", "Count", STATS_C_NO_INDEX_QUERIES, 1},
	{"LockErrors", "Count", STATS_C_LOCK_TIMEOUTS, 2},
	{"RowsSent", "Count", STATS_C_ROWS_SENT, 1},
	{"RowsAffected", "Count", STATS_C_ROWS_AFFECTED, 1},
	{"ClientConnections", "Count", STATS_C_CLIENT_CONNECTIONS, 1},
	{"CacheHits", "Count", STATS_C_CACHE_HITS, 2},
	{"CacheMisses", "Count", STATS_C_CACHE_MISSES, 1},
	{"QueueEnqueued", "Count", STATS_C_QUEUE_ENQUEUED, 1},
	{"QueueApplied", "Count", STATS_C_QUEUE_APPLIED, 1},
	{"QueueDead", "Count", STATS_C_QUEUE_DEAD, 1},
};
#define METRICS_MOST (countof(counters) + 16) /* and the gauges */
_Static_assert(METRICS_MOST <= 100, "the format's most of one directive");

static const struct {
	const char *name;
	double q;
} percentiles[] = {{"LatencyP50", .5}, {"LatencyP95", .95}, {"LatencyP99", .99}};

struct emf {
	struct instance *in;       /* outlives this */
	struct event *timer;       /* owned */
	struct stats_sink *counts; /* stats' */
	char *name_space, *instance; /* owned; NULL: switched off */
	char host[NAME_MAX_BYTES + 1];
	uint64_t every_ns;
	uint64_t told[countof(counters)]; /* what the lines so far have told of; nanoseconds of a time */
	struct hist latency;       /* of all statements until then */
};

/* ---- the line ---- */

static void put_directive(const char *name_space, bool dimension, const struct emf_metric *m, size_t n, struct jsonw *w)
{
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "Namespace", name_space);
	jsonw_raw(w, "Dimensions", span_str(dimension ? "[[\"Instance\"]]" : "[[]]"));
	jsonw_open(w, "Metrics", '[');
	for (size_t i = 0; i < n; i++) {
		jsonw_open(w, NULL, '{');
		jsonw_text(w, "Name", m[i].name);
		jsonw_text(w, "Unit", m[i].unit);
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
	jsonw_close(w, '}');
}

enum rc emf_put_line(const char *name_space, const char *instance, const char *host, uint64_t wall_us, const struct emf_metric *m,
		     size_t n, struct iobuf *out)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	jsonw_open(&w, "_aws", '{');
	jsonw_uint(&w, "Timestamp", wall_us / 1000);
	jsonw_open(&w, "CloudWatchMetrics", '[');
	put_directive(name_space, *instance != '\0', m, n, &w);
	jsonw_close(&w, ']');
	jsonw_close(&w, '}');
	if (*instance)
		jsonw_text(&w, "Instance", instance);
	jsonw_text(&w, "Host", host);
	jsonw_text(&w, "Version", SUIMON_VERSION);
	for (size_t i = 0; i < n; i++)
		jsonw_double(&w, m[i].name, m[i].value);
	jsonw_close(&w, '}');
	return jsonw_end(&w) == RC_OK ? iobuf_append(out, "\n", 1) : RC_ERROR;
}

/* ---- what is told ---- */

struct telling {
	struct emf_metric at[METRICS_MOST];
	size_t n;
	uint64_t sums[countof(counters)]; /* of all time */
	struct hist latency;              /* likewise */
};

static void add(struct telling *t, const char *name, const char *unit, double value)
{
	if (t->n < countof(t->at))
		t->at[t->n++] = (struct emf_metric){name, unit, value};
}

static uint64_t sum_of(struct stats *s, const struct counter *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->n; i++)
		sum += stats_sum(s, c->first + i);
	return sum;
}

static void add_counters(const struct emf *e, struct telling *t)
{
	for (size_t i = 0; i < countof(counters); i++) {
		const struct counter *c = &counters[i];
		uint64_t more = t->sums[i] - e->told[i];

		add(t, c->name, c->unit, strcmp(c->unit, "Seconds") == 0 ? (double)more / NS_PER_SEC : (double)more);
	}
}

/* Of the statements since the last line; without any there is no latency. */
static void add_latency(const struct emf *e, struct telling *t)
{
	struct hist lately;

	hist_init(&lately);
	if (hist_difference(&lately, &t->latency, &e->latency) == RC_OK && atomic_load(&lately.count))
		for (size_t i = 0; i < countof(percentiles); i++)
			add(t, percentiles[i].name, "Seconds", (double)hist_quantile(&lately, percentiles[i].q) / NS_PER_SEC);
	hist_reset(&lately);
}

static void add_backends(const struct topology *topology, struct telling *t)
{
	uint64_t up = 0, down = 0, lag = 0;
	bool known = false;

	for (size_t i = 0; i < topology->n; i++) {
		enum backend_state state = backend_state(topology->all[i]);
		uint64_t theirs = atomic_load(&topology->all[i]->lag_ns);

		up += state == BACKEND_UP;
		down += state == BACKEND_DOWN;
		if (theirs == BACKEND_LAG_UNKNOWN)
			continue;
		known = true;
		lag = theirs > lag ? theirs : lag;
	}
	add(t, "BackendsUp", "Count", (double)up);
	add(t, "BackendsDown", "Count", (double)down);
	if (known)
		add(t, "ReplicaLag", "Seconds", (double)lag / NS_PER_SEC);
}

static void add_gauges(struct instance *in, struct telling *t)
{
	struct cache_totals cache = {0};
	struct queue_totals queue = {0};

	add(t, "ClientSessions", "Count", atomic_load(&in->sessions));
	add(t, "ServerConnections", "Count", (double)stats_sum(in->stats, STATS_C_UPSTREAM_ACTIVE));
	if (in->cache) {
		cache_totals(in->cache, &cache);
		add(t, "CacheBytes", "Bytes", (double)cache.bytes);
	}
	if (in->queue) {
		queue_totals(in->queue, &queue);
		add(t, "QueueDepth", "Count", (double)queue.depth);
		add(t, "QueueBytes", "Bytes", (double)queue.bytes);
		add(t, "QueueOldestAge", "Seconds", (double)queue.oldest_age_ns / NS_PER_SEC);
		add(t, "QueueDeadLetters", "Count", (double)queue.dead_waiting);
	}
	add_backends(in->topology, t);
}

/* Where they stand now. RC_ERROR: no memory. */
static enum rc look(struct emf *e, struct telling *t)
{
	t->n = 0;
	hist_init(&t->latency);
	for (size_t i = 0; i < countof(counters); i++)
		t->sums[i] = sum_of(e->in->stats, &counters[i]);
	return stats_latency(e->in->stats, &t->latency);
}

/* All until then is told. */
static void take(struct emf *e, struct telling *t)
{
	memcpy(e->told, t->sums, sizeof(e->told));
	hist_reset(&e->latency);
	e->latency = t->latency;
	hist_init(&t->latency);
}

static void tell(struct emf *e)
{
	struct telling t;
	struct iobuf line;
	bool done = false;

	iobuf_init(&line, EMF_LINE_MAX);
	if (look(e, &t) == RC_OK) {
		add_counters(e, &t);
		add_latency(e, &t);
		if (!atomic_load(&e->in->retiring)) /* a second value of the same metric, and no alarm could be set on it */
			add_gauges(e->in, &t);
		done = emf_put_line(e->name_space, e->instance, e->host, clock_wall_us(), t.at, t.n, &line) == RC_OK &&
		       lineout_write(STDOUT_FILENO, span_of(iobuf_data(&line), iobuf_len(&line)), 0) == RC_OK;
	}
	stats_count(e->counts, done ? STATS_C_EMF_WRITTEN : STATS_C_EMF_DROPPED, 1);
	if (done)
		take(e, &t);
	else
		log_warn("admin", "a line of metrics could not be written; the next one tells of it", "to=stdout");
	hist_reset(&t.latency);
	iobuf_reset(&line);
}

/* ---- life ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct emf *e = arg;

	if (e->name_space)
		tell(e);
}

struct emf *emf_new(struct instance *in)
{
	struct emf *e = mem_zalloc(sizeof(*e));

	if (!e)
		return NULL;
	e->in = in;
	hist_init(&e->latency);
	if (gethostname(e->host, sizeof(e->host) - 1) != 0)
		e->host[0] = '\0';
	e->counts = stats_sink_new(in->stats, false);
	e->timer = event_new(loop_base(in->control), -1, EV_PERSIST, on_timer, e);
	if (!e->counts || !e->timer) {
		emf_free(e);
		return NULL;
	}
	return e;
}

static void switch_off(struct emf *e)
{
	if (e->name_space)
		tell(e);
	(void)event_del(e->timer);
	mem_free(e->name_space);
	mem_free(e->instance);
	e->name_space = e->instance = NULL;
	e->every_ns = 0;
}

void emf_free(struct emf *e)
{
	if (!e)
		return;
	if (e->timer) {
		switch_off(e);
		event_free(e->timer);
	}
	hist_reset(&e->latency);
	mem_free(e);
}

static bool as_it_is(const struct emf *e, const struct settings *s)
{
	if (!e->name_space || !s->stats.emf.every_ns)
		return !e->name_space && !s->stats.emf.every_ns;
	return e->every_ns == s->stats.emf.every_ns && strcmp(e->name_space, s->stats.emf.name_space) == 0 &&
	       strcmp(e->instance, s->stats.emf.instance) == 0;
}

/* What was counted while it was off is nobody's news. */
static enum rc switch_on(struct emf *e, const struct settings *s)
{
	struct timeval every = {.tv_sec = (time_t)(s->stats.emf.every_ns / NS_PER_SEC),
				.tv_usec = (suseconds_t)(s->stats.emf.every_ns % NS_PER_SEC / 1000)};
	struct telling t;
	enum rc rc = look(e, &t);

	if (rc == RC_OK)
		take(e, &t);
	hist_reset(&t.latency);
	e->name_space = mem_strdup(s->stats.emf.name_space);
	e->instance = mem_strdup(s->stats.emf.instance);
	e->every_ns = s->stats.emf.every_ns;
	if (rc == RC_OK && e->name_space && e->instance && event_add(e->timer, &every) == 0)
		return RC_OK;
	mem_free(e->name_space);
	mem_free(e->instance);
	e->name_space = e->instance = NULL;
	return RC_ERROR;
}

enum rc emf_configure(struct emf *e, const struct settings *s)
{
	if (as_it_is(e, s))
		return RC_OK;
	switch_off(e);
	return s->stats.emf.every_ns ? switch_on(e, s) : RC_OK;
}
