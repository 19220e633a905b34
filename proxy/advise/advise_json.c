/*
 * advise_json.c - a value inside a JSON document is looked for: every row's document is read for that. A generated column
 * of that value can have an index.
 *
 * The condition is a plan's, as both servers print it: json_value(t.doc,'$.a') = 'x', json_unquote(json_extract(..)),
 * json_extract(..); what MySQL writes as an arrow is one of these. Only a term that all rows must meet counts, compared
 * with literals as a string; as a number where it is spelt like the number in every row of a sample.
 *
 * LONGTEXT and an index on the value's beginning: no write is ever refused for a value too long, or no JSON (MariaDB).
 * MySQL sees the expression in a statement and takes the column, where the path is in the same character set (and for
 * JSON_VALUE the same collation: that is not counted on); MariaDB from 11.8 on, but not for JSON_EXTRACT.
 */
#include "advise_json.h"

#include <stdio.h>

#include "clock.h"

#define LIMIT_NS (3 * NS_PER_SEC) /* the server's own limit is shorter */
#define MOST_TOKENS 512
#define MOST_TERM 1024
#define MOST_NAMES 5 /* that are tried for the new column */


struct look {
	struct sql_token t[MOST_TOKENS];
	size_t n;
	struct span table;
};

/* A term that was found in the condition. */
struct term {
	struct span expression, whole, number; /* number: what it is compared with, if so */
	bool like;
};

static bool is_op(const struct look *l, size_t i, unsigned op)
{
	return i < l->n && sql_token_is_op(&l->t[i], op);
}

static bool is_word(const struct look *l, size_t i, const char *word)
{
	return i < l->n && sql_token_is_word(&l->t[i], word);
}

static bool read_tokens(struct look *l, struct span text)
{
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (l->n = 0; l->n < MOST_TOKENS; l->n++) {
		sql_scan_next(&s, &l->t[l->n]);
		if (l->t[l->n].kind == SQL_T_END)
			return true;
		if (l->t[l->n].kind == SQL_T_BAD || l->t[l->n].kind == SQL_T_COMMENT)
			return false;
	}
	return false;
}

/* Nothing but AND puts its terms together, and none hangs on another table's rows. */
static bool all_hold(const struct look *l)
{
	static const char *const words[] = {"or", "xor", "not", "if", "case", "select", "subquery", "exists", "expr_cache", "in_optimizer"};

	for (size_t i = 0; i < l->n; i++) {
		if (is_op(l, i, SQL_OP_OROR) || is_op(l, i, '!'))
			return false;
		for (size_t w = 0; w < countof(words); w++)
			if (is_word(l, i, words[w]))
				return false;
	}
	return true;
}

/* It begins a term: at the very beginning or behind AND, within parentheses that hold nothing before it. */
static bool begins_term(const struct look *l, size_t i)
{
	while (i > 0 && is_op(l, i - 1, '('))
		i--;
	return i == 0 || is_word(l, i - 1, "and") || is_op(l, i - 1, SQL_OP_ANDAND);
}

static bool ends_term(const struct look *l, size_t i)
{
	return i == l->n || is_op(l, i, ')') || is_word(l, i, "and") || is_op(l, i, SQL_OP_ANDAND);
}

/* A string at i, with its character set before it. Returns the index behind it, or i. */
static size_t string_end(const struct look *l, size_t i)
{
	size_t at = i;

	if (at < l->n && l->t[at].kind == SQL_T_WORD && l->t[at].text.p[0] == '_')
		at++;
	return at < l->n && l->t[at].kind == SQL_T_STRING ? at + 1 : i;
}

/* [schema.]table.column at i, of our table. Returns the index behind it, or i. */
static size_t column_end(const struct look *l, size_t i, char column[ADVISE_NAME])
{
	char table[ADVISE_NAME] = "";
	size_t at = i;

	while (at < l->n && (l->t[at].kind == SQL_T_WORD || l->t[at].kind == SQL_T_QUOTED)) {
		if (advise_name(l->t[at].text, column) != RC_OK)
			return i;
		if (!is_op(l, at + 1, '.'))
			return span_ieq(span_str(table), l->table) ? at + 1 : i;
		memcpy(table, column, ADVISE_NAME);
		at += 2;
	}
	return i;
}

/* Names alone: what else a path may have (quotes, wildcards, places from the end) is let be. */
static bool take_path(struct span quoted, char out[ADVISE_JSON_PATH])
{
	bool named = false;

	if (quoted.len < 5 || quoted.len > ADVISE_JSON_PATH || quoted.p[1] != '$')
		return false;
	for (size_t i = 2; i + 1 < quoted.len; i++) {
		char c = quoted.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_', digit = c >= '0' && c <= '9';

		if (!letter && !digit && c != '.' && c != '[' && c != ']')
			return false;
		named |= letter && quoted.p[i - 1] == '.';
	}
	snprintf(out, ADVISE_JSON_PATH, SPAN_FMT, (int)(quoted.len - 2), quoted.p + 1);
	return named;
}

/* MySQL's "returning char(512)", which is what stands there where nothing did. Returns the index behind it, or i. */
static size_t returning_end(const struct look *l, size_t i)
{
	bool usual = is_word(l, i, "returning") && is_word(l, i + 1, "char") && is_op(l, i + 2, '(') && i + 3 < l->n &&
		     span_eq(l->t[i + 3].text, span_str("512")) && is_op(l, i + 4, ')');

	return usual ? i + 5 : i;
}

/* json_value(column, path) and the like at i. Returns the index behind it, or i. */
static size_t expression_end(const struct look *l, size_t i, struct advise_json *out)
{
	bool unquoted = is_word(l, i, "json_unquote") && is_op(l, i + 1, '(');
	size_t at = unquoted ? i + 2 : i, end;

	out->form = is_word(l, at, "json_value") ? ADVISE_JSON_VALUE : unquoted ? ADVISE_JSON_UNQUOTED : ADVISE_JSON_EXTRACT;
	if ((!is_word(l, at, "json_extract") && (unquoted || out->form != ADVISE_JSON_VALUE)) || !is_op(l, at + 1, '('))
		return i;
	end = column_end(l, at + 2, out->column);
	if (end == at + 2 || !is_op(l, end, ','))
		return i;
	at = string_end(l, end + 1);
	if (at == end + 1 || !take_path(l->t[at - 1].text, out->path))
		return i;
	if (out->form == ADVISE_JSON_VALUE)
		at = returning_end(l, at);
	if (!is_op(l, at, ')') || (unquoted && !is_op(l, at + 1, ')')))
		return i;
	return at + 1 + unquoted;
}

/* ('a','b') at i. Returns the index behind it, or i. */
static size_t list_end(const struct look *l, size_t i)
{
	size_t at = i, end;

	do {
		end = string_end(l, at + 1);
		if (end == at + 1)
			return i;
		at = end;
	} while (is_op(l, at, ','));
	return is_op(l, at, ')') ? at + 1 : i;
}

static bool begins_fixed(const struct look *l, size_t string)
{
	struct span s = l->t[string].text;

	return s.len > 2 && s.p[1] != '%' && s.p[1] != '_';
}

/* What it is compared with, from i. Returns the index behind it, or i: nothing an index serves. */
static size_t compared_end(const struct look *l, size_t i, const struct advise_json *of, struct term *term)
{
	size_t string = i + 1 < l->n ? string_end(l, i + 1) : i + 1, end;
	bool any = string > i + 1;

	if (is_op(l, i, '=') && any)
		return string;
	if (is_op(l, i, '=') && i + 1 < l->n && l->t[i + 1].kind == SQL_T_NUMBER) {
		term->number = l->t[i + 1].text;
		return strspn(term->number.p, "0123456789") >= term->number.len ? i + 2 : i;
	}
	if (of->form == ADVISE_JSON_EXTRACT)
		return i; /* as JSON, which has an order of its own */
	if (is_word(l, i, "in") && is_op(l, i + 1, '(')) {
		end = list_end(l, i + 1);
		return end > i + 1 ? end : i;
	}
	if (any && is_word(l, i, "between") && is_word(l, string, "and")) {
		end = string_end(l, string + 1);
		return end > string + 1 ? end : i;
	}
	term->like = any && is_word(l, i, "like");
	if (term->like)
		return begins_fixed(l, string - 1) ? string : i;
	return any && (is_op(l, i, '<') || is_op(l, i, '>') || is_op(l, i, SQL_OP_LE) || is_op(l, i, SQL_OP_GE)) ? string : i;
}

static struct span from_to(const struct look *l, size_t from, size_t to)
{
	return span_of(l->t[from].text.p, (size_t)(l->t[to - 1].text.p + l->t[to - 1].text.len - l->t[from].text.p));
}

/* The next such term from *i on. */
static bool next_term(const struct look *l, size_t *i, struct advise_json *out, struct term *term)
{
	for (; *i < l->n; (*i)++) {
		size_t from = *i, mid, end;

		*out = (struct advise_json){.column = ""};
		mid = expression_end(l, from, out);
		if (mid == from || !begins_term(l, from))
			continue;
		*term = (struct term){.expression = from_to(l, from, mid)};
		end = compared_end(l, mid, out, term);
		if (end == mid || !ends_term(l, end))
			continue;
		term->whole = from_to(l, from, end);
		*i = end;
		return true;
	}
	return false;
}

bool advise_json_find(struct span condition, struct span table, struct advise_json *out)
{
	struct look l = {.table = table};
	struct term term;
	size_t i = 0;

	return read_tokens(&l, condition) && all_hold(&l) && next_term(&l, &i, out, &term);
}

/* ---- what the server says of it ---- */

static enum rc run(struct sqlconn *c, struct iobuf *sql, sqlconn_row_fn row, void *arg)
{
	enum rc rc = sqlconn_query(c, span_of(iobuf_data(sql), iobuf_len(sql)), LIMIT_NS, row, arg);

	iobuf_reset(sql);
	return rc;
}

/* What is refused, such as a document that is none, cannot be told. */
static enum rc if_taken(const struct sqlconn *c, enum rc rc)
{
	return rc == RC_ERROR && sqlconn_refused(c) ? RC_DECLINED : rc;
}

static enum rc put_table(struct iobuf *sql, const struct advise_table *t)
{
	return advise_put_name(sql, t->schema) == RC_OK && iobuf_append(sql, ".", 1) == RC_OK ? advise_put_name(sql, t->name) : RC_ERROR;
}

enum rc advise_json_put(const struct advise_json *j, struct iobuf *out)
{
	bool value = j->form == ADVISE_JSON_VALUE;

	/* MySQL compares expressions with their character sets. */
	return iobuf_printf(out, value ? "json_value(" : "json_unquote(json_extract(") == RC_OK && advise_put_name(out, j->column) == RC_OK ?
		       iobuf_printf(out, ",%s'%s')%s", j->mysql ? "_utf8mb4" : "", j->path, value ? "" : ")") :
		       RC_ERROR;
}

static enum rc on_collation(void *arg, const struct sqlconn_row *row)
{
	struct advise_json *j = arg;

	if (row->n == 1 && row->value[0].len < sizeof(j->collation))
		snprintf(j->collation, sizeof(j->collation), SPAN_FMT, SPAN_ARG(row->value[0]));
	return RC_OK;
}

/* RC_DECLINED: the table has no row, or the server does not take it. */
static enum rc look_collation(struct sqlconn *c, const struct advise_table *t, struct advise_json *j)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT COLLATION(") != RC_OK || advise_json_put(j, &sql) != RC_OK || iobuf_printf(&sql, ") FROM ") != RC_OK ||
	    put_table(&sql, t) != RC_OK || iobuf_printf(&sql, " LIMIT 1") != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	rc = if_taken(c, run(c, &sql, on_collation, j));
	if (rc == RC_OK && (j->collation[0] == '\0' || j->collation[strspn(j->collation, "abcdefghijklmnopqrstuvwxyz0123456789_")]))
		rc = RC_DECLINED;
	return rc;
}

/* Without the quotes of names, blanks, backslashes and character sets, which the servers write in their own ways. */
static void bare(struct span text, char out[MOST_TERM])
{
	size_t n = 0;

	for (size_t i = 0; i < text.len && n + 1 < MOST_TERM; i++) {
		char ch = text.p[i];

		while (ch == '_' && n && out[n - 1] == ',' && i + 1 < text.len && text.p[i] != '\\' && text.p[i] != '\'')
			i++;
		ch = text.p[i];
		if (ch != '`' && ch != ' ' && ch != '\\')
			out[n++] = ch;
	}
	out[n] = '\0';
}

struct generated {
	struct advise_json *json;
	char wanted[MOST_TERM]; /* bare, without the last parenthesis */
	char name[MOST_NAMES][ADVISE_NAME];
	bool taken[MOST_NAMES];
	bool wrong; /* the column of this value is none for strings, or has another collation */
};

static bool is_text(struct span type)
{
	return span_ieq(type, span_str("varchar")) || span_ieq(type, span_str("char")) ||
	       (type.len >= 4 && span_ieq(span_of(type.p + type.len - 4, 4), span_str("text")));
}

/* Name, expression, type, collation, type of the documents' column */
static enum rc on_generated(void *arg, const struct sqlconn_row *row)
{
	struct generated *g = arg;
	char has[MOST_TERM];
	size_t wanted = strlen(g->wanted);

	if (row->n < 4 || row->value[0].len >= ADVISE_NAME)
		return RC_OK;
	for (unsigned i = 0; i < MOST_NAMES; i++)
		g->taken[i] |= span_ieq(row->value[0], span_str(g->name[i]));
	if (span_ieq(row->value[0], span_str(g->json->column)))
		g->json->is_json = span_ieq(row->value[2], span_str("json"));
	if (!row->value[1].len)
		return RC_OK;
	bare(row->value[1], has);
	if (strncmp(has, g->wanted, wanted) != 0 || (strcmp(has + wanted, ")") != 0 && strcmp(has + wanted, "))") != 0 && strcmp(has + wanted, "returningchar(512))") != 0))
		return RC_OK;
	g->json->made = true;
	g->wrong = !is_text(row->value[2]) || !span_eq(row->value[3], span_str(g->json->collation));
	snprintf(g->json->name, ADVISE_NAME, SPAN_FMT, SPAN_ARG(row->value[0]));
	return RC_OK;
}

/* doc_a_b for $.a.b; doc_a_b_2 and so on where there is one. */
static void make_names(struct generated *g)
{
	const struct advise_json *j = g->json;
	char name[ADVISE_NAME];
	int n = snprintf(name, 50, "%s", j->column);

	n = n < 50 ? n : 49;
	for (const char *p = j->path + 1; *p && n < 60; p++)
		if (*p != '.' && *p != '[' && *p != ']')
			name[n++] = *p;
		else if (name[n - 1] != '_')
			name[n++] = '_';
	while (n > 1 && name[n - 1] == '_')
		n--;
	name[n] = '\0';
	snprintf(g->name[0], ADVISE_NAME, "%s", name);
	for (int i = 1; i < MOST_NAMES; i++)
		snprintf(g->name[i], ADVISE_NAME, "%.60s_%d", name, i + 1);
}

/* Is there a column of this value, and an index on it? Else how is it to be called? */
static enum rc look_generated(struct sqlconn *c, const struct advise_table *t, struct advise_json *j)
{
	struct advise_columns one = {.n = 1, .at = {{.use = ADVISE_EQUALS}}};
	struct generated g = {.json = j};
	struct advise_known known;
	struct iobuf sql;
	unsigned free_name = 0;

	iobuf_init(&sql, 0);
	if (advise_json_put(j, &sql) != RC_OK)
		return RC_ERROR;
	bare(span_of(iobuf_data(&sql), iobuf_len(&sql)), g.wanted);
	g.wanted[strcspn(g.wanted, ")")] = '\0';
	iobuf_reset(&sql);
	make_names(&g);
	if (iobuf_printf(&sql, "SELECT COLUMN_NAME, GENERATION_EXPRESSION, DATA_TYPE, COLLATION_NAME FROM information_schema.COLUMNS WHERE") != RC_OK ||
	    advise_put_of(&sql, t->schema, t->name) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	if (run(c, &sql, on_generated, &g) != RC_OK)
		return RC_ERROR;
	if (g.json->made) {
		memcpy(one.at[0].name, j->name, ADVISE_NAME);
		if (advise_look_indexes(c, t, &one, &known) != RC_OK)
			return RC_ERROR;
		j->there = known.serves[0] != '\0';
		return g.wrong || !j->there ? RC_DECLINED : RC_OK;
	}
	while (free_name < MOST_NAMES && g.taken[free_name])
		free_name++;
	if (free_name == MOST_NAMES)
		return RC_DECLINED;
	memcpy(j->name, g.name[free_name], ADVISE_NAME);
	return RC_OK;
}

/* ---- the sample ---- */

static enum rc on_values(void *arg, const struct sqlconn_row *row)
{
	struct advise_sample *out = arg;

	if (row->n == 2)
		*out = (struct advise_sample){.rows = advise_number(row->value[0]), .match = advise_number(row->value[1])};
	return RC_OK;
}

/* Of a value that is not known: how many match one of those there are, on average. */
static enum rc look_values(struct sqlconn *c, const struct advise_table *t, const struct advise_json *j, struct advise_sample *out)
{
	struct iobuf sql, value, column;
	enum rc rc = RC_ERROR;

	*out = (struct advise_sample){0};
	iobuf_init(&sql, 0);
	iobuf_init(&value, 0);
	iobuf_init(&column, 0);
	if (advise_json_put(j, &value) == RC_OK && advise_put_name(&column, j->column) == RC_OK &&
	    iobuf_printf(&sql, "SELECT COUNT(*), CEIL(COUNT(" SPAN_FMT ") / GREATEST(COUNT(DISTINCT " SPAN_FMT "), 1)) FROM ", (int)iobuf_len(&value),
			 (const char *)iobuf_data(&value), (int)iobuf_len(&value), (const char *)iobuf_data(&value)) == RC_OK &&
	    advise_put_sample(c, t, span_of(iobuf_data(&column), iobuf_len(&column)), &sql) == RC_OK && iobuf_printf(&sql, " s") == RC_OK)
		rc = if_taken(c, run(c, &sql, on_values, out));
	iobuf_reset(&sql);
	iobuf_reset(&value);
	iobuf_reset(&column);
	return rc;
}

/* Rows that equal a number without being its digits, as 7.0 and '007' do 7, would be lost: there is to be none, whichever is asked for. */
static enum rc look_spelling(struct sqlconn *c, const struct advise_table *t, const char *alias, const struct term *term)
{
	struct advise_sample spelt;
	char other[MOST_TERM];
	struct span all;
	int n = snprintf(other, sizeof(other), "json_unquote(" SPAN_FMT ") <> concat(json_unquote(" SPAN_FMT ") + 0)", SPAN_ARG(term->expression),
			 SPAN_ARG(term->expression));

	if (n < 0 || (size_t)n >= sizeof(other))
		return RC_DECLINED;
	all = span_of(other, (size_t)n);
	if (advise_look_condition(c, t, alias, &all, 1, &spelt) != RC_OK)
		return RC_ERROR;
	return spelt.rows && spelt.match == 0 ? RC_OK : RC_DECLINED;
}

static enum rc look_sample(struct sqlconn *c, const struct advise_table *t, const char *alias, const struct term *term, const struct advise_json *j,
			   struct advise_sample *out)
{
	enum rc rc = j->bound ? look_values(c, t, j, out) : advise_look_condition(c, t, alias, &term->whole, 1, out);

	if (rc != RC_OK)
		return rc;
	if (out->rows < ADVISE_LEAST_ROWS || out->match * ADVISE_MOST_SHARE > out->rows)
		return RC_DECLINED;
	return term->number.len && !j->bound ? look_spelling(c, t, alias, term) : RC_OK;
}

static enum rc judge_term(struct sqlconn *c, struct span sent, const struct advise_table *t, const char *alias, const struct term *term,
			  struct advise_json *j, struct advise_sample *sample)
{
	bool maria = sqlconn_is_mariadb(c);
	enum rc rc;

	j->mysql = !maria;
	j->sees = maria ? sqlconn_version(c) >= 110800 && j->form != ADVISE_JSON_EXTRACT && !term->number.len :
			  j->form != ADVISE_JSON_VALUE;
	j->sees &= !term->like;
	j->early = maria && sqlconn_version(c) < 110800;
	if (!maria && (sqlconn_version(c) < 80023 || term->number.len)) /* no invisible columns; numbers are compared as JSON */
		return RC_DECLINED;
	rc = advise_json_place(sent, j);
	j->number = term->number.len && !j->bound;
	if (rc == RC_OK)
		rc = look_collation(c, t, j);
	if (rc == RC_OK)
		rc = look_generated(c, t, j);
	if (rc == RC_OK && ((!maria && !j->is_json) || (j->there && j->sees))) /* MySQL refuses what is no JSON once it computes the column */
		rc = RC_DECLINED;
	return rc == RC_OK ? look_sample(c, t, alias, term, j, sample) : rc;
}

enum rc advise_json(struct sqlconn *c, struct span sent, const struct advise_scan *s, const struct advise_table *t, struct advise_json *out,
		    struct advise_sample *sample)
{
	struct look l = {.table = span_str(s->table)};
	enum rc rc = RC_DECLINED;
	struct term term;

	*out = (struct advise_json){.column = ""};
	if (!s->condition || s->searched || s->ordered || s->rows < ADVISE_LEAST_ROWS || !read_tokens(&l, span_str(s->condition)) || !all_hold(&l))
		return RC_DECLINED;
	for (size_t i = 0; rc == RC_DECLINED && next_term(&l, &i, out, &term);)
		rc = judge_term(c, sent, t, s->table, &term, out, sample);
	if (rc != RC_OK)
		*out = (struct advise_json){.column = ""};
	return rc;
}
