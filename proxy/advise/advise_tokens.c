#include "advise_tokens.h"

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_T_WORD || t->kind == SQL_T_QUOTED;
}

size_t advise_tokens_behind(const struct advise_tokens *c, size_t i, size_t to)
{
	int depth = 0;

	for (; i < to; i++) {
		if (sql_token_is_op(&c->t[i], '('))
			depth++;
		else if (sql_token_is_op(&c->t[i], ')') && --depth == 0)
			return i + 1;
	}
	return to;
}

size_t advise_tokens_path(const struct advise_tokens *c, size_t i, size_t to, struct advise_path *p)
{
	size_t start = i;

	*p = (struct advise_path){0};
	for (;;) {
		if (i >= to || !is_name(&c->t[i]))
			return start;
		p->table = p->column;
		p->column = c->t[i].text;
		i++;
		if (i >= to || !sql_token_is_op(&c->t[i], '.'))
			break;
		i++;
	}
	return i < to && sql_token_is_op(&c->t[i], '(') ? start : i; /* a function's name */
}

bool advise_tokens_of(struct span quoted, struct span table)
{
	char name[ADVISE_NAME];

	return quoted.len && advise_name(quoted, name) == RC_OK && span_ieq(span_str(name), table);
}

size_t advise_tokens_cached(const struct advise_tokens *c, size_t i, size_t to)
{
	size_t end;

	if (i + 3 >= to || !sql_token_is_op(&c->t[i], '<') || !sql_token_is_word(&c->t[i + 1], "cache") || !sql_token_is_op(&c->t[i + 2], '>') ||
	    !sql_token_is_op(&c->t[i + 3], '('))
		return i;
	end = advise_tokens_behind(c, i + 3, to);
	for (size_t at = i + 3; at < end; at++)
		if (sql_token_is_op(&c->t[at], '.') || sql_token_is_op(&c->t[at], '<') || sql_token_is_op(&c->t[at], '@') || sql_token_is_word(&c->t[at], "select"))
			return i;
	return end;
}

/* MariaDB writes a subquery as (subquery#2): no comment begins there. */
static bool is_number_sign(const struct sql_token *t)
{
	return t->kind == SQL_T_COMMENT && *t->text.p == '#';
}

bool advise_tokens_read(struct advise_tokens *c, struct span text)
{
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (c->n = 0; c->n < ADVISE_MOST_TOKENS; c->n++) {
		do {
			sql_scan_next(&s, &c->t[c->n]);
			if (is_number_sign(&c->t[c->n]))
				s.p = c->t[c->n].text.p + 1;
		} while (c->t[c->n].kind == SQL_T_COMMENT);
		if (c->t[c->n].kind == SQL_T_END)
			return true;
		if (c->t[c->n].kind == SQL_T_BAD)
			return false;
	}
	return false;
}
