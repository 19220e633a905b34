/*
 * split.c - the statements of a text, one at a time.
 */
#include "parse.h"

/* Statements whose own semicolons end nothing, and that only their end ends: taken as all that is left. */
static bool compound(struct sql_parser *p)
{
	if (sql_at_label(p))
		return true;
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
		sql_advance(p);
		return sql_begins_block(p);
	default:
		return false;
	}
}

/* Executable comments around the statement are part of it. */
static const char *begin_of(const char *from, const struct sql_parser *p)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, span_of(from, (size_t)(p->t.text.p - from)), p->scan.mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t))
		if (t.kind == SQL_T_EXEC_OPEN)
			return t.text.p;
	return p->t.text.p;
}

static const char *end_of(const struct sql_parser *p)
{
	const char *end = p->last.p + p->last.len;
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, span_of(end, (size_t)(p->t.text.p - end)), p->scan.mode);
	s.in_exec = true; /* if it is not, none ends here */
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t))
		if (t.kind == SQL_T_EXEC_CLOSE)
			end = t.text.p + t.text.len;
	return end;
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
	start = p.why ? text.p + *at : begin_of(p.last.p ? p.last.p + p.last.len : text.p + *at, &p);
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
	end = p.why ? text.p + text.len : end_of(&p);
	*stmt = (struct span){.p = start, .len = (size_t)(end - start)};
	*at = p.why ? text.len : (size_t)(p.t.text.p - text.p);
	return true;
}
