/*
 * call.c - calls of functions: which they are, and their arguments with all the words that may stand among them.
 */
#include "parse.h"

bool sql_is_unit(enum sql_word w)
{
	switch (w) {
	case SQL_W_DAY_HOUR:
	case SQL_W_DAY_MICROSECOND:
	case SQL_W_DAY_MINUTE:
	case SQL_W_DAY_SECOND:
	case SQL_W_HOUR_MICROSECOND:
	case SQL_W_HOUR_MINUTE:
	case SQL_W_HOUR_SECOND:
	case SQL_W_MINUTE_MICROSECOND:
	case SQL_W_MINUTE_SECOND:
	case SQL_W_SECOND_MICROSECOND:
	case SQL_W_YEAR_MONTH:
	case SQL_W_MICROSECOND:
	case SQL_W_SECOND:
	case SQL_W_MINUTE:
	case SQL_W_HOUR:
	case SQL_W_DAY:
	case SQL_W_WEEK:
	case SQL_W_MONTH:
	case SQL_W_QUARTER:
	case SQL_W_YEAR:
	case SQL_W_SQL_TSI_SECOND:
	case SQL_W_SQL_TSI_MINUTE:
	case SQL_W_SQL_TSI_HOUR:
	case SQL_W_SQL_TSI_DAY:
	case SQL_W_SQL_TSI_WEEK:
	case SQL_W_SQL_TSI_MONTH:
	case SQL_W_SQL_TSI_QUARTER:
	case SQL_W_SQL_TSI_YEAR:
		return true;
	default:
		return false;
	}
}

/* A type as CAST and its kin take it: words, numbers and parentheses, up to a comma or the closing parenthesis. */
static void skip_type(struct sql_parser *p)
{
	while (!sql_is_op(p, ')') && !sql_is_op(p, ',') && !sql_at_end(p)) {
		if (sql_is_op(p, '('))
			sql_skip_parens(p);
		else if (sql_is(p, SQL_W_SELECT))
			sql_fail(p, "a type was expected");
		else
			sql_advance(p);
	}
}

/* What may follow an argument besides a comma. Returns true when another argument comes next. */
static bool between_arguments(struct sql_parser *p)
{
	while (sql_is(p, SQL_W_ORDER))
		sql_order_by(p);
	if (sql_accept_op(p, ','))
		return true;
	if (p->t.kind != SQL_T_WORD)
		return false;
	switch (p->t.word) {
	case SQL_W_FROM:
	case SQL_W_FOR:
	case SQL_W_SEPARATOR:
	case SQL_W_VALUE:
		sql_advance(p);
		return true;
	case SQL_W_USING:
		sql_advance(p);
		if (!sql_any_word(p))
			sql_fail(p, "a character set was expected");
		return false;
	case SQL_W_LIMIT:
		sql_limit(p);
		return false;
	case SQL_W_AS:
	case SQL_W_AT:
	case SQL_W_RETURNING:
	case SQL_W_NULL:
	case SQL_W_ERROR:
	case SQL_W_DEFAULT:
	case SQL_W_LEVEL:
	case SQL_W_WITH:
	case SQL_W_WITHOUT:
		skip_type(p);
		return sql_accept_op(p, ',');
	default:
		return false;
	}
}

static void argument(struct sql_parser *p, enum sql_word w)
{
	struct span alias;

	if (sql_is_op(p, '*'))
		sql_advance(p);
	else if (p->t.kind == SQL_T_WORD && sql_is_unit(p->t.word) && sql_word_is(p->t.word, SQL_WT_RESERVED))
		sql_advance(p);          /* EXTRACT(DAY_HOUR FROM x) */
	else if (!sql_is(p, SQL_W_FROM)) /* TRIM(BOTH FROM x) */
		sql_expr(p);
	if (w == SQL_WORD_NONE) /* a loadable function may be told its arguments' names */
		sql_alias(p, true, &alias);
}

/* At "(". */
static void arguments(struct sql_parser *p, enum sql_word w)
{
	if (!sql_deeper(p))
		return;
	sql_advance(p);
	if (sql_accept(p, SQL_W_DISTINCT) || sql_accept(p, SQL_W_ALL))
		p->flags |= SQL_F_AGGREGATE;
	if (sql_is(p, SQL_W_LEADING) || sql_is(p, SQL_W_TRAILING) || sql_is(p, SQL_W_BOTH))
		sql_advance(p);
	if (!sql_is_op(p, ')')) {
		if (sql_at_query(p) && !sql_is(p, SQL_W_VALUES)) { /* a query alone may do without a second pair */
			sql_subquery(p);
		} else {
			argument(p, w);
		}
		if (w == SQL_W_CONVERT && sql_accept_op(p, ','))
			skip_type(p);
		while (between_arguments(p))
			argument(p, w);
	}
	sql_expect_op(p, ')', "a function's closing parenthesis was expected");
	p->depth--;
}

/* [NAME] [PARTITION BY ..] [ORDER BY ..] [frame] in parentheses. */
static void window_spec(struct sql_parser *p)
{
	struct span name;

	sql_expect_op(p, '(', "a window was expected");
	if (sql_at_name(p) && !sql_is(p, SQL_W_GROUPS))
		sql_name(p, &name);
	if (sql_accept(p, SQL_W_PARTITION)) {
		sql_expect(p, SQL_W_BY, "BY was expected");
		sql_expr_list(p);
	}
	if (sql_is(p, SQL_W_ORDER))
		sql_order_by(p);
	while (!sql_is_op(p, ')') && !sql_at_end(p)) {
		if (sql_is(p, SQL_W_SELECT))
			sql_fail(p, "a window's frame was expected");
		if (p->t.kind == SQL_T_OP || (p->t.kind == SQL_T_WORD && sql_is(p, SQL_W_INTERVAL)))
			sql_expr(p);
		else if (p->t.kind == SQL_T_USER_VAR || p->t.kind == SQL_T_SYSTEM_VAR)
			sql_operand(p);
		else
			sql_advance(p);
	}
	sql_expect_op(p, ')', "a closing parenthesis was expected");
}

void sql_windows(struct sql_parser *p)
{
	struct span name;

	do {
		if (!sql_name(p, &name))
			return;
		sql_expect(p, SQL_W_AS, "AS was expected");
		window_spec(p);
	} while (sql_accept_op(p, ','));
}

/* What may follow an aggregate or window function. */
static void over(struct sql_parser *p)
{
	struct span name;

	if (sql_is(p, SQL_W_WITHIN) && sql_peek_is(p, SQL_W_GROUP)) {
		sql_advance(p);
		sql_advance(p);
		window_spec(p);
	}
	if (sql_is(p, SQL_W_FROM) && (sql_peek_is(p, SQL_W_FIRST) || sql_peek_is(p, SQL_W_LAST))) {
		struct sql_parser_mark m = sql_mark(p);

		sql_advance(p);
		sql_advance(p);
		if (!sql_is(p, SQL_W_OVER) && !sql_is(p, SQL_W_IGNORE) && !sql_is(p, SQL_W_RESPECT))
			sql_rewind(p, &m); /* a table of that name */
	}
	if ((sql_is(p, SQL_W_IGNORE) || sql_is(p, SQL_W_RESPECT)) && sql_peek_is(p, SQL_W_NULLS)) {
		sql_advance(p);
		sql_advance(p);
	}
	if (!sql_accept(p, SQL_W_OVER))
		return;
	if (sql_is_op(p, '('))
		window_spec(p);
	else
		sql_name(p, &name);
}

void sql_call_stored(struct sql_parser *p, struct span schema, struct span name)
{
	sql_add_call(p, schema, name);
	p->flags |= SQL_F_STORED_FUNCTION | SQL_F_REPLAY_UNSAFE;
	arguments(p, SQL_WORD_NONE);
	over(p); /* a stored aggregate, with a window */
}

/* NEXTVAL(s) moves a table-like object of the schema's. */
static void sequence_function(struct sql_parser *p, enum sql_word w)
{
	struct sql_parser_mark m = sql_mark(p);
	struct sql_ref *r;

	sql_advance(p);
	r = sql_at_name(p) ? sql_table_name(p) : NULL;
	if (r) {
		r->read = true;
		r->written = w != SQL_W_LASTVAL;
	}
	if (w != SQL_W_LASTVAL)
		p->flags |= SQL_F_WRITES;
	sql_rewind(p, &m);
}

void sql_call_function(struct sql_parser *p, enum sql_word w, struct span name, bool blank)
{
	uint64_t effects = sql_words[w].effects;

	if (!sql_word_is(w, SQL_WT_FUNCTION) && w != SQL_W_CONVERT) {
		sql_call_stored(p, (struct span){0}, name);
		return;
	}
	if (blank && sql_word_is(w, SQL_WT_TIGHT)) {
		sql_add_call(p, (struct span){0}, name);
		effects |= SQL_F_STORED_FUNCTION | SQL_F_REPLAY_UNSAFE;
	}
	if (sql_word_is(w, SQL_WT_ONE_SERVER))
		sql_add_call(p, (struct span){0}, name);
	if (sql_word_is(w, SQL_WT_AGGREGATE))
		effects |= SQL_F_AGGREGATE;
	if (w == SQL_W_UNIX_TIMESTAMP && sql_peek_op(p, ')'))
		effects |= SQL_F_NONDETERMINISTIC;
	if (effects & SQL_F_SEQUENCE)
		sequence_function(p, w);
	sql_effects(p, effects, name);
	arguments(p, w);
	over(p);
}

void sql_oracle_sequence(struct sql_parser *p, const struct span *path, size_t n)
{
	enum sql_word w = sql_word_find(path[n - 1].p, path[n - 1].len);
	struct sql_ref *r;

	if (w != SQL_W_NEXTVAL && w != SQL_W_CURRVAL)
		return;
	r = sql_add_ref(p, n == 3 ? path[0] : (struct span){0}, path[n - 2]);
	if (r) {
		r->read = true;
		r->written = w == SQL_W_NEXTVAL;
	}
	sql_effects(p, sql_words[SQL_W_NEXTVAL].effects | (w == SQL_W_NEXTVAL ? SQL_F_WRITES : 0), path[n - 1]);
}
