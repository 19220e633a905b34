#include "advise_impl.h"

#include <stdio.h>

#include "clock.h"
#include "digest.h"
#include "mem.h"

#define MOST_PLAN (1024 * 1024)

static bool has(const struct advise_columns *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (span_ieq(span_str(c->at[i].name), span_str(name)))
			return true;
	return false;
}

static size_t take(const struct advise_columns *found, enum advise_use use, size_t most, struct advise_columns *index)
{
	size_t taken = 0;

	for (size_t i = 0; i < found->n && taken < most; i++) {
		const struct advise_column *c = &found->at[i];

		if (c->use != use || !c->exists || has(index, c->name))
			continue;
		index->at[index->n++] = *c;
		taken++;
		if (c->prefix)
			return most; /* nothing behind it would be of use */
	}
	return taken;
}

/* Equalities first, as they stand; then one range, or else the order, unless a list of values breaks it. */
void advise_choose(const struct advise_columns *found, struct advise_columns *index)
{
	size_t equals, lists;

	*index = (struct advise_columns){0};
	equals = take(found, ADVISE_EQUALS, ADVISE_MOST_EQUALS, index);
	lists = take(found, ADVISE_IN, ADVISE_MOST_EQUALS - equals, index);
	if (index->n && index->at[index->n - 1].prefix)
		return;
	if (take(found, ADVISE_RANGE, 1, index) == 0 && lists == 0)
		take(found, ADVISE_SORT, ADVISE_MOST_SORT, index);
}

/* ---- words ---- */

static enum rc put_columns(const struct advise_columns *index, bool quoted, struct iobuf *out)
{
	for (size_t i = 0; i < index->n; i++) {
		const struct advise_column *c = &index->at[i];

		if ((i && iobuf_printf(out, ", ") != RC_OK) ||
		    (quoted ? advise_put_name(out, c->name) : iobuf_printf(out, "%s", c->name)) != RC_OK ||
		    (quoted && c->prefix && iobuf_printf(out, "(%u)", c->prefix) != RC_OK))
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc put_fix(const struct advise_table *t, const struct advise_columns *index, struct iobuf *out)
{
	if (iobuf_printf(out, "ALTER TABLE ") != RC_OK || advise_put_name(out, t->schema) != RC_OK ||
	    iobuf_printf(out, ".") != RC_OK || advise_put_name(out, t->name) != RC_OK ||
	    iobuf_printf(out, " ADD INDEX (") != RC_OK || put_columns(index, true, out) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, ")");
}

/* What stands before the i-th column in a sentence. */
static const char *joint(const struct advise_columns *index, size_t i)
{
	bool sort = index->at[i].use == ADVISE_SORT;

	if (i == 0)
		return sort ? " to order by " : " for ";
	if (sort)
		return index->at[i - 1].use == ADVISE_SORT ? ", " : " ordered by ";
	return " and ";
}

static bool too_many_match(const struct advise_sample *s)
{
	return s->rows >= ADVISE_LEAST_SAMPLE && s->match * ADVISE_MOST_SHARE > s->rows;
}

static enum rc put_reason(const struct advise_scan *s, const struct advise_table *t, const struct advise_columns *index,
			  const char *existing, const struct advise_sample *sample, struct iobuf *out)
{
	static const char *const how[] = {
		[ADVISE_EQUALS] = " = ?", [ADVISE_IN] = " in (?)", [ADVISE_RANGE] = " in a range", [ADVISE_SORT] = ""};

	if (iobuf_printf(out, "full scan of %llu rows of %s.%s", (unsigned long long)s->rows, t->schema, t->name) !=
	    RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < index->n; i++)
		if (iobuf_printf(out, "%s", joint(index, i)) != RC_OK ||
		    advise_put_name(out, index->at[i].name) != RC_OK ||
		    iobuf_printf(out, "%s", how[index->at[i].use]) != RC_OK)
			return RC_ERROR;
	if (index->n == 0)
		return iobuf_printf(out, ": no condition that an index could serve");
	if (existing[0])
		return iobuf_printf(out, "; the index %s is there, but the server expects too many matches", existing);
	if (too_many_match(sample))
		return iobuf_printf(out, "; too many rows match for an index to help: %llu of %llu looked at",
				    (unsigned long long)sample->match, (unsigned long long)sample->rows);
	return RC_OK;
}

/* ---- one statement ---- */

struct verdict {
	struct advise_scan scan;
	struct advise_table table;
	struct advise_columns index;
	char existing[ADVISE_NAME];
	struct advise_sample sample;
};

struct question {
	struct sqlconn *c;
	const struct stats_explain *e;
	struct span text;
	struct sql_facts facts;
};

static enum rc judge(struct question *q, const struct advise_scan *s, struct verdict *v)
{
	struct advise_columns found = {0};

	*v = (struct verdict){.scan = *s};
	if (advise_table_of(q->text, &q->facts, s->table, q->e->schema, &v->table) != RC_OK)
		return RC_DECLINED;
	if (s->condition)
		advise_condition(span_str(s->condition), span_str(s->table), &found);
	if (s->joined)
		advise_condition(span_str(s->joined), span_str(s->table), &found);
	if (s->sort)
		advise_sort(span_str(s->sort), span_str(s->table), &found);
	else if (q->facts.ntables == 1 && !sqlconn_is_mariadb(q->c))
		advise_sort(advise_order_by(q->text), span_str(s->table), &found);
	if (found.n && advise_look_columns(q->c, &v->table, &found) != RC_OK)
		return RC_ERROR;
	advise_choose(&found, &v->index);
	if (v->index.n && advise_look_indexes(q->c, &v->table, &v->index, v->existing) != RC_OK)
		return RC_ERROR;
	if (v->index.n == 0 || v->existing[0] || s->rows < ADVISE_LEAST_ROWS)
		return RC_DECLINED;
	if (advise_look_values(q->c, &v->table, &v->index, &v->sample) != RC_OK)
		return RC_ERROR;
	return too_many_match(&v->sample) ? RC_DECLINED : RC_OK;
}

/* The largest scan that an index would help; else the largest, with why none would. RC_DECLINED: no full scan. */
static enum rc judge_all(struct question *q, const json_t *plan, struct verdict *out, bool *fix)
{
	struct advise_scan scans[ADVISE_MOST_SCANS];
	size_t n = advise_plan_scans(plan, scans);
	struct verdict v;

	*fix = false;
	for (size_t i = 0; i < n && !*fix; i++) {
		enum rc rc = judge(q, &scans[i], &v);

		if (rc == RC_ERROR)
			return RC_ERROR;
		*fix = rc == RC_OK;
		if (i == 0 || *fix)
			*out = v;
	}
	return n ? RC_OK : RC_DECLINED;
}

static enum rc put(struct stats *stats, const struct stats_explain *e, const struct verdict *v, bool fix,
		   struct span plan)
{
	struct stats_index_advice a = {.digest = e->digest, .plan_json = plan, .rows_examined = v->scan.rows};
	char table[2 * ADVISE_NAME];
	struct iobuf columns, reason, sql;
	enum rc rc;

	iobuf_init(&columns, 0);
	iobuf_init(&reason, 0);
	iobuf_init(&sql, 0);
	snprintf(table, sizeof(table), "%s.%s", v->table.schema, v->table.name);
	rc = put_columns(&v->index, false, &columns);
	if (rc == RC_OK)
		rc = put_reason(&v->scan, &v->table, &v->index, v->existing, &v->sample, &reason);
	if (rc == RC_OK && fix)
		rc = put_fix(&v->table, &v->index, &sql);
	if (rc == RC_OK) {
		a.table = span_str(table);
		a.columns = span_of(iobuf_data(&columns), iobuf_len(&columns));
		a.reason = span_of(iobuf_data(&reason), iobuf_len(&reason));
		a.fix_sql = span_of(iobuf_data(&sql), iobuf_len(&sql));
		stats_put_advice(stats, &a);
	}
	iobuf_reset(&columns);
	iobuf_reset(&reason);
	iobuf_reset(&sql);
	return rc;
}

/* Without a full scan the plan is kept all the same: people look at it. */
static void put_plan(struct stats *stats, const struct stats_explain *e, struct span plan)
{
	struct stats_index_advice a = {.digest = e->digest,
				       .plan_json = plan,
				       .table = span_str(""),
				       .columns = span_str(""),
				       .reason = span_str("no full scan"),
				       .fix_sql = span_str("")};

	stats_put_advice(stats, &a);
}

/* Reads, and does nothing else: EXPLAIN may evaluate parts of a statement. */
static bool may_explain(const struct sql_facts *f)
{
	return f->verb == SQL_SELECT &&
	       !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_WRITES | SQL_F_LOCKING_READ | SQL_F_STORED_FUNCTION |
			     SQL_F_USER_VAR_WRITE | SQL_F_USER_LOCK | SQL_F_SERVER_FILE | SQL_F_SEQUENCE |
			     SQL_F_PASSWORD | SQL_F_SYSTEM_SCHEMA));
}

static enum rc judge_plan(struct question *q, struct stats *stats, struct span text)
{
	json_t *plan = json_loadb(text.p, text.len, 0, NULL);
	struct verdict v;
	bool fix;
	enum rc rc;

	if (!plan)
		return RC_DECLINED;
	rc = judge_all(q, plan, &v, &fix);
	if (rc == RC_OK)
		rc = put(stats, q->e, &v, fix, text);
	else if (rc == RC_DECLINED)
		put_plan(stats, q->e, text);
	json_decref(plan); /* v points into it */
	return rc;
}

static enum rc ask(struct question *q, struct stats *stats)
{
	struct iobuf text;
	enum rc rc = advise_session(q->c, q->e->schema);

	iobuf_init(&text, MOST_PLAN);
	if (rc == RC_OK)
		rc = advise_plan(q->c, q->text, &text);
	if (rc == RC_OK)
		rc = judge_plan(q, stats, span_of(iobuf_data(&text), iobuf_len(&text)));
	iobuf_reset(&text);
	return rc;
}

enum rc advise_statement(struct sqlconn *c, struct stats *stats, const struct stats_explain *e)
{
	struct question q = {.c = c, .e = e};
	struct sql_lexed lexed;
	enum rc rc = RC_DECLINED;

	sql_lex(span_str(e->sql), 0, &lexed);
	q.text = lexed.body;
	if (sql_facts_parse(q.text, 0, &q.facts) != RC_OK)
		return RC_ERROR;
	if (may_explain(&q.facts))
		rc = ask(&q, stats);
	sql_facts_free(&q.facts);
	return rc;
}
