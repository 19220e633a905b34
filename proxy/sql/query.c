/*
 * query.c - SELECT, VALUES, TABLE, WITH, the set operations between them and the clauses behind them.
 */
#include "parse.h"

bool sql_at_query(const struct sql_parser *p)
{
	return p->t.kind == SQL_T_WORD && (p->t.word == SQL_W_SELECT || p->t.word == SQL_W_WITH ||
					   p->t.word == SQL_W_VALUES || p->t.word == SQL_W_TABLE);
}

/* Reads SELECT's options. */
static void select_options(struct sql_parser *p)
{
	for (;;) {
		switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
		case SQL_W_DISTINCT:
		case SQL_W_DISTINCTROW:
		case SQL_W_UNIQUE:
			p->flags |= SQL_F_AGGREGATE;
			break;
		case SQL_W_SQL_CALC_FOUND_ROWS:
			p->flags |= SQL_F_CALC_FOUND_ROWS;
			break;
		case SQL_W_SQL_CACHE:
		case SQL_W_SQL_NO_CACHE:
		case SQL_W_SQL_BUFFER_RESULT:
			if (sql_peek_op(p, '.') || sql_peek_op(p, ','))
				return; /* a column of that name */
			break;
		case SQL_W_ALL:
		case SQL_W_HIGH_PRIORITY:
		case SQL_W_STRAIGHT_JOIN:
		case SQL_W_SQL_SMALL_RESULT:
		case SQL_W_SQL_BIG_RESULT:
			break;
		default:
			return;
		}
		sql_advance(p);
	}
}

void sql_select_items(struct sql_parser *p)
{
	struct span alias;

	do {
		if (sql_accept_op(p, '*'))
			continue;
		sql_expr(p);
		sql_alias(p, true, &alias);
	} while (sql_accept_op(p, ','));
}

static void group_by(struct sql_parser *p)
{
	sql_advance(p);
	sql_expect(p, SQL_W_BY, "BY was expected");
	p->flags |= SQL_F_AGGREGATE;
	do {
		/* ROLLUP and CUBE with their parentheses read like functions, which they are not */
		if ((sql_is(p, SQL_W_ROLLUP) || sql_is(p, SQL_W_CUBE)) && sql_peek_op(p, '('))
			sql_advance(p);
		sql_expr(p);
		if (sql_is(p, SQL_W_ASC) || sql_is(p, SQL_W_DESC))
			sql_advance(p);
	} while (sql_accept_op(p, ','));
	if (sql_accept(p, SQL_W_WITH) && !sql_accept(p, SQL_W_ROLLUP))
		sql_expect(p, SQL_W_CUBE, "ROLLUP was expected");
}

static void select_body(struct sql_parser *p)
{
	sql_advance(p);
	select_options(p);
	sql_select_items(p);
	if (sql_accept(p, SQL_W_INTO))
		sql_into(p);
	if (sql_accept(p, SQL_W_FROM))
		sql_table_refs(p);
	sql_where(p);
	if (sql_is(p, SQL_W_GROUP))
		group_by(p);
	if (sql_accept(p, SQL_W_HAVING))
		sql_expr(p);
	if (sql_accept(p, SQL_W_WINDOW))
		sql_windows(p);
	if (sql_accept(p, SQL_W_QUALIFY))
		sql_expr(p);
	sql_clauses(p);
}

/* VALUES (..), (..) or VALUES ROW(..), ROW(..) */
static void values_body(struct sql_parser *p)
{
	sql_advance(p);
	do {
		sql_accept(p, SQL_W_ROW);
		if (!sql_is_op(p, '(')) {
			sql_fail(p, "a row was expected");
			return;
		}
		sql_parens(p);
	} while (sql_accept_op(p, ','));
	sql_clauses(p);
}

static void table_body(struct sql_parser *p)
{
	struct sql_ref *r;

	sql_advance(p);
	r = sql_table_name(p);
	if (r)
		r->read = true;
	sql_clauses(p);
}

static void primary(struct sql_parser *p)
{
	if (sql_accept_op(p, '(')) {
		sql_query(p);
		sql_expect_op(p, ')', "a closing parenthesis was expected");
		sql_clauses(p);
	} else if (sql_is(p, SQL_W_SELECT)) {
		select_body(p);
	} else if (sql_is(p, SQL_W_VALUES)) {
		values_body(p);
	} else if (sql_is(p, SQL_W_TABLE)) {
		table_body(p);
	} else {
		sql_fail(p, "a query was expected");
	}
}

static bool set_operation(struct sql_parser *p)
{
	if (!sql_is(p, SQL_W_UNION) && !sql_is(p, SQL_W_EXCEPT) && !sql_is(p, SQL_W_INTERSECT) &&
	    !(sql_is(p, SQL_W_MINUS) && (p->scan.mode & SQL_MODE_ORACLE)))
		return false;
	sql_advance(p);
	if (!sql_accept(p, SQL_W_ALL))
		sql_accept(p, SQL_W_DISTINCT);
	return true;
}

void sql_query_tail(struct sql_parser *p)
{
	while (set_operation(p))
		primary(p);
	sql_clauses(p);
}

/* WITH RECURSIVE: what the queries call by a name of the list is no table, also where the name stands further down. */
static void drop_recursive_refs(struct sql_parser *p, uint16_t first_ref, uint16_t first_cte)
{
	uint16_t kept = first_ref;

	for (uint16_t i = first_ref; i < p->nrefs; i++) {
		bool cte = false;

		for (uint16_t c = first_cte; c < p->nctes && !p->refs[i].schema.len; c++)
			cte |= sql_same_name(p->ctes[c], p->refs[i].name);
		if (!cte)
			p->refs[kept++] = p->refs[i];
	}
	p->nrefs = kept;
}

/* name [(columns)] AS (query) [CYCLE columns RESTRICT] */
static void cte(struct sql_parser *p)
{
	struct span name, column;

	if (!sql_name(p, &name))
		return;
	if (sql_is_op(p, '('))
		sql_skip_parens(p);
	sql_expect(p, SQL_W_AS, "AS was expected");
	sql_expect_op(p, '(', "an opening parenthesis was expected");
	sql_subquery(p);
	sql_expect_op(p, ')', "a closing parenthesis was expected");
	if (sql_accept(p, SQL_W_CYCLE)) {
		do
			sql_name(p, &column);
		while (sql_accept_op(p, ','));
		sql_expect(p, SQL_W_RESTRICT, "RESTRICT was expected");
	}
	if (p->nctes == SQL_MAX_CTES)
		sql_fail(p, "too many common table expressions");
	else
		p->ctes[p->nctes++] = name;
}

void sql_with(struct sql_parser *p)
{
	uint16_t first_ref = p->nrefs, first_cte = p->nctes;
	bool recursive;

	sql_advance(p);
	recursive = sql_accept(p, SQL_W_RECURSIVE);
	do
		cte(p);
	while (sql_accept_op(p, ','));
	if (recursive)
		drop_recursive_refs(p, first_ref, first_cte);
}

void sql_query(struct sql_parser *p)
{
	uint16_t scope = p->nctes;

	if (sql_deeper(p)) {
		if (sql_is(p, SQL_W_WITH))
			sql_with(p);
		primary(p);
		sql_query_tail(p);
	}
	p->depth--;
	p->nctes = scope;
}

void sql_subquery(struct sql_parser *p)
{
	p->flags |= SQL_F_SUBQUERY;
	p->level++;
	sql_query(p);
	p->level--;
}
