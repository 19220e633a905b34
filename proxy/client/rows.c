#include "rows.h"

#include <stdio.h>
#include <string.h>

#include "keys.h"
#include "mem.h"
#include "rowvalue.h"

#define NUMBERS_TEXT_MOST 65536 /* a longer INSERT is not looked at */

/* ---- values ---- */

/* A string that is held equal to an integer column: drivers send numbers so. Exact while a double is. */
static bool integer_of_string(struct span s, struct rowvalue *v)
{
	return s.len <= 15 && rowvalue_integer(s, v);
}

/* As it stands in the statement. */
static bool literal_of(enum catalog_type type, struct span text, struct rowvalue *v)
{
	if (type == CATALOG_INTEGER && text.len && text.p[0] != '\'' && text.p[0] != '"')
		return rowvalue_integer(text, v);
	if (text.len < 2 || (text.p[0] != '\'' && text.p[0] != '"') || text.p[text.len - 1] != text.p[0])
		return false;
	for (size_t i = 1; i + 1 < text.len; i++)
		if (text.p[i] == text.p[0] || text.p[i] == '\\')
			return false;
	text = span_of(text.p + 1, text.len - 2);
	return type == CATALOG_INTEGER ? integer_of_string(text, v) : rowvalue_text(text, v);
}

/* Some drivers send every number as a double. */
static bool integer_of_double(struct span raw, struct rowvalue *v)
{
	char digits[32];
	double d;
	int len;

	if (raw.len != sizeof(d))
		return false;
	memcpy(&d, raw.p, sizeof(d)); /* little-endian, as this machine is */
	if (!(d > -1e15 && d < 1e15) || d != (double)(int64_t)d)
		return false;
	len = snprintf(digits, sizeof(digits), "%lld", (long long)d);
	return len > 0 && rowvalue_integer(span_of(digits, (size_t)len), v);
}

static bool bound_of(const struct request *r, enum catalog_type type, uint16_t param, struct rowvalue *v)
{
	const struct prepared *p = r->prepared;
	struct stmt_values values;
	struct stmt_value b = {.is_null = true};

	if (!p || !p->types || param >= p->params)
		return false;
	stmt_values_begin(&values, &r->execute, p->params, span_of(p->types, 2 * (size_t)p->params));
	for (uint16_t i = 0; i <= param; i++)
		if (stmt_values_next(&values, &b) != RC_OK)
			return false;
	if (b.is_null)
		return false;
	switch (b.type) {
	case FIELD_TINY:
	case FIELD_SHORT:
	case FIELD_INT24:
	case FIELD_LONG:
	case FIELD_LONGLONG:
		return type == CATALOG_INTEGER && rowvalue_number(b.raw, b.is_unsigned, v);
	case FIELD_VARCHAR:
	case FIELD_VAR_STRING:
	case FIELD_STRING:
		return type == CATALOG_TEXT ? rowvalue_text(b.raw, v) : integer_of_string(b.raw, v);
	case FIELD_DOUBLE:
		return type == CATALOG_INTEGER && integer_of_double(b.raw, v);
	default:
		return false;
	}
}

static bool value_of(const struct request *r, enum catalog_type type, const struct sql_key_value *k, struct rowvalue *v)
{
	return k->param == SQL_NO_PARAM ? literal_of(type, k->text, v) : bound_of(r, type, k->param, v);
}

/* ---- tags ---- */

static cache_tag part(const struct statement *st, unsigned key)
{
	return cache_tag_key(st->keys_of, span_str(st->keys->at[key].column));
}

static bool add(struct rows_tags *t, cache_tag tag)
{
	if (t->n == ROWS_TAGS_MOST)
		return false;
	t->tag[t->n++] = tag;
	return true;
}

/* The rows that the values name by a key. False: they do not, and t is as it was. */
static bool add_rows(const struct request *r, struct rows_tags *t, unsigned key, const struct sql_key_value *values,
		     unsigned n)
{
	const struct catalog_key *k = &r->st->keys->at[key];
	cache_tag of = part(r->st, key);
	unsigned before = t->n;
	struct rowvalue v;

	if (n == 0 || n > ROWS_VALUES_MOST)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!value_of(r, k->type, &values[i], &v) ||
		    !add(t, cache_tag_row(of, rowvalue_span(&v)))) {
			t->n = before;
			return false;
		}
	return true;
}

/* Which of the table's keys the statement's condition names, first of all those by which rows may be named; -1: none. */
static bool condition_of(const struct request *r, struct sql_keys *k)
{
	struct statement *st = r->st;

	if (!st->keys || !r->names_rows || r->lexed->has_executable_comment)
		return false;
	if (!st->keys_like)
		st->keys_like = mem_zalloc(sizeof(*st->keys_like));
	if (!st->keys_like)
		return sql_keys_parse(r->lexed->body, r->mode, k) == RC_OK;
	return sql_keys_parse_like(r->lexed->body, r->mode, st->keys_like, k) == RC_OK;
}

static int named_by(const struct request *r, const struct sql_keys *k, struct rows_tags *t)
{
	const struct statement *st = r->st;

	for (unsigned j = 0; j < st->keys->n; j++) {
		if (!(st->keys_named >> j & 1))
			continue;
		for (uint16_t i = 0; i < k->nkeys; i++)
			if (sql_key_is(k->keys[i].column, st->keys->at[j].column) &&
			    add_rows(r, t, j, k->values + k->keys[i].first, k->keys[i].n))
				return (int)j;
	}
	return -1;
}

void rows_read(struct request *r)
{
	const struct statement *st = r->st;
	struct rows_tags t; /* of which most is never used */
	struct sql_keys k;
	int by;

	t.n = 0;
	by = condition_of(r, &k) ? named_by(r, &k, &t) : -1;
	if (by < 0) {
		r->ntags = st->nreads;
		memcpy(r->tags, st->reads, r->ntags * sizeof(r->tags[0]));
		return;
	}
	r->tags[0] = st->keys_of;
	r->tags[1] = part(st, (unsigned)by);
	memcpy(r->tags + 2, t.tag, t.n * sizeof(t.tag[0]));
	r->ntags = 2 + t.n;
}

/* ---- writes ---- */

/* Rows that were changed where they stand: by the key that names them, and by whatever else they can be found. */
static bool changed_rows(const struct request *r, struct rows_tags *t)
{
	struct sql_keys k;
	int by = condition_of(r, &k) ? named_by(r, &k, t) : -1;
	bool fits = by >= 0;

	for (unsigned j = 0; fits && j < r->st->keys->n; j++)
		if (j != (unsigned)by)
			fits = add(t, part(r->st, j));
	return fits;
}

void rows_shown(const struct request *r, struct rows_tags *out)
{
	const struct statement *st = r->st;

	out->n = 0;
	out->named = st->facts.verb == SQL_SELECT && add(out, cache_tag_rows(st->keys_of)) && changed_rows(r, out);
}

static bool is_zero(const struct request *r, const struct sql_key_value *k)
{
	struct rowvalue v;

	return !value_of(r, CATALOG_INTEGER, k, &v) || (v.len == 1 && v.text[0] == '0');
}

/* A number the server gave the row: it is in the reply. */
static bool add_numbered(const struct request *r, struct rows_tags *t, unsigned key, const struct sql_insert_keys *k)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)r->insert_id);

	if (!r->st->keys->at[key].auto_increment || k->rows != 1 || k->replaces || !r->insert_id ||
	    (r->st->facts.flags & SQL_F_LAST_INSERT_ID))
		return false;
	return add(t, cache_tag_row(part(r->st, key), span_of(digits, (size_t)len)));
}

/* False: nothing is known of the key's values in the new rows, or of the rows that were there. */
static bool add_given(const struct request *r, struct rows_tags *t, unsigned key, const struct sql_insert_keys *k)
{
	const struct catalog_keys *keys = r->st->keys;
	const struct sql_insert_column *c = &k->at[key];

	if (c->assigned || (k->replaces && !(keys->one_unique && keys->at[key].unique)))
		return false;
	if (c->given == SQL_GIVEN_NOT)
		return add_numbered(r, t, key, k);
	if (c->given != SQL_GIVEN_VALUES)
		return false;
	for (unsigned i = 0; keys->at[key].auto_increment && i < c->n; i++)
		if (is_zero(r, &c->values[i])) /* or it is no number at all */
			return add_numbered(r, t, key, k);
	return add_rows(r, t, key, c->values, c->n);
}

static bool new_rows(const struct request *r, struct rows_tags *t)
{
	const struct catalog_keys *keys = r->st->keys;
	const char *columns[CATALOG_KEYS_MOST];
	struct sql_insert_keys k = {.columns = columns, .ncolumns = keys->n};
	bool named = false;

	if (r->warnings) /* a value may have been bent to fit its column */
		return false;
	for (unsigned j = 0; j < keys->n; j++)
		columns[j] = keys->at[j].column;
	if (sql_insert_keys_parse(r->sql, r->mode, &k) != RC_OK)
		return false;
	for (unsigned j = 0; j < keys->n; j++) {
		if (add_given(r, t, j, &k))
			named = true;
		else if (!add(t, part(r->st, j)))
			return false;
	}
	return named;
}

bool rows_may_number(const struct request *r)
{
	const struct catalog_keys *keys = r->st->keys;
	const char *column = NULL;
	struct sql_insert_keys k = {.columns = &column, .ncolumns = 1};

	/* The reply of one with RETURNING is rows, and tells no id. */
	if (!keys || r->st->text_cut || strstr(r->st->text, "returning") || !keys->written_by_row || r->st->facts.flags & SQL_F_MULTI || r->sql.len > NUMBERS_TEXT_MOST || r->stream_left || r->stream_more)
		return true;
	for (unsigned j = 0; j < keys->n; j++)
		if (keys->at[j].auto_increment)
			column = keys->at[j].column;
	if (!column)
		return keys->numbers_unseen;
	return sql_insert_keys_parse(r->sql, r->mode, &k) != RC_OK || k.replaces || k.at[0].given != SQL_GIVEN_NOT;
}

static bool by_row(const struct request *r, struct rows_tags *t)
{
	const struct statement *st = r->st;

	if (!st->keys->written_by_row || !r->names_rows || r->error || r->lexed->has_executable_comment ||
	    !add(t, cache_tag_rows(st->keys_of)))
		return false;
	if (st->facts.verb == SQL_INSERT || st->facts.verb == SQL_REPLACE)
		return new_rows(r, t);
	return (st->facts.verb == SQL_UPDATE || st->facts.verb == SQL_DELETE) && changed_rows(r, t);
}

void rows_by_table(const struct write_targets *t, struct rows_tags *out)
{
	_Static_assert(ROWS_TAGS_MOST >= CACHE_MAX_TAGS, "what is written by table has room");
	out->named = false;
	out->n = t->n;
	memcpy(out->tag, t->tags, t->n * sizeof(out->tag[0]));
}

void rows_written(const struct request *r, const struct write_targets *t, struct rows_tags *out)
{
	out->n = 0;
	out->named = !t->anything && t->n && r->st && r->st->keys && t->tags[0] == r->st->keys_of && by_row(r, out);
	/* The first table is the statement's own; what cascades reach is written by table. */
	for (uint8_t i = 1; out->named && i < t->n; i++)
		out->named = add(out, t->tags[i]);
	if (!out->named)
		rows_by_table(t, out);
}
