/*
 * norm.c - the normalised text: pt-query-digest's fingerprint, made from tokens instead of by substitutions.
 *
 *   sql_norm_token -> list (folds lists of literals) -> norm_signed -> put_token (LIMIT, ASC, rows) -> buffer -> sink
 *
 * A list of literals is not put out while it may still become (?+); when it turns out to hold something else, its text
 * is cut into tokens again and put out as it stands. Each byte is so read at most twice. docs/sql.md lists where the
 * text differs from the fingerprint, and why.
 */
#include "norm_impl.h"

void sql_norm_init(struct sql_norm *n, struct span text, unsigned mode, bool for_people,
		   sql_norm_sink *sink, void *arg)
{
	memset(n, 0, offsetof(struct sql_norm, buffer));
	n->mode = mode;
	n->for_people = for_people;
	n->sink = sink;
	n->arg = arg;
	n->busy = true; /* with the first token */
	n->end = text.p;
	n->text_end = text.p + text.len;
}

static void flush(struct sql_norm *n)
{
	if (n->rc == RC_OK)
		n->rc = n->sink(n->arg, n->buffer, n->n, false);
	n->flushed = true;
	n->rows.on = false;
	n->n = 0;
}

void norm_put_byte(struct sql_norm *n, char c)
{
	if (n->n == SQL_NORM_BUFFER)
		flush(n);
	n->buffer[n->n++] = c;
}

void norm_put_span(struct sql_norm *n, struct span s, bool folded)
{
	const char *p = s.p;

	for (size_t left = s.len; left;) {
		size_t part = left < VEC ? left : VEC;
		vec v = vec_load(p, n->text_end);

		if (part > SQL_NORM_BUFFER - n->n)
			flush(n);
		vec_store(n->buffer + n->n, folded ? vec_lower(v) : v); /* into the slack, at worst */
		n->n += part;
		p += part;
		left -= part;
	}
}

static inline bool name_like(unsigned kind)
{
	return kind == SQL_T_WORD || kind == SQL_T_NUMBER || kind == SQL_T_BYTES || kind == SQL_T_STRING ||
	       kind == SQL_T_PARAM || kind == SQL_T_USER_VAR;
}

/* Blanks become one; a comment alone becomes one only where two words or names would grow together. */
void norm_put_gap(struct sql_norm *n, const struct sql_token *t)
{
	enum sql_norm_gap gap = n->gap;

	if (gap == SQL_GAP_NONE)
		return;
	n->gap = SQL_GAP_NONE;
	if (n->prev.kind != SQL_T_END && (gap == SQL_GAP_BLANK || (name_like(t->kind) && name_like(n->prev.kind)) ||
					  (t->kind == SQL_T_QUOTED && n->prev.kind == SQL_T_QUOTED)))
		norm_put_byte(n, ' ');
}

static inline bool prev_is_op(const struct sql_norm *n, unsigned op)
{
	return n->prev.kind == SQL_T_OP && n->prev.op == op;
}

bool norm_folds(const struct sql_norm *n, const struct sql_token *t)
{
	const char *behind = t->text.p + t->text.len;
	bool call = behind < n->text_end && *behind == '(';

	if (sql_word_is(t->word, SQL_WT_RESERVED))
		return true;
	if (t->word == SQL_WORD_NONE || prev_is_op(n, '.'))
		return false;
	if (n->spelt) /* a name it may be wherever it is not called */
		return call && sql_word_is(t->word, SQL_WT_FUNCTION);
	if (prev_is_op(n, ',') || prev_is_op(n, '('))
		return call && sql_word_is(t->word, SQL_WT_FUNCTION);
	return !(n->prev.kind == SQL_T_WORD && sql_word_is(n->prev.word, SQL_WT_BEFORE_NAME));
}

/* 'user'@'host': the host reads like a user variable. People are not shown who logs in from where. */
static bool is_host(const struct sql_norm *n, const struct sql_token *t)
{
	return t->kind == SQL_T_USER_VAR && t->text.len > 2 && (t->text.p[1] == '\'' || t->text.p[1] == '"') &&
	       n->prev.kind != SQL_T_OP && n->n && n->buffer[n->n - 1] != ' ';
}

static void put_text(struct sql_norm *n, const struct sql_token *t)
{
	if (n->for_people && is_host(n, t)) {
		norm_put_byte(n, '@');
		norm_put_byte(n, '?');
		return;
	}
	if (!sql_token_is_literal(t)) {
		norm_put_span(n, t->text, (n->for_people && !n->spelt) || (t->kind == SQL_T_WORD && norm_folds(n, t)));
		return;
	}
	if (t->kind == SQL_T_STRING && (*t->text.p | 0x20) == 'n')
		norm_put_byte(n, 'n');
	norm_put_byte(n, '?');
}

/* Follows the words that matter; true when this one is not to be put out. */
static bool follow_word(struct sql_norm *n, const struct sql_token *t)
{
	switch (t->word) {
	case SQL_W_BY:
		n->ordered |= norm_behind_order(&n->prev);
		return false;
	case SQL_W_ASC:
		return n->ordered;
	case SQL_W_UNION:
		n->unions = true;
		return false;
	case SQL_W_LIMIT:
		if (n->limit == SQL_LIMIT_NONE)
			n->limit = SQL_LIMIT_WORD;
		return false;
	default:
		return false;
	}
}

static void put_token(struct sql_norm *n, const struct sql_token *t)
{
	size_t at;

	if ((n->limit != SQL_LIMIT_NONE && n->limit != SQL_LIMIT_DONE && norm_limit(n, t)) ||
	    (t->kind == SQL_T_WORD && follow_word(n, t))) {
		n->gap = SQL_GAP_NONE;
		return;
	}
	norm_put_gap(n, t);
	at = n->n;
	put_text(n, t);
	if (n->rows.on)
		norm_row(n, t, at);
	norm_set_prev(n, t);
}

static bool is_operand(const struct sql_norm_prev *t)
{
	switch (t->kind) {
	case SQL_T_END:
		return false;
	case SQL_T_OP:
		return t->op == ')';
	case SQL_T_WORD:
		return !sql_word_is(t->word, SQL_WT_RESERVED) || t->word == SQL_W_NULL || t->word == SQL_W_TRUE ||
		       t->word == SQL_W_FALSE;
	default:
		return true;
	}
}

/* A sign in front of a number is part of the literal, unless it stands between two operands. */
void norm_signed(struct sql_norm *n, const struct sql_token *t)
{
	if (n->sign.kind != SQL_T_END) {
		struct sql_token sign = n->sign;
		enum sql_norm_gap gap = n->gap;

		n->sign.kind = SQL_T_END;
		n->gap = n->sign_gap;
		if (t->kind != SQL_T_NUMBER || gap) {
			put_token(n, &sign);
			n->gap = gap;
		}
	} else if (norm_is_sign(t) && !is_operand(&n->prev)) {
		n->sign = *t;
		n->sign_gap = n->gap;
		n->gap = SQL_GAP_NONE;
		return;
	}
	put_token(n, t);
}

bool norm_see_comment(struct sql_norm *n, const struct sql_token *t)
{
	if (t->kind != SQL_T_COMMENT && t->kind != SQL_T_HINT)
		return false;
	if (n->gap == SQL_GAP_NONE)
		n->gap = SQL_GAP_COMMENT;
	return true;
}

/* What the fingerprint leaves out of USE and CALL. */
static bool shown_otherwise(struct sql_norm *n, const struct sql_token *t)
{
	if (n->first == SQL_W_USE && n->tokens == 1) {
		norm_put_gap(n, t);
		norm_put_byte(n, '?');
		n->stopped = true;
	} else if (n->first == SQL_W_CALL && sql_token_is_op(t, '(')) {
		n->stopped = true;
	}
	return n->stopped;
}

/* The long way. */
static void any_token(struct sql_norm *n, const struct sql_token *t)
{
	if (n->for_people && shown_otherwise(n, t))
		return;
	if (n->list == SQL_LIST_OPEN && (sql_token_is_literal(t) || sql_token_is_op(t, ','))) {
		n->end = t->text.p + t->text.len;
		return;
	}
	if (n->list == SQL_LIST_NONE || !norm_list(n, t)) {
		if (sql_token_is_op(t, ';')) {
			n->semicolons++;
		} else {
			for (; n->semicolons; n->semicolons--)
				norm_put_byte(n, ';');
			norm_signed(n, t);
			if (t->kind == SQL_T_WORD)
				norm_list_opens(n, t);
		}
	}
	if (n->tokens == 0)
		n->first = t->word;
	n->tokens += n->tokens < 2;
	n->end = t->text.p + t->text.len;
}

/* Whether anything waits for the next token. */
static bool is_busy(const struct sql_norm *n)
{
	return n->for_people || n->list != SQL_LIST_NONE || n->semicolons || n->rows.on ||
	       n->sign.kind != SQL_T_END || (n->limit != SQL_LIMIT_NONE && n->limit != SQL_LIMIT_DONE);
}

/* A token that is put out as it stands, whatever went before. */
static inline bool norm_is_plain(const struct sql_token *t)
{
	const unsigned never = 1u << SQL_T_COMMENT | 1u << SQL_T_HINT | 1u << SQL_T_END;

	if (t->kind == SQL_T_WORD)
		return !(sql_words[t->word].traits & SQL_WT_LISTENS);
	if (t->kind == SQL_T_OP)
		return t->op != ';' && t->op != '-' && t->op != '+';
	return !(never >> t->kind & 1);
}

void sql_norm_token(struct sql_norm *n, const struct sql_token *t)
{
	norm_see_gap(n, t);
	if (likely(!n->busy && norm_is_plain(t))) {
		norm_put_gap(n, t);
		put_text(n, t);
		norm_set_prev(n, t);
		n->end = t->text.p + t->text.len;
	} else if (!n->stopped && !norm_see_comment(n, t)) {
		any_token(n, t);
		n->busy = is_busy(n);
	}
}

enum rc sql_norm_end(struct sql_norm *n)
{
	if (n->list == SQL_LIST_OPEN || n->list == SQL_LIST_AFTER)
		norm_replay(n, n->end);
	if (n->sign.kind != SQL_T_END)
		put_token(n, &(struct sql_token){.kind = SQL_T_OP, .op = n->sign.op, .text = n->sign.text});
	if (n->limit == SQL_LIMIT_SECOND)
		put_token(n, &(struct sql_token){.kind = SQL_T_OP, .text = {.p = "", .len = 0}});
	if (n->unions && !n->flushed)
		n->n = sql_norm_unions(n->buffer, n->n, SQL_NORM_BUFFER);
	if (n->rc == RC_OK && n->n)
		n->rc = n->sink(n->arg, n->buffer, n->n, true);
	n->n = 0;
	return n->rc;
}
