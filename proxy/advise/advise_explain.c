#include <stdio.h>

#include "advise_impl.h"
#include "clock.h"

#define LIMIT_NS (3 * NS_PER_SEC) /* the server's own limit is shorter */
#define MOST_KEY_BYTES 1020       /* VARCHAR(255) in utf8mb4; three of these fit an index */
#define PREFIX 100                /* characters of a longer column to index */
#define MOST_INDEX 16 /* columns of one index that are looked at */
#define MOST_OWNERS 8 /* tables of a statement among which a column's is looked for */

enum rc advise_put_name(struct iobuf *b, const char *name)
{
	if (iobuf_append(b, "`", 1) != RC_OK)
		return RC_ERROR;
	for (; *name; name++)
		if ((*name == '`' && iobuf_append(b, "`", 1) != RC_OK) || iobuf_append(b, name, 1) != RC_OK)
			return RC_ERROR;
	return iobuf_append(b, "`", 1);
}

/* x'...' */
static enum rc put_hex(struct iobuf *b, const char *s)
{
	if (iobuf_append(b, "x'", 2) != RC_OK)
		return RC_ERROR;
	for (; *s; s++)
		if (iobuf_printf(b, "%02x", (unsigned char)*s) != RC_OK)
			return RC_ERROR;
	return iobuf_append(b, "'", 1);
}

enum rc advise_put_is(struct iobuf *b, const char *column, const char *value)
{
	return iobuf_printf(b, "%s=CONVERT(", column) == RC_OK && put_hex(b, value) == RC_OK && iobuf_printf(b, " USING utf8mb4)") == RC_OK ? RC_OK : RC_ERROR;
}

enum rc advise_put_of(struct iobuf *b, const char *schema, const char *table)
{
	return advise_put_is(b, " TABLE_SCHEMA", schema) == RC_OK ? advise_put_is(b, " AND TABLE_NAME", table) : RC_ERROR;
}

enum rc advise_put_column_of(struct iobuf *sql, const char *what, const struct advise_table *t, const char *column)
{
	if (iobuf_printf(sql, "SELECT %s FROM information_schema.COLUMNS WHERE", what) == RC_OK && advise_put_of(sql, t->schema, t->name) == RC_OK &&
	    advise_put_is(sql, " AND COLUMN_NAME", column) == RC_OK)
		return RC_OK;
	iobuf_reset(sql);
	return RC_ERROR;
}

static enum rc run(struct sqlconn *c, struct iobuf *sql, sqlconn_row_fn row, void *arg)
{
	enum rc rc = sqlconn_query(c, span_of(iobuf_data(sql), iobuf_len(sql)), LIMIT_NS, row, arg);

	iobuf_reset(sql);
	return rc;
}

enum rc advise_session(struct sqlconn *c, const char *schema)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = iobuf_printf(&sql, "SET SESSION sql_mode='', %s",
			  sqlconn_is_mariadb(c) ? "max_statement_time=1" : "max_execution_time=1000");
	if (rc == RC_OK)
		rc = run(c, &sql, NULL, NULL);
	/* MySQL's second shape of JSON came with 8.3; older servers do not know the variable. */
	if (rc == RC_OK && !sqlconn_is_mariadb(c) && sqlconn_version(c) >= 80300)
		rc = sqlconn_query(c, span_str("SET SESSION explain_json_format_version=1"), LIMIT_NS, NULL, NULL);
	if (rc != RC_OK || schema[0] == '\0')
		return rc;
	if (iobuf_printf(&sql, "USE ") != RC_OK || advise_put_name(&sql, schema) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, NULL, NULL);
}

/* ---- the plan ---- */

/* A plan too large to look at is no plan. */
static enum rc on_plan(void *arg, const struct sqlconn_row *row)
{
	if (row->n == 0 || row->value[0].len == 0)
		return RC_DECLINED;
	return iobuf_append(arg, row->value[0].p, row->value[0].len) == RC_OK ? RC_OK : RC_DECLINED;
}

enum rc advise_plan(struct sqlconn *c, struct span text, struct iobuf *out)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (advise_explain_text(text, &sql) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_plan, out);
}

/* ---- views ---- */

struct under {
	const char *alias;
	struct advise_table *table;
};

/* Servers write a view's text out in full: `schema`.`table` `alias`. */
static enum rc on_view(void *arg, const struct sqlconn_row *row)
{
	struct sql_token t, before[3] = {{.kind = SQL_T_END}};
	struct under *u = arg;
	char name[ADVISE_NAME];
	struct sql_scan s;

	if (row->n < 1 || !row->value[0].p)
		return RC_OK;
	sql_scan_init(&s, row->value[0], 0);
	for (sql_scan_next_code(&s, &t); t.kind != SQL_T_END && t.kind != SQL_T_BAD; sql_scan_next_code(&s, &t)) {
		bool path = before[2].kind == SQL_T_QUOTED && sql_token_is_op(&before[1], '.') && before[0].kind == SQL_T_QUOTED;

		if (path && t.kind == SQL_T_QUOTED && advise_name(t.text, name) == RC_OK && span_ieq(span_str(name), span_str(u->alias)) &&
		    advise_name(before[2].text, u->table->schema) == RC_OK && advise_name(before[0].text, u->table->name) == RC_OK) {
			u->table->guessed = false;
			return RC_OK;
		}
		before[2] = before[1];
		before[1] = before[0];
		before[0] = t;
	}
	return RC_OK;
}

enum rc advise_look_views(struct sqlconn *c, const struct sql_facts *f, const char *schema, const char *alias, struct advise_table *t)
{
	struct under u = {.alias = alias, .table = t};
	char view[ADVISE_NAME], of[ADVISE_NAME];

	for (uint16_t i = 0; i < f->ntables && t->guessed; i++) {
		const struct sql_table *v = &f->tables[i];
		struct iobuf sql;

		if (advise_name(v->name, view) != RC_OK || advise_name(v->schema.len ? v->schema : span_str(schema), of) != RC_OK)
			continue;
		iobuf_init(&sql, 0);
		if (iobuf_printf(&sql, "SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE") != RC_OK || advise_put_of(&sql, of, view) != RC_OK) {
			iobuf_reset(&sql);
			return RC_ERROR;
		}
		if (run(c, &sql, on_view, &u) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

/* ---- columns ---- */

/* Types whose values are too long for an index get one on their beginning; some cannot have any. */
static void take_type(struct advise_column *col, struct span type, struct span octets, struct span collation)
{
	static const char *const without[] = {
		"json",       "geometry",        "point",        "linestring",         "polygon",
		"multipoint", "multilinestring", "multipolygon", "geometrycollection", "vector"};
	bool lob = type.len >= 4 && (span_ieq(span_of(type.p + type.len - 4, 4), span_str("text")) ||
				     span_ieq(span_of(type.p + type.len - 4, 4), span_str("blob")));
	unsigned length = 0;

	for (size_t i = 0; i < countof(without); i++)
		if (span_ieq(type, span_str(without[i])))
			return;
	for (size_t i = 0; i < octets.len && length <= MOST_KEY_BYTES; i++)
		length = length * 10 + (unsigned)(octets.p[i] - '0');
	col->exists = true;
	/* an ENUM and a SET have a collation, too, but compare as numbers with a number */
	col->is_text = collation.len && (span_ieq(type, span_str("char")) || span_ieq(type, span_str("varchar")) ||
					 (type.len >= 4 && span_ieq(span_of(type.p + type.len - 4, 4), span_str("text"))));
	col->exists = !col->as_bytes || col->is_text; /* of bytes an index has the order that LIKE BINARY has */
	col->folds_case = collation.len > 3 && span_ieq(span_of(collation.p + collation.len - 3, 3), span_str("_ci"));
	if (col->pattern && octets.len == 0) /* LIKE makes a string of a number or a date */
		col->use = ADVISE_HIDDEN;
	col->prefix = lob || length > MOST_KEY_BYTES ? PREFIX : 0;
}

/* Field, type, length in bytes, collation, whether it can be NULL */
static enum rc on_column(void *arg, const struct sqlconn_row *row)
{
	struct advise_columns *cols = arg;

	for (size_t i = 0; row->n >= 5 && i < cols->n; i++) {
		if (!span_ieq(row->value[0], span_str(cols->at[i].name)))
			continue;
		take_type(&cols->at[i], row->value[1], row->value[2], row->value[3]);
		cols->at[i].never_null = span_ieq(row->value[4], span_str("no"));
	}
	return RC_OK;
}

enum rc advise_look_columns(struct sqlconn *c, const struct advise_table *t, struct advise_columns *cols)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_OCTET_LENGTH, COLLATION_NAME, IS_NULLABLE FROM "
			       "information_schema.COLUMNS WHERE") != RC_OK ||
	    advise_put_of(&sql, t->schema, t->name) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_column, cols);
}

static enum rc on_there(void *arg, const struct sqlconn_row *row)
{
	unsigned *n = arg;

	(void)row;
	++*n;
	return RC_OK;
}

enum rc advise_look_owner(struct sqlconn *c, const struct sql_facts *f, const char *schema, const char *column, struct advise_table *out)
{
	struct advise_table t = {.guessed = false};
	unsigned n = 0, before;

	if (f->ntables > MOST_OWNERS)
		return RC_DECLINED;
	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct sql_table *named = &f->tables[i];
		struct iobuf sql;

		before = n;
		if (advise_name(named->name, t.name) != RC_OK || advise_name(named->schema.len ? named->schema : span_str(schema), t.schema) != RC_OK)
			return RC_DECLINED;
		iobuf_init(&sql, 0);
		if (advise_put_column_of(&sql, "1", &t, column) != RC_OK || run(c, &sql, on_there, &n) != RC_OK)
			return RC_ERROR;
		if (n > before)
			*out = t;
	}
	return n == 1 ? RC_OK : RC_DECLINED;
}

/* ---- what they are compared with ---- */

static enum rc on_type(void *arg, const struct sqlconn_row *row)
{
	static const char *const numbers[] = {"tinyint", "smallint", "mediumint", "int",  "bigint",
					      "decimal", "float",    "double",    "year", "bit"};
	enum { EXACT_NUMBERS = 6 };
	struct advise_column *of = arg;
	size_t i = 0;

	while (row->n >= 3 && i < countof(numbers) && !span_ieq(row->value[0], span_str(numbers[i])))
		i++;
	of->other_is_number = row->n >= 3 && i < countof(numbers);
	of->other_is_exact = of->other_is_number && i < EXACT_NUMBERS && span_eq(row->value[1], span_str("0")) &&
			     !memmem(row->value[2].p, row->value[2].len, "zerofill", strlen("zerofill"));
	return RC_OK;
}

static enum rc look_type(struct sqlconn *c, const struct advise_table *t, struct advise_column *of)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	return advise_put_column_of(&sql, "DATA_TYPE, NUMERIC_SCALE, COLUMN_TYPE", t, of->other) == RC_OK ? run(c, &sql, on_type, of) : RC_ERROR;
}

enum rc advise_look_others(struct sqlconn *c, struct span text, const struct sql_facts *f, const char *schema,
			   struct advise_columns *cols)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < cols->n && rc == RC_OK; i++) {
		struct advise_column *col = &cols->at[i];
		struct advise_table t;

		if (col->is_text && col->other[0] && advise_table_of(text, f, col->other_table, schema, &t) == RC_OK)
			rc = look_type(c, &t, col);
	}
	return rc;
}

/* ---- indexes ---- */

struct indexes {
	const struct advise_columns *wanted;
	char key[ADVISE_NAME]; /* of the index being read */
	char column[MOST_INDEX][ADVISE_NAME];
	size_t n;
	bool unique;
	struct advise_known *known;
};

/* Does the index begin with the wanted columns? Those that stand for equalities may come in any order. */
static bool serves(const struct indexes *x)
{
	const struct advise_columns *w = x->wanted;
	size_t equals = 0;

	while (equals < w->n && w->at[equals].use <= ADVISE_IN)
		equals++;
	if (x->n < w->n)
		return false;
	for (size_t i = 0; i < w->n; i++) {
		size_t from = i < equals ? 0 : i, to = i < equals ? equals : i + 1;
		bool there = false;

		for (size_t j = from; j < to && !there; j++)
			there = span_ieq(span_str(x->column[j]), span_str(w->at[i].name));
		if (!there)
			return false;
	}
	return true;
}

/* Is the index itself the beginning of the wanted columns? */
static bool is_beginning(const struct indexes *x)
{
	if (x->n > x->wanted->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (!span_ieq(span_str(x->column[i]), span_str(x->wanted->at[i].name)))
			return false;
	return true;
}

static void end_index(struct indexes *x)
{
	if (x->n && strcmp(x->key, "PRIMARY") == 0)
		memcpy(x->known->primary, x->column[0], ADVISE_NAME);
	if (x->n && !x->known->serves[0] && serves(x))
		memcpy(x->known->serves, x->key, ADVISE_NAME);
	else if (x->n && !x->unique && !x->known->redundant[0] && is_beginning(x))
		memcpy(x->known->redundant, x->key, ADVISE_NAME);
	x->n = 0;
}

static void take(char out[ADVISE_NAME], struct span s)
{
	snprintf(out, ADVISE_NAME, SPAN_FMT, (int)(s.len < ADVISE_NAME ? s.len : ADVISE_NAME - 1), s.p ? s.p : "");
}

static enum rc on_index(void *arg, const struct sqlconn_row *row)
{
	struct indexes *x = arg;
	struct span key = sqlconn_field(row, "Key_name"), type = sqlconn_field(row, "Index_type");

	if (!span_eq(key, span_str(x->key)))
		end_index(x);
	if (!span_ieq(type, span_str("BTREE")) || x->n == MOST_INDEX)
		return RC_OK;
	take(x->key, key);
	x->unique = span_eq(sqlconn_field(row, "Non_unique"), span_str("0"));
	take(x->column[x->n++], sqlconn_field(row, "Column_name"));
	return RC_OK;
}

enum rc advise_look_indexes(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index,
			    struct advise_known *out)
{
	struct indexes x = {.wanted = index, .known = out};
	struct iobuf sql;
	enum rc rc;

	*out = (struct advise_known){0};
	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SHOW INDEX FROM ") != RC_OK || advise_put_name(&sql, t->schema) != RC_OK ||
	    iobuf_append(&sql, ".", 1) != RC_OK || advise_put_name(&sql, t->name) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	rc = run(c, &sql, on_index, &x);
	end_index(&x);
	return rc;
}
