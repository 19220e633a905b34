/*
 * advise_put.c - a plan's condition as a statement on its table alone may have it, so that a sample of its rows can be tried.
 */
#include "advise_tokens.h"

/* A word of a condition that stands for more than this table's rows. */
static bool reaches_out(const struct sql_token *t)
{
	static const char *const words[] = {"select", "subquery", "exists", "expr_cache", "in_optimizer", "trigcond", "materialize"};

	for (size_t i = 0; i < countof(words); i++)
		if (sql_token_is_word(t, words[i]))
			return true;
	return false;
}

/* The token at i as a statement may have it. RC_DECLINED: no statement may. */
static enum rc put_plain(const struct advise_tokens *c, size_t i, struct iobuf *out)
{
	const struct sql_token *t = &c->t[i];
	bool fine = t->kind == SQL_T_STRING || t->kind == SQL_T_NUMBER || t->kind == SQL_T_BYTES || t->kind == SQL_T_OP ||
		    (t->kind == SQL_T_WORD && !reaches_out(t));
	bool apart = i && t->text.p > c->t[i - 1].text.p + c->t[i - 1].text.len;

	if (!fine || (sql_token_is_op(t, '<') && i + 3 < c->n && c->t[i + 1].kind == SQL_T_WORD && sql_token_is_op(&c->t[i + 2], '>') && sql_token_is_op(&c->t[i + 3], '(')))
		return RC_DECLINED;
	if (apart && iobuf_append(out, " ", 1) != RC_OK)
		return RC_ERROR;
	return iobuf_append(out, t->text.p, t->text.len);
}

static enum rc put_column(const struct advise_path *p, struct iobuf *out, struct advise_columns *named)
{
	char name[ADVISE_NAME];

	if (named->n == countof(named->at) || advise_name(p->column, name) != RC_OK)
		return RC_DECLINED;
	advise_equals(name, named);
	return iobuf_append(out, " ", 1) == RC_OK ? advise_put_name(out, name) : RC_ERROR;
}

enum rc advise_put_condition(struct span text, struct span table, struct iobuf *out, struct advise_columns *named)
{
	struct advise_tokens c = {.table = table};
	enum rc rc = RC_OK;

	if (!advise_tokens_read(&c, text) || c.n == 0)
		return RC_DECLINED;
	for (size_t i = 0; i < c.n && rc == RC_OK;) {
		struct advise_path p;
		size_t next = advise_tokens_path(&c, i, c.n, &p);

		if (next > i && p.table.len) {
			rc = advise_tokens_of(p.table, table) ? put_column(&p, out, named) : RC_DECLINED;
			i = next;
		} else if (advise_tokens_cached(&c, i, c.n) > i) {
			i += 3; /* what is between its parentheses */
		} else {
			rc = put_plain(&c, i++, out);
		}
	}
	return rc;
}
