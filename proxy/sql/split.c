/*
 * split.c - the statements of a text, one at a time.
 */
#include "parse.h"

/* Statements whose own semicolons end nothing, and that only their end ends: taken as all that is left. */
static bool compound(const struct sql_parser *p)
{
	switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
	case SQL_W_IF:
	case SQL_W_CASE:
	case SQL_W_LOOP:
	case SQL_W_WHILE:
	case SQL_W_REPEAT:
	case SQL_W_FOR:
	case SQL_W_DECLARE:
		return true;
	case SQL_W_BEGIN:
		return sql_peek_is(p, SQL_W_NOT);
	default:
		return false;
	}
}

bool sql_split(struct span text, unsigned mode, size_t *at, struct span *stmt)
{
	struct sql_parser p;
	const char *start, *end;

	if (*at >= text.len)
		return false;
	if (*at) /* the whole text was judged for its first statement: once for each would take the square of its length */
		mode &= ~(unsigned)SQL_MODE_WIDE_TRAIL;
	sql_parser_init(&p, (struct span){.p = text.p + *at, .len = text.len - *at}, mode, false);
	while (sql_accept_op(&p, ';'))
		;
	start = p.why ? text.p + *at : p.t.text.p;
	if (p.t.kind == SQL_T_END) {
		*at = text.len;
		return false;
	}
	if (compound(&p)) {
		sql_fail(&p, "a compound statement");
	} else if (sql_accept(&p, SQL_W_CREATE)) {
		sql_stmt_create(&p);
		sql_skip_statement(&p);
	} else {
		sql_skip_statement(&p);
	}
	end = p.why ? text.p + text.len : p.last.p + p.last.len;
	*stmt = (struct span){.p = start, .len = (size_t)(end - start)};
	*at = p.why ? text.len : (size_t)(p.t.text.p - text.p);
	return true;
}
