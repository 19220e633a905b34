/*
 * keys_like.c - the rows a statement names, told from another text of the same statement.
 *
 *   select c from t where id = 5 and k = 'a'      the pattern, parsed once: keys, and where they stand
 *   ~~~~~~~~~~~~~~~~~~~~~~~~~~~#~~~~~~~~~###      ~ is compared byte for byte, # may be another literal of that kind
 *
 * The parser looks at a literal's kind, never at what it says. So two texts that are cut into the same tokens, and differ in
 * numbers of digits and in strings alone, name their rows in the same places. They are cut alike where what may differ is as
 * plain as this: digits, or printable ASCII in single quotes without a backslash or a quote inside; what stands right behind
 * is the same byte in both. A string may differ only behind an operator: elsewhere it may be a name.
 */
#include "keys.h"

#include "scan.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Behind the digits, or the string, at p; NULL: it is none, or not as plain. */
static const char *digits_end(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && is_digit(*p))
		p++;
	return p > from ? p : NULL;
}

static const char *string_end(const char *p, const char *end)
{
	if (p == end || *p != '\'')
		return NULL;
	for (p++; p < end && *p != '\''; p++)
		if (*p < ' ' || *p > '~' || *p == '\\')
			return NULL;
	return p < end ? p + 1 : NULL;
}

/* ---- a text held against the pattern ---- */

/* Where the literals of this text end beyond where those of the pattern do; from 1 on. */
static bool fits(const struct sql_keys_like *l, struct span text, ptrdiff_t beyond[SQL_KEYS_LIKE_LITERALS + 1])
{
	const char *p = text.p, *end = text.p + text.len;
	size_t at = 0;

	beyond[0] = 0;
	for (unsigned i = 0; i <= l->nliterals; i++) {
		bool last = i == l->nliterals;
		size_t len = (last ? l->len : l->literal[i].at) - at;

		if ((size_t)(end - p) < len || memcmp(p, l->text + at, len) != 0)
			return false;
		p += len;
		if (last)
			break;
		at = l->literal[i].end;
		p = is_digit(l->text[l->literal[i].at]) ? digits_end(p, end) : string_end(p, end);
		if (!p)
			return false;
		beyond[i + 1] = (p - text.p) - (ptrdiff_t)at;
	}
	return p == end;
}

static struct span moved(const struct sql_keys_place *place, struct span text, const ptrdiff_t *beyond)
{
	const char *p = text.p + place->at + beyond[place->before];

	if (place->end == 0)
		return (struct span){0};
	return span_of(p, (size_t)(text.p + place->end + beyond[place->before_end] - p));
}

static void fill(const struct sql_keys_like *l, struct span text, const ptrdiff_t *beyond, struct sql_keys *out)
{
	out->nkeys = l->nkeys;
	out->nvalues = l->nvalues;
	out->schema = moved(&l->schema, text, beyond);
	out->table = moved(&l->table, text, beyond);
	for (unsigned i = 0; i < l->nkeys; i++)
		out->keys[i] = (struct sql_key){moved(&l->key[i].column, text, beyond), l->key[i].first, l->key[i].n};
	for (unsigned i = 0; i < l->nvalues; i++)
		out->values[i] = (struct sql_key_value){moved(&l->value[i].text, text, beyond), l->value[i].param};
}

/* ---- a text kept as the pattern ---- */

static bool may_differ(const struct sql_token *t, const struct sql_token *before)
{
	const char *end = t->text.p + t->text.len;

	if (t->kind == SQL_T_NUMBER)
		return digits_end(t->text.p, end) == end;
	return t->kind == SQL_T_STRING && before->kind == SQL_T_OP && string_end(t->text.p, end) == end;
}

/* False: it is cut into no tokens. */
static bool find_literals(struct sql_keys_like *l, unsigned mode)
{
	struct sql_token t, before = {.kind = SQL_T_END};
	struct sql_scan s;

	l->nliterals = 0;
	sql_scan_init(&s, span_of(l->text, l->len), mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next(&s, &t)) {
		if (l->nliterals < SQL_KEYS_LIKE_LITERALS && may_differ(&t, &before))
			l->literal[l->nliterals++] =
				(struct sql_keys_literal){(uint16_t)(t.text.p - l->text), (uint16_t)(t.text.p + t.text.len - l->text)};
		before = t;
	}
	return t.kind == SQL_T_END && !s.broken;
}

/* Literals that end no later than at. */
static uint8_t literals_before(const struct sql_keys_like *l, size_t at)
{
	uint8_t n = 0;

	while (n < l->nliterals && l->literal[n].end <= at)
		n++;
	return n;
}

static struct sql_keys_place place_of(const struct sql_keys_like *l, struct span text, struct span part)
{
	size_t at = part.len ? (size_t)(part.p - text.p) : 0, end = at + part.len;

	return (struct sql_keys_place){(uint16_t)at, (uint16_t)end, literals_before(l, at), literals_before(l, end)};
}

static void keep(struct sql_keys_like *l, struct span text, unsigned mode, const struct sql_keys *k, enum rc rc)
{
	l->known = false;
	if (text.len > SQL_KEYS_LIKE_TEXT || (rc == RC_OK && k->nvalues > SQL_KEYS_LIKE_VALUES))
		return;
	l->mode = mode;
	l->rc = rc;
	l->len = (uint16_t)text.len;
	if (text.len)
		memcpy(l->text, text.p, text.len);
	l->known = find_literals(l, mode);
	if (!l->known || rc != RC_OK)
		return;
	l->nkeys = (uint8_t)k->nkeys;
	l->nvalues = (uint8_t)k->nvalues;
	l->schema = place_of(l, text, k->schema);
	l->table = place_of(l, text, k->table);
	for (unsigned i = 0; i < k->nkeys; i++) {
		l->key[i].column = place_of(l, text, k->keys[i].column);
		l->key[i].first = k->keys[i].first;
		l->key[i].n = k->keys[i].n;
	}
	for (unsigned i = 0; i < k->nvalues; i++) {
		l->value[i].text = place_of(l, text, k->values[i].text);
		l->value[i].param = k->values[i].param;
	}
}

enum rc sql_keys_parse_like(struct span text, unsigned mode, struct sql_keys_like *like, struct sql_keys *out)
{
	ptrdiff_t beyond[SQL_KEYS_LIKE_LITERALS + 1];
	enum rc rc;

	if (like->known && like->mode == mode && fits(like, text, beyond)) {
		if (like->rc == RC_OK)
			fill(like, text, beyond, out);
		return like->rc;
	}
	rc = sql_keys_parse(text, mode, out);
	if (like->missed++ % SQL_KEYS_LIKE_PATIENCE == 0)
		keep(like, text, mode, out, rc);
	return rc;
}
