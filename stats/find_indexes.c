/*
 * find_indexes.c - missing_index: statements the server flagged as reading without an index, and what the adviser
 * found.
 *
 * The flag alone says little: a table of ten rows is best read whole. So the adviser's word counts (it has seen the
 * EXPLAIN and the schema), and where it hasn't spoken only statements that take their time are named.
 */
#include "findings.h"

#include "advice.h"
#include "paths.h"

#define FLAGGED_LEAST 3
#define UNADVISED_MEAN_NS (2 * NS_PER_MS)
#define UNADVISED_TOTAL_NS (20 * NS_PER_MS)
#define WORTH_SHARE 4    /* of the time at least one of so many parts is saved */
#define READ_NS 25       /* no row is read sooner, */
#define READ_MOST_NS 100 /* nor later, where nothing else is to be done */
#define WRITTEN_NS 20000 /* that one more index costs a row written, at most; 10 us were measured */

/* Names rows to be found or sorted: what asks for all of a table needs no index. */
static bool looks_for_rows(const struct view_row *r)
{
	static const char *const words[] = {" where ", " join ", " order by "};

	for (unsigned i = 0; i < countof(words); i++)
		if (strcasestr(r->main->text, words[i]))
			return true;
	return false;
}

static bool slow_enough(const struct view_row *r)
{
	uint64_t calls = r->n[STATS_N_CALLS], total = r->n[STATS_N_TOTAL_NS];

	return view_flagged(r) >= FLAGGED_LEAST && view_flagged(r) * 2 >= view_at_servers(r) && total >= UNADVISED_TOTAL_NS &&
	       total / calls >= UNADVISED_MEAN_NS;
}

/* Not even in its slowest call has it read the rows that the plan speaks of: a LIMIT has ended it, or nothing came of the table before. */
static bool reads_few(const struct view_row *r, const struct stats_advice *a)
{
	uint64_t calls = view_at_servers(r), mean = calls ? r->n[STATS_N_TOTAL_NS] / calls : 0;

	return mean < a->rows_examined * READ_NS && r->max_ns < a->rows_examined * READ_MOST_NS;
}

/* The adviser's word: with a fix it is a finding, without one it is none. Where it is to speak, it is waited for. */
static bool is_finding(const struct view *v, const struct view_row *r, const struct stats_advice *a)
{
	if (a->given_ns)
		return (a->fix_sql[0] != '\0' || a->fix_text[0] != '\0') && r->n[STATS_N_CALLS] > 0 && !reads_few(r, a);
	return slow_enough(r) && looks_for_rows(r) && !advice_awaited(v->stats, r);
}

/* The share of its time that it takes in the schema of the table that the adviser names: the same text elsewhere is about other tables.
 * All, where none of its records is of that schema: it may be a view's table. */
static double schema_share(const struct view *v, const struct finding *f)
{
	const char *table = f->advice.table, *dot = f->advice.given_ns ? strchr(table, '.') : NULL;
	struct span schema = dot ? span_of(table, (size_t)(dot - table)) : span_of("", 0);
	char own[2 * STATS_NAME_MAX + 2];
	uint64_t all = 0, there = 0;

	for (uint32_t i = f->row->refs; dot && i != VIEW_NONE; i = v->ref[i].next) {
		const struct stats_row *r = v->ref[i].row;
		uint64_t ns = stats_get(&r->n[STATS_N_TOTAL_NS]);

		(void)finding_table(r->digest, own, sizeof(own));
		all += ns;
		if (strncasecmp(own, schema.p, schema.len) == 0 && own[schema.len] == '.')
			there += ns;
	}
	return there ? (double)there / (double)all : 1;
}

/* Rows of the table that statements have written, each of which would have kept the index up. */
static uint64_t rows_written(const struct view *v, const char *table)
{
	char name[2 * STATS_NAME_MAX + 2];
	uint64_t n = 0;

	for (size_t i = 0; i < v->count; i++) {
		const struct stats_digest *d = v->row[i].main;

		if (!d->is_read && strcasecmp(finding_table(d, name, sizeof(name)), table) == 0)
			n += v->row[i].n[STATS_N_ROWS_AFFECTED];
	}
	return n;
}

static void put_evidence(const struct view *v, const struct finding *f, struct jsonw *w)
{
	const struct view_row *r = f->row;
	double share = schema_share(v, f);
	char table[2 * STATS_NAME_MAX + 2];

	jsonw_uint(w, "calls", r->n[STATS_N_CALLS]);
	jsonw_uint(w, "no_index", r->n[STATS_N_NO_INDEX]);
	jsonw_uint(w, "no_good_index", r->n[STATS_N_NO_GOOD_INDEX]);
	jsonw_seconds(w, "total_time", r->n[STATS_N_TOTAL_NS]);
	jsonw_seconds(w, "mean_time", r->n[STATS_N_TOTAL_NS] / r->n[STATS_N_CALLS]);
	jsonw_seconds(w, "max_time", r->max_ns);
	jsonw_uint(w, "rows_sent", r->n[STATS_N_ROWS_SENT]);
	if (f->advice.given_ns) {
		jsonw_uint(w, "rows_examined_per_call", f->advice.rows_examined);
		jsonw_text(w, "table", f->advice.table);
		jsonw_text(w, "columns", f->advice.columns);
		jsonw_text(w, "reason", f->advice.reason);
		if (share < 1)
			jsonw_double(w, "schema_share", share);
		if (advice_adds_index(&f->advice))
			jsonw_uint(w, "rows_written", f->others);
	} else {
		jsonw_text(w, "table", finding_table(r->main, table, sizeof(table)));
	}
}

/* What is about a value inside JSON documents holds its path, which is a literal of the statement (S2). */
static bool may_see(const struct finding *f)
{
	return f->values || f->advice.path[0] == '\0';
}

static void put_fix(const struct view *v, const struct finding *f, struct jsonw *w)
{
	const struct stats_advice *a = &f->advice;

	if (!a->given_ns) {
		jsonw_text(w, "fix_text",
			   "The server reads this statement's rows without an index. Look at its EXPLAIN, and add an "
			   "index on the columns that WHERE, JOIN and ORDER BY name.");
		return;
	}
	if (a->fix_text[0]) {
		jsonw_text(w, "fix_text", a->fix_text);
		if (!may_see(f))
			return;
		if (a->fix_sql[0])
			jsonw_text(w, "fix_sql", a->fix_sql);
		if (a->fix_statement[0]) {
			jsonw_text(w, "fix_statement", a->fix_statement);
			jsonw_text(w, "fix_needs", "both");
		}
		return;
	}
	jsonw_printf(w, "fix_text", "%s. Add an index on %s (%s): no existing one begins with these columns.",
		     a->reason[0] ? a->reason : "No index fits", a->table, a->columns);
	jsonw_text(w, "fix_sql", a->fix_sql);
}

/* The time of the calls that were flagged; all of them where the adviser found it by the plan. */
static uint64_t cost(const struct view_row *r)
{
	uint64_t n = view_flagged(r), of = view_at_servers(r);

	if (n == 0 || n >= of)
		return r->n[STATS_N_TOTAL_NS];
	return (uint64_t)((double)r->n[STATS_N_TOTAL_NS] * (double)n / (double)of);
}

/* Its fix is for one schema's table: what it costs, and saves, is what it does there. */
static void of_schema(const struct view *v, struct finding *f)
{
	double share = schema_share(v, f);

	f->cost_ns = (uint64_t)((double)f->cost_ns * share);
	f->worth.saved_ns = (uint64_t)((double)f->worth.saved_ns * share);
	f->worth.left_ns = (uint64_t)((double)f->worth.left_ns * share);
}

static enum rc find_index(const struct view *v, const struct view_row *r, struct findings *l)
{
	struct finding f = {.kind = "missing_index",
			    .row = r,
			    .put = put_evidence,
			    .put_fix = put_fix,
			    .title = r->main->is_read ? "No index serves a read of" : "No index serves a write to",
			    .first_ns = r->first_ns,
			    .last_ns = r->last_ns};
	enum rc rc = advice_copy(v->stats, r->digest, &f.advice);

	if (rc == RC_ERROR)
		return RC_ERROR;
	if (!is_finding(v, r, &f.advice) || (rc == RC_OK && f.advice.path[0] && r->paths == PATHS_VARY) || finding_is_of_system(r->main)) {
		advice_reset(&f.advice);
		return RC_OK;
	}
	f.cost_ns = cost(r);
	f.worth = finding_worth_index(l, &f, f.cost_ns);
	if (advice_adds_index(&f.advice))
		f.others = rows_written(v, f.advice.table);
	if (f.others * WRITTEN_NS > f.cost_ns || (f.worth.known && f.worth.saved_ns < f.cost_ns / WORTH_SHARE)) {
		advice_reset(&f.advice);
		return RC_OK;
	}
	of_schema(v, &f);
	rc = findings_add(l, &f);
	if (rc != RC_OK)
		advice_reset(&f.advice);
	return rc;
}

enum rc find_indexes(const struct view *v, struct findings *l)
{
	for (size_t i = 0; i < v->count; i++) {
		if (find_index(v, &v->row[i], l) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}
