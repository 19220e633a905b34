/*
 * findings.c - GET /api/findings: all collectors' findings, ranked by what they cost.
 */
#include "findings.h"

#include <stdio.h>
#include <stdlib.h>

#include "advice.h"
#include "mem.h"
#include "queries.h"

#define FINDINGS_MAX 200 /* written at once; the costliest */
/* What has not come again for so many of its usual intervals is over: mended, or no longer run. */
#define OVER_INTERVALS 20
#define OVER_LEAST_NS (3600 * NS_PER_SEC)
#define OVER_MOST_NS (24 * 3600 * NS_PER_SEC)

enum rc findings_add(struct findings *l, const struct finding *f)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct finding *at = mem_realloc(l->at, cap * sizeof(*at));

		if (!at)
			return RC_ERROR;
		l->at = at;
		l->cap = cap;
	}
	l->at[l->count++] = *f;
	return RC_OK;
}

static void findings_reset(struct findings *l)
{
	for (size_t i = 0; i < l->count; i++)
		advice_reset(&l->at[i].advice);
	mem_free(l->at);
	*l = (struct findings){0};
}

const char *finding_table(const struct stats_digest *d, char *buf, size_t cap)
{
	bool bare = d->schema[0] == '\0' || strchr(d->table, '.') != NULL;

	if (d->table[0] == '\0')
		buf[0] = '\0';
	else
		snprintf(buf, cap, "%s%s%s", bare ? "" : d->schema, bare ? "" : ".", d->table);
	return buf;
}

bool finding_is_of_system(const struct stats_digest *d)
{
	static const char *const own[] = {"information_schema", "performance_schema", "mysql", "sys"};
	const char *dot = strchr(d->table, '.');
	struct span schema = dot ? span_of(d->table, (size_t)(dot - d->table)) : span_str(d->schema);

	for (unsigned i = 0; i < countof(own); i++) {
		if (span_ieq(schema, span_str(own[i])))
			return true;
	}
	return false;
}

static int by_cost(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->cost_ns != y->cost_ns)
		return x->cost_ns < y->cost_ns ? 1 : -1;
	return x->row->digest < y->row->digest ? -1 : x->row->digest > y->row->digest;
}

/* The longest run of the statement, with its literals. */
static void put_example(const struct view *v, const struct finding *f, bool samples, struct jsonw *w)
{
	struct stats_sample *m = samples ? view_sample(v, f->row) : NULL;

	if (m)
		jsonw_str(w, "example", span_of(m->text, m->len));
	mem_free(m);
}

static void put_worth(const struct finding_worth *p, struct jsonw *w)
{
	if (!p->known) {
		jsonw_null(w, "predicted");
		return;
	}
	jsonw_open(w, "predicted", '{');
	jsonw_seconds(w, "time_saved", p->saved_ns);
	jsonw_seconds(w, "time_left", p->left_ns);
	jsonw_close(w, '}');
}

/* What the adviser has seen inside a table's JSON. */
static void put_path(const struct finding *f, struct jsonw *w)
{
	if (f->advice.given_ns && f->advice.path[0] && f->values)
		jsonw_text(w, "path", f->advice.path);
}

static void put_finding(const struct view *v, const struct finding *f, bool samples, struct jsonw *w)
{
	char table[2 * STATS_NAME_MAX + 2], title[sizeof(table) + 128];

	finding_table(f->row->main, table, sizeof(table));
	if (f->advice.given_ns && f->advice.path[0] && (f->advice.fix_sql[0] == '\0' || strncmp(f->advice.fix_sql, "ALTER", 5) == 0))
		snprintf(title, sizeof(title), "%s has no index on what is inside %s", f->advice.table, f->advice.columns);
	else if (f->advice.given_ns && f->advice.fix_text[0] && !advice_adds_index(&f->advice))
		snprintf(title, sizeof(title), "%s: its index on %s cannot be used", f->advice.table, f->advice.columns);
	else if (f->advice.given_ns)
		snprintf(title, sizeof(title), "%s has no index on %s", f->advice.table, f->advice.columns);
	else
		snprintf(title, sizeof(title), "%s%s%s", f->title, table[0] ? " " : "", table);
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "kind", f->kind);
	jsonw_hex64(w, "digest", f->row->digest);
	jsonw_text(w, "title", title);
	jsonw_text(w, "text", f->row->main->text);
	jsonw_open(w, "evidence", '{');
	f->put(v, f, w);
	put_path(f, w);
	put_example(v, f, samples, w);
	jsonw_close(w, '}');
	jsonw_seconds(w, "cost_seconds", f->cost_ns);
	put_worth(&f->worth, w);
	f->put_fix(v, f, w);
	jsonw_time(w, "first_seen", stats_wall_us(v->stats, f->first_ns));
	jsonw_time(w, "last_seen", stats_wall_us(v->stats, f->last_ns));
	jsonw_close(w, '}');
}

static bool has_kind(const struct findings *l, const struct view_row *row, const char *kind)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->at[i].row == row && strcmp(l->at[i].kind, kind) == 0)
			return true;
	}
	return false;
}

/* What is said of a statement already says more: a read that lacks an index is not called a heavy aggregate too, and one
 * that should not be sent at all, or not so, is no candidate for the cache beside that. */
static bool is_lesser(const struct findings *l, const struct finding *f)
{
	bool heavy = strcmp(f->kind, "heavy_aggregate") == 0, cacheable = strcmp(f->kind, "cacheable") == 0;

	if ((heavy || cacheable) && has_kind(l, f->row, "missing_index"))
		return true;
	return cacheable && (has_kind(l, f->row, "n_plus_one") || has_kind(l, f->row, "heavy_aggregate"));
}

static void drop_doubles(struct findings *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (!is_lesser(l, &l->at[i]))
			l->at[kept++] = l->at[i];
	}
	l->count = kept;
}

static bool is_over(const struct finding *f, uint64_t now)
{
	uint64_t times = f->times ? f->times : f->row->n[STATS_N_CALLS], usual = (f->last_ns - f->first_ns) / (times > 1 ? times - 1 : 1),
		 over = usual < OVER_MOST_NS / OVER_INTERVALS ? usual * OVER_INTERVALS : OVER_MOST_NS;

	if (over < OVER_LEAST_NS)
		over = OVER_LEAST_NS;
	return stats_before(f->last_ns, now) && now - f->last_ns > over;
}

/* ---- tables that were dropped: nothing is to be mended of them; what runs again has found another one ---- */

void stats_table_dropped(struct stats *s, struct span schema, struct span name)
{
	struct stats_drop *d;

	pthread_mutex_lock(&s->lock);
	d = &s->drop[s->ndrops++ % STATS_DROPS];
	(void)snprintf(d->table, sizeof(d->table), SPAN_FMT "." SPAN_FMT, SPAN_ARG(schema), SPAN_ARG(name));
	d->at_ns = clock_mono_ns();
	pthread_mutex_unlock(&s->lock);
}

static bool is_of(const struct stats_drop *d, const char *table)
{
	size_t n = strlen(d->table);

	return d->table[n - 1] == '.' ? strncasecmp(d->table, table, n) == 0 : strcasecmp(d->table, table) == 0;
}

/* Since it was last seen. */
static bool is_dropped(struct stats *s, const struct finding *f)
{
	char own[2 * STATS_NAME_MAX + 2];
	const char *table = f->advice.given_ns ? f->advice.table : finding_table(f->row->main, own, sizeof(own));
	bool dropped = false;

	pthread_mutex_lock(&s->lock);
	for (uint64_t i = 0; i < s->ndrops && i < STATS_DROPS && !dropped; i++)
		dropped = stats_before(f->last_ns, s->drop[i].at_ns) && is_of(&s->drop[i], table);
	pthread_mutex_unlock(&s->lock);
	return dropped;
}

static void drop_over(struct stats *s, struct findings *l)
{
	uint64_t now = clock_mono_ns();
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (is_over(&l->at[i], now) || is_dropped(s, &l->at[i]))
			advice_reset(&l->at[i].advice);
		else
			l->at[kept++] = l->at[i];
	}
	l->count = kept;
}

static enum rc collect(const struct view *v, struct findings *l)
{
	l->quickest_ns = finding_quickest(v);
	if (find_loops(v, l) != RC_OK || find_indexes(v, l) != RC_OK || find_chances(v, l) != RC_OK ||
	    find_locks(v, l) != RC_OK) {
		findings_reset(l);
		return RC_ERROR;
	}
	drop_over(v->stats, l);
	drop_doubles(l);
	if (l->count)
		qsort(l->at, l->count, sizeof(*l->at), by_cost);
	return RC_OK;
}

static bool concerns(const struct finding *f, uint64_t digest)
{
	return f->row->digest == digest || (f->parent && f->parent->digest == digest);
}

/* digest 0: of all. */
static enum rc put_all(const struct view *v, uint64_t digest, bool samples, struct jsonw *w)
{
	struct findings l = {0};

	if (collect(v, &l) != RC_OK)
		return RC_ERROR;
	jsonw_open(w, "findings", '[');
	for (size_t i = 0, n = 0; i < l.count && n < FINDINGS_MAX; i++) {
		if (digest && !concerns(&l.at[i], digest))
			continue;
		l.at[i].values = samples && atomic_load(&v->stats->samples);
		put_finding(v, &l.at[i], samples, w);
		n++;
	}
	jsonw_close(w, ']');
	findings_reset(&l);
	return RC_OK;
}

enum rc findings_put(const struct view *v, uint64_t digest, bool samples, struct jsonw *w)
{
	return put_all(v, digest, samples, w);
}

enum rc stats_json_findings(struct stats *s, bool samples, struct iobuf *out)
{
	struct view v;
	struct jsonw w;
	enum rc rc;

	if (view_open(s, &v) != RC_OK)
		return RC_ERROR;
	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	rc = put_all(&v, 0, samples, &w);
	jsonw_close(&w, '}');
	view_close(&v);
	return rc == RC_OK ? jsonw_end(&w) : rc;
}
