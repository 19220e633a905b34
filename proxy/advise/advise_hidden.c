/*
 * advise_hidden.c - an index is there, and the way its column is compared keeps it from being used: a function around the
 * column, a string compared with a number, a pattern that fixes no beginning.
 *
 * The statement is mended on its normalised text, so that no literal is in the fix (S2); only where the mended one surely
 * means the same.
 */
#include "advise_impl.h"

#include "digest.h"
#include "mem.h"

#define MOST_TOKENS 1024
#define MOST_TEXT 4096

bool advise_converted(const struct advise_column *c)
{
	bool digit = false;

	if (!c->is_text || c->use > ADVISE_RANGE)
		return false;
	if (c->other_is_number)
		return true;
	if (c->test.len && memmem(c->test.p, c->test.len, ADVISE_CACHE, strlen(ADVISE_CACHE)))
		return false; /* its type is not known */
	for (size_t i = 0; i < c->test.len; i++) {
		char ch = c->test.p[i];

		if (ch == '\'' || ch == '"' || ch == '_')
			return false;
		digit |= ch >= '0' && ch <= '9';
	}
	return digit;
}

static bool has(struct span s, const char *what)
{
	return s.len && memmem(s.p, s.len, what, strlen(what));
}

bool advise_may_be_converted(const struct advise_column *c)
{
	if (!c->is_text || c->use > ADVISE_RANGE)
		return false;
	return advise_converted(c) || (has(c->test, ADVISE_CACHE) && !has(c->test, "'") && !has(c->test, "convert("));
}

static bool is_hidden(const struct advise_column *c)
{
	return c->exists && (c->use == ADVISE_HIDDEN || c->use == ADVISE_PATTERN || advise_converted(c));
}

enum rc advise_hidden(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *found,
		      struct advise_column *of, char index[ADVISE_NAME])
{
	for (size_t i = 0; i < found->n; i++) {
		struct advise_columns one = {.n = 1};
		struct advise_known known;

		if (!is_hidden(&found->at[i]))
			continue;
		one.at[0] = found->at[i];
		one.at[0].use = ADVISE_EQUALS;
		if (advise_look_indexes(c, t, &one, &known) != RC_OK)
			return RC_ERROR;
		if (!known.serves[0])
			continue;
		*of = found->at[i];
		memcpy(index, known.serves, ADVISE_NAME);
		return RC_OK;
	}
	return RC_DECLINED;
}

/* ---- the statement mended ---- */

struct mend {
	struct sql_token t[MOST_TOKENS];
	size_t n;
	const struct advise_column *of;
	const char *alias; /* of its table */
	struct iobuf piece; /* what takes the place of the comparison */
};

static bool is_op(const struct mend *m, size_t i, unsigned op)
{
	return i < m->n && sql_token_is_op(&m->t[i], op);
}

static bool is_word(const struct mend *m, size_t i, const char *word)
{
	return i < m->n && sql_token_is_word(&m->t[i], word);
}

/* Is it the name at i, quoted or not? */
static bool is_name(const struct mend *m, size_t i, const char *name)
{
	char here[ADVISE_NAME];

	return advise_name(m->t[i].text, here) == RC_OK && span_ieq(span_str(here), span_str(name));
}

/* A path that ends in this column, of this table where it names one, from i. Returns the index behind it, or i. */
static size_t path_end(const struct mend *m, size_t i, const char *table, const char *column)
{
	size_t at = i;

	while (at < m->n && (m->t[at].kind == SQL_T_WORD || m->t[at].kind == SQL_T_QUOTED)) {
		if (!is_op(m, at + 1, '.'))
			return is_name(m, at, column) && (at == i || is_name(m, at - 2, table)) ? at + 1 : i;
		at += 2;
	}
	return i;
}

static struct span from_to(const struct mend *m, size_t from, size_t to)
{
	const char *end = m->t[to - 1].text.p + m->t[to - 1].text.len;

	return span_of(m->t[from].text.p, (size_t)(end - m->t[from].text.p));
}

/* How a rounded column is compared. */
enum compared { COMPARED_NOT, COMPARED_EQUAL, COMPARED_BETWEEN, COMPARED_FROM, COMPARED_BEHIND, COMPARED_BEFORE, COMPARED_UPTO };

/* With a question mark, at i. Returns the index behind it. */
static size_t compared_at(const struct mend *m, size_t i, enum compared *how)
{
	static const struct {
		unsigned op;
		enum compared how;
	} ops[] = {{'=', COMPARED_EQUAL}, {SQL_OP_GE, COMPARED_FROM}, {'>', COMPARED_BEHIND}, {'<', COMPARED_BEFORE}, {SQL_OP_LE, COMPARED_UPTO}};
	bool value = i + 1 < m->n && m->t[i + 1].kind == SQL_T_PARAM;

	*how = COMPARED_NOT;
	if (value && is_word(m, i, "between") && is_word(m, i + 2, "and") && i + 3 < m->n && m->t[i + 3].kind == SQL_T_PARAM) {
		*how = COMPARED_BETWEEN;
		return i + 4;
	}
	for (unsigned o = 0; value && o < countof(ops); o++)
		if (is_op(m, i, ops[o].op))
			*how = ops[o].how;
	return i + 2;
}

/* The range that a column rounded down to a day or year must be in: first and next are the beginning of what the value names, and of the
 * one behind that. */
static enum rc put_range(struct mend *m, struct span path, const char *first, const char *next, enum compared how)
{
	bool both = how == COMPARED_EQUAL || how == COMPARED_BETWEEN, from = how == COMPARED_FROM || how == COMPARED_BEHIND;

	if (both)
		return iobuf_printf(&m->piece, "(" SPAN_FMT " >= %s and " SPAN_FMT " < %s)", SPAN_ARG(path), first, SPAN_ARG(path), next);
	return iobuf_printf(&m->piece, SPAN_FMT " %s %s", SPAN_ARG(path), from ? ">=" : "<",
			    how == COMPARED_FROM || how == COMPARED_BEFORE ? first : next);
}

/* What stands for "function(path)" so compared. RC_DECLINED: it cannot be said. */
static enum rc put_form(struct mend *m, size_t i, struct span path, enum compared how)
{
	if (is_word(m, i, "date"))
		return put_range(m, path, "?", "? + interval 1 day", how);
	if (is_word(m, i, "year"))
		return put_range(m, path, "makedate(?, 1)", "makedate(? + 1, 1)", how);
	if (how == COMPARED_EQUAL && m->of->folds_case &&
	    (is_word(m, i, "lower") || is_word(m, i, "upper") || is_word(m, i, "lcase") || is_word(m, i, "ucase")))
		return iobuf_printf(&m->piece, SPAN_FMT " = ?", SPAN_ARG(path));
	return RC_DECLINED;
}

/* The comparison ends before i: what follows is no part of its value. */
static bool ends(const struct mend *m, size_t i)
{
	static const char *const words[] = {"and", "or", "group", "order", "limit", "having", "union", "for", "where", "left", "inner", "join"};

	if (i >= m->n || is_op(m, i, ')') || is_op(m, i, SQL_OP_ANDAND) || is_op(m, i, SQL_OP_OROR))
		return true;
	for (unsigned w = 0; w < countof(words); w++)
		if (is_word(m, i, words[w]))
			return true;
	return false;
}

/* "function(path) = ?" at i, or another comparison, written anew. Returns the index behind it, or i: it is not there. */
static size_t mend_function(struct mend *m, size_t i)
{
	enum compared how;
	size_t end, behind;

	if (!is_op(m, i + 1, '('))
		return i;
	end = path_end(m, i + 2, m->alias, m->of->name);
	if (end == i + 2 || !is_op(m, end, ')'))
		return i;
	behind = compared_at(m, end + 1, &how);
	if (how == COMPARED_NOT || !ends(m, behind))
		return i;
	return put_form(m, i, from_to(m, i + 2, end), how) == RC_OK ? behind : i;
}

/* "path = ?" at i: the value as a string. CONCAT takes the collation of what it is compared with; CAST has one of its own, with which
 * the comparison may fail. */
static size_t mend_number(struct mend *m, size_t i)
{
	size_t end = path_end(m, i, m->alias, m->of->name);
	struct span path;

	if (end == i || !is_op(m, end, '=') || end + 1 >= m->n || m->t[end + 1].kind != SQL_T_PARAM || !ends(m, end + 2))
		return i;
	path = from_to(m, i, end);
	return iobuf_printf(&m->piece, SPAN_FMT " = concat(?)", SPAN_ARG(path)) == RC_OK ? end + 2 : i;
}

/* alias.column of the other side at i. Returns the index behind it, or i. */
static size_t other_end(const struct mend *m, size_t i)
{
	size_t end = path_end(m, i, m->of->other_table, m->of->other);

	return end < i + 3 ? i : end;
}

/* "path = other" or "other = path" at i: the other as a string. */
static size_t mend_join(struct mend *m, size_t i)
{
	size_t mid = other_end(m, i), end;
	bool first = mid > i;
	struct span other, path;

	if (!first)
		mid = path_end(m, i, m->alias, m->of->name);
	if (mid == i || !is_op(m, mid, '='))
		return i;
	end = first ? path_end(m, mid + 1, m->alias, m->of->name) : other_end(m, mid + 1);
	if (end == mid + 1 || !ends(m, end))
		return i;
	other = first ? from_to(m, i, mid) : from_to(m, mid + 1, end);
	path = first ? from_to(m, mid + 1, end) : from_to(m, i, mid);
	return iobuf_printf(&m->piece, SPAN_FMT " = concat(" SPAN_FMT ")", SPAN_ARG(path), SPAN_ARG(other)) == RC_OK ? end : i;
}

/* What can be mended at i. Returns the index behind it, or i. */
static size_t mend_at(struct mend *m, size_t i)
{
	if (m->of->use == ADVISE_HIDDEN)
		return mend_function(m, i);
	return m->of->other_is_number ? mend_join(m, i) : mend_number(m, i);
}

static bool read_tokens(struct mend *m, struct span text)
{
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (m->n = 0; m->n < MOST_TOKENS; m->n++) {
		sql_scan_next(&s, &m->t[m->n]);
		if (m->t[m->n].kind == SQL_T_END)
			return true;
		if (m->t[m->n].kind == SQL_T_BAD)
			return false;
	}
	return false;
}

/* The first place that can be mended is; nothing is appended where there is none. */
static enum rc mend(struct mend *m, struct span text, struct iobuf *out)
{
	for (size_t i = 0; i < m->n; i++) {
		const char *behind;
		size_t end;

		if (i > 0 && is_op(m, i - 1, '.')) /* in the middle of a path */
			continue;
		end = mend_at(m, i);
		if (end == i)
			continue;
		behind = m->t[end - 1].text.p + m->t[end - 1].text.len;
		if (iobuf_append(out, text.p, (size_t)(m->t[i].text.p - text.p)) != RC_OK ||
		    iobuf_append(out, iobuf_data(&m->piece), iobuf_len(&m->piece)) != RC_OK)
			return RC_ERROR;
		return iobuf_append(out, behind, (size_t)(text.p + text.len - behind));
	}
	return RC_OK;
}

enum rc advise_mend(struct span text, const struct advise_column *of, const char *alias, struct iobuf *sql)
{
	struct mend *m;
	struct iobuf norm;
	enum rc rc = RC_OK;

	if (of->use == ADVISE_PATTERN || of->spelt)
		return RC_OK;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return RC_ERROR;
	m->of = of;
	m->alias = alias;
	iobuf_init(&m->piece, MOST_TEXT);
	iobuf_init(&norm, MOST_TEXT);
	if (sql_normalise(text, 0, MOST_TEXT, &norm) == RC_OK &&
	    read_tokens(m, span_of(iobuf_data(&norm), iobuf_len(&norm))))
		rc = mend(m, span_of(iobuf_data(&norm), iobuf_len(&norm)), sql);
	iobuf_reset(&norm);
	iobuf_reset(&m->piece);
	mem_free(m);
	return rc;
}

enum rc advise_hidden_fix(struct span text, const struct advise_column *of, const char *alias, const char *index, struct iobuf *words,
			  struct iobuf *sql)
{
	enum rc rc;

	if (of->use == ADVISE_PATTERN)
		return iobuf_printf(words,
				    "The pattern for %s begins with a wildcard, so the index %s cannot be searched. Search by "
				    "the beginning, or with a FULLTEXT index and MATCH ... AGAINST.",
				    of->name, index);
	if (of->use == ADVISE_HIDDEN)
		rc = iobuf_printf(words,
				  "%s stands inside a function or an expression, so its index %s cannot be searched: every row "
				  "is computed. Compare the bare column, with a range where the function rounds (a day, a year); "
				  "or index the expression (MySQL: a functional index; MariaDB: a generated column that the "
				  "statement then names).",
				  of->name, index);
	else if (of->other_is_number)
		rc = iobuf_printf(words,
				  "%s is a string and is compared with %s.%s, a number, so each row is converted and its index %s "
				  "cannot be searched. Give both columns one type; until then make the number a string.",
				  of->name, of->other_table, of->other, index);
	else
		rc = iobuf_printf(words,
				  "%s is a string and is compared with a number, so each row is converted and its index %s "
				  "cannot be searched. Send the value as a string.",
				  of->name, index);
	if (rc == RC_OK && of->spelt)
		rc = iobuf_printf(words, " Some rows equal it as a number alone, as '007' does 7: make all of one spelling first.");
	return rc == RC_OK ? advise_mend(text, of, alias, sql) : rc;
}
