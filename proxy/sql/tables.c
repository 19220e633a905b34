/*
 * tables.c - what stands behind FROM: tables, joins, derived tables, table functions.
 */
#include "parse.h"

void sql_partition_list(struct sql_parser *p)
{
	if (sql_is(p, SQL_W_PARTITION) && sql_peek_op(p, '(')) {
		sql_advance(p);
		sql_skip_parens(p);
	}
}

/* [TIMESTAMP | TRANSACTION] expression */
void sql_history_point(struct sql_parser *p)
{
	if ((sql_is(p, SQL_W_TIMESTAMP) || sql_is(p, SQL_W_TRANSACTION)) && !sql_peek_op(p, '('))
		sql_advance(p);
	sql_operand(p);
	while (sql_is_op(p, '+') || sql_is_op(p, '-')) {
		sql_advance(p);
		sql_operand(p);
	}
}

/* FOR SYSTEM_TIME AS OF e, BETWEEN e AND e, FROM e TO e, ALL. */
static void system_time(struct sql_parser *p)
{
	sql_advance(p);
	sql_advance(p);
	p->flags |= SQL_F_REPLAY_UNSAFE;
	if (sql_accept(p, SQL_W_ALL) || sql_accept(p, SQL_W_BEFORE))
		return;
	if (sql_accept(p, SQL_W_AS)) {
		sql_expect(p, SQL_W_OF, "OF was expected");
		sql_history_point(p);
	} else if (sql_accept(p, SQL_W_BETWEEN)) {
		sql_history_point(p);
		sql_expect(p, SQL_W_AND, "AND was expected");
		sql_history_point(p);
	} else if (sql_accept(p, SQL_W_FROM)) {
		sql_history_point(p);
		sql_expect(p, SQL_W_TO, "TO was expected");
		sql_history_point(p);
	} else {
		sql_fail(p, "a span of system time was expected");
	}
}

/* {USE|IGNORE|FORCE} {INDEX|KEY} [FOR JOIN|ORDER BY|GROUP BY] (names), ... */
static void index_hints(struct sql_parser *p)
{
	do {
		sql_advance(p);
		if (!sql_accept(p, SQL_W_INDEX))
			sql_expect(p, SQL_W_KEY, "INDEX was expected");
		if (sql_accept(p, SQL_W_FOR)) {
			if (!sql_accept(p, SQL_W_JOIN)) {
				sql_advance(p); /* ORDER, GROUP */
				sql_expect(p, SQL_W_BY, "BY was expected");
			}
		}
		if (!sql_is_op(p, '('))
			sql_fail(p, "a list of indexes was expected");
		else
			sql_skip_parens(p);
		if (sql_is_op(p, ',') &&
		    (sql_peek_is(p, SQL_W_USE) || sql_peek_is(p, SQL_W_IGNORE) || sql_peek_is(p, SQL_W_FORCE)))
			sql_advance(p);
	} while (sql_is(p, SQL_W_USE) || sql_is(p, SQL_W_IGNORE) || sql_is(p, SQL_W_FORCE));
}

static void after_table(struct sql_parser *p, struct sql_ref *r)
{
	struct span alias = {0};

	sql_partition_list(p);
	while (sql_is(p, SQL_W_FOR) && sql_peek_is(p, SQL_W_SYSTEM_TIME))
		system_time(p);
	sql_alias(p, false, &alias);
	if (r)
		r->alias = alias;
	while (sql_is(p, SQL_W_FOR) && sql_peek_is(p, SQL_W_SYSTEM_TIME))
		system_time(p);
	if (sql_is(p, SQL_W_USE) || sql_is(p, SQL_W_IGNORE) || sql_is(p, SQL_W_FORCE))
		index_hints(p);
}

/* An alias and perhaps names for the columns, behind a derived table. */
static void derived_alias(struct sql_parser *p)
{
	struct span alias;

	while (sql_is(p, SQL_W_FOR) && sql_peek_is(p, SQL_W_SYSTEM_TIME))
		system_time(p);
	sql_alias(p, false, &alias);
	if (sql_is_op(p, '('))
		sql_skip_parens(p);
}

/* JSON_TABLE(document, path COLUMNS(..)) [AS] alias */
static void json_table(struct sql_parser *p)
{
	sql_advance(p);
	sql_advance(p);
	sql_expr(p);
	sql_expect_op(p, ',', "a comma was expected");
	sql_expr(p);
	sql_expect(p, SQL_W_COLUMNS, "COLUMNS was expected");
	sql_skip_parens(p);
	sql_expect_op(p, ')', "a closing parenthesis was expected");
	derived_alias(p);
	if (p->keys)
		p->keys->others = true;
}

/* ( query ) alias, ( joins ), or parentheses around either. */
static void parenthesised(struct sql_parser *p)
{
	if (!sql_deeper(p))
		return;
	sql_advance(p);
	if (sql_at_query(p)) {
		sql_subquery(p);
	} else {
		sql_table_refs(p);
		sql_query_tail(p);
	}
	sql_expect_op(p, ')', "a closing parenthesis was expected");
	derived_alias(p);
	p->depth--;
}

static void named_table(struct sql_parser *p)
{
	bool dual = sql_is(p, SQL_W_DUAL) && !sql_peek_op(p, '.');
	struct sql_ref *r;

	if (dual) {
		sql_advance(p);
		return;
	}
	r = sql_table_name(p);
	if (r)
		r->read = true;
	if (sql_is_op(p, '(')) {
		sql_fail(p, "a function where a table was expected");
		return;
	}
	after_table(p, r);
}

static void table_factor(struct sql_parser *p)
{
	if (sql_is(p, SQL_W_LATERAL) && sql_peek_op(p, '('))
		sql_advance(p);
	if (sql_is_op(p, '(')) {
		parenthesised(p);
	} else if (sql_is_op(p, '{')) { /* {OJ a LEFT OUTER JOIN b ON ..} */
		struct span kind;

		sql_advance(p);
		sql_name(p, &kind);
		sql_table_refs(p);
		sql_expect_op(p, '}', "a closing brace was expected");
	} else if (sql_is(p, SQL_W_JSON_TABLE) && sql_peek_op(p, '(')) {
		json_table(p);
	} else {
		named_table(p);
	}
}

/* Reads a comma or a JOIN with the words before it; false when there is none. */
static bool join_operator(struct sql_parser *p)
{
	if (sql_accept_op(p, ',') || sql_accept(p, SQL_W_STRAIGHT_JOIN) || sql_accept(p, SQL_W_JOIN))
		return true;
	switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
	case SQL_W_INNER:
	case SQL_W_CROSS:
	case SQL_W_LEFT:
	case SQL_W_RIGHT:
	case SQL_W_NATURAL:
		sql_advance(p);
		break;
	default:
		return false;
	}
	while (sql_is(p, SQL_W_INNER) || sql_is(p, SQL_W_LEFT) || sql_is(p, SQL_W_RIGHT) || sql_is(p, SQL_W_OUTER))
		sql_advance(p);
	if (!sql_accept(p, SQL_W_STRAIGHT_JOIN))
		sql_expect(p, SQL_W_JOIN, "JOIN was expected");
	return true;
}

static void join_conditions(struct sql_parser *p)
{
	for (;;) {
		if (sql_is(p, SQL_W_ON) && !sql_peek_is(p, SQL_W_DUPLICATE)) {
			sql_advance(p);
			sql_expr(p);
		} else if (sql_is(p, SQL_W_USING) && sql_peek_op(p, '(')) {
			sql_advance(p);
			sql_skip_parens(p);
		} else {
			return;
		}
	}
}

void sql_table_refs(struct sql_parser *p)
{
	if (sql_deeper(p)) {
		do {
			table_factor(p);
			join_conditions(p);
		} while (join_operator(p));
	}
	p->depth--;
}
