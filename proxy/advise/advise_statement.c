/*
 * advise_statement.c - one statement from its sample to the words about it: explained, judged, told.
 */
#include <stdio.h>

#include "advise_json.h"
#include "digest.h"

#define MOST_PLAN (1024 * 1024)
#define MOST_READ_NS 20000 /* that a row read takes */
#define LEAST_LOOKED_UP 3

struct words {
	struct iobuf columns, reason, sql, fix, statement;
};

static enum rc put_recode(const struct advise_question *q, const struct advise_verdict *v, struct words *w)
{
	if (advise_put_recode_fix(v, &w->fix) != RC_OK || advise_put_modify(v, &w->sql) != RC_OK)
		return RC_ERROR;
	if (v->recode.is_so)
		return advise_put_without_collate(q->sent, v, &w->sql);
	return iobuf_len(&w->sql) ? advise_put_without_collate(q->sent, v, &w->statement) : RC_OK;
}

static enum rc put_hidden(struct advise_question *q, const struct advise_verdict *v, struct words *w)
{
	struct advise_column of = v->index.at[0];

	if (advise_quoted_other(q, v->scan.table, &of) != RC_OK)
		return RC_ERROR;
	return advise_hidden_fix(q->sent, &of, v->scan.table, v->known.serves, &w->fix, &w->sql);
}

static enum rc put_words(struct advise_question *q, const struct advise_verdict *v, const struct advise_work *work, struct words *w)
{
	if ((v->sides.n ? advise_put_sides(&v->sides, &w->columns) : advise_put_columns(&v->index, false, &w->columns)) != RC_OK ||
	    advise_put_reason(v, &w->reason) != RC_OK || advise_put_work(work, &w->reason) != RC_OK)
		return RC_ERROR;
	if (v->json.column[0])
		return advise_json_fix(q->sent, &v->table, &v->json, &w->fix, &w->sql, &w->statement);
	if (v->sides.n)
		return advise_put_sides_fix(v, &w->fix) == RC_OK ? advise_put_alter(&v->table, v->sides.at, v->sides.n, &w->sql)
								 : RC_ERROR;
	if (v->quoted && (advise_put_quoted_fix(v, &w->fix) != RC_OK ||
			  advise_mend(q->sent, advise_quoted_column(v), v->scan.table, &w->statement) != RC_OK))
		return RC_ERROR;
	if (v->bare.name[0] && (advise_put_bare_fix(v, &w->fix) != RC_OK ||
				advise_mend(q->sent, &v->bare, v->scan.table, &w->statement) != RC_OK))
		return RC_ERROR;
	if (v->recoded)
		return put_recode(q, v, w);
	if (v->hidden)
		return put_hidden(q, v, w);
	if (!v->add)
		return RC_OK;
	if (v->known.redundant[0] &&
	    iobuf_printf(&w->reason, "; the index %s becomes redundant by it", v->known.redundant) != RC_OK)
		return RC_ERROR;
	return advise_put_alter(&v->table, &v->index, 1, &w->sql);
}

/* Every column is compared with a literal: the sample has shown how many rows match. Not of a join's. */
static bool all_tried(const struct advise_columns *index)
{
	for (size_t i = 0; i < index->n; i++)
		if (index->at[i].use != ADVISE_SORT && index->at[i].test.len == 0)
			return false;
	return index->n > 0;
}

/* A join buffer's rows are compared with each of the table's: where that takes far longer than reading both does, there are many. */
static bool compares_much(const struct advise_question *q, const struct advise_verdict *v)
{
	return v->scan.joined && q->e->calls && q->e->total_ns / q->e->calls > (v->scan.rows + v->beside) * MOST_READ_NS;
}

/* No sample can tell: as many as are sent, what an OFFSET passes over, and what is read whole of other tables. */
static uint64_t sent_and_beside(const struct advise_question *q, const struct advise_verdict *v)
{
	uint64_t sent = q->e->calls ? q->e->rows_sent / q->e->calls : 0, passed = advise_limit(q->text) - advise_limit_sent(q->text),
		 beside = compares_much(q, v) ? 0 : v->beside;

	return v->add && passed + beside ? sent + passed + beside / ADVISE_LOOKED_UP : STATS_ROWS_UNKNOWN;
}

/* Of another table that is read whole with the fix, too. Its rows look one up each now, which takes several times what reading them does. */
static uint64_t read_still(const struct advise_verdict *v)
{
	return v->beside / ADVISE_LOOKED_UP / (v->led ? LEAST_LOOKED_UP : 1);
}

/* Rows of the table that the index proposed still has the server read; unknown where it gives them in the order asked for, too,
 * as then a LIMIT ends it. */
static uint64_t rows_left(const struct advise_question *q, const struct advise_verdict *v)
{
	bool told = v->sides.n > 0 || (all_tried(&v->index) && !v->by_key && v->index.at[v->index.n - 1].use != ADVISE_SORT);
	struct advise_sample s = v->sides.n ? v->sides.sample : v->sample;

	if (v->recoded)
		return v->left;
	if (v->within)
		return v->left + v->beside / ADVISE_LOOKED_UP;
	if (v->hidden && s.rows == 0)
		return STATS_ROWS_UNTOLD;
	if (v->walked)
		return v->walked + read_still(v);
	if (!(v->hidden || v->bare.name[0] || v->json.column[0] || (v->add && told)) || s.rows == 0)
		return sent_and_beside(q, v);
	return (uint64_t)((double)v->scan.rows * (double)s.match / (double)s.rows) + read_still(v);
}

static struct span said(const struct iobuf *b)
{
	return span_of(iobuf_data(b), iobuf_len(b));
}

static enum rc put(struct advise_question *q, struct stats *stats, const struct advise_verdict *v, struct span text, const json_t *plan)
{
	struct stats_index_advice a = {.digest = q->e->digest, .plan_json = text, .rows_examined = advise_plan_rows(plan)};
	struct advise_work work = advise_plan_work(plan);
	char table[2 * ADVISE_NAME];
	struct words w;
	enum rc rc;

	iobuf_init(&w.columns, 0);
	iobuf_init(&w.reason, 0);
	iobuf_init(&w.sql, 0);
	iobuf_init(&w.fix, 0);
	iobuf_init(&w.statement, 0);
	snprintf(table, sizeof(table), "%s.%s", v->table.schema, v->table.name);
	if (v->scan.rows > a.rows_examined)
		a.rows_examined = v->scan.rows;
	if (v->scan.rows + v->beside > a.rows_examined)
		a.rows_examined = v->scan.rows + v->beside;
	rc = put_words(q, v, &work, &w);
	if (rc == RC_OK) {
		a.rows_left = rows_left(q, v);
		a.covered = v->hidden && v->scan.covered;
		a.table = span_str(table);
		a.columns = said(&w.columns);
		a.reason = said(&w.reason);
		a.fix_sql = said(&w.sql);
		a.fix_text = said(&w.fix);
		a.fix_statement = said(&w.statement);
		a.path = span_str(v->json.column[0] ? v->json.path : "");
		stats_put_advice(stats, &a);
	}
	iobuf_reset(&w.columns);
	iobuf_reset(&w.reason);
	iobuf_reset(&w.sql);
	iobuf_reset(&w.fix);
	iobuf_reset(&w.statement);
	return rc;
}

/* Without a full scan the plan is kept all the same: people look at it. */
static enum rc put_plan(struct stats *stats, const struct stats_explain *e, struct span text, const json_t *plan)
{
	struct stats_index_advice a = {.digest = e->digest,
				       .plan_json = text,
				       .rows_examined = advise_plan_rows(plan),
				       .table = span_str(""),
				       .columns = span_str(""),
				       .rows_left = STATS_ROWS_UNKNOWN,
				       .fix_sql = span_str(""),
				       .fix_text = span_str("")};
	struct advise_work work = advise_plan_work(plan);
	struct iobuf reason;
	enum rc rc;

	iobuf_init(&reason, 0);
	rc = iobuf_printf(&reason, "no full scan");
	if (rc == RC_OK)
		rc = advise_put_work(&work, &reason);
	a.reason = said(&reason);
	if (rc == RC_OK)
		stats_put_advice(stats, &a);
	iobuf_reset(&reason);
	return rc;
}

bool advise_may_explain(const struct sql_facts *f)
{
	return f->verb == SQL_SELECT &&
	       !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_WRITES | SQL_F_LOCKING_READ | SQL_F_STORED_FUNCTION |
			     SQL_F_USER_VAR_WRITE | SQL_F_USER_LOCK | SQL_F_SERVER_FILE | SQL_F_SEQUENCE |
			     SQL_F_PASSWORD | SQL_F_SYSTEM_SCHEMA));
}

static enum rc judge_plan(struct advise_question *q, struct stats *stats, struct span text)
{
	json_t *plan = json_loadb(text.p, text.len, 0, NULL);
	struct advise_verdict v;
	enum rc rc;

	if (!plan)
		return RC_DECLINED;
	q->plan = plan;
	rc = advise_judge(q, plan, &v);
	if (rc == RC_OK)
		rc = put(q, stats, &v, text, plan);
	else if (rc == RC_DECLINED && put_plan(stats, q->e, text, plan) != RC_OK)
		rc = RC_ERROR;
	json_decref(plan); /* v points into it */
	return rc;
}

/* What it names is not there, so there is nothing to be mended: 1049 a schema, 1054 a column, 1146 a table, 1356 what a view reads. */
static bool is_gone(const struct sqlconn *c)
{
	unsigned error = sqlconn_refused(c) ? sqlconn_errno(c) : 0;

	return error == 1049 || error == 1054 || error == 1146 || error == 1356;
}

static enum rc ask(struct advise_question *q, struct stats *stats)
{
	struct iobuf text;
	enum rc rc = advise_session(q->c, q->e->schema);

	iobuf_init(&text, MOST_PLAN);
	if (rc == RC_OK)
		rc = advise_plan(q->c, q->text, &text);
	if (rc == RC_ERROR && is_gone(q->c))
		stats_withdraw_advice(stats, q->e->digest);
	if (rc == RC_OK)
		rc = judge_plan(q, stats, span_of(iobuf_data(&text), iobuf_len(&text)));
	iobuf_reset(&text);
	return rc;
}

enum rc advise_statement(struct sqlconn *c, struct stats *stats, const struct stats_explain *e)
{
	struct advise_question q = {.c = c, .e = e};
	struct sql_lexed lexed;
	struct iobuf read;
	enum rc rc;

	sql_lex(span_str(e->sql), 0, &lexed);
	iobuf_init(&read, 0);
	q.sent = lexed.body;
	rc = advise_read(q.sent, &read);
	q.text = span_of(iobuf_data(&read), iobuf_len(&read));
	if (rc == RC_OK)
		rc = sql_facts_parse(q.text, 0, &q.facts);
	if (rc == RC_OK) {
		rc = advise_may_explain(&q.facts) ? ask(&q, stats) : RC_DECLINED;
		sql_facts_free(&q.facts);
	}
	iobuf_reset(&read);
	return rc;
}
