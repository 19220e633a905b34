#include "routine.h"

#include "facts.h"
#include "scan.h"

/* Some clients write such statements into executable comments. */
static void next(struct sql_scan *s, struct sql_token *t)
{
	do
		sql_scan_next_code(s, t);
	while (t->kind == SQL_T_EXEC_OPEN || t->kind == SQL_T_EXEC_CLOSE);
}

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_T_WORD || t->kind == SQL_T_QUOTED;
}

/* OR REPLACE, DEFINER = user, AGGREGATE: up to the kind of thing. */
static bool to_kind(struct sql_scan *s, struct sql_token *t)
{
	if (!sql_token_is_word(t, "create") && !sql_token_is_word(t, "alter") && !sql_token_is_word(t, "drop"))
		return false;
	do
		next(s, t);
	while (t->kind != SQL_T_END && t->kind != SQL_T_BAD && !sql_token_is_op(t, ';') && !sql_token_is_op(t, '(') &&
	       !sql_token_is_word(t, "procedure") && !sql_token_is_word(t, "function"));
	return t->kind == SQL_T_WORD;
}

bool sql_routine_of(struct span text, unsigned mode, struct span *name)
{
	struct sql_scan s;
	struct sql_token t;
	struct span one;
	size_t at = 0;

	if (!sql_split(text, mode, &at, &one) || sql_split(text, mode, &at, name))
		return false;
	sql_scan_init(&s, one, mode);
	next(&s, &t);
	if (!to_kind(&s, &t))
		return false;
	next(&s, &t);
	if (sql_token_is_word(&t, "if")) { /* [NOT] EXISTS */
		next(&s, &t);
		if (sql_token_is_word(&t, "not"))
			next(&s, &t);
		next(&s, &t);
	}
	*name = t.text;
	if (!is_name(&t))
		return false;
	next(&s, &t);
	if (!sql_token_is_op(&t, '.'))
		return true;
	next(&s, &t);
	*name = t.text;
	return is_name(&t);
}

bool sql_is_or_replace(struct span text, unsigned mode)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, text, mode);
	next(&s, &t);
	if (!sql_token_is_word(&t, "create"))
		return false;
	next(&s, &t);
	return sql_token_is_word(&t, "or");
}

/* Past the name behind VIEW and its columns: behind AS. */
static bool to_select(struct sql_scan *s, struct sql_token *t)
{
	int depth = 0;

	do {
		next(s, t);
		depth += sql_token_is_op(t, '(') - sql_token_is_op(t, ')');
	} while (t->kind != SQL_T_END && t->kind != SQL_T_BAD && (depth || !sql_token_is_word(t, "as")));
	return t->kind == SQL_T_WORD;
}

bool sql_view_select(struct span text, unsigned mode, struct span *select)
{
	struct sql_scan s;
	struct sql_token t;
	struct span one, more;
	const char *from, *with = NULL;
	size_t at = 0;

	if (!sql_split(text, mode, &at, &one) || sql_split(text, mode, &at, &more))
		return false;
	sql_scan_init(&s, one, mode);
	next(&s, &t);
	if (!sql_token_is_word(&t, "create") && !sql_token_is_word(&t, "alter"))
		return false;
	do
		next(&s, &t);
	while (t.kind != SQL_T_END && t.kind != SQL_T_BAD && !sql_token_is_op(&t, '(') && !sql_token_is_word(&t, "view") &&
	       !sql_token_is_word(&t, "table"));
	if (!sql_token_is_word(&t, "view") || !to_select(&s, &t))
		return false;
	from = t.text.p + t.text.len;
	for (next(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; next(&s, &t)) {
		if (sql_token_is_word(&t, "with"))
			with = t.text.p;
		else if (!sql_token_is_word(&t, "cascaded") && !sql_token_is_word(&t, "local") && !sql_token_is_word(&t, "check") &&
			 !sql_token_is_word(&t, "option"))
			with = NULL;
	}
	*select = span_of(from, (size_t)((with ? with : one.p + one.len) - from));
	return t.kind == SQL_T_END;
}
