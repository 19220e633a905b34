#include "advise_impl.h"

#define LIMIT_UNKNOWN 10

enum rc advise_name(struct span quoted, char out[ADVISE_NAME])
{
	char quote = quoted.len > 1 && (*quoted.p == '`' || *quoted.p == '"') ? *quoted.p : 0;
	size_t n = 0, end = quote ? quoted.len - 1 : quoted.len;

	for (size_t i = quote ? 1 : 0; i < end; i++) {
		if (n + 1 == ADVISE_NAME)
			return RC_ERROR;
		if (quote && quoted.p[i] == quote)
			i++;
		out[n++] = quoted.p[i];
	}
	out[n] = '\0';
	return RC_OK;
}

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_T_WORD || t->kind == SQL_T_QUOTED;
}

static bool is_end(const struct sql_token *t)
{
	return t->kind == SQL_T_END || t->kind == SQL_T_BAD;
}

/* ---- tables ---- */

static const struct sql_table *fact_of(const struct sql_facts *f, const char *name)
{
	for (uint16_t i = 0; i < f->ntables; i++)
		if (f->tables[i].read && span_ieq(f->tables[i].name, span_str(name)))
			return &f->tables[i];
	return NULL;
}

static enum rc put_table(const struct sql_table *t, const char *schema, struct advise_table *out)
{
	if (advise_name(t->name, out->name) != RC_OK)
		return RC_ERROR;
	return advise_name(t->schema.len ? t->schema : span_str(schema), out->schema);
}

/* The table named before this alias: "table alias", "table AS alias". NULL: it stands nowhere as one. */
static const struct sql_table *by_alias(struct span text, const struct sql_facts *f, const char *alias)
{
	struct sql_token t, before = {0};
	char name[ADVISE_NAME];
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (sql_scan_next_code(&s, &t); !is_end(&t); sql_scan_next_code(&s, &t)) {
		const struct sql_table *found = NULL;

		if (t.kind == SQL_T_WORD && t.word == SQL_W_AS)
			continue;
		if (is_name(&t) && is_name(&before) && advise_name(t.text, name) == RC_OK &&
		    span_ieq(span_str(name), span_str(alias)) && advise_name(before.text, name) == RC_OK)
			found = fact_of(f, name);
		if (found)
			return found;
		before = t;
	}
	return NULL;
}

enum rc advise_table_of(struct span text, const struct sql_facts *f, const char *alias, const char *schema,
			struct advise_table *out)
{
	const struct sql_table *t = by_alias(text, f, alias);
	struct sql_table under = {.name = span_str(alias)};

	if (!t)
		t = fact_of(f, alias);
	out->guessed = !t;
	return put_table(t ? t : &under, schema, out); /* neither: a table under a view, of this schema most likely */
}

/* ---- order ---- */

struct span advise_order_by(struct span text)
{
	struct span list = {0};
	struct sql_token t;
	struct sql_scan s;
	int depth = 0;
	bool order = false, in = false;

	sql_scan_init(&s, text, 0);
	for (sql_scan_next_code(&s, &t); !is_end(&t); sql_scan_next_code(&s, &t)) {
		if (sql_token_is_op(&t, '(') || sql_token_is_op(&t, ')'))
			depth += sql_token_is_op(&t, '(') ? 1 : -1;
		if (depth == 0 && t.kind == SQL_T_WORD && order && t.word == SQL_W_BY) {
			in = true;
			list = span_of(t.text.p + t.text.len, 0);
		} else if (in && depth == 0 && t.kind == SQL_T_WORD &&
			   (t.word == SQL_W_LIMIT || t.word == SQL_W_FOR || t.word == SQL_W_INTO ||
			    t.word == SQL_W_LOCK)) {
			in = false;
		} else if (in) {
			list.len = (size_t)(t.text.p + t.text.len - list.p);
		}
		order = t.kind == SQL_T_WORD && t.word == SQL_W_ORDER;
	}
	return list;
}

/* The numbers of its own LIMIT: all of them, and less OFFSET's. */
static uint64_t limit_of(struct span text, uint64_t *sent)
{
	uint64_t rows = UINT64_MAX, count = 0;
	struct sql_token t;
	struct sql_scan s;
	int depth = 0;
	bool in = false, offset = false;

	*sent = UINT64_MAX;
	sql_scan_init(&s, text, 0);
	for (sql_scan_next_code(&s, &t); !is_end(&t); sql_scan_next_code(&s, &t)) {
		if (sql_token_is_op(&t, '(') || sql_token_is_op(&t, ')'))
			depth += sql_token_is_op(&t, '(') ? 1 : -1;
		if (depth == 0 && t.kind == SQL_T_WORD && (t.word == SQL_W_LIMIT || t.word == SQL_W_FETCH || t.word == SQL_W_OFFSET)) {
			in = true;
			offset = t.word == SQL_W_OFFSET;
			rows = rows == UINT64_MAX ? 0 : rows;
		} else if (in && (t.kind == SQL_T_NUMBER || t.kind == SQL_T_PARAM)) {
			count = t.kind == SQL_T_NUMBER ? advise_number(t.text) : LIMIT_UNKNOWN;
			rows = rows + count < rows ? UINT64_MAX - 1 : rows + count; /* LIMIT 5, 10; LIMIT 10 OFFSET 5 */
			*sent = offset ? *sent : count;
		}
	}
	return rows;
}

uint64_t advise_limit(struct span text)
{
	uint64_t sent;

	return limit_of(text, &sent);
}

uint64_t advise_limit_sent(struct span text)
{
	uint64_t sent;

	(void)limit_of(text, &sent);
	return sent;
}

/* ---- the statement to explain ---- */

static bool is_plain(char c)
{
	return c != '\'' && c != '"' && c != '\\' && (unsigned char)c >= ' ';
}

/* MariaDB writes a plan's strings without regard for JSON: what would break it is left out of them. */
static enum rc put_string(struct span quoted, struct iobuf *out)
{
	size_t from = 0;
	bool plain = true;

	while (from < quoted.len && quoted.p[from] != '\'' && quoted.p[from] != '"')
		from++;
	for (size_t i = from + 1; i + 1 < quoted.len; i++)
		plain &= is_plain(quoted.p[i]);
	if (plain)
		return iobuf_append(out, quoted.p, quoted.len);
	if (iobuf_append(out, "'", 1) != RC_OK)
		return RC_ERROR;
	for (size_t i = from + 1; i + 1 < quoted.len; i++)
		if (is_plain(quoted.p[i]) && iobuf_append(out, quoted.p + i, 1) != RC_OK)
			return RC_ERROR;
	return iobuf_append(out, "'", 1);
}

/* A string stands for any value: as a number it is read as one, and no index is lost by it. LIMIT wants a number. */
enum rc advise_explain_text(struct span text, struct iobuf *out)
{
	struct sql_token t;
	struct sql_scan s;
	const char *from = text.p;
	bool limit = false;

	if (iobuf_printf(out, "EXPLAIN FORMAT=JSON ") != RC_OK)
		return RC_ERROR;
	sql_scan_init(&s, text, 0);
	for (sql_scan_next(&s, &t); !is_end(&t); sql_scan_next(&s, &t)) {
		if (t.kind == SQL_T_WORD)
			limit = t.word == SQL_W_LIMIT || t.word == SQL_W_OFFSET || t.word == SQL_W_FETCH;
		if (t.kind != SQL_T_PARAM && t.kind != SQL_T_STRING)
			continue;
		if (iobuf_append(out, from, (size_t)(t.text.p - from)) != RC_OK ||
		    (t.kind == SQL_T_STRING ? put_string(t.text, out)
					    : iobuf_printf(out, "%s", limit ? "10" : "'1'")) != RC_OK)
			return RC_ERROR;
		from = t.text.p + t.text.len;
	}
	return iobuf_append(out, from, (size_t)(text.p + text.len - from));
}
