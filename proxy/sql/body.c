/*
 * body.c - the bodies of routines, triggers and events: passed over, but their end must be found.
 */
#include "parse.h"

/* IF as a statement: not IF(..) as a function, nor IF [NOT] EXISTS in front of a name. Behind the IF. */
static bool if_statement(struct sql_parser *p)
{
	struct sql_parser_mark m = sql_mark(p);
	bool statement = true;

	if (sql_accept(p, SQL_W_NOT) || sql_is(p, SQL_W_EXISTS)) {
		if (sql_accept(p, SQL_W_EXISTS))
			statement = sql_is_op(p, '(');
	} else if (sql_is_op(p, '(')) {
		sql_skip_parens(p);
		statement = !sql_is_op(p, ',') && !sql_is_op(p, ')') && !sql_is(p, SQL_W_END) &&
			    !sql_is(p, SQL_W_WHEN) && !sql_is(p, SQL_W_ELSE);
	}
	sql_rewind(p, &m);
	return statement;
}

/* Whether a word that has just been read opens a block. starts: it stood where a statement of the body starts. */
static bool opens_block(struct sql_parser *p, enum sql_word w, bool starts)
{
	switch (w) {
	case SQL_W_BEGIN:
	case SQL_W_CASE:
	case SQL_W_LOOP:
	case SQL_W_WHILE:
		return true;
	case SQL_W_IF:
		return starts && if_statement(p);
	case SQL_W_REPEAT:
		return starts && !sql_is_op(p, '(');
	case SQL_W_FOR:
		return starts;
	default:
		return false;
	}
}

/* True when a statement of the body can start behind the token that is next. Outside of any block that is where the
 * routine's head ends. */
static bool starts_statement(const struct sql_parser *p, bool in_block)
{
	if (sql_is_op(p, ';') || sql_is_op(p, ':'))
		return true;
	if (!in_block && (sql_is_op(p, ')') || p->t.kind == SQL_T_STRING))
		return true;
	if (p->t.kind != SQL_T_WORD)
		return false;
	switch (p->t.word) {
	case SQL_W_ROW:
	case SQL_W_DETERMINISTIC:
	case SQL_W_SQL:
	case SQL_W_DATA:
	case SQL_W_DEFINER:
		return !in_block;
	case SQL_W_THEN:
	case SQL_W_ELSE:
	case SQL_W_DO:
	case SQL_W_LOOP:
	case SQL_W_BEGIN:
	case SQL_W_REPEAT:
	case SQL_W_ATOMIC:
		return true;
	default:
		return false;
	}
}

/* A routine's body, in which semicolons end nothing as long as a block is open. */
void sql_skip_body(struct sql_parser *p)
{
	size_t blocks = 0;
	bool starts = false, xa = false;

	while (p->t.kind != SQL_T_END && p->t.kind != SQL_T_BAD && (blocks || !sql_is_op(p, ';'))) {
		enum sql_word w = p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE;
		bool next_starts = starts_statement(p, blocks > 0);

		sql_advance(p);
		if (w == SQL_W_END && blocks && !xa) {
			blocks--;
			if (sql_is(p, SQL_W_IF) || sql_is(p, SQL_W_CASE) || sql_is(p, SQL_W_LOOP) ||
			    sql_is(p, SQL_W_WHILE) || sql_is(p, SQL_W_REPEAT) || sql_is(p, SQL_W_FOR))
				sql_advance(p);
		} else if (opens_block(p, w, starts)) {
			blocks++;
		}
		starts = next_starts;
		xa = w == SQL_W_XA; /* XA END ends no block */
	}
	if (blocks)
		sql_fail(p, "a block has no END");
}
