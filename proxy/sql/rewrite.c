/*
 * rewrite.c - texts made from a statement's text: for the cache's key, with values in the places of ?, and in pieces.
 */
#include "digest.h"

#include <string.h>

#include "norm.h"

/* Where an expression's text becomes a column's name: one bit a level of parentheses, set inside a select list. */
struct places {
	uint64_t lists;
	unsigned depth;
	bool verbatim_rest; /* nested beyond the bits: everything stays as written */
};

static void follow(struct places *w, const struct sql_token *t)
{
	uint64_t bit = w->depth < 64 ? UINT64_C(1) << w->depth : 0;

	if (sql_token_is_op(t, '(')) {
		w->depth++;
		w->verbatim_rest |= w->depth >= 64;
	} else if (sql_token_is_op(t, ')')) {
		w->lists &= ~bit;
		w->depth -= w->depth > 0;
	} else if (sql_token_is_op(t, ';')) {
		w->lists = 0;
	} else if (t->kind == SQL_T_WORD) {
		if (t->word == SQL_W_SELECT || t->word == SQL_W_RETURNING || t->word == SQL_W_VALUES)
			w->lists |= bit;
		else if (t->word == SQL_W_FROM || t->word == SQL_W_INTO || t->word == SQL_W_UNION)
			w->lists &= ~bit;
	}
}

/* True when what stands between two tokens is part of an expression whose text names a column. */
static bool in_expression(const struct places *before, const struct places *after, const struct sql_token *prev,
			  const struct sql_token *next)
{
	uint64_t lists = before->lists & after->lists;
	bool innermost = before->depth < 64 && lists == UINT64_C(1) << before->depth;

	if (before->verbatim_rest || after->verbatim_rest)
		return true;
	if (!lists || (prev->kind == SQL_T_WORD && prev->word == SQL_W_SELECT && innermost))
		return false;
	return !innermost || !(sql_token_is_op(prev, ',') || sql_token_is_op(next, ','));
}

/* True behind two minus signs: a blank would make a comment's start of them. */
static bool behind_minuses(const struct sql_scan *s, const struct sql_token *prev)
{
	return sql_token_is_op(prev, '-') && prev->text.p > s->base && prev->text.p[-1] == '-';
}

/* Puts out a token and what stood before it. */
static enum rc put_canonical(const struct sql_token *prev, const struct sql_token *t, bool verbatim, struct iobuf *out)
{
	const char *from = prev->kind == SQL_T_END ? t->text.p : prev->text.p + prev->text.len;

	if (from != t->text.p) {
		enum rc rc = verbatim ? iobuf_append(out, from, (size_t)(t->text.p - from)) : iobuf_append(out, " ", 1);

		if (rc != RC_OK)
			return rc;
	}
	return iobuf_append(out, t->text.p, t->text.len);
}

enum rc sql_canonical(struct span text, unsigned mode, struct iobuf *out)
{
	struct places w = {0}, before;
	struct sql_scan s;
	struct sql_token t, prev = {0};
	bool semicolon = false, verbatim;

	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		if (t.kind == SQL_T_COMMENT)
			continue;
		before = w;
		follow(&w, &t);
		if (sql_token_is_op(&t, ';')) { /* put out only when something follows */
			semicolon = prev.kind != SQL_T_END;
			prev = semicolon ? t : prev;
			continue;
		}
		if (semicolon && iobuf_append(out, ";", 1) != RC_OK)
			return RC_ERROR;
		semicolon = false;
		if (t.kind == SQL_T_BAD) /* no server reads on from here: the rest stays as it is */
			t.text.len = (size_t)(s.end - t.text.p);
		verbatim = in_expression(&before, &w, &prev, &t) || behind_minuses(&s, &prev);
		if (put_canonical(&prev, &t, verbatim, out) != RC_OK)
			return RC_ERROR;
		if (t.kind == SQL_T_BAD)
			break;
		prev = t;
	}
	return RC_OK;
}

static bool in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || c & 0x80;
}

/* "LIKE?" and "?AND": a literal may begin or end with a letter or a digit. */
static enum rc part_words(struct iobuf *out, const char *p, const char *end)
{
	return p < end && in_word(*p) ? iobuf_append(out, " ", 1) : RC_OK;
}

/* Behind a placeholder: COLLATE binds tighter than the minus of a number, so that -1.50 COLLATE .. would be that of 1.50, taken from 0. */
static bool is_collated(const struct sql_scan *s)
{
	struct sql_scan ahead = *s;
	struct sql_token t;
	const char *p = s->p;

	while (p < s->end && sql_byte_classes[(unsigned char)*p] == SQL_C_BLANK)
		p++;
	if (p == s->end || !memchr("cC/#-", *p, 5))
		return false;
	do
		sql_scan_next(&ahead, &t);
	while (t.kind == SQL_T_COMMENT || t.kind == SQL_T_HINT || t.kind == SQL_T_EXEC_OPEN);
	return t.kind == SQL_T_WORD && t.word == SQL_W_COLLATE;
}

enum rc sql_bind(struct span text, unsigned mode, uint16_t params,
		 enum rc (*put)(void *arg, uint16_t index, struct iobuf *out), void *arg, struct iobuf *out)
{
	struct sql_scan s;
	struct sql_token t;
	const char *from;
	uint16_t n = 0;
	bool collated;

	sql_scan_init(&s, text, mode);
	from = s.p;
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		if (t.kind != SQL_T_PARAM)
			continue;
		collated = is_collated(&s);
		if (n == params || iobuf_append(out, from, (size_t)(t.text.p - from)) != RC_OK ||
		    (t.text.p > text.p && part_words(out, t.text.p - 1, t.text.p) != RC_OK) ||
		    (collated && iobuf_append(out, "(", 1) != RC_OK) || put(arg, n, out) != RC_OK ||
		    (collated && iobuf_append(out, ")", 1) != RC_OK) || part_words(out, s.p, s.end) != RC_OK)
			return RC_ERROR;
		n++;
		from = s.p;
	}
	if (n != params)
		return RC_ERROR;
	return iobuf_append(out, from, (size_t)(s.end - from));
}

/* Behind INSERT: to VALUES on the statement's own level; false when there is none. */
static bool find_values(struct sql_scan *s, struct sql_token *t)
{
	unsigned depth = 0;

	for (sql_scan_next(s, t); t->kind != SQL_T_END && t->kind != SQL_T_BAD; sql_scan_next(s, t)) {
		if (sql_token_is_op(t, '('))
			depth++;
		else if (sql_token_is_op(t, ')'))
			depth -= depth > 0;
		else if (sql_token_is_op(t, ';'))
			return false;
		if (t->kind != SQL_T_WORD || depth)
			continue;
		if (t->word == SQL_W_VALUES || t->word == SQL_W_VALUE)
			return true;
		if (t->word == SQL_W_SELECT || t->word == SQL_W_SET || t->word == SQL_W_TABLE || t->word == SQL_W_WITH)
			return false;
	}
	return false;
}

static bool is_plain(const struct sql_token *t)
{
	return (sql_token_is_literal(t) && t->word != SQL_W_NULL) || sql_token_is_op(t, ',') || sql_token_is_op(t, ')');
}

/* At "(": to behind its ")"; false when a query or the text's end comes first. */
static bool skip_row(struct sql_scan *s, struct sql_token *t, bool *plain)
{
	unsigned depth = 1;

	while (depth) {
		sql_scan_next_code(s, t);
		if (t->kind == SQL_T_END || t->kind == SQL_T_BAD || sql_token_is_op(t, ';') ||
		    (t->kind == SQL_T_WORD && t->word == SQL_W_SELECT))
			return false;
		*plain &= is_plain(t);
		if (sql_token_is_op(t, '('))
			depth++;
		else if (sql_token_is_op(t, ')'))
			depth--;
	}
	return true;
}

/* Behind a string's opening quote: behind its closing one; NULL where there is none, or a backslash. */
static const char *behind_plain_string(const char *p, const char *end)
{
	while (p < end) {
		vec v = vec_load(p, end);
		unsigned n = vec_run((vec)(v != '\'') & (vec)(v != '\\'));

		if (n < VEC)
			return p[n] == '\'' ? p + n + 1 : NULL;
		p += VEC;
	}
	return NULL;
}

/* At "(": to behind its ")" if nothing but digits and plain strings, commas and blanks stands between them; else it stays. */
static bool skip_plain_row(struct sql_scan *s)
{
	const char *p = s->p + 1;

	while (p && p < s->end) {
		uint8_t class = sql_byte_classes[(unsigned char)*p];

		if (*p == ')') {
			s->p = p + 1;
			return true;
		}
		if (*p == '\'')
			p = behind_plain_string(p + 1, s->end);
		else if (class == SQL_C_BLANK || class == SQL_C_DIGIT || *p == ',')
			p++;
		else
			return false;
	}
	return false;
}

/* At the first row: rows and tail. */
static enum rc read_rows(struct sql_scan *s, struct sql_token *t, struct sql_insert_shape *out)
{
	do {
		if (out->rows)
			sql_scan_next_code(s, t);
		if (!sql_token_is_op(t, '('))
			return RC_DECLINED;
		s->p = t->text.p;
		if (!skip_plain_row(s)) {
			s->p = t->text.p + 1;
			if (!skip_row(s, t, &out->plain))
				return RC_DECLINED;
		}
		out->rows++;
		out->rows_end = (size_t)(s->p - s->base);
		sql_scan_next_code(s, t);
	} while (sql_token_is_op(t, ','));
	while (t->kind != SQL_T_END && t->kind != SQL_T_BAD && t->kind != SQL_T_EXEC_OPEN && t->kind != SQL_T_EXEC_CLOSE &&
	       !sql_token_is_op(t, ';'))
		sql_scan_next_code(s, t);
	if (sql_token_is_op(t, ';'))
		sql_scan_next_code(s, t);
	return t->kind == SQL_T_END && !s->broken ? RC_OK : RC_DECLINED;
}

/* To the first token behind VALUES. */
static bool find_rows(struct sql_scan *s, struct sql_token *t)
{
	sql_scan_next_code(s, t);
	if (t->kind != SQL_T_WORD || (t->word != SQL_W_INSERT && t->word != SQL_W_REPLACE) || !find_values(s, t))
		return false;
	sql_scan_next_code(s, t);
	return true;
}

enum rc sql_insert_shape(struct span text, unsigned mode, struct sql_insert_shape *out)
{
	struct sql_scan s;
	struct sql_token t;

	*out = (struct sql_insert_shape){.plain = true};
	sql_scan_init(&s, text, mode);
	if (!find_rows(&s, &t))
		return RC_DECLINED;
	out->rows_at = (size_t)(t.text.p - s.base);
	return read_rows(&s, &t, out);
}

/* What is read behind these bytes does not depend on them: outside a comment that is executed. */
static void note_head(struct sql_insert_head *head, const struct sql_scan *s, const struct sql_token *first)
{
	size_t len = (size_t)(first->text.p + first->text.len - s->base);

	head->len = 0;
	if (s->in_exec || !sql_token_is_op(first, '(') || len > sizeof(head->text))
		return;
	memcpy(head->text, s->base, len);
	head->len = (uint16_t)len;
	head->mode = (uint16_t)s->mode;
}

enum rc sql_insert_shape_like(struct span text, unsigned mode, struct sql_insert_head *head, struct sql_insert_shape *out)
{
	struct sql_scan s;
	struct sql_token t = {.kind = SQL_T_OP, .op = '('};

	*out = (struct sql_insert_shape){.plain = true};
	sql_scan_init(&s, text, mode);
	if (head->len && head->mode == mode && text.len >= head->len && memcmp(text.p, head->text, head->len) == 0) {
		t.text = span_of(text.p + head->len - 1, 1);
		s.p = text.p + head->len;
	} else {
		if (!find_rows(&s, &t))
			return RC_DECLINED;
		note_head(head, &s, &t);
	}
	out->rows_at = (size_t)(t.text.p - s.base);
	return read_rows(&s, &t, out);
}
