/*
 * columns.c - which columns an INSERT or REPLACE gives values to.
 *
 *   INSERT [..] [INTO] t [PARTITION (..)] [(a, b)] VALUES (..) ..   those listed; without a list all, or with () none
 *   INSERT [..] [INTO] t SET a = .., b = ..                         those set
 */
#include "digest.h"

#include "norm.h"

static bool at_end(const struct sql_token *t)
{
	return t->kind == SQL_T_END || t->kind == SQL_T_BAD || t->kind == SQL_T_EXEC_OPEN || t->kind == SQL_T_EXEC_CLOSE;
}

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_T_WORD || t->kind == SQL_T_QUOTED;
}

/* A name without its quotes; one with quotes or backslashes inside is not taken. */
static enum rc put_name(const struct sql_token *t, sql_column_fn put, void *arg)
{
	struct span name = t->text;

	if (t->kind == SQL_T_QUOTED)
		name = span_of(name.p + 1, name.len - 2);
	for (size_t i = 0; i < name.len; i++)
		if (strchr("`'\"\\", name.p[i]))
			return RC_DECLINED;
	return name.len ? put(arg, name) : RC_DECLINED;
}

/* name [. name [. name]], of which the last counts; t is then behind it. */
static enum rc take_name(struct sql_scan *s, struct sql_token *t, sql_column_fn put, void *arg)
{
	struct sql_token last = *t;

	if (!is_name(t))
		return RC_DECLINED;
	for (sql_scan_next_code(s, t); sql_token_is_op(t, '.'); sql_scan_next_code(s, t)) {
		sql_scan_next_code(s, t);
		if (!is_name(t))
			return RC_DECLINED;
		last = *t;
	}
	return put_name(&last, put, arg);
}

/* Behind "(": a, b ")" */
static enum rc take_list(struct sql_scan *s, struct sql_token *t, sql_column_fn put, void *arg)
{
	sql_scan_next_code(s, t);
	while (!sql_token_is_op(t, ')')) {
		enum rc rc = take_name(s, t, put, arg);

		if (rc != RC_OK)
			return rc;
		if (sql_token_is_op(t, ','))
			sql_scan_next_code(s, t);
		else if (!sql_token_is_op(t, ')'))
			return RC_DECLINED;
	}
	return RC_OK;
}

/* The rest of the statement: is the word DEFAULT in it? */
static enum rc look_for_default(struct sql_scan *s, struct sql_token *t, struct sql_insert_columns *out)
{
	for (; !at_end(t); sql_scan_next_code(s, t))
		out->defaults |= t->kind == SQL_T_WORD && t->word == SQL_W_DEFAULT;
	return t->kind == SQL_T_END ? RC_OK : RC_DECLINED;
}

/* Behind SET: a = expression, b = expression [ON DUPLICATE KEY ..] */
static enum rc take_assignments(struct sql_scan *s, struct sql_token *t, sql_column_fn put, void *arg,
				struct sql_insert_columns *out)
{
	do {
		unsigned depth = 0;
		enum rc rc;

		sql_scan_next_code(s, t);
		rc = take_name(s, t, put, arg);
		if (rc != RC_OK)
			return rc;
		for (; !at_end(t) && (depth || !sql_token_is_op(t, ',')); sql_scan_next_code(s, t)) {
			out->defaults |= t->kind == SQL_T_WORD && t->word == SQL_W_DEFAULT;
			if (!depth && t->kind == SQL_T_WORD && t->word == SQL_W_ON)
				return look_for_default(s, t, out);
			if (sql_token_is_op(t, '('))
				depth++;
			else if (sql_token_is_op(t, ')'))
				depth -= depth > 0;
		}
	} while (sql_token_is_op(t, ','));
	return t->kind == SQL_T_END ? RC_OK : RC_DECLINED;
}

/* Behind VALUES: "()" gives none where no columns are listed. */
static enum rc take_values(struct sql_scan *s, struct sql_token *t, struct sql_insert_columns *out)
{
	sql_scan_next_code(s, t);
	if (sql_token_is_op(t, '(')) {
		sql_scan_next_code(s, t);
		out->all &= !sql_token_is_op(t, ')');
	}
	return look_for_default(s, t, out);
}

enum rc sql_insert_columns(struct span text, unsigned mode, sql_column_fn put, void *arg, struct sql_insert_columns *out)
{
	struct sql_scan s;
	struct sql_token t;
	bool partition = false;

	*out = (struct sql_insert_columns){.all = true};
	sql_scan_init(&s, text, mode);
	for (sql_scan_next_code(&s, &t); !at_end(&t); sql_scan_next_code(&s, &t)) {
		enum rc rc = RC_OK;

		if (t.kind == SQL_T_WORD && (t.word == SQL_W_VALUES || t.word == SQL_W_VALUE))
			return take_values(&s, &t, out);
		if (t.kind == SQL_T_WORD && t.word == SQL_W_SET) {
			out->all = false;
			return take_assignments(&s, &t, put, arg, out);
		}
		if (t.kind == SQL_T_WORD && t.word == SQL_W_SELECT)
			return RC_DECLINED;
		if (sql_token_is_op(&t, '(') && partition) {
			while (!at_end(&t) && !sql_token_is_op(&t, ')'))
				sql_scan_next_code(&s, &t);
		} else if (sql_token_is_op(&t, '(')) {
			out->all = false;
			rc = take_list(&s, &t, put, arg);
		}
		if (rc != RC_OK)
			return rc;
		partition = t.kind == SQL_T_WORD && t.word == SQL_W_PARTITION;
	}
	return RC_DECLINED;
}
