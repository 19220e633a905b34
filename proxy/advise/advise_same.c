/*
 * advise_same.c - a statement's text as suimon normalises it and as a server's performance_schema does, in one form by which they can be
 * compared: names without quotes, any literal or list of them alike, what one of both leaves out left out.
 *
 *   select `a` from t where b in(?+) limit ?
 *   SELECT `a` FROM `t` WHERE `b` IN (...) LIMIT ?, ...        both: select a from t where b in R limit V
 *
 * V is a value, L several, R several or one in parentheses.
 */
#include "advise_impl.h"

#include "map.h"

enum last { LAST_OTHER, LAST_NAME, LAST_OPEN, LAST_OP, LAST_VALUE };

struct same {
	char out[ADVISE_SAME_MAX];
	size_t len;
	enum last last, before_value;
	size_t value_at, open_at;       /* where in out the last value and the last parenthesis begin */
	bool comma, plus, minus, limit; /* seen, and not yet known whether it goes */
	unsigned dots;
	enum rc rc;
};

static void put(struct same *s, const char *p, size_t n, enum last is)
{
	s->last = is;
	if (n + 1 > sizeof(s->out) - s->len) {
		s->rc = RC_ERROR;
		return;
	}
	if (n)
		memcpy(s->out + s->len, p, n);
	s->out[s->len + n] = ' ';
	s->len += n + 1;
}

/* What was held back stands: another token than the one that would have swallowed it came. */
static void settle(struct same *s)
{
	if (s->comma)
		put(s, ",", 1, LAST_OP);
	if (s->plus)
		put(s, "+", 1, LAST_OP);
	if (s->minus)
		put(s, "-", 1, LAST_OP);
	s->comma = s->plus = s->minus = false;
}

static void put_value(struct same *s)
{
	bool more = s->comma && s->last == LAST_VALUE;
	enum last before = more ? s->before_value : s->last;

	if (s->minus && s->last != LAST_OP && s->last != LAST_OPEN)
		settle(s);
	s->minus = false;
	if (!more)
		settle(s);
	s->comma = false;
	if (more)
		s->len = s->value_at;
	s->value_at = s->len;
	s->before_value = before;
	put(s, more && !s->limit ? "L" : "V", 1, LAST_VALUE);
}

static void put_dots(struct same *s)
{
	unsigned n = s->dots;

	s->dots = 0;
	if (n > 1) {
		put_value(s);
	} else if (n == 1) {
		settle(s);
		put(s, ".", 1, LAST_OP);
	}
}

static void put_close(struct same *s)
{
	bool list = s->last == LAST_VALUE && s->before_value == LAST_OPEN && !s->comma && !s->minus;

	if (list)
		s->plus = false;
	settle(s);
	if (list) {
		s->len = s->open_at;
		put(s, "R", 1, LAST_OTHER);
	} else {
		put(s, ")", 1, LAST_OTHER);
	}
}

static void put_op(struct same *s, const struct sql_token *t)
{
	bool held = s->comma || s->plus || s->minus;

	if (t->op == ',' && s->last == LAST_VALUE && !held) {
		s->comma = true;
	} else if (t->op == '+' && s->last == LAST_VALUE && !held) {
		s->plus = true;
	} else if (t->op == '-' && !held) {
		s->minus = true;
	} else if (t->op == ')') {
		put_close(s);
	} else {
		settle(s);
		s->open_at = t->op == '(' ? s->len : s->open_at;
		if (t->op == SQL_OP_NE)
			put(s, "!=", 2, LAST_OP);
		else
			put(s, t->text.p, t->text.len, t->op == '(' ? LAST_OPEN : LAST_OP);
	}
}

static bool is_word(struct span w, const char *word)
{
	return span_ieq(w, span_str(word));
}

/* Names that differ in letter case alone are one here: which digest is which was told apart before. */
static void put_word(struct same *s, struct span w)
{
	char name[ADVISE_NAME];

	if (is_word(w, "substr"))
		w = span_str("substring");
	if (w.len > 8 && is_word(span_of(w.p, 8), "sql_tsi_"))
		w = span_of(w.p + 8, w.len - 8);
	settle(s);
	if (advise_name(w, name) != RC_OK) {
		s->rc = RC_ERROR;
		return;
	}
	for (char *c = name; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
	put(s, name, strlen(name), LAST_NAME);
}

static bool is_value(const struct sql_token *t)
{
	return t->kind == SQL_T_PARAM || t->kind == SQL_T_STRING || t->kind == SQL_T_NUMBER || t->kind == SQL_T_BYTES ||
	       (t->kind == SQL_T_WORD && is_word(t->text, "null"));
}

static void put_token(struct same *s, const struct sql_token *t)
{
	if (t->kind == SQL_T_OP && t->op == '.') {
		s->dots++;
		return;
	}
	put_dots(s);
	if (is_value(t)) {
		put_value(s);
	} else if (t->kind == SQL_T_OP) {
		put_op(s, t);
	} else if (s->limit && s->last == LAST_VALUE && is_word(t->text, "offset")) {
		s->comma = true; /* LIMIT ? OFFSET ? is LIMIT ?, ? */
	} else if (!is_word(t->text, "asc")) {
		put_word(s, t->text);
		s->limit = is_word(t->text, "limit");
	}
}

uint64_t advise_same(struct span schema, struct span text)
{
	struct sql_token t;
	struct sql_scan scan;
	struct same s;

	memset(&s, 0, sizeof(s));
	sql_scan_init(&scan, text, 0);
	for (sql_scan_next(&scan, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD && s.rc == RC_OK; sql_scan_next(&scan, &t))
		if (t.kind != SQL_T_COMMENT && t.kind != SQL_T_HINT)
			put_token(&s, &t);
	put_dots(&s);
	settle(&s);
	put(&s, schema.p, schema.len, LAST_OTHER);
	return s.rc == RC_OK && t.kind == SQL_T_END ? map_hash(s.out, s.len) : 0;
}
