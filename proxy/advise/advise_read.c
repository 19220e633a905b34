/*
 * advise_read.c - an UPDATE or DELETE finds its rows as a SELECT with the same tables and the same WHERE does; that is what is
 * explained, so that no write is ever asked of a server, not even its plan.
 *
 *   UPDATE [words] tables SET ... WHERE ...                   SELECT * FROM tables WHERE ...
 *   DELETE [words] FROM table WHERE ...                       SELECT * FROM table WHERE ...
 *   DELETE [words] names FROM tables WHERE ...                SELECT * FROM tables WHERE ...
 *   DELETE [words] FROM names USING tables WHERE ...          SELECT * FROM tables WHERE ...
 *   SELECT ... FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE      SELECT ...
 */
#include "advise_impl.h"

struct parts {
	struct span tables, where; /* empty: not seen */
};

static bool is_end(const struct sql_token *t)
{
	return t->kind == SQL_T_END || t->kind == SQL_T_BAD;
}

static struct span between(const char *from, const char *to)
{
	return span_of(from, (size_t)(to - from));
}

/* USING (columns) of a join. */
static bool joins(struct sql_scan s, const struct sql_token *t)
{
	struct sql_token next;

	if (!sql_token_is_word(t, "using"))
		return false;
	sql_scan_next_code(&s, &next);
	return sql_token_is_op(&next, '(');
}

/* Where the tables begin behind t, a word of this level; NULL: not here. */
static const char *tables_behind(const struct sql_token *t, bool update)
{
	static const char *const skipped[] = {"update", "low_priority", "ignore"}, *const before[] = {"from", "using"};
	const char *const *words = update ? skipped : before;

	for (size_t i = 0; i < (update ? countof(skipped) : countof(before)); i++)
		if (sql_token_is_word(t, words[i]))
			return t->text.p + t->text.len;
	return NULL;
}

/* Fills in the parts; s is behind the verb, t the token that it was. */
static void find(struct sql_scan *s, struct sql_token t, bool update, const char *end, struct parts *out)
{
	const char *tables = NULL;
	bool open = true; /* the tables are not over yet */
	int depth = 0;

	for (; !is_end(&t); sql_scan_next_code(s, &t)) {
		const char *behind = open && depth == 0 && !joins(*s, &t) ? tables_behind(&t, update) : NULL;

		depth += sql_token_is_op(&t, '(') ? 1 : sql_token_is_op(&t, ')') ? -1 : 0;
		if (behind)
			tables = behind;
		else if (depth || !tables)
			continue;
		else if (sql_token_is_word(&t, "returning") || sql_token_is_op(&t, ';'))
			end = t.text.p < end ? t.text.p : end;
		else if (open && sql_token_is_word(&t, update ? "set" : "where")) {
			out->tables = between(tables, t.text.p);
			open = false;
		}
		if (depth == 0 && sql_token_is_word(&t, "where") && !out->where.p)
			out->where = between(t.text.p, end);
	}
	if (out->where.p && end > out->where.p)
		out->where.len = (size_t)(end - out->where.p);
}

/* A SELECT without the locks that it asks for at its end. */
static struct span without_locks(struct span text)
{
	struct sql_token t, before = {0};
	struct sql_scan s;
	int depth = 0;

	sql_scan_init(&s, text, 0);
	for (sql_scan_next_code(&s, &t); !is_end(&t); sql_scan_next_code(&s, &t)) {
		bool locks = sql_token_is_word(&before, "for") ? sql_token_is_word(&t, "update") || sql_token_is_word(&t, "share")
							      : sql_token_is_word(&before, "lock") && sql_token_is_word(&t, "in");

		depth += sql_token_is_op(&t, '(') ? 1 : sql_token_is_op(&t, ')') ? -1 : 0;
		if (locks && depth == 0)
			return between(text.p, before.text.p);
		before = t;
	}
	return text;
}

enum rc advise_read(struct span text, struct iobuf *out)
{
	struct parts p = {0};
	struct sql_token t;
	struct sql_scan s;
	bool update;

	sql_scan_init(&s, text, 0);
	sql_scan_next_code(&s, &t);
	update = sql_token_is_word(&t, "update");
	if (!update && !sql_token_is_word(&t, "delete")) {
		text = without_locks(text);
		return iobuf_append(out, text.p, text.len);
	}
	find(&s, t, update, text.p + text.len, &p);
	if (!p.tables.len || !p.where.len)
		return RC_DECLINED;
	return iobuf_printf(out, "SELECT * FROM " SPAN_FMT " " SPAN_FMT, SPAN_ARG(p.tables), SPAN_ARG(p.where));
}
