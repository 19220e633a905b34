/*
 * verify_fix.c - a finding's fix as it goes to the copy: an ALTER TABLE in the adviser's own words and no others, and the statement mended,
 * with the sample's values where that has question marks.
 *
 * The values are told by reading the sample beside its normalised text, which the mended one is made from: token by token both say the
 * same, but for its literals. What was mended may have lost a JSON path, and nothing else.
 */
#include "verify.h"

#include "digest.h"

#define MOST_VALUES 64
#define MOST_TEXT 65536

/* ---- ALTER TABLE ---- */

struct form {
	const char *head; /* behind the table's name */
	const char *const *words;
	bool strings, commas;
};

static const char *const index_words[] = {"add", "index", NULL};
static const char *const column_words[] = {"add",        "column",       "index",        "longtext", "collate", "as",
					   "json_value", "json_unquote", "json_extract", "_utf8mb4", "virtual", "invisible", NULL};
static const char *const modify_words[] = {"modify", "char", "varchar", "character", "set",       "collate",
					   "not",    "null", "default", "comment",   "invisible", NULL};

static const struct form forms[] = {
	{" ADD INDEX (", index_words, false, true}, /* several of them: an OR's fix */
	{" ADD COLUMN `", column_words, true, true},
	{" MODIFY `", modify_words, true, false},
};

static bool is_among(const struct sql_token *t, const char *const *words)
{
	for (; *words; words++)
		if (sql_token_is_word(t, *words))
			return true;
	return false;
}

static bool is_of_form(const struct form *f, struct span rest)
{
	bool list = false, named = false;
	struct sql_token t;
	struct sql_scan s;

	sql_scan_init(&s, rest, 0);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		bool good = t.kind == SQL_T_QUOTED || t.kind == SQL_T_NUMBER || (f->strings && t.kind == SQL_T_STRING) ||
			    (t.kind == SQL_T_WORD && (named || is_among(&t, f->words))) || sql_token_is_op(&t, '(') ||
			    sql_token_is_op(&t, ')') || (f->commas && sql_token_is_op(&t, ','));

		if (!good)
			return false;
		list |= t.kind == SQL_T_QUOTED;
		named = sql_token_is_word(&t, "collate") || sql_token_is_word(&t, "set"); /* a collation, a character set */
	}
	return list;
}

bool verify_is_fix(struct span alter, const char *schema, const char *table)
{
	struct iobuf head;
	struct span rest = {0};
	bool good;

	iobuf_init(&head, 0);
	good = iobuf_append(&head, "ALTER TABLE ", 12) == RC_OK && advise_put_name(&head, schema) == RC_OK &&
	       iobuf_append(&head, ".", 1) == RC_OK && advise_put_name(&head, table) == RC_OK && alter.len > iobuf_len(&head) &&
	       memcmp(alter.p, iobuf_data(&head), iobuf_len(&head)) == 0;
	if (good)
		rest = span_of(alter.p + iobuf_len(&head), alter.len - iobuf_len(&head));
	iobuf_reset(&head);
	for (size_t i = 0; i < countof(forms) && good; i++) {
		size_t n = strlen(forms[i].head);

		if (rest.len > n && memcmp(rest.p, forms[i].head, n) == 0)
			return is_of_form(&forms[i], rest);
	}
	return false;
}

/* ---- the mended statement's values ---- */

struct values {
	struct span at[MOST_VALUES];
	bool is_path[MOST_VALUES];
	size_t n, paths;
};

struct pair {
	struct sql_scan sent, norm;
	struct sql_token s, n;
};

static bool is_value(const struct sql_token *t)
{
	return t->kind == SQL_T_STRING || t->kind == SQL_T_NUMBER || t->kind == SQL_T_BYTES || sql_token_is_word(t, "null");
}

static bool is_same(const struct sql_token *a, const struct sql_token *b)
{
	return a->kind == b->kind && a->op == b->op && span_ieq(a->text, b->text);
}

/* ASC goes when a text is normalised. */
static void next(struct sql_scan *s, struct sql_token *t)
{
	do
		sql_scan_next_code(s, t);
	while (sql_token_is_word(t, "asc"));
}

/* Behind a question mark: is it a list's, "(?+)"? Moves behind the plus. */
static bool is_list(struct sql_scan *s)
{
	struct sql_scan ahead = *s, behind;
	struct sql_token t;

	sql_scan_next_code(&ahead, &t);
	if (!sql_token_is_op(&t, '+'))
		return false;
	behind = ahead;
	sql_scan_next_code(&ahead, &t);
	if (!sql_token_is_op(&t, ')'))
		return false;
	*s = behind;
	return true;
}

/* One value, or the whole of a list; moves behind it. False: it is something else. */
static bool read_value(struct pair *p, bool list, struct span *out)
{
	const char *from = p->s.text.p;

	while (is_value(&p->s)) {
		*out = span_of(from, (size_t)(p->s.text.p + p->s.text.len - from));
		next(&p->sent, &p->s);
		if (!list || !sql_token_is_op(&p->s, ','))
			return true;
		next(&p->sent, &p->s);
	}
	return false;
}

static bool read_param(struct pair *p, struct values *v)
{
	struct span *at = &v->at[v->n];

	if (v->n == MOST_VALUES || !read_value(p, is_list(&p->norm), at))
		return false;
	v->is_path[v->n] = at->len > 2 && (*at->p == '\'' || *at->p == '"') && at->p[1] == '$';
	v->paths += v->is_path[v->n++];
	next(&p->norm, &p->n);
	return true;
}

/* False: they do not go side by side. */
static bool read_values(struct span sent, struct span norm, struct values *v)
{
	struct pair p;

	sql_scan_init(&p.sent, sent, 0);
	sql_scan_init(&p.norm, norm, 0);
	next(&p.sent, &p.s);
	next(&p.norm, &p.n);
	while (p.n.kind != SQL_T_END) {
		if (p.n.kind == SQL_T_PARAM) {
			if (!read_param(&p, v))
				return false;
			continue;
		}
		if (!is_same(&p.s, &p.n))
			return false;
		next(&p.sent, &p.s);
		next(&p.norm, &p.n);
	}
	return p.s.kind == SQL_T_END;
}

static size_t count_params(struct span text)
{
	struct sql_token t;
	struct sql_scan s;
	size_t n = 0;

	sql_scan_init(&s, text, 0);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t))
		n += t.kind == SQL_T_PARAM;
	return n;
}

static enum rc put(struct span mended, const struct values *v, bool paths, struct iobuf *out)
{
	const char *from = mended.p;
	struct sql_token t;
	struct sql_scan s;
	size_t i = 0;

	sql_scan_init(&s, mended, 0);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t)) {
		if (t.kind != SQL_T_PARAM)
			continue;
		while (!paths && v->is_path[i])
			i++;
		if (iobuf_append(out, from, (size_t)(t.text.p - from)) != RC_OK || iobuf_append(out, v->at[i].p, v->at[i].len) != RC_OK)
			return RC_ERROR;
		from = t.text.p + t.text.len + is_list(&s); /* with its plus */
		i++;
	}
	return iobuf_append(out, from, (size_t)(mended.p + mended.len - from));
}

enum rc verify_filled(struct span sample, struct span mended, struct iobuf *out)
{
	struct values v = {.n = 0};
	size_t params = count_params(mended);
	struct sql_lexed lexed;
	struct iobuf norm;
	enum rc rc;

	sql_lex(sample, 0, &lexed);
	iobuf_init(&norm, MOST_TEXT);
	rc = sql_normalise(lexed.body, 0, MOST_TEXT, &norm);
	if (rc == RC_OK && (!read_values(lexed.body, span_of(iobuf_data(&norm), iobuf_len(&norm)), &v) ||
			    (params != v.n && params != v.n - v.paths)))
		rc = RC_DECLINED;
	if (rc == RC_OK)
		rc = put(mended, &v, params == v.n, out);
	iobuf_reset(&norm);
	return rc;
}
