/*
 * advise_define.c - a column's definition with another character set and collation, as ALTER TABLE ... MODIFY wants it: complete, from
 * SHOW CREATE TABLE; and what stands against changing it by itself.
 */
#include <stdio.h>

#include "advise_impl.h"
#include "clock.h"
#include "mem.h"

#define LIMIT_NS (3 * NS_PER_SEC) /* the server's own limit is shorter */
#define MOST_TOKENS 8192 /* of a table's definition; a longer one is let be */
#define MOST_LENGTH 255 /* characters of a string that fits an index in any character set */
#define MOST_REST 512   /* bytes of what follows a column's type: a default, a comment */

struct definition {
	const char *column;
	struct advise_recode *to;
};

static bool is_column(const struct sql_token *t, const char *column)
{
	char name[ADVISE_NAME];

	return t->kind == SQL_T_QUOTED && advise_name(t->text, name) == RC_OK && span_ieq(span_str(name), span_str(column));
}

static void against(struct advise_recode *to, enum advise_against why)
{
	if (to->against == ADVISE_AGAINST_NOTHING)
		to->against = why;
}

/* An element of the table, or what stands behind them all, that names the column without being its definition. */
static enum advise_against why_of(const struct sql_token *t, size_t from, size_t to)
{
	if (sql_token_is_word(&t[from], "unique") || sql_token_is_word(&t[from], "primary"))
		return ADVISE_AGAINST_UNIQUE;
	return from + 2 < to && sql_token_is_word(&t[from + 2], "foreign") ? ADVISE_AGAINST_FOREIGN : ADVISE_AGAINST_ELSE;
}

static bool is_plain_key(const struct sql_token *first)
{
	return sql_token_is_word(first, "key") || sql_token_is_word(first, "fulltext");
}

/* What may follow the type, as it is. */
static bool is_plain_rest(const struct sql_token *t, size_t from, size_t to)
{
	static const char *const words[] = {"generated", "as", "check", "references", "without", "virtual", "stored", "persistent"};

	for (size_t i = from; i < to; i++) {
		if (t[i].kind == SQL_T_COMMENT || t[i].kind == SQL_T_EXEC_OPEN || t[i].kind == SQL_T_HINT ||
		    memchr(t[i].text.p, '\\', t[i].text.len))
			return false;
		for (size_t w = 0; w < countof(words); w++)
			if (sql_token_is_word(&t[i], words[w]))
				return false;
	}
	return true;
}

static bool is_generated(const struct sql_token *t, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (sql_token_is_word(&t[i], "generated") || sql_token_is_word(&t[i], "virtual") || sql_token_is_word(&t[i], "stored"))
			return true;
	return false;
}

/* `column` varchar(20) [CHARACTER SET x] [COLLATE y] rest */
static void take_definition(const struct sql_token *t, size_t from, size_t to, struct advise_recode *out)
{
	bool is_string = sql_token_is_word(&t[from + 1], "varchar") || sql_token_is_word(&t[from + 1], "char");
	size_t rest = from + 5;
	struct span type, tail = {0};

	if (is_generated(t, from, to)) {
		against(out, ADVISE_AGAINST_GENERATED);
		return;
	}
	if (from + 5 > to || !is_string || !sql_token_is_op(&t[from + 2], '(') || t[from + 3].kind != SQL_T_NUMBER ||
	    !sql_token_is_op(&t[from + 4], ')') || advise_number(t[from + 3].text) > MOST_LENGTH) {
		against(out, ADVISE_AGAINST_ELSE);
		return;
	}
	type = span_of(t[from + 1].text.p, (size_t)(t[from + 4].text.p + 1 - t[from + 1].text.p));
	if (rest + 2 < to && sql_token_is_word(&t[rest], "character") && sql_token_is_word(&t[rest + 1], "set"))
		rest += 3;
	if (rest + 1 < to && sql_token_is_word(&t[rest], "collate"))
		rest += 2;
	if (rest < to)
		tail = span_of(t[rest].text.p, (size_t)(t[to - 1].text.p + t[to - 1].text.len - t[rest].text.p));
	if (!is_plain_rest(t, rest, to) || tail.len > MOST_REST || type.len > MOST_REST)
		against(out, ADVISE_AGAINST_ELSE);
	else
		(void)snprintf(out->definition, sizeof(out->definition), SPAN_FMT " CHARACTER SET %s COLLATE %s%s" SPAN_FMT, SPAN_ARG(type),
			       out->charset, out->collation, tail.len ? " " : "", SPAN_ARG(tail));
}

/* One element from its first token to its end. */
static void take_element(const struct definition *d, const struct sql_token *t, size_t from, size_t to)
{
	if (from < to && is_column(&t[from], d->column)) {
		take_definition(t, from, to, d->to);
		return;
	}
	if (from == to || is_plain_key(&t[from]))
		return;
	for (size_t i = from; i < to; i++)
		if (is_column(&t[i], d->column))
			against(d->to, why_of(t, from, to));
}

/* Options and partitions. */
static void take_end(const struct definition *d, const struct sql_token *t, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (is_column(&t[i], d->column) || sql_token_is_word(&t[i], "versioning") || t[i].kind == SQL_T_COMMENT)
			against(d->to, ADVISE_AGAINST_ELSE);
}

static void take_elements(const struct definition *d, const struct sql_token *t, size_t n)
{
	size_t from = 0, depth = 0, i = 0;

	while (i < n && !sql_token_is_op(&t[i], '('))
		i++;
	for (from = i + 1; i < n; i++) {
		bool end = depth == 1 && (sql_token_is_op(&t[i], ',') || sql_token_is_op(&t[i], ')'));

		if (end) {
			take_element(d, t, from, i);
			from = i + 1;
		}
		if (sql_token_is_op(&t[i], '('))
			depth++;
		else if (sql_token_is_op(&t[i], ')') && --depth == 0)
			break;
	}
	take_end(d, t, from, n);
}

enum rc advise_definition(struct span create, const char *column, struct advise_recode *out)
{
	const struct definition d = {.column = column, .to = out};
	struct sql_token *t;
	struct sql_scan s;
	size_t n = 0;

	t = mem_alloc(MOST_TOKENS * sizeof(*t));
	if (!t)
		return RC_ERROR;
	sql_scan_init(&s, create, 0);
	for (sql_scan_next(&s, &t[n]); t[n].kind != SQL_T_END && t[n].kind != SQL_T_BAD && n + 1 < MOST_TOKENS; sql_scan_next(&s, &t[n]))
		n++;
	if (t[n].kind == SQL_T_END)
		take_elements(&d, t, n);
	mem_free(t);
	return RC_OK;
}

static enum rc on_create(void *arg, const struct sqlconn_row *row)
{
	const struct definition *d = arg;

	return row->n < 2 || !row->value[1].p ? RC_OK : advise_definition(row->value[1], d->column, d->to);
}

static enum rc on_referenced(void *arg, const struct sqlconn_row *row)
{
	(void)row;
	against(arg, ADVISE_AGAINST_FOREIGN);
	return RC_OK;
}

static enum rc run(struct sqlconn *c, struct iobuf *sql, sqlconn_row_fn row, void *arg)
{
	enum rc rc = sqlconn_query(c, span_of(iobuf_data(sql), iobuf_len(sql)), LIMIT_NS, row, arg);

	iobuf_reset(sql);
	return rc;
}

/* Tables of the same schema alone: to look through all of a server's takes long. */
static enum rc look_referenced(struct sqlconn *c, const struct advise_table *t, const char *column, struct advise_recode *out)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT 1 FROM information_schema.KEY_COLUMN_USAGE WHERE ") != RC_OK || advise_put_is(&sql, "TABLE_SCHEMA", t->schema) != RC_OK ||
	    advise_put_is(&sql, " AND REFERENCED_TABLE_SCHEMA", t->schema) != RC_OK || advise_put_is(&sql, " AND REFERENCED_TABLE_NAME", t->name) != RC_OK ||
	    advise_put_is(&sql, " AND REFERENCED_COLUMN_NAME", column) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_referenced, out);
}

enum rc advise_look_definition(struct sqlconn *c, const struct advise_table *t, const char *column, struct advise_recode *out)
{
	struct definition d = {.column = column, .to = out};
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SHOW CREATE TABLE ") != RC_OK || advise_put_name(&sql, t->schema) != RC_OK || iobuf_append(&sql, ".", 1) != RC_OK ||
	    advise_put_name(&sql, t->name) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	rc = run(c, &sql, on_create, &d);
	if (rc == RC_OK && out->against == ADVISE_AGAINST_NOTHING)
		rc = look_referenced(c, t, column, out);
	if (rc != RC_OK && !sqlconn_refused(c))
		return RC_ERROR;
	if (rc != RC_OK || out->definition[0] == '\0')
		against(out, ADVISE_AGAINST_ELSE);
	return RC_OK;
}
