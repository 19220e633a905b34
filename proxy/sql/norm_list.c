/*
 * norm_list.c - what the normalised text folds: lists of literals, rows of an INSERT, LIMIT with its OFFSET.
 */
#include "norm_impl.h"

void norm_row(struct sql_norm *n, const struct sql_token *t, size_t at)
{
	struct sql_norm_rows *r = &n->rows;

	if (sql_token_is_op(t, '(') && r->depth++ == 0)
		r->at = at;
	if (r->depth == 0 && !sql_token_is_op(t, ',')) {
		r->on = false;
		return;
	}
	if (!sql_token_is_op(t, ')') || --r->depth)
		return;
	if (n->n - r->at == r->last_len && memcmp(n->buffer + r->last_at, n->buffer + r->at, r->last_len) == 0) {
		n->n = r->end;
		return;
	}
	r->last_at = r->at;
	r->last_len = n->n - r->at;
	r->end = n->n;
}

bool norm_limit(struct sql_norm *n, const struct sql_token *t)
{
	bool literal = sql_token_is_literal(t);

	if (n->limit == SQL_LIMIT_WORD) {
		n->limit = literal ? SQL_LIMIT_NUMBER : SQL_LIMIT_DONE;
	} else if (n->limit == SQL_LIMIT_NUMBER) {
		bool second = sql_token_is_op(t, ',') || (t->kind == SQL_T_WORD && t->word == SQL_W_OFFSET);

		n->limit = second ? SQL_LIMIT_SECOND : SQL_LIMIT_DONE;
		n->limit_by = *t;
		n->limit_by.blank = n->gap == SQL_GAP_BLANK;
		return second;
	} else if (n->limit == SQL_LIMIT_SECOND) {
		n->limit = SQL_LIMIT_DONE;
		if (literal)
			return true;
		if (n->limit_by.blank)
			norm_put_byte(n, ' ');
		norm_put_span(n, n->limit_by.text, true);
	}
	return false;
}

void norm_replay(struct sql_norm *n, const char *to)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, (struct span){.p = n->pending, .len = (size_t)(to - n->pending)}, n->mode);
	n->list = SQL_LIST_NONE;
	n->gap = SQL_GAP_NONE;
	for (;;) {
		sql_scan_next(&s, &t);
		norm_see_gap(n, &t);
		if (t.kind == SQL_T_END)
			return;
		if (!norm_see_comment(n, &t))
			norm_signed(n, &t);
	}
}

static void list_closes(struct sql_norm *n, const struct sql_token *t)
{
	if (!n->listed) {
		for (const char *p = "(?+)"; *p; p++)
			norm_put_byte(n, *p);
		n->rows.end = n->n;
		norm_set_prev(n, t);
	}
	n->gap = SQL_GAP_NONE;
	n->listed = true;
	n->list = SQL_LIST_AFTER;
	n->pending = t->text.p + t->text.len;
}

bool norm_list(struct sql_norm *n, const struct sql_token *t)
{
	switch (n->list) {
	case SQL_LIST_NONE:
		return false;
	case SQL_LIST_WORD:
		n->list = SQL_LIST_NONE;
		n->listed = false;
		if (!sql_token_is_op(t, '('))
			return false;
		n->pending = n->end;
		n->list = SQL_LIST_OPEN;
		return true;
	case SQL_LIST_OPEN:
		if (sql_token_is_op(t, ')')) {
			list_closes(n, t);
			return true;
		}
		if (sql_token_is_literal(t) || sql_token_is_op(t, ',') || norm_is_sign(t))
			return true;
		break;
	case SQL_LIST_AFTER:
		if (sql_token_is_op(t, '('))
			n->list = SQL_LIST_OPEN;
		if (sql_token_is_op(t, '(') || sql_token_is_op(t, ','))
			return true;
		break;
	}
	norm_replay(n, t->text.p);
	return false;
}

void norm_list_opens(struct sql_norm *n, const struct sql_token *t)
{
	if (t->word != SQL_W_IN && t->word != SQL_W_VALUES && t->word != SQL_W_VALUE)
		return;
	n->list = SQL_LIST_WORD;
	if (t->word != SQL_W_IN && (n->first == SQL_W_INSERT || n->first == SQL_W_REPLACE) && !n->flushed)
		n->rows = (struct sql_norm_rows){.on = true};
}
