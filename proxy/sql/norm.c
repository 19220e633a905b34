/*
 * norm.c - the normalised text: pt-query-digest's fingerprint, made from tokens instead of by substitutions.
 *
 *   sql_norm_token -> list (folds lists of literals) -> signed_token -> put_token (LIMIT, ASC, rows) -> buffer -> sink
 *
 * A list of literals is not put out while it may still become (?+); when it turns out to hold something else, its text
 * is cut into tokens again and put out as it stands. Each byte is so read at most twice. docs/sql.md lists where the
 * text differs from the fingerprint, and why.
 */
#include "norm.h"

#include "facts.h"
#include "swar.h"

void sql_norm_init(struct sql_norm *n, struct span text, unsigned mode, bool for_people,
		   enum rc (*sink)(void *, const char *, size_t), void *arg)
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
		n->rc = n->sink(n->arg, n->buffer, n->n);
	n->flushed = true;
	n->rows.on = false;
	n->n = 0;
}

static inline void put_byte(struct sql_norm *n, char c)
{
	if (n->n == SQL_NORM_BUFFER)
		flush(n);
	n->buffer[n->n++] = c;
}

/* Text of the statement as it stands, or in lower case. */
static inline void put_span(struct sql_norm *n, struct span s, bool folded)
{
	const char *p = s.p;
	size_t left = s.len;

	while (left) {
		size_t part = left < 8 ? left : 8;
		uint64_t x = swar_load(p, part, n->text_end);

		if (part > SQL_NORM_BUFFER - n->n) {
			flush(n);
			part = left < 8 ? left : 8;
		}
		x = folded ? swar_lower(x) : x;
		memcpy(n->buffer + n->n, &x, 8); /* into the slack, at worst */
		n->n += part;
		p += part;
		left -= part;
	}
}

/* A text of ours. */
static void put(struct sql_norm *n, const char *p)
{
	while (*p)
		put_byte(n, *p++);
}

static inline bool name_like(unsigned kind)
{
	return kind == SQL_T_WORD || kind == SQL_T_NUMBER || kind == SQL_T_BYTES || kind == SQL_T_STRING ||
	       kind == SQL_T_PARAM || kind == SQL_T_USER_VAR;
}

/* Blanks become one; a comment alone becomes one only where two words would grow together. */
static inline void put_gap(struct sql_norm *n, const struct sql_token *t)
{
	enum sql_norm_gap gap = n->gap;

	if (gap == SQL_GAP_NONE)
		return;
	n->gap = SQL_GAP_NONE;
	if (n->prev.kind != SQL_T_END && (gap == SQL_GAP_BLANK || (name_like(t->kind) && name_like(n->prev.kind))))
		put_byte(n, ' ');
}

static inline bool prev_is_op(const struct sql_norm *n, unsigned op)
{
	return n->prev.kind == SQL_T_OP && n->prev.op == op;
}

static inline void set_prev(struct sql_norm *n, const struct sql_token *t)
{
	n->prev = (struct sql_norm_prev){.kind = t->kind, .word = t->word, .op = t->op};
}

/* Whether letter case is set aside for a word. Names of tables keep theirs, because servers may tell them apart and
 * what is known of a statement is kept by its digest; a word that could be either is a name where a name may stand. */
static bool folds(const struct sql_norm *n, const struct sql_token *t)
{
	const char *behind = t->text.p + t->text.len;
	bool call = behind < n->text_end && *behind == '(';

	if (sql_word_is(t->word, SQL_WT_RESERVED))
		return true;
	if (t->word == SQL_WORD_NONE || prev_is_op(n, '.'))
		return false;
	if (prev_is_op(n, ',') || prev_is_op(n, '('))
		return call && sql_word_is(t->word, SQL_WT_FUNCTION);
	return !(n->prev.kind == SQL_T_WORD && sql_word_is(n->prev.word, SQL_WT_BEFORE_NAME));
}

static void put_text(struct sql_norm *n, const struct sql_token *t)
{
	if (!sql_token_is_literal(t)) {
		put_span(n, t->text, n->for_people || (t->kind == SQL_T_WORD && folds(n, t)));
		return;
	}
	if (t->kind == SQL_T_STRING && (*t->text.p | 0x20) == 'n')
		put_byte(n, 'n');
	put_byte(n, '?');
}

/* Among the rows of an INSERT: a row that reads like the one before is dropped. at: where the token was put. */
static void rows_token(struct sql_norm *n, const struct sql_token *t, size_t at)
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

/* Follows LIMIT; true when the token is not to be put out. */
static bool in_limit(struct sql_norm *n, const struct sql_token *t)
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
			put_byte(n, ' ');
		put_span(n, n->limit_by.text, true);
	}
	return false;
}

/* Follows the words that matter; true when this one is not to be put out. */
static bool follow_word(struct sql_norm *n, const struct sql_token *t)
{
	bool by_order = n->by_order;

	n->by_order = t->word == SQL_W_ORDER;
	switch (t->word) {
	case SQL_W_BY:
		n->ordered |= by_order;
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

	if ((n->limit != SQL_LIMIT_NONE && n->limit != SQL_LIMIT_DONE && in_limit(n, t)) ||
	    (t->kind == SQL_T_WORD && follow_word(n, t))) {
		n->gap = SQL_GAP_NONE;
		return;
	}
	put_gap(n, t);
	at = n->n;
	put_text(n, t);
	if (n->rows.on)
		rows_token(n, t, at);
	set_prev(n, t);
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

static inline bool is_sign(const struct sql_token *t)
{
	return t->kind == SQL_T_OP && (t->op == '-' || t->op == '+');
}

/* A sign in front of a number is part of the literal, unless it stands between two operands. */
static void signed_token(struct sql_norm *n, const struct sql_token *t)
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
	} else if (is_sign(t) && !is_operand(&n->prev)) {
		n->sign = *t;
		n->sign_gap = n->gap;
		n->gap = SQL_GAP_NONE;
		return;
	}
	put_token(n, t);
}

static inline void see_gap(struct sql_norm *n, const struct sql_token *t)
{
	if (t->blank)
		n->gap = SQL_GAP_BLANK;
}

static inline bool see_comment(struct sql_norm *n, const struct sql_token *t)
{
	if (t->kind != SQL_T_COMMENT && t->kind != SQL_T_HINT)
		return false;
	if (n->gap == SQL_GAP_NONE)
		n->gap = SQL_GAP_COMMENT;
	return true;
}

/* Puts out, as it stands, the text that was held back. */
static void replay(struct sql_norm *n, const char *to)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, (struct span){.p = n->pending, .len = (size_t)(to - n->pending)}, n->mode);
	n->list = SQL_LIST_NONE;
	n->gap = SQL_GAP_NONE;
	for (;;) {
		sql_scan_next(&s, &t);
		see_gap(n, &t);
		if (t.kind == SQL_T_END)
			return;
		if (!see_comment(n, &t))
			signed_token(n, &t);
	}
}

static void list_closes(struct sql_norm *n, const struct sql_token *t)
{
	if (!n->listed) {
		put(n, "(?+)");
		n->rows.end = n->n;
		set_prev(n, t);
	}
	n->gap = SQL_GAP_NONE;
	n->listed = true;
	n->list = SQL_LIST_AFTER;
	n->pending = t->text.p + t->text.len;
}

/* True when the token has become part of a list. */
static bool list_token(struct sql_norm *n, const struct sql_token *t)
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
		if (sql_token_is_literal(t) || sql_token_is_op(t, ',') || is_sign(t))
			return true;
		break;
	case SQL_LIST_AFTER:
		if (sql_token_is_op(t, '('))
			n->list = SQL_LIST_OPEN;
		if (sql_token_is_op(t, '(') || sql_token_is_op(t, ','))
			return true;
		break;
	}
	replay(n, t->text.p);
	return false;
}

static void opens_list(struct sql_norm *n, const struct sql_token *t)
{
	if (t->word != SQL_W_IN && t->word != SQL_W_VALUES && t->word != SQL_W_VALUE)
		return;
	n->list = SQL_LIST_WORD;
	if (t->word != SQL_W_IN && (n->first == SQL_W_INSERT || n->first == SQL_W_REPLACE) && !n->flushed)
		n->rows = (struct sql_norm_rows){.on = true};
}

/* What the fingerprint leaves out of USE and CALL. */
static bool shown_otherwise(struct sql_norm *n, const struct sql_token *t)
{
	if (n->first == SQL_W_USE && n->tokens == 1) {
		put_gap(n, t);
		put_byte(n, '?');
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
	if (n->list == SQL_LIST_NONE || !list_token(n, t)) {
		if (sql_token_is_op(t, ';')) {
			n->semicolons++;
		} else {
			for (; n->semicolons; n->semicolons--)
				put_byte(n, ';');
			signed_token(n, t);
			if (t->kind == SQL_T_WORD)
				opens_list(n, t);
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
	return n->for_people || n->list != SQL_LIST_NONE || n->semicolons || n->by_order || n->rows.on ||
	       n->sign.kind != SQL_T_END || (n->limit != SQL_LIMIT_NONE && n->limit != SQL_LIMIT_DONE);
}

/* A token that is put out as it stands, whatever went before. */
static inline bool is_plain(const struct sql_token *t)
{
	switch (t->kind) {
	case SQL_T_WORD:
		return !(sql_words[t->word].traits & SQL_WT_LISTENS);
	case SQL_T_OP:
		return t->op != ';' && t->op != '-' && t->op != '+';
	case SQL_T_COMMENT:
	case SQL_T_HINT:
		return false;
	default:
		return true;
	}
}

void sql_norm_token(struct sql_norm *n, const struct sql_token *t)
{
	see_gap(n, t);
	if (likely(!n->busy && is_plain(t))) {
		put_gap(n, t);
		put_text(n, t);
		set_prev(n, t);
		n->end = t->text.p + t->text.len;
	} else if (!n->stopped && !see_comment(n, t)) {
		any_token(n, t);
		n->busy = is_busy(n);
	}
}

enum rc sql_norm_end(struct sql_norm *n)
{
	if (n->list == SQL_LIST_OPEN || n->list == SQL_LIST_AFTER)
		replay(n, n->end);
	if (n->sign.kind != SQL_T_END)
		put_token(n, &(struct sql_token){.kind = SQL_T_OP, .op = n->sign.op, .text = n->sign.text});
	if (n->limit == SQL_LIMIT_SECOND)
		put_token(n, &(struct sql_token){.kind = SQL_T_OP, .text = {.p = "", .len = 0}});
	if (n->unions && !n->flushed)
		n->n = sql_norm_unions(n->buffer, n->n, SQL_NORM_BUFFER);
	if (n->rc == RC_OK && n->n)
		n->rc = n->sink(n->arg, n->buffer, n->n);
	n->n = 0;
	return n->rc;
}
