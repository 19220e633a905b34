/*
 * find_loops.c - n_plus_one: the loops that the sinks have seen (nplus1.c), merged, with the one statement that
 * replaces them (batch.c) where it can be derived from the child's text.
 */
#include "findings.h"

#include "iobuf.h"
#include "mem.h"

#define LEAST_SHARE 20   /* a loop follows at least one in so many reads of its list */
#define ROWS_PER_QUERY 4 /* and has at least one query for so many rows of it (an identity map saves some) */
#define ONCE_MOST 4      /* seen once, after a list that has been read oftener than this, it may be there by chance */
#define WORTH_SHARE 10   /* one statement in its place saves at least one of so many parts */

struct loops {
	struct finding_loop *at; /* owned */
	size_t count;
};

static bool same_loop(const struct finding_loop *a, const struct stats_loop *b)
{
	return a->parent == b->parent && a->child == b->child && strcmp(a->route, b->route) == 0;
}

static void loop_add(struct finding_loop *to, const struct stats_loop *l)
{
	uint64_t first = stats_get(&l->first_ns), last = stats_get(&l->last_ns), max = stats_get(&l->max_repeats);

	to->occurrences += stats_get(&l->occurrences);
	to->queries += stats_get(&l->queries);
	to->spent_ns += stats_get(&l->spent_ns);
	to->parent_rows += stats_get(&l->parent_rows);
	to->overruns += stats_get(&l->overruns);
	to->compared += stats_get(&l->compared);
	to->matched += stats_get(&l->matched);
	to->varied |= stats_get(&l->varied);
	to->max_repeats = max > to->max_repeats ? max : to->max_repeats;
	to->first_ns = to->first_ns == 0 || stats_before(first, to->first_ns) ? first : to->first_ns;
	to->last_ns = to->last_ns == 0 || stats_before(to->last_ns, last) ? last : to->last_ns;
}

static void loops_put(struct loops *all, const struct stats_loop *l)
{
	size_t i;

	for (i = 0; i < all->count && !same_loop(&all->at[i], l); i++)
		;
	if (i == all->count) {
		all->at[all->count] = (struct finding_loop){.parent = l->parent, .child = l->child};
		memcpy(all->at[all->count].framework, l->framework, sizeof(l->framework));
		memcpy(all->at[all->count++].route, l->route, sizeof(l->route));
	}
	loop_add(&all->at[i], l);
}

static enum rc loops_collect(const struct view *v, struct loops *all)
{
	size_t tables = 0;

	for (struct stats_sink *k = atomic_load(&v->stats->sinks); k; k = k->next)
		tables += k->table != NULL;
	all->at = mem_alloc((tables * STATS_NPLUS1_MAX + 1) * sizeof(*all->at));
	if (!all->at)
		return RC_ERROR;
	for (struct stats_sink *k = atomic_load(&v->stats->sinks); k && tables > 0; k = k->next) {
		if (!k->table)
			continue;
		tables--; /* a sink made meanwhile must not write beyond the room that was measured */
		for (unsigned i = 0; i < STATS_NPLUS1_MAX; i++) {
			const struct stats_loop *l = atomic_load(&k->table->loop[i]);

			if (l)
				loops_put(all, l);
		}
	}
	return RC_OK;
}

/* The wrapping counts of a run taken back may be read half-way: a number too large to be true is such a one. */
static bool plausible(const struct finding_loop *l)
{
	return l->occurrences > 0 && l->occurrences < UINT32_MAX && l->queries > l->occurrences &&
	       l->queries < UINT64_MAX / 2 && l->spent_ns < UINT64_MAX / 2 && l->parent_rows < UINT64_MAX / 2;
}

/* Of this parent and child, by whatever route. */
static uint64_t occurrences(const struct loops *all, const struct finding_loop *l)
{
	uint64_t n = 0;

	for (size_t i = 0; i < all->count; i++) {
		if (all->at[i].parent == l->parent && all->at[i].child == l->child && plausible(&all->at[i]))
			n += all->at[i].occurrences;
	}
	return n;
}

/* Is the list itself read for each row of another? Then it is read often, and gone through once. */
static bool is_nested(const struct loops *all, const struct finding_loop *l)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->at[i].child == l->parent && plausible(&all->at[i]))
			return true;
	}
	return false;
}

static bool convincing(const struct loops *all, const struct finding_loop *l, const struct view_row *parent)
{
	uint64_t seen = occurrences(all, l), lists = parent ? parent->n[STATS_N_CALLS] : 0;

	if (!plausible(l) || l->overruns > l->occurrences || l->queries * ROWS_PER_QUERY < l->parent_rows)
		return false;
	return is_nested(all, l) || (seen * LEAST_SHARE >= lists && (seen > 1 || lists <= ONCE_MOST));
}

static bool saves_enough(const struct finding *f)
{
	return !f->worth.known || f->worth.saved_ns * WORTH_SHARE >= f->worth.saved_ns + f->worth.left_ns;
}

static void put_evidence(const struct view *v, const struct finding *f, struct jsonw *w)
{
	const struct finding_loop *l = &f->loop;

	jsonw_hex64(w, "parent_digest", l->parent);
	jsonw_text(w, "parent_text", f->parent ? f->parent->main->text : NULL);
	jsonw_text(w, "route", l->route[0] ? l->route : NULL);
	jsonw_text(w, "framework", l->framework[0] ? l->framework : NULL);
	jsonw_uint(w, "occurrences", l->occurrences);
	jsonw_uint(w, "queries", l->queries);
	jsonw_double(w, "mean_repeats", (double)l->queries / (double)l->occurrences);
	jsonw_uint(w, "max_repeats", l->max_repeats);
	jsonw_double(w, "mean_parent_rows", (double)l->parent_rows / (double)l->occurrences);
	if (l->compared)
		jsonw_double(w, "values_from_list_share", (double)l->matched / (double)l->compared);
	else
		jsonw_null(w, "values_from_list_share");
	jsonw_seconds(w, "total_time", l->spent_ns);
	jsonw_seconds(w, "mean_time", l->spent_ns / l->queries);
}

/* What the application's framework calls it; of all of them where the statements do not say which it is. */
static const char *hint_of(const char *framework)
{
	static const struct {
		const char *name, *hint;
	} known[] = {
		{"django", "Django: select_related(...) where each row has one of them, prefetch_related(...) where it may have many."},
		{"rails", "Rails: includes(...) on the list's relation, or preload(...); strict_loading finds the place."},
		{"active", "Rails: includes(...) on the list's relation, or preload(...); strict_loading finds the place."},
		{"laravel", "Laravel: with(...) on the list's query; Model::preventLazyLoading() finds the place."},
		{"hibernate", "Hibernate: JOIN FETCH in the list's query, an entity graph, or @BatchSize on the association."},
		{"spring", "Hibernate: JOIN FETCH in the list's query, an entity graph, or @BatchSize on the association."},
		{"sqlalchemy", "SQLAlchemy: options(selectinload(...)) or joinedload(...) on the list's query."},
		{"flask", "SQLAlchemy: options(selectinload(...)) or joinedload(...) on the list's query."},
		{"prisma", "Prisma: include on the list's query."},
		{"sequelize", "Sequelize: include on the list's query."},
		{"knex", "Objection: withGraphFetched(...) on the list's query; with Knex alone: whereIn(...)."},
	};

	for (unsigned i = 0; i < countof(known); i++)
		if (strncasecmp(framework, known[i].name, strlen(known[i].name)) == 0)
			return known[i].hint;
	return "Django: select_related or prefetch_related; Rails: includes; Laravel: with(); Hibernate: JOIN FETCH, an entity graph or "
	       "@BatchSize; SQLAlchemy: selectinload or joinedload; Prisma: include.";
}

static bool has_capitals(const char *name)
{
	while (*name && !(*name >= 'A' && *name <= 'Z'))
		name++;
	return *name != '\0';
}

/* The child's text, its names in the letters they were sent in; a sample says them. Where there is none they are small ones, unless the
 * table's name says otherwise. RC_DECLINED: it cannot be said. */
static enum rc spelt_text(const struct view *v, const struct finding *f, struct iobuf *out)
{
	const struct stats_digest *d = f->row->main;
	struct span text = span_str(d->text);
	struct stats_sample *m = v->stats->spell ? view_sample(v, f->row) : NULL;

	if (m)
		v->stats->spell(span_of(m->text, m->len), out);
	mem_free(m);
	if (iobuf_len(out) && span_ieq(span_of(iobuf_data(out), iobuf_len(out)), text))
		return iobuf_append(out, "", 1);
	iobuf_reset(out);
	return has_capitals(d->table) ? RC_DECLINED : iobuf_append(out, text.p, text.len + 1);
}

static void put_batched(const struct view *v, const struct finding *f, struct jsonw *w)
{
	bool few = f->row->n[STATS_N_ROWS_SENT] <= f->row->n[STATS_N_CALLS];
	struct iobuf text, sql;

	iobuf_init(&text, STATS_TEXT_MAX + 1);
	iobuf_init(&sql, 2 * STATS_TEXT_MAX);
	if (spelt_text(v, f, &text) == RC_OK && batch_put((const char *)iobuf_data(&text), f->loop.varied, few, &sql) == RC_OK)
		jsonw_str(w, "fix_sql", span_of(iobuf_data(&sql), iobuf_len(&sql)));
	iobuf_reset(&text);
	iobuf_reset(&sql);
}

static void put_fix(const struct view *v, const struct finding *f, struct jsonw *w)
{
	jsonw_printf(w, "fix_text",
		     "After the list is read, one statement is sent for each of its rows. Collect the keys and load all of them "
		     "with one statement, or join. %s",
		     hint_of(f->loop.framework));
	put_batched(v, f, w);
}

/* All but one query of each run could be saved. */
static uint64_t cost(const struct finding_loop *l)
{
	return l->spent_ns - l->spent_ns / l->queries * l->occurrences;
}

enum rc find_loops(const struct view *v, struct findings *out)
{
	struct loops all = {0};
	enum rc rc = loops_collect(v, &all);

	for (size_t i = 0; i < all.count && rc == RC_OK; i++) {
		const struct finding_loop *l = &all.at[i];
		struct finding f = {.kind = "n_plus_one",
				    .row = view_find(v, l->child),
				    .parent = view_find(v, l->parent),
				    .loop = *l,
				    .put = put_evidence,
				    .put_fix = put_fix,
				    .title = "N+1 loop over",
				    .first_ns = l->first_ns,
				    .last_ns = l->last_ns,
				    .times = l->occurrences};

		if (!f.row || finding_is_of_system(f.row->main) || !convincing(&all, l, f.parent))
			continue;
		f.cost_ns = cost(l);
		f.worth = finding_worth_loop(&f);
		if (saves_enough(&f))
			rc = findings_add(out, &f);
	}
	mem_free(all.at);
	return rc;
}
