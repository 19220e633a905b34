/*
 * query_tail.c - the clauses behind a query: ORDER BY, LIMIT, INTO, locks.
 */
#include "parse.h"

void sql_file_options(struct sql_parser *p)
{
	for (;;) {
		switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
		case SQL_W_CHARACTER:
			sql_advance(p); /* now at SET */
			break;
		case SQL_W_CHARSET:
		case SQL_W_FIELDS:
		case SQL_W_COLUMNS:
		case SQL_W_LINES:
		case SQL_W_TERMINATED:
		case SQL_W_ENCLOSED:
		case SQL_W_ESCAPED:
		case SQL_W_STARTING:
		case SQL_W_OPTIONALLY:
		case SQL_W_BY:
			break;
		default:
			return;
		}
		sql_advance(p);
		if (p->t.kind == SQL_T_STRING || p->t.kind == SQL_T_BYTES ||
		    (p->t.kind == SQL_T_WORD && p->t.word == SQL_WORD_NONE) || sql_is(p, SQL_W_BINARY) ||
		    sql_is(p, SQL_W_DEFAULT))
			sql_advance(p); /* the option's value */
	}
}

void sql_into(struct sql_parser *p)
{
	struct span name;

	if (sql_accept(p, SQL_W_OUTFILE) || sql_accept(p, SQL_W_DUMPFILE)) {
		p->flags |= SQL_F_SERVER_FILE;
		if (p->t.kind != SQL_T_STRING)
			sql_fail(p, "a file name was expected");
		sql_advance(p);
		sql_file_options(p);
		return;
	}
	p->flags |= SQL_F_USER_VAR_WRITE;
	do {
		if (p->t.kind == SQL_T_USER_VAR || p->t.kind == SQL_T_PARAM)
			sql_advance(p);
		else
			sql_name(p, &name); /* a variable of a routine's */
	} while (sql_accept_op(p, ','));
}

void sql_order_by(struct sql_parser *p)
{
	sql_advance(p);
	sql_expect(p, SQL_W_BY, "BY was expected");
	do {
		sql_expr(p);
		if (sql_is(p, SQL_W_ASC) || sql_is(p, SQL_W_DESC))
			sql_advance(p);
	} while (sql_accept_op(p, ','));
	if (sql_is(p, SQL_W_WITH) && sql_peek_is(p, SQL_W_ROLLUP)) {
		sql_advance(p);
		sql_advance(p);
	}
}

void sql_limit(struct sql_parser *p)
{
	sql_advance(p);
	if (sql_accept(p, SQL_W_ROWS)) { /* LIMIT ROWS EXAMINED n */
		sql_expect(p, SQL_W_EXAMINED, "EXAMINED was expected");
		sql_operand(p);
		p->flags |= SQL_F_LIMIT_NO_ORDER;
		return;
	}
	sql_operand(p);
	if (sql_accept_op(p, ',') || sql_accept(p, SQL_W_OFFSET))
		sql_operand(p);
	if (sql_accept(p, SQL_W_ROWS)) {
		sql_expect(p, SQL_W_EXAMINED, "EXAMINED was expected");
		sql_operand(p);
		p->flags |= SQL_F_LIMIT_NO_ORDER;
	}
}

/* OFFSET n ROWS; FETCH FIRST n ROWS ONLY or WITH TIES. */
static void offset_fetch(struct sql_parser *p)
{
	if (sql_accept(p, SQL_W_OFFSET)) {
		sql_operand(p);
		if (!sql_accept(p, SQL_W_ROWS))
			sql_expect(p, SQL_W_ROW, "ROWS was expected");
	}
	if (!sql_accept(p, SQL_W_FETCH))
		return;
	if (!sql_accept(p, SQL_W_FIRST))
		sql_expect(p, SQL_W_NEXT, "FIRST was expected");
	if (!sql_is(p, SQL_W_ROW) && !sql_is(p, SQL_W_ROWS))
		sql_operand(p);
	if (!sql_accept(p, SQL_W_ROWS))
		sql_expect(p, SQL_W_ROW, "ROWS was expected");
	if (sql_accept(p, SQL_W_WITH))
		sql_expect(p, SQL_W_TIES, "TIES was expected");
	else
		sql_expect(p, SQL_W_ONLY, "ONLY was expected");
}

void sql_wait(struct sql_parser *p)
{
	if (sql_accept(p, SQL_W_WAIT))
		sql_operand(p);
	else
		sql_accept(p, SQL_W_NOWAIT);
}

/* SKIP LOCKED, WAIT n, NOWAIT */
static void if_locked(struct sql_parser *p)
{
	if (sql_accept(p, SQL_W_SKIP))
		sql_expect(p, SQL_W_LOCKED, "LOCKED was expected");
	else
		sql_wait(p);
}

/* FOR UPDATE, FOR SHARE with OF tables, NOWAIT, SKIP LOCKED, WAIT n. */
static void for_lock(struct sql_parser *p)
{
	struct span name;

	sql_advance(p);
	if (!sql_accept(p, SQL_W_UPDATE))
		sql_expect(p, SQL_W_SHARE, "UPDATE or SHARE was expected");
	p->flags |= SQL_F_LOCKING_READ;
	if (sql_accept(p, SQL_W_OF)) {
		do {
			sql_name(p, &name);
			if (sql_accept_op(p, '.'))
				sql_name(p, &name);
		} while (sql_accept_op(p, ','));
	}
	if_locked(p);
}

static void lock_in_share_mode(struct sql_parser *p)
{
	sql_advance(p);
	sql_expect(p, SQL_W_IN, "IN SHARE MODE was expected");
	sql_expect(p, SQL_W_SHARE, "SHARE MODE was expected");
	sql_expect(p, SQL_W_MODE, "MODE was expected");
	p->flags |= SQL_F_LOCKING_READ;
	if_locked(p);
}

/* One clause behind a query; false when there is none. *ordered: an ORDER BY has been seen. */
static bool tail_clause(struct sql_parser *p, bool *ordered)
{
	switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
	case SQL_W_ORDER:
		*ordered = true;
		sql_order_by(p);
		return true;
	case SQL_W_LIMIT:
		if (!*ordered)
			p->flags |= SQL_F_LIMIT_NO_ORDER;
		sql_limit(p);
		return true;
	case SQL_W_OFFSET:
	case SQL_W_FETCH:
		if (!*ordered)
			p->flags |= SQL_F_LIMIT_NO_ORDER;
		offset_fetch(p);
		return true;
	case SQL_W_INTO:
		sql_advance(p);
		sql_into(p);
		return true;
	case SQL_W_FOR:
		for_lock(p);
		return true;
	case SQL_W_LOCK:
		lock_in_share_mode(p);
		return true;
	case SQL_W_PROCEDURE: /* ANALYSE(..) */
		sql_advance(p);
		sql_operand(p);
		p->flags |= SQL_F_NONDETERMINISTIC;
		return true;
	default:
		return false;
	}
}

void sql_clauses(struct sql_parser *p)
{
	bool ordered = false;

	while (tail_clause(p, &ordered))
		;
}
