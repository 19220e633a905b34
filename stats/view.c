/*
 * view.c - collects the rows of all sinks, chained by digest.
 */
#include "view.h"

#include <stdlib.h>

#include "mem.h"
#include "paths.h"

static size_t rows_used(struct stats *s)
{
	size_t n = 0;

	for (struct stats_sink *k = atomic_load(&s->sinks); k; k = k->next)
		n += k->table ? atomic_load_explicit(&k->table->used, memory_order_relaxed) : 0;
	return n;
}

static enum rc view_alloc(struct view *v, size_t rows)
{
	for (v->buckets = 16; v->buckets < rows * 2; v->buckets *= 2)
		;
	v->row = mem_alloc((rows + 1) * sizeof(*v->row));
	v->ref = mem_alloc((rows + 1) * sizeof(*v->ref));
	v->bucket = mem_alloc(v->buckets * sizeof(*v->bucket));
	if (!v->row || !v->ref || !v->bucket)
		return RC_ERROR;
	for (size_t i = 0; i < v->buckets; i++)
		v->bucket[i] = VIEW_NONE;
	return RC_OK;
}

static uint32_t *bucket_of(const struct view *v, uint64_t digest)
{
	size_t at = map_hash(&digest, sizeof(digest)) & (v->buckets - 1);

	while (v->bucket[at] != VIEW_NONE && v->row[v->bucket[at]].digest != digest)
		at = (at + 1) & (v->buckets - 1);
	return &v->bucket[at];
}

struct view_row *view_find(const struct view *v, uint64_t digest)
{
	uint32_t at = *bucket_of(v, digest);

	return at == VIEW_NONE ? NULL : &v->row[at];
}

static void add_numbers(struct view_row *m, const struct stats_row *r)
{
	uint64_t first = stats_get(&r->first_ns), last = stats_get(&r->last_ns);

	for (unsigned i = 0; i < STATS_NUMBERS; i++)
		m->n[i] += stats_get(&r->n[i]);
	if (stats_get(&r->min_ns) < m->min_ns)
		m->min_ns = stats_get(&r->min_ns);
	if (stats_get(&r->max_ns) > m->max_ns)
		m->max_ns = stats_get(&r->max_ns);
	if (first && (m->first_ns == 0 || stats_before(first, m->first_ns)))
		m->first_ns = first;
	if (last && (m->last_ns == 0 || stats_before(m->last_ns, last)))
		m->last_ns = last;
}

/* The digest's; an evicted one is of the others already, though its writer has not yet noticed. */
static struct view_row *row_for(struct view *v, const struct stats_row *r)
{
	uint64_t spent = stats_get(&r->n[STATS_N_TOTAL_NS]);
	struct view_row *m;
	uint32_t *at;

	if (atomic_load_explicit(&r->digest->evicted, memory_order_relaxed))
		return &v->other;
	at = bucket_of(v, r->digest->digest);
	if (*at == VIEW_NONE) {
		*at = (uint32_t)v->count++;
		v->row[*at] = (struct view_row){.digest = r->digest->digest, .refs = VIEW_NONE, .min_ns = UINT64_MAX};
	}
	m = &v->row[*at];
	if (!m->main || spent > m->main_ns) {
		m->main = r->digest;
		m->main_ns = spent;
	}
	return m;
}

static void add_examined(struct view_row *m, const struct stats_row *r)
{
	uint64_t each = m->main ? stats_get(&r->digest->examined) : 0;
	uint64_t served = stats_get(&r->n[STATS_N_ROUTED + STATS_PRIMARY]) + stats_get(&r->n[STATS_N_ROUTED + STATS_REPLICA]);

	if (!each)
		return;
	m->rows_examined += (uint64_t)((double)(each - 1) * (double)served / 1000);
	m->examined_from = VIEW_EXAMINED_SERVER;
}

static void add_row(struct view *v, const struct stats_row *r)
{
	struct view_row *m = row_for(v, r);

	v->ref[v->nref] = (struct view_ref){r, m->refs};
	m->refs = (uint32_t)v->nref++;
	add_numbers(m, r);
	add_examined(m, r);
	if (m->main)
		m->paths = paths_together(m->paths, atomic_load_explicit(&r->digest->paths, memory_order_relaxed));
}

static bool is_of(const struct stats_digest *d, const struct stats_of *of)
{
	return (!of->user || strcmp(d->user, of->user) == 0) && (!of->schema || strcmp(d->schema, of->schema) == 0) &&
	       !atomic_load_explicit(&d->evicted, memory_order_relaxed);
}

static void add_table(struct view *v, struct stats_table *t, size_t most)
{
	bool all = !v->of.user && !v->of.schema;
	uint32_t used = atomic_load_explicit(&t->used, memory_order_relaxed);

	for (uint32_t i = 0; i < used && v->nref < most; i++) {
		const struct stats_row *r = atomic_load(&t->row[i]);

		if (r && stats_get(&r->n[STATS_N_CALLS]) && (all || is_of(r->digest, &v->of)))
			add_row(v, r);
	}
	if (all)
		add_numbers(&v->other, t->other);
}

static void add_advice(struct view *v)
{
	struct stats *s = v->stats;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->nadvice; i++) {
		struct view_row *m = s->advice[i].given_ns ? view_find(v, s->advice[i].digest) : NULL;

		if (!m || !s->advice[i].rows_examined || m->examined_from == VIEW_EXAMINED_SERVER)
			continue;
		m->rows_examined = s->advice[i].rows_examined * view_at_servers(m);
		m->examined_from = VIEW_EXAMINED_PLAN;
	}
	pthread_mutex_unlock(&s->lock);
}

enum rc view_open(struct stats *s, struct view *v)
{
	return view_open_of(s, (struct stats_of){NULL}, v);
}

enum rc view_open_of(struct stats *s, struct stats_of of, struct view *v)
{
	size_t most;

	*v = (struct view){.stats = s, .of = of, .other = {.refs = VIEW_NONE, .min_ns = UINT64_MAX}};
	stats_enter(s);
	most = rows_used(s);
	if (view_alloc(v, most) != RC_OK) {
		view_close(v);
		return RC_ERROR;
	}
	for (struct stats_sink *k = atomic_load(&s->sinks); k; k = k->next) {
		if (k->table)
			add_table(v, k->table, most);
	}
	add_advice(v);
	return RC_OK;
}

void view_close(struct view *v)
{
	stats_leave(v->stats);
	mem_free(v->row);
	mem_free(v->ref);
	mem_free(v->bucket);
}

static enum rc merge_others(const struct view *v, struct hist *out)
{
	for (struct stats_sink *k = atomic_load(&v->stats->sinks); k; k = k->next) {
		if (k->table && hist_merge(out, &k->table->other->hist) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

const char *view_examined_name(const struct view_row *r)
{
	static const char *const names[] = {NULL, "plan", "performance_schema"};

	return names[r->examined_from];
}

enum rc view_hist(const struct view *v, const struct view_row *r, struct hist *out)
{
	hist_init(out);
	if (r == &v->other && merge_others(v, out) != RC_OK)
		return RC_ERROR;
	for (uint32_t i = r->refs; i != VIEW_NONE; i = v->ref[i].next) {
		if (hist_merge(out, &v->ref[i].row->hist) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

struct stats_sample *view_sample(const struct view *v, const struct view_row *r)
{
	struct stats *s = v->stats;
	const struct stats_sample *best = NULL;
	struct stats_sample *copy = NULL;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = r->refs; i != VIEW_NONE; i = v->ref[i].next) {
		const struct stats_digest *d = v->ref[i].row->digest;
		const struct stats_sample *m = r->main && strcmp(d->schema, r->main->schema) == 0 ? d->sample : NULL;

		if (m && (!best || m->total_ns > best->total_ns))
			best = m;
	}
	if (best && atomic_load(&s->samples))
		copy = mem_dup(best, sizeof(*best) + best->len + 1);
	pthread_mutex_unlock(&s->lock);
	return copy;
}

static enum rc p99_of(const struct view *v, const struct view_row *r, uint64_t *out)
{
	struct hist h;
	enum rc rc = view_hist(v, r, &h);

	*out = hist_quantile(&h, 0.99);
	hist_reset(&h);
	return rc;
}

static enum rc key_of(const struct view *v, struct view_row *r, enum stats_sort sort)
{
	switch (sort) {
	case STATS_BY_CALLS:
		r->key = r->n[STATS_N_CALLS];
		return RC_OK;
	case STATS_BY_ROWS_EXAMINED: /* where it is not known, it was no fewer than were sent */
		r->key = r->rows_examined > r->n[STATS_N_ROWS_SENT] ? r->rows_examined : r->n[STATS_N_ROWS_SENT];
		return RC_OK;
	case STATS_BY_P99:
		return p99_of(v, r, &r->key);
	case STATS_BY_TOTAL_TIME:
		break;
	}
	r->key = r->n[STATS_N_TOTAL_NS];
	return RC_OK;
}

static int by_key(const void *a, const void *b)
{
	const struct view_row *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? 1 : -1;
	return x->digest < y->digest ? -1 : x->digest > y->digest;
}

enum rc view_sort(struct view *v, enum stats_sort sort)
{
	for (size_t i = 0; i < v->count; i++) {
		if (key_of(v, &v->row[i], sort) != RC_OK)
			return RC_ERROR;
	}
	qsort(v->row, v->count, sizeof(*v->row), by_key);
	return RC_OK;
}
