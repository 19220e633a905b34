/*
 * queued_key.c - within what a queued write keeps its order, when several connections drain (Q3).
 *
 * The table, or of a rule that says `order: COLUMN` the table, that column and its value, where the statement gives or
 * names one and no more. When in doubt it is the table; and where the write reaches other tables as well (through a view,
 * a trigger, a cascade), nothing: such a record is applied while no other is.
 */
#include <string.h>

#include "keys.h"
#include "record.h"
#include "request.h"

/* Values that the server takes for equal must give the same key. */
#define VALUE_MOST 64
#define UUID_LEN 36

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char folded(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* 7 and -7, not 07, +7 or 7.0; and not 0, which a text may equal. */
static bool plain_number(struct span v)
{
	size_t i = v.len && v.p[0] == '-';

	if (v.len - i > 18 || i == v.len || v.p[i] == '0')
		return false;
	while (i < v.len && is_digit(v.p[i]))
		i++;
	return i == v.len;
}

static bool is_plain(char c)
{
	c = folded(c);
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || c == '-';
}

/* A word of letters, digits, _ and - that begins with a letter, or is a UUID. */
static bool plain_word(struct span v)
{
	bool uuid = v.len == UUID_LEN && v.p[8] == '-' && v.p[13] == '-' && v.p[18] == '-' && v.p[23] == '-';
	char first = v.len ? folded(v.p[0]) : '0';

	if (v.len > VALUE_MOST || (!uuid && (first < 'a' || first > 'z')))
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (!is_plain(v.p[i]))
			return false;
	}
	return true;
}

/* What a column holds, as far as it is known which literals of it are equal. */
enum held {
	HELD_ODD,      /* 24 and 2024 are one YEAR, 1 and 'a' one ENUM, 16777216 and 16777217 one FLOAT */
	HELD_INTEGERS,
	HELD_WORDS,    /* equality is that of the letters, case aside: not in every language, in Lithuanian i and y are one */
};

static enum held what_holds(const struct request *r, const char *column)
{
	const struct catalog_keys *keys = r->st->keys;
	const struct sql_table *t = r->st->facts.tables; /* it has keys, so there is one */
	struct span schema = t->schema.len ? t->schema : span_of(r->st->schema, r->st->schema_len);

	for (unsigned i = 0; i < keys->n; i++)
		if (span_ieq(span_str(column), span_str(keys->at[i].column)))
			return keys->at[i].type == CATALOG_TEXT ? HELD_WORDS : HELD_INTEGERS;
	return catalog_is_integer(r->s->worker->in->catalog, schema, t->name, span_str(column)) ? HELD_INTEGERS : HELD_ODD;
}

/* The value behind the literal. RC_DECLINED: other literals may equal it. */
static enum rc plain_value(const struct sql_key_value *value, enum held held, struct span *out)
{
	struct span v = value->text;
	bool quoted = v.len >= 2 && (v.p[0] == '\'' || v.p[0] == '"') && v.p[v.len - 1] == v.p[0];

	if (value->param != SQL_NO_PARAM)
		return RC_DECLINED;
	if (quoted)
		v = span_of(v.p + 1, v.len - 2);
	*out = v;
	if (held == HELD_WORDS) /* as a number 5 equals '5e0', too, and a UUID that begins with 5a */
		return quoted && (plain_number(v) || plain_word(v)) ? RC_OK : RC_DECLINED;
	return plain_number(v) ? RC_OK : RC_DECLINED;
}

static enum rc put_folded(struct iobuf *out, struct span s)
{
	uint8_t *p = iobuf_reserve(out, s.len);

	if (!p)
		return RC_ERROR;
	for (size_t i = 0; i < s.len; i++)
		p[i] = (uint8_t)folded(s.p[i]);
	iobuf_commit(out, s.len);
	return RC_OK;
}

/* All of these, if they are one. */
static enum rc put_if_one(struct iobuf *out, const struct sql_key_value *values, size_t n, enum held held)
{
	struct span first, other;

	if (!n || plain_value(&values[0], held, &first) != RC_OK)
		return RC_DECLINED;
	for (size_t i = 1; i < n; i++) {
		if (plain_value(&values[i], held, &other) != RC_OK || !span_ieq(first, other))
			return RC_DECLINED;
	}
	return put_folded(out, first);
}

static enum rc put_inserted(const struct request *r, struct iobuf *out, struct span sql, const char *column, enum held held)
{
	struct sql_insert_keys k = {.columns = &column, .ncolumns = 1};

	/* A row that is there already may have another value, and so may a new one whose value is bent to fit. */
	if (sql_insert_keys_parse(sql, r->mode, &k) != RC_OK || k.replaces || k.ignores || !varset_mode(r->s->vars)->strict ||
	    k.at[0].given != SQL_GIVEN_VALUES)
		return RC_DECLINED;
	return put_if_one(out, k.at[0].values, k.at[0].n, held);
}

static enum rc put_named(const struct request *r, struct iobuf *out, struct span sql, const char *column, enum held held)
{
	struct sql_keys k;

	memset(&k, 0, sizeof(k));
	if (sql_keys_parse(sql, r->mode, &k) != RC_OK)
		return RC_DECLINED;
	for (uint16_t i = 0; i < k.nkeys; i++) {
		if (sql_key_is(k.keys[i].column, column))
			return put_if_one(out, k.values + k.keys[i].first, k.keys[i].n, held);
	}
	return RC_DECLINED;
}

/* Is a row's value what the statement says? A trigger may give it another one; of a table that has no key it is not known whether it has triggers. */
static bool keeps_values(const struct request *r)
{
	return r->st->keys && r->st->keys->written_by_row;
}

/* The column and its value behind the tables of one statement, if it gives or names one. Another rule may order the table by another
 * column, and a reload has that of this one changed: what is behind values of different columns may be the same row. */
static enum rc put_of(const struct request *r, struct span sql, struct iobuf *out)
{
	const char *column = r->plan.queue_rule->order;
	bool inserts = r->st->facts.verb == SQL_INSERT || r->st->facts.verb == SQL_REPLACE;
	enum held held = what_holds(r, column);

	if (held == HELD_ODD)
		return RC_DECLINED;
	if (put_folded(out, span_of(column, strlen(column) + 1)) != RC_OK) /* with its zero */
		return RC_ERROR;
	return inserts ? put_inserted(r, out, sql, column, held) : put_named(r, out, sql, column, held);
}

/* The same, where it is one in all of several. */
static enum rc put_of_all(const struct request *r, const struct queue_record *rec, struct iobuf *out)
{
	size_t from = iobuf_len(out);
	struct iobuf other;
	struct span part;
	enum rc rc = RC_DECLINED;

	iobuf_init(&other, 0);
	for (size_t i = 0; record_part(rec, i, &part); i++) {
		iobuf_consume(&other, iobuf_len(&other));
		rc = put_of(r, part, i ? &other : out);
		if (rc == RC_OK && i && !span_eq(span_of(iobuf_data(&other), iobuf_len(&other)),
						 span_of(iobuf_data(out) + from, iobuf_len(out) - from)))
			rc = RC_DECLINED;
		if (rc != RC_OK)
			break;
	}
	iobuf_reset(&other);
	return rc;
}

enum rc queued_order_key(const struct request *r, const struct queue_record *rec, struct iobuf *out)
{
	const struct settings_queue_rule *rule = r->plan.queue_rule;
	enum rc rc;

	/* Also where one connection drains: after a restart there may be several. The table alone is right then, too. */
	if (r->st->nwrites != 1)
		return RC_OK;
	if (put_folded(out, rec->tables) != RC_OK)
		return RC_ERROR;
	if (r->s->worker->settings->queue.drain.workers <= 1 || !rule || strcmp(rule->order, "table") == 0 || !keeps_values(r))
		return RC_OK;
	rc = rec->parts.len ? put_of_all(r, rec, out) : put_of(r, rec->sql, out);
	if (rc == RC_DECLINED && iobuf_len(out) > rec->tables.len) { /* not in all of them: the table alone */
		iobuf_consume(out, iobuf_len(out));
		return put_folded(out, rec->tables);
	}
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}
