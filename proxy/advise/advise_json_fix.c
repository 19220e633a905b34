/*
 * advise_json_fix.c - a generated column for what is looked for inside a JSON document, and the statement that names it.
 *
 * The statement is mended on its normalised text, which holds no path: which of its expressions is meant is told by their
 * order, which is the same in the statement as it was sent.
 */
#include "advise_json.h"

#include "digest.h"
#include "mem.h"

#define MOST_TOKENS 1024
#define MOST_TEXT 4096
#define PREFIX "100" /* characters of a value to index, as of other long columns */

struct text {
	struct sql_token t[MOST_TOKENS];
	size_t n;
};

/* json_value(a.b, 'path') and the like, or a.b->'path'. */
struct place {
	size_t from, to, column, literal; /* tokens; column: the last of its name */
	enum advise_json_form form;
};

static bool is_op(const struct text *x, size_t i, unsigned op)
{
	return i < x->n && sql_token_is_op(&x->t[i], op);
}

static bool is_word(const struct text *x, size_t i, const char *word)
{
	return i < x->n && sql_token_is_word(&x->t[i], word);
}

static bool is_name(const struct text *x, size_t i)
{
	return i < x->n && (x->t[i].kind == SQL_T_WORD || x->t[i].kind == SQL_T_QUOTED);
}

static bool is_value(const struct text *x, size_t i)
{
	return i < x->n && (x->t[i].kind == SQL_T_STRING || x->t[i].kind == SQL_T_PARAM);
}

static enum rc read_tokens(struct text *x, struct span text)
{
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (x->n = 0; x->n < MOST_TOKENS; x->n++) {
		sql_scan_next_code(&s, &x->t[x->n]);
		if (x->t[x->n].kind == SQL_T_END)
			return RC_OK;
		if (x->t[x->n].kind == SQL_T_BAD)
			return RC_DECLINED;
	}
	return RC_DECLINED;
}

/* The last token of the name at i, or i - 1: there is none. */
static size_t name_last(const struct text *x, size_t i)
{
	if (!is_name(x, i))
		return i - 1;
	while (is_op(x, i + 1, '.') && is_name(x, i + 2))
		i += 2;
	return i;
}

static bool arrow_at(const struct text *x, size_t i, struct place *p)
{
	size_t last = name_last(x, i);
	bool arrow = is_op(x, last + 1, SQL_OP_ARROW), twice = is_op(x, last + 1, SQL_OP_ARROW2);

	if (last + 1 == i || (!arrow && !twice) || !is_value(x, last + 2))
		return false;
	*p = (struct place){i, last + 3, last, last + 2, twice ? ADVISE_JSON_UNQUOTED : ADVISE_JSON_EXTRACT};
	return true;
}

static bool call_at(const struct text *x, size_t i, struct place *p)
{
	bool unquoted = is_word(x, i, "json_unquote") && is_op(x, i + 1, '(');
	size_t at = unquoted ? i + 2 : i, last;
	bool value = !unquoted && is_word(x, at, "json_value");

	if (unquoted && arrow_at(x, at, p) && is_op(x, p->to, ')')) {
		*p = (struct place){i, p->to + 1, p->column, p->literal, ADVISE_JSON_UNQUOTED};
		return true;
	}
	if ((!value && !is_word(x, at, "json_extract")) || !is_op(x, at + 1, '('))
		return false;
	last = name_last(x, at + 2);
	if (last == at + 1 || !is_op(x, last + 1, ',') || !is_value(x, last + 2) || !is_op(x, last + 3, ')') || (unquoted && !is_op(x, last + 4, ')')))
		return false;
	*p = (struct place){i, last + 4 + unquoted, last, last + 2,
			    value ? ADVISE_JSON_VALUE : unquoted ? ADVISE_JSON_UNQUOTED : ADVISE_JSON_EXTRACT};
	return true;
}

/* The next one from i on. */
static bool next_place(const struct text *x, size_t i, struct place *p)
{
	for (; i < x->n; i++)
		if (!(i && is_op(x, i - 1, '.')) && (call_at(x, i, p) || arrow_at(x, i, p)))
			return true;
	return false;
}

static bool is_compared(const struct text *x, size_t i)
{
	static const char *const words[] = {"in", "between", "like"};

	for (unsigned w = 0; w < countof(words); w++)
		if (is_word(x, i, words[w]))
			return true;
	return is_op(x, i, '=') || is_op(x, i, '<') || is_op(x, i, '>') || is_op(x, i, SQL_OP_LE) || is_op(x, i, SQL_OP_GE);
}

/* The expression that is meant, compared with something. */
static bool is_it(const struct text *x, const struct place *p, const struct advise_json *j)
{
	struct span path = x->t[p->literal].text;
	char column[ADVISE_NAME];

	return p->form == j->form && x->t[p->literal].kind == SQL_T_STRING && span_eq(span_of(path.p + 1, path.len - 2), span_str(j->path)) &&
	       advise_name(x->t[p->column].text, column) == RC_OK && span_ieq(span_str(column), span_str(j->column)) && is_compared(x, p->to);
}

static struct text *text_new(struct span text)
{
	struct text *x = mem_zalloc(sizeof(*x));

	if (x && read_tokens(x, text) != RC_OK)
		x->n = 0;
	return x;
}

enum rc advise_json_place(struct span sent, struct advise_json *j)
{
	struct text *x = text_new(sent);
	enum rc rc = RC_DECLINED;
	struct place p;

	if (!x)
		return RC_ERROR;
	for (size_t i = 0; next_place(x, i, &p); i = p.to)
		if (is_it(x, &p, j)) {
			rc = RC_OK;
			for (size_t at = p.to; at < x->n && at < p.to + 3; at++)
				j->bound |= x->t[at].kind == SQL_T_PARAM;
		}
	mem_free(x);
	return rc;
}

/* From one byte to another, as it stands. */
static enum rc put(struct iobuf *out, const char *from, const char *to)
{
	return iobuf_append(out, from, (size_t)(to - from));
}

static const char *end_of(const struct text *x, size_t i)
{
	return x->t[i].text.p + x->t[i].text.len;
}

/* The place as the column's name; then, where it is compared with a number, that as a string. Returns the index behind it, or 0: no memory. */
static size_t put_named(const struct text *x, const struct place *p, const struct advise_json *j, struct iobuf *out)
{
	size_t first = p->column;

	while (first > p->from + 1 && is_op(x, first - 1, '.') && is_name(x, first - 2))
		first -= 2;
	if ((first < p->column && put(out, x->t[first].text.p, x->t[p->column].text.p) != RC_OK) || advise_put_name(out, j->name) != RC_OK)
		return 0;
	if (!j->number || !is_op(x, p->to, '=') || p->to + 1 >= x->n || x->t[p->to + 1].kind != SQL_T_PARAM)
		return p->to;
	return iobuf_printf(out, " = concat(?)") == RC_OK ? p->to + 2 : 0;
}

/* The normalised text with the column's name in the places that mean it in the one that was sent. */
static enum rc mend(const struct text *sent, const struct text *norm, struct span text, const struct advise_json *j, struct iobuf *out)
{
	const char *from = text.p;
	size_t i = 0, k = 0, behind;
	struct place was, is;

	while (next_place(norm, i, &is) && next_place(sent, k, &was)) {
		i = is.to;
		k = was.to;
		if (is.form != was.form)
			return RC_DECLINED;
		if (!is_it(sent, &was, j) || !is_compared(norm, is.to))
			continue;
		if (put(out, from, norm->t[is.from].text.p) != RC_OK)
			return RC_ERROR;
		behind = put_named(norm, &is, j, out);
		if (!behind)
			return RC_ERROR;
		from = end_of(norm, behind - 1);
		i = behind;
	}
	return from == text.p ? RC_DECLINED : put(out, from, text.p + text.len);
}

static enum rc put_statement(struct span sent, const struct advise_json *j, struct iobuf *out)
{
	struct text *was = text_new(sent), *is = NULL;
	struct iobuf norm;
	enum rc rc = RC_ERROR;

	iobuf_init(&norm, MOST_TEXT);
	if (was && sql_normalise_spelt(sent, 0, MOST_TEXT, &norm) == RC_OK) {
		is = text_new(span_of(iobuf_data(&norm), iobuf_len(&norm)));
		if (is)
			rc = mend(was, is, span_of(iobuf_data(&norm), iobuf_len(&norm)), j, out);
	}
	if (rc == RC_DECLINED) {
		iobuf_consume(out, iobuf_len(out));
		rc = RC_OK;
	}
	iobuf_reset(&norm);
	mem_free(was);
	mem_free(is);
	return rc;
}

static enum rc put_alter(const struct advise_table *t, const struct advise_json *j, struct iobuf *out)
{
	if (iobuf_printf(out, "ALTER TABLE ") != RC_OK || advise_put_name(out, t->schema) != RC_OK || iobuf_printf(out, ".") != RC_OK ||
	    advise_put_name(out, t->name) != RC_OK || iobuf_printf(out, " ADD COLUMN ") != RC_OK || advise_put_name(out, j->name) != RC_OK ||
	    iobuf_printf(out, " LONGTEXT COLLATE %s AS (", j->collation) != RC_OK || advise_json_put(j, out) != RC_OK ||
	    iobuf_printf(out, ") VIRTUAL INVISIBLE, ADD INDEX (") != RC_OK || advise_put_name(out, j->name) != RC_OK)
		return RC_ERROR;
	return iobuf_printf(out, "(" PREFIX "))");
}

static enum rc put_words(const struct advise_json *j, struct iobuf *words)
{
	const char *who = j->early ? "MariaDB before 11.8 does not take such a column for an expression"
				   : "The server does not take such a column for this expression";

	if (j->there)
		return iobuf_printf(words, "A value inside %s is looked for, and each row's document is read. Its generated column %s has an index. %s: name the column.",
				    j->column, j->name, who);
	if (iobuf_printf(words,
			 "A value inside %s is looked for, and each row's document is read. Give it a generated column (it takes no room but its "
			 "index's, and SELECT * does not show it) and an index.", j->column) != RC_OK)
		return RC_ERROR;
	return j->sees ? iobuf_printf(words, " The server then takes the column for the expression%s: the statement stays as it is.",
				      j->mysql ? ", where the client's character set is utf8mb4" : "")
		       : iobuf_printf(words, " %s: the statement must name the column, too.", who);
}

enum rc advise_json_fix(struct span sent, const struct advise_table *t, const struct advise_json *j, struct iobuf *words, struct iobuf *sql,
			struct iobuf *statement)
{
	enum rc rc = put_words(j, words);

	if (rc == RC_OK && !j->sees)
		rc = put_statement(sent, j, j->there ? sql : statement);
	return rc == RC_OK && !j->there ? put_alter(t, j, sql) : rc;
}
