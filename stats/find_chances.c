/*
 * find_chances.c - cacheable, queueable, heavy_aggregate: time that a rule in the configuration or a summary would
 * save.
 *
 * cacheable counts only what was really asked for again with the same literals within a minute (row.c), less what
 * writes to the table would have invalidated; queueable only tables that are written far more than read, as logs
 * are.
 */
#include "findings.h"
#include "advice.h"
#include "predict_json.h"
#include "mem.h"

#include <ctype.h>
#include <stdlib.h>

#define COUNT_LEAST 100
#define COST_LEAST_NS (100 * NS_PER_MS)
#define HIT_RATIO_LEAST 0.5
#define ASKED_SHARE 20 /* of so many inserts at most one is asked for its id */
#define AGGREGATE_MEAN_NS (100 * NS_PER_MS)
#define AGGREGATE_TOTAL_NS NS_PER_SEC
#define AGGREGATE_ROWS 100 /* a call, at most: it condenses */
/* Where it is known how much is read for them, less time will do. */
#define EXAMINED_LEAST 10000 /* rows a call */
#define EXAMINED_SHARE 100   /* for so many rows read at most one is sent */
#define EXAMINED_MEAN_NS (5 * NS_PER_MS)
#define EXAMINED_TOTAL_NS (50 * NS_PER_MS)
#define OFFSET_LEAST 1000 /* rows passed over: fewer are soon read */

static bool same_table(const struct stats_digest *a, const struct stats_digest *b)
{
	return strcasecmp(a->table, b->table) == 0 && strcasecmp(a->schema, b->schema) == 0;
}

/* Statements that write r's table. */
static uint64_t writes_to_table(const struct view *v, const struct view_row *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->count; i++) {
		const struct view_row *o = &v->row[i];

		if (!o->main->is_read && same_table(o->main, r->main))
			n += o->n[STATS_N_CALLS];
	}
	return n;
}

/* Does the normalised text name it anywhere, as a table of a join, say? That a column has the name does little harm. */
static bool names(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = text; len && (p = strcasestr(p, name)) != NULL; p += len)
		if ((p == text || (!isalnum((unsigned char)p[-1]) && p[-1] != '_')) && !isalnum((unsigned char)p[len]) && p[len] != '_')
			return true;
	return false;
}

/* All that may read the row's table. */
static uint64_t reads_of_table(const struct view *v, const struct view_row *r)
{
	const char *dot = strrchr(r->main->table, '.'), *name = dot ? dot + 1 : r->main->table;
	uint64_t n = 0;

	for (size_t i = 0; i < v->count; i++) {
		const struct view_row *o = &v->row[i];

		if (o->main->is_read && (same_table(o->main, r->main) || names(o->main->text, name)))
			n += o->n[STATS_N_CALLS];
	}
	return n;
}

static bool is_verb(const struct view_row *r, const char *verb)
{
	return strcmp(r->main->verb, verb) == 0;
}

static void put_times(const struct view_row *r, struct jsonw *w)
{
	char table[2 * STATS_NAME_MAX + 2];

	jsonw_uint(w, "calls", r->n[STATS_N_CALLS]);
	jsonw_seconds(w, "total_time", r->n[STATS_N_TOTAL_NS]);
	jsonw_seconds(w, "mean_time", r->n[STATS_N_TOTAL_NS] / r->n[STATS_N_CALLS]);
	jsonw_text(w, "table", finding_table(r->main, table, sizeof(table)));
}

static void put_cache_rule(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	struct predict_sum p;
	bool told = predict_get(v->stats, r->digest, &p) && predict_tells(&p);
	uint64_t ttl = told ? predict_ttl_ns[predict_choose(&p)] : 60 * NS_PER_SEC;

	jsonw_printf(w, "fix_config", "cache:\n  rules:\n    - match: {digest: \"0x%016llx\"}\n      ttl: %llus\n",
		     (unsigned long long)r->digest, (unsigned long long)(ttl / NS_PER_SEC));
}

/* ---- cacheable ---- */

static void put_cacheable(const struct view *v, const struct finding *f, struct jsonw *w)
{
	const struct view_row *r = f->row;
	struct predict_sum p;

	put_times(r, w);
	jsonw_uint(w, "repeats", r->n[STATS_N_REPEATS]);
	jsonw_double(w, "repeat_share", (double)r->n[STATS_N_REPEATS] / (double)r->n[STATS_N_CACHEABLE]);
	jsonw_uint(w, "writes_to_table", f->others);
	if (predict_get(v->stats, r->digest, &p) && predict_tells(&p))
		predict_put_evidence(&p, r->n[STATS_N_TOTAL_NS], w);
	else
		jsonw_null(w, "prediction");
}

static void fix_cacheable(const struct view *v, const struct finding *f, struct jsonw *w)
{
	jsonw_text(w, "fix_text",
		   "The same read with the same values comes again within a minute more often than not. A cache rule "
		   "answers it from memory; writes to its tables through suimon invalidate what is stored.");
	put_cache_rule(v, f->row, w);
}

/* What the rule that is proposed would have saved; 0 where most reads would still miss. */
static uint64_t foretold_ns(const struct view_row *r, const struct predict_sum *p)
{
	unsigned ttl = predict_choose(p);

	if (predict_hit_ratio(p, ttl) < HIT_RATIO_LEAST)
		return 0;
	return (uint64_t)(predict_saved_share(p, ttl) * (double)r->n[STATS_N_TOTAL_NS] *
			  (double)r->n[STATS_N_CACHEABLE] / (double)r->n[STATS_N_CALLS]);
}

/* Reads that a rule has covered: where they are most, there is one now. */
static uint64_t covered(const struct view_row *r)
{
	return r->n[STATS_N_CACHE_HITS] + r->n[STATS_N_CACHE_MISSES];
}

static enum rc find_cacheable(const struct view *v, const struct view_row *r, struct findings *l)
{
	struct finding f = {.kind = "cacheable",
			    .row = r,
			    .put = put_cacheable,
			    .put_fix = fix_cacheable,
			    .title = "Repeated reads that the cache could answer:",
			    .first_ns = r->first_ns,
			    .last_ns = r->last_ns,
			    .cost_ns = r->n[STATS_N_REPEATS_NS]};
	struct predict_sum p;

	if (r->n[STATS_N_CACHEABLE] < COUNT_LEAST || covered(r) > r->n[STATS_N_CACHEABLE])
		return RC_OK;
	f.others = writes_to_table(v, r);
	if (predict_get(v->stats, r->digest, &p) && predict_tells(&p))
		f.cost_ns = foretold_ns(r, &p);
	else if (r->n[STATS_N_REPEATS] * 2 < r->n[STATS_N_CACHEABLE] || f.others * 2 > r->n[STATS_N_REPEATS])
		return RC_OK;
	f.worth = finding_worth_cache(v, r, f.others);
	return f.cost_ns < COST_LEAST_NS ? RC_OK : findings_add(l, &f);
}

/* ---- queueable ---- */

static bool plain_name(const char *name)
{
	while (isalnum((unsigned char)*name) || (*name && strchr("_$.", *name)))
		name++;
	return *name == '\0';
}

/* What is written one by one now, and in how many transactions the queue would apply it. */
static void put_batching(const struct view *v, const struct view_row *r, struct jsonw *w)
{
	double seconds = (double)(r->last_ns - r->first_ns) / (double)NS_PER_SEC, rows = predict_batch_rows(v->stats, r),
	       rate = seconds > 0 ? (double)r->n[STATS_N_QUEUEABLE] / seconds : (double)r->n[STATS_N_QUEUEABLE];

	jsonw_open(w, "prediction", '{');
	jsonw_double(w, "batch_rows", rows);
	jsonw_double(w, "transactions_per_second", rate / rows);
	jsonw_double(w, "transactions_per_second_now", rate);
	jsonw_close(w, '}');
}

static void put_queueable(const struct view *v, const struct finding *f, struct jsonw *w)
{
	put_times(f->row, w);
	jsonw_uint(w, "rows_affected", f->row->n[STATS_N_ROWS_AFFECTED]);
	jsonw_uint(w, "reads_of_table", f->others);
	put_batching(v, f->row, w);
}

static void fix_queueable(const struct view *v, const struct finding *f, struct jsonw *w)
{
	char table[2 * STATS_NAME_MAX + 2];

	jsonw_text(w, "fix_text",
		   "Single rows go one by one into a table that is hardly read. If the application does not need the "
		   "generated id or the row in other sessions at once, a queue rule acknowledges them when they are "
		   "durable and applies them in batches.");
	finding_table(f->row->main, table, sizeof(table));
	if (plain_name(table))
		jsonw_printf(w, "fix_config",
			     "queue:\n  rules:\n    - match: {table: %s, verb: %s}\n      order: table\n", table,
			     f->row->main->verb);
	else
		jsonw_printf(w, "fix_config",
			     "queue:\n  rules:\n    - match: {digest: \"0x%016llx\"}\n      order: table\n",
			     (unsigned long long)f->row->digest);
}

static enum rc find_queueable(const struct view *v, const struct view_row *r, struct findings *l)
{
	uint64_t n = r->n[STATS_N_QUEUEABLE], calls = r->n[STATS_N_CALLS],
		 seconds = (r->last_ns - r->first_ns) / NS_PER_SEC;
	struct finding f = {.kind = "queueable",
			    .row = r,
			    .put = put_queueable,
			    .put_fix = fix_queueable,
			    .title = "Single-row inserts that the queue could batch:",
			    .first_ns = r->first_ns,
			    .last_ns = r->last_ns};

	if (n < COUNT_LEAST || n < seconds || r->n[STATS_N_ROUTED + STATS_QUEUE] > n || r->main->table[0] == '\0' ||
	    !(is_verb(r, "insert") || is_verb(r, "replace")) || r->n[STATS_N_ASKED] * ASKED_SHARE > n)
		return RC_OK;
	f.cost_ns = (uint64_t)((double)r->n[STATS_N_TOTAL_NS] * (double)n / (double)calls);
	f.others = reads_of_table(v, r);
	if (f.cost_ns < COST_LEAST_NS || f.others * 10 > n || r->n[STATS_N_ROWS_AFFECTED] * 2 > calls * 3)
		return RC_OK;
	return findings_add(l, &f);
}

/* ---- heavy_aggregate ---- */

/* Behind the string, quoted name or comment that begins at p; p: none does. */
static const char *behind_quoted(const char *p)
{
	const char *end;

	if (*p == '\'' || *p == '"' || *p == '`') {
		for (end = p + 1; *end && *end != *p; end++)
			end += *end == '\\' && *p != '`' && end[1];
		return end + (*end != '\0');
	}
	if (p[0] == '/' && p[1] == '*') {
		end = strstr(p + 2, "*/");
		return end ? end + 2 : p + strlen(p);
	}
	if (*p == '#' || (p[0] == '-' && p[1] == '-' && isspace((unsigned char)p[2])))
		return p + strcspn(p, "\n");
	return p;
}

static const char *behind_word(const char *p)
{
	while (isalnum((unsigned char)*p) || *p == '_' || *p == '$' || *p == '@' || (unsigned char)*p >= 0x80)
		p++;
	return p;
}

static bool word_is(const char *p, const char *end, const char *word)
{
	return (size_t)(end - p) == strlen(word) && strncasecmp(p, word, strlen(word)) == 0;
}

/* Rows that the statement's own LIMIT passes over: LIMIT 10 OFFSET 5000, LIMIT 5000, 10. */
static uint64_t offset_of(const char *p)
{
	bool limit = false, offset = false, name = false; /* the words before; a dot, before a column's name */
	uint64_t number = 0;
	int depth = 0;

	while (*p) {
		const char *end = behind_quoted(p);

		if (end == p && isdigit((unsigned char)*p)) {
			number = strtoull(p, NULL, 10);
			if (offset && depth == 0)
				return number;
			end = behind_word(p);
		} else if (end == p && behind_word(p) > p) {
			end = behind_word(p);
			limit = depth == 0 && !name && word_is(p, end, "limit");
			offset = depth == 0 && !name && word_is(p, end, "offset");
			number = 0;
		} else if (end == p) {
			if (*p == ',' && limit && depth == 0)
				return number;
			depth += (*p == '(') - (*p == ')');
			limit &= isspace((unsigned char)*p) != 0;
			offset &= isspace((unsigned char)*p) != 0;
			name = *p == '.';
			p++;
			continue;
		}
		name = false;
		p = end;
	}
	return 0;
}

/* A page far behind the beginning: all rows before it are read and thrown away. The normalised text has LIMIT's count alone, so that
 * its sample is asked. */
static bool pages(const struct view *v, const struct view_row *r)
{
	struct stats_sample *m = strcasestr(r->main->text, " limit ?") ? view_sample(v, r) : NULL;
	bool far = m && offset_of(m->text) >= OFFSET_LEAST;

	mem_free(m);
	return far;
}

/* By its plan it is sorted: a page by key takes an index first. */
static bool is_sorted(const struct view *v, const struct view_row *r)
{
	struct stats_advice a;
	bool sorted = advice_copy(v->stats, r->digest, &a) == RC_OK && a.reason[0] && strstr(a.reason, "filesort");

	advice_reset(&a);
	return sorted;
}

static void put_aggregate(const struct view *v, const struct finding *f, struct jsonw *w)
{
	struct stats_advice a;

	put_times(f->row, w);
	jsonw_uint(w, "rows_sent", f->row->n[STATS_N_ROWS_SENT]);
	if (f->row->examined_from) {
		jsonw_uint(w, "rows_examined", f->row->rows_examined);
		jsonw_text(w, "rows_examined_from", view_examined_name(f->row));
	}
	if (advice_copy(v->stats, f->row->digest, &a) == RC_OK && a.reason[0])
		jsonw_text(w, "reason", a.reason);
	advice_reset(&a);
}

/* A rule would answer a tenth of its time and more. */
static bool would_be_cached(const struct view *v, const struct finding *f)
{
	struct finding_worth p = finding_worth_cache(v, f->row, f->others);

	return f->row->n[STATS_N_CACHEABLE] * 2 > f->row->n[STATS_N_CALLS] && p.known && p.saved_ns > p.left_ns / 9;
}

static void fix_aggregate(const struct view *v, const struct finding *f, struct jsonw *w)
{
	const struct view_row *r = f->row;

	if (finding_condenses(r->main->text) && would_be_cached(v, f))
		jsonw_text(w, "fix_text",
			   "Many rows are read for a few numbers, each time anew. Let a cached answer do, which writes through "
			   "suimon invalidate; or keep the numbers in a summary table that the writes or a job bring up to "
			   "date; or, where few columns are read of wide rows, add an index that covers these.");
	else if (finding_condenses(r->main->text))
		jsonw_text(w, "fix_text",
			   "Many rows are read for a few numbers, each time anew, and seldom for the same ones before they are "
			   "written again: a cache would not help. Keep the numbers in a summary table that the writes or a job "
			   "bring up to date; or, where few columns are read of wide rows, add an index that covers these.");
	else
		jsonw_printf(w, "fix_text",
			   "A page far from the beginning: the rows before it are read and thrown away. Page by key: remember "
			   "the last row's key, and ask for rows behind it (where key > ? order by key limit ?).%s",
			   is_sorted(v, r) ? " It is sorted for each page: where no index begins with what it is ordered by, add one, its last column the primary key." : "");
	if (would_be_cached(v, f))
		put_cache_rule(v, r, w);
}

/* Less what it waited for a connection: that is nothing of its own. */
static uint64_t at_work(const struct view_row *r)
{
	uint64_t total = r->n[STATS_N_TOTAL_NS], wait = r->n[STATS_N_WAIT_NS];

	return total > wait ? total - wait : 0;
}

static bool takes_long(const struct view_row *r)
{
	uint64_t calls = r->n[STATS_N_CALLS], total = at_work(r);

	if (r->examined_from && r->rows_examined / calls < EXAMINED_LEAST)
		return false; /* it is something else that takes long: a lock, a server under load */
	return total >= AGGREGATE_TOTAL_NS && total / calls >= AGGREGATE_MEAN_NS &&
	       r->n[STATS_N_ROWS_SENT] <= calls * AGGREGATE_ROWS;
}

static bool reads_much(const struct view_row *r)
{
	uint64_t calls = r->n[STATS_N_CALLS], total = at_work(r);

	return r->rows_examined / calls >= EXAMINED_LEAST &&
	       r->rows_examined / EXAMINED_SHARE >= r->n[STATS_N_ROWS_SENT] && total >= EXAMINED_TOTAL_NS &&
	       total / calls >= EXAMINED_MEAN_NS;
}

static enum rc find_aggregate(const struct view *v, const struct view_row *r, struct findings *l)
{
	uint64_t calls = r->n[STATS_N_CALLS];
	struct finding f = {.kind = "heavy_aggregate",
			    .row = r,
			    .put = put_aggregate,
			    .put_fix = fix_aggregate,
			    .cost_ns = r->n[STATS_N_TOTAL_NS],
			    .title = "Heavy aggregate over",
			    .first_ns = r->first_ns,
			    .last_ns = r->last_ns};
	bool condenses;

	if (!is_verb(r, "select") || calls < 5 || finding_is_of_system(r->main))
		return RC_OK;
	condenses = finding_condenses(r->main->text);
	if (!(takes_long(r) && condenses) && !(reads_much(r) && (condenses || pages(v, r))))
		return RC_OK;
	f.others = writes_to_table(v, r);
	if (!condenses)
		f.worth = is_sorted(v, r) ? f.worth : finding_worth_page(l, r);
	else if (would_be_cached(v, &f))
		f.worth = finding_worth_cache(v, r, f.others);
	return findings_add(l, &f);
}

enum rc find_chances(const struct view *v, struct findings *l)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct view_row *r = &v->row[i];

		if (find_cacheable(v, r, l) != RC_OK || find_queueable(v, r, l) != RC_OK ||
		    find_aggregate(v, r, l) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}
