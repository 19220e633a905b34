/*
 * find_loops.c - n_plus_one: the loops that the sinks have seen (nplus1.c), merged, with the one statement that
 * replaces them where it can be derived from the child's text.
 */
#include "findings.h"

#include <ctype.h>

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

static size_t name_len(const char *p)
{
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || (p[n] && strchr("_`.$", p[n])))
		n++;
	return n;
}

static const char *blanks(const char *p)
{
	while (*p == ' ')
		p++;
	return p;
}

static const char *last_of(const char *text, const char *word)
{
	const char *found = NULL;

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		found = at;
	return found;
}

/* A child that can be asked of many keys at once. */
struct batch {
	struct span column;      /* compared with the key; in the text */
	const char *where, *end; /* of the conditions, in the text */
	const char *order;       /* ORDER BY behind them, or "" */
	bool condensed;          /* it gives one number for a key */
};

static bool begins(const char *p, const char *word)
{
	return strncmp(p, word, strlen(word)) == 0;
}

/* "name = ?", once, "name = name" or "name is [not] ?", which is NULL. Returns what is behind it; NULL: it is something else. */
static const char *term_end(const char *p, struct span *column)
{
	struct span name = span_of(p, name_len(p));

	p = blanks(p + name.len);
	if (name.len && begins(p, "is ")) {
		p += begins(p, "is not ") ? strlen("is not ") : strlen("is ");
		return *p == '?' ? p + 1 : NULL;
	}
	if (name.len == 0 || *p++ != '=')
		return NULL;
	p = blanks(p);
	if (*p != '?')
		return name_len(p) ? p + name_len(p) : NULL;
	if (column->len)
		return NULL;
	*column = name;
	return p + 1;
}

/* Conditions joined by AND, from b->where. */
static bool read_terms(struct batch *b)
{
	const char *p = b->where;

	for (;;) {
		p = term_end(p, &b->column);
		if (!p)
			return false;
		b->end = p;
		p = blanks(p);
		if (!begins(p, "and "))
			return b->column.len > 0;
		p = blanks(p + strlen("and "));
	}
}

/* Nothing behind the conditions that is about one key's rows alone: a LIMIT is, but for one that finds any. */
static bool read_order(struct batch *b)
{
	const char *p = blanks(b->end);

	b->order = "";
	if (begins(p, "order by ")) {
		b->order = p;
		return !strchr(p, '?') && !strstr(p, " limit") && !strstr(p, " for ") && !strstr(p, " lock ");
	}
	return *p == '\0' || begins(p, "limit ");
}

/* "select count(..) [as name] from", and the like. */
static bool is_number(const char *text)
{
	static const char *const names[] = {"count(", "max(", "min(", "sum(", "avg("};
	const char *p = text + strlen("select "), *close = strchr(p, ')');
	bool known = false;

	for (unsigned i = 0; i < countof(names); i++)
		known |= begins(p, names[i]);
	if (!known || !close || memchr(strchr(p, '(') + 1, '(', (size_t)(close - strchr(p, '(') - 1)))
		return false;
	p = blanks(close + 1);
	if (begins(p, "as "))
		p = blanks(p + strlen("as ") + name_len(p + strlen("as ")));
	return begins(p, "from ");
}

/* "select .. where <name> = ?", which may have more conditions, but no other value; nothing is computed of one key's rows but a number. */
static bool read_batch(const char *text, struct batch *b)
{
	const char *p = last_of(text, " where "), *from = strstr(text, " from ");

	*b = (struct batch){.condensed = begins(text, "select ") && is_number(text)};
	if (!p || !from || from > p || memchr(text, '?', (size_t)(p - text)) || strchr(b->condensed ? from : text, '(') || strstr(text, " union "))
		return false;
	b->where = blanks(p + strlen(" where "));
	return read_terms(b) && read_order(b) && !(b->condensed && *b->order);
}

/* With NULL for each of its question marks. */
static enum rc put_nulls(struct iobuf *out, const char *from, const char *to)
{
	for (; from < to; from++)
		if (iobuf_append(out, *from == '?' ? "null" : from, *from == '?' ? 4 : 1) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

static enum rc put_batch(const char *text, const struct batch *b, struct iobuf *out)
{
	const char *behind = strchr(b->column.p, '?') + 1;

	if (b->condensed && (iobuf_printf(out, "select " SPAN_FMT ", ", SPAN_ARG(b->column)) != RC_OK))
		return RC_ERROR;
	if (put_nulls(out, text + (b->condensed ? strlen("select ") : 0), b->column.p) != RC_OK ||
	    iobuf_printf(out, SPAN_FMT " in (?, ?, ...)", SPAN_ARG(b->column)) != RC_OK || put_nulls(out, behind, b->end) != RC_OK)
		return RC_ERROR;
	if (b->condensed)
		return iobuf_printf(out, " group by " SPAN_FMT, SPAN_ARG(b->column));
	return *b->order ? iobuf_printf(out, " %s", b->order) : RC_OK;
}

static void put_batched(const char *text, const struct batch *b, struct jsonw *w)
{
	struct iobuf sql;

	iobuf_init(&sql, 2 * STATS_TEXT_MAX);
	if (put_batch(text, b, &sql) == RC_OK)
		jsonw_str(w, "fix_sql", span_of(iobuf_data(&sql), iobuf_len(&sql)));
	iobuf_reset(&sql);
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

static void put_fix(const struct view *v, const struct finding *f, struct jsonw *w)
{
	const char *text = f->row->main->text;
	struct batch b;

	jsonw_printf(w, "fix_text",
		     "After the list is read, one statement is sent for each of its rows. Collect the keys and load all of them "
		     "with one statement, or join. %s",
		     hint_of(f->loop.framework));
	if (read_batch(text, &b))
		put_batched(text, &b, w);
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
