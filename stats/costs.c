/*
 * costs.c - who uses the database, and what share of its price that is: by service and route (sqlcommenter's), account and
 * client host. GET /api/costs.
 *
 * A sink counts each combination of the four in an entry of its own, up to STATS_SPENDERS; further ones in one without names.
 * The price is split by the time servers were at work: an answer from the cache costs the database nothing.
 */
#include <stdlib.h>

#include "costs.h"
#include "jsonw.h"
#include "mem.h"
#include "predict.h"
#include "view.h"

#define ROWS_MOST 50
#define CDN_CALLS 100                      /* so many say something of a route */
#define CDN_WRITES_APART (60 * NS_PER_SEC) /* its tables are written no oftener */
#define CDN_TTL_MOST 3600
#define CDN_SHARE 10 /* of the time between writes: so long may a page be held */

static struct span name_of(const struct stats_event *e, enum stats_dimension d)
{
	switch (d) {
	case STATS_BY_SERVICE:
		return e->tag_service;
	case STATS_BY_ROUTE:
		return e->tag_route;
	case STATS_BY_USER:
		return e->user;
	default:
		return e->host;
	}
}

static struct span cut(struct span name)
{
	return span_of(name.p, name.len < STATS_TAG_MAX ? name.len : STATS_TAG_MAX);
}

static bool is_of(const struct stats_spender *s, const struct stats_event *e)
{
	for (unsigned d = 0; d < STATS_DIMENSIONS; d++) {
		struct span name = cut(name_of(e, d));

		if (name.len != s->len[d] || (name.len && memcmp(name.p, s->name[d], name.len) != 0))
			return false;
	}
	return true;
}

static struct stats_spender *spender_new(const struct stats_event *e)
{
	struct stats_spender *s = mem_zalloc(sizeof(*s));

	for (unsigned d = 0; s && d < STATS_DIMENSIONS; d++) {
		struct span name = cut(name_of(e, d));

		if (name.len)
			memcpy(s->name[d], name.p, name.len);
		s->len[d] = (uint8_t)name.len;
	}
	return s;
}

static struct stats_spender *spender_find(struct stats_table *t, const struct stats_event *e)
{
	uint64_t key[STATS_DIMENSIONS], at;
	struct stats_spender *s;

	for (unsigned d = 0; d < STATS_DIMENSIONS; d++) {
		struct span name = cut(name_of(e, d));

		key[d] = name.len ? map_hash(name.p, name.len) : 0;
	}
	at = map_hash(key, sizeof(key));
	for (unsigned i = 0; i < STATS_SPENDERS; i++) {
		_Atomic(struct stats_spender *) *slot = &t->spender[(at + i) % STATS_SPENDERS];

		s = atomic_load_explicit(slot, memory_order_relaxed);
		if (s && is_of(s, e))
			return s;
		if (s)
			continue;
		s = t->nspenders < STATS_SPENDERS / 4 * 3 ? spender_new(e) : NULL;
		if (!s)
			break;
		t->nspenders++;
		atomic_store_explicit(slot, s, memory_order_release);
		return s;
	}
	return &t->spender_other;
}

static struct stats_spender *spender_of(struct stats_table *t, const struct stats_event *e)
{
	if (!t->spender_last || !is_of(t->spender_last, e))
		t->spender_last = spender_find(t, e);
	return t->spender_last;
}

/* A session is one user's from one host: only tags tell its statements apart. */
static struct stats_spender *spender_in(struct stats_table *t, struct stats_nplus1 *n, const struct stats_event *e)
{
	if (!n || e->tag_service.len || e->tag_route.len)
		return spender_of(t, e);
	if (unlikely(!n->spender))
		n->spender = spender_of(t, e);
	return n->spender;
}

void stats_costs_add(struct stats_table *t, struct stats_nplus1 *n, const struct stats_event *e)
{
	struct stats_spender *s = spender_in(t, n, e);

	stats_add(&s->n[STATS_SPENT_CALLS], 1);
	stats_add(&s->n[STATS_SPENT_NS], e->total_ns);
	if (e->answer_ns)
		stats_add(&s->n[STATS_SPENT_SERVER_NS], e->answer_ns);
	if (e->error)
		stats_add(&s->n[STATS_SPENT_ERRORS], 1);
	if (e->cacheable || e->cached != STATS_NOT_CACHEABLE)
		stats_add(&s->n[STATS_SPENT_CACHEABLE], 1);
}

void stats_costs_put(struct stats_table *t, const struct stats_event *names, const uint64_t n[STATS_SPENT_NUMBERS])
{
	struct stats_spender *s = spender_of(t, names);

	for (unsigned i = 0; i < STATS_SPENT_NUMBERS; i++)
		stats_add(&s->n[i], n[i]);
}

void stats_costs_free(struct stats_table *t)
{
	for (unsigned i = 0; i < STATS_SPENDERS; i++)
		mem_free(atomic_load(&t->spender[i]));
}

/* ---- reading ---- */

struct sum {
	const char *name;
	uint64_t n[STATS_SPENT_NUMBERS];
};

struct sums {
	struct sum *at; /* owned */
	size_t count, cap;
};

static enum rc add(struct sums *l, const char *name, const struct stats_spender *s)
{
	size_t i;

	for (i = 0; i < l->count && strcmp(l->at[i].name, name) != 0; i++)
		;
	if (i == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct sum *more = mem_realloc(l->at, cap * sizeof(*more));

		if (!more)
			return RC_ERROR;
		l->at = more;
		l->cap = cap;
	}
	if (i == l->count)
		l->at[l->count++] = (struct sum){.name = name};
	for (unsigned n = 0; n < STATS_SPENT_NUMBERS; n++)
		l->at[i].n[n] += stats_get(&s->n[n]);
	return RC_OK;
}

static enum rc collect(struct stats *s, enum stats_dimension d, struct sums *l)
{
	enum rc rc = RC_OK;

	for (struct stats_sink *k = atomic_load(&s->sinks); k && rc == RC_OK; k = k->next) {
		if (!k->table)
			continue;
		for (unsigned i = 0; i < STATS_SPENDERS && rc == RC_OK; i++) {
			const struct stats_spender *one =
				atomic_load_explicit(&k->table->spender[i], memory_order_acquire);

			if (one)
				rc = add(l, one->name[d], one);
		}
		if (rc == RC_OK && stats_get(&k->table->spender_other.n[STATS_SPENT_CALLS]))
			rc = add(l, k->table->spender_other.name[d], &k->table->spender_other);
	}
	return rc;
}

static int dearest(const void *a, const void *b)
{
	uint64_t x = ((const struct sum *)a)->n[STATS_SPENT_SERVER_NS],
		 y = ((const struct sum *)b)->n[STATS_SPENT_SERVER_NS];

	return x < y ? 1 : x > y ? -1 : strcmp(((const struct sum *)a)->name, ((const struct sum *)b)->name);
}

/* May the route send it? One of as many routes as a row tells apart may be sent by any other, too. */
static bool may_have_tag(const struct view *v, const struct view_row *r, const char *route)
{
	for (uint32_t i = r->refs; i != VIEW_NONE; i = v->ref[i].next) {
		unsigned names = 0;

		for (unsigned t = 0; t < STATS_TAGS; t++) {
			const char *text = atomic_load_explicit(&v->ref[i].row->tag[t].text, memory_order_acquire);

			if (text && strcmp(text, route) == 0)
				return true;
			names += text != NULL;
		}
		if (names == STATS_TAGS)
			return true;
	}
	return false;
}

/* Statements that write to what the route reads: by the first table of both, and what the ghosts of its reads have seen end by a
 * write, whatever tables and views they hang on. */
static uint64_t writes_under(const struct view *v, const char *route)
{
	struct predict_sum p;
	uint64_t writes = 0;

	for (size_t i = 0; i < v->count; i++) {
		const struct view_row *w = &v->row[i];

		if (w->main->is_read && may_have_tag(v, w, route) && predict_get(v->stats, w->digest, &p))
			writes += p.invalidated;
		for (size_t j = 0; !w->main->is_read && w->main->table[0] && j < v->count; j++) {
			const struct view_row *r = &v->row[j];

			if (r->main->is_read && strcasecmp(r->main->table, w->main->table) == 0 && may_have_tag(v, r, route)) {
				writes += w->n[STATS_N_CALLS];
				break;
			}
		}
	}
	return writes;
}

/* For how many seconds a CDN could hold the route's pages; 0: it should not. */
static uint64_t cdn_ttl(const struct view *v, const struct sum *s, uint64_t up_ns)
{
	uint64_t writes, apart;

	if (s->name[0] == '\0' || s->n[STATS_SPENT_CALLS] < CDN_CALLS ||
	    s->n[STATS_SPENT_CACHEABLE] < s->n[STATS_SPENT_CALLS])
		return 0;
	writes = writes_under(v, s->name);
	apart = up_ns / (writes + 1);
	if (apart < CDN_WRITES_APART)
		return 0;
	apart = apart / CDN_SHARE / NS_PER_SEC;
	return apart < CDN_TTL_MOST ? apart : CDN_TTL_MOST;
}

struct price {
	double per_hour;
	uint64_t server_ns, up_ns; /* of all */
};

static void put_row(const struct view *v, const struct sum *s, const struct price *p, bool route, struct jsonw *w)
{
	double share = p->server_ns ? (double)s->n[STATS_SPENT_SERVER_NS] / (double)p->server_ns : 0;
	uint64_t ttl = route ? cdn_ttl(v, s, p->up_ns) : 0;

	jsonw_open(w, NULL, '{');
	jsonw_text(w, "name", s->name[0] ? s->name : NULL);
	jsonw_uint(w, "calls", s->n[STATS_SPENT_CALLS]);
	jsonw_uint(w, "errors", s->n[STATS_SPENT_ERRORS]);
	jsonw_seconds(w, "total_time", s->n[STATS_SPENT_NS]);
	jsonw_seconds(w, "server_time", s->n[STATS_SPENT_SERVER_NS]);
	jsonw_double(w, "share", share);
	jsonw_double(w, "cost_per_hour", share * p->per_hour);
	if (ttl)
		jsonw_uint(w, "cdn_ttl", ttl);
	jsonw_close(w, '}');
}

static enum rc put_dimension(const struct view *v, enum stats_dimension d, const struct price *p, const char *key,
			     struct jsonw *w)
{
	struct sums l = {0};
	enum rc rc = collect(v->stats, d, &l);

	if (rc == RC_OK && l.count)
		qsort(l.at, l.count, sizeof(*l.at), dearest);
	jsonw_open(w, key, '[');
	for (size_t i = 0; i < l.count && i < ROWS_MOST; i++)
		put_row(v, &l.at[i], p, d == STATS_BY_ROUTE, w);
	jsonw_close(w, ']');
	mem_free(l.at);
	return rc;
}

static uint64_t all_server_ns(struct stats *s)
{
	uint64_t sum = 0;

	for (struct stats_sink *k = atomic_load(&s->sinks); k; k = k->next) {
		for (unsigned i = 0; k->table && i < STATS_SPENDERS; i++) {
			const struct stats_spender *one =
				atomic_load_explicit(&k->table->spender[i], memory_order_acquire);

			sum += one ? stats_get(&one->n[STATS_SPENT_SERVER_NS]) : 0;
		}
		sum += k->table ? stats_get(&k->table->spender_other.n[STATS_SPENT_SERVER_NS]) : 0;
	}
	return sum;
}

enum rc stats_json_costs(struct stats *s, struct iobuf *out)
{
	static const char *const keys[] = {[STATS_BY_SERVICE] = "by_service",
					   [STATS_BY_ROUTE] = "by_route",
					   [STATS_BY_USER] = "by_user",
					   [STATS_BY_HOST] = "by_host"};
	struct price p = {.per_hour = (double)stats_get(&s->cost_millionths) / 1e6,
			  .server_ns = all_server_ns(s),
			  .up_ns = s->before_ns + clock_mono_ns() - s->mono_ns};
	struct jsonw w;
	struct view v;
	enum rc rc = RC_OK;

	if (view_open(s, &v) != RC_OK)
		return RC_ERROR;
	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	jsonw_time(&w, "since", s->since_us);
	jsonw_double(&w, "cost_per_hour", p.per_hour);
	jsonw_seconds(&w, "server_time", p.server_ns);
	for (unsigned d = 0; d < STATS_DIMENSIONS && rc == RC_OK; d++)
		rc = put_dimension(&v, d, &p, keys[d], &w);
	jsonw_close(&w, '}');
	view_close(&v);
	return rc == RC_OK ? jsonw_end(&w) : rc;
}
