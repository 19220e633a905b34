#include <stdio.h>

#include "advise_impl.h"
#include "clock.h"

#define LIMIT_NS (3 * NS_PER_SEC) /* the server's own limit is shorter */
#define MOST_KEY_BYTES 1020       /* VARCHAR(255) in utf8mb4; three of these fit an index */
#define PREFIX 100                /* characters of a longer column to index */
#define SAMPLE_ROWS 10000
#define MOST_INDEX 16 /* columns of one index that are looked at */

enum rc advise_put_name(struct iobuf *b, const char *name)
{
	if (iobuf_append(b, "`", 1) != RC_OK)
		return RC_ERROR;
	for (; *name; name++)
		if ((*name == '`' && iobuf_append(b, "`", 1) != RC_OK) || iobuf_append(b, name, 1) != RC_OK)
			return RC_ERROR;
	return iobuf_append(b, "`", 1);
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

/* ---- columns ---- */

/* Types whose values are too long for an index get one on their beginning; some cannot have any. */
static void take_type(struct advise_column *col, struct span type, struct span octets)
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
	col->prefix = lob || length > MOST_KEY_BYTES ? PREFIX : 0;
}

/* Field, type, length in bytes */
static enum rc on_column(void *arg, const struct sqlconn_row *row)
{
	struct advise_columns *cols = arg;

	for (size_t i = 0; row->n >= 3 && i < cols->n; i++)
		if (span_ieq(row->value[0], span_str(cols->at[i].name)))
			take_type(&cols->at[i], row->value[1], row->value[2]);
	return RC_OK;
}

static enum rc put_string(struct iobuf *b, const char *s)
{
	if (iobuf_append(b, "x'", 2) != RC_OK)
		return RC_ERROR;
	for (; *s; s++)
		if (iobuf_printf(b, "%02x", (unsigned char)*s) != RC_OK)
			return RC_ERROR;
	return iobuf_append(b, "'", 1);
}

enum rc advise_look_columns(struct sqlconn *c, const struct advise_table *t, struct advise_columns *cols)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_OCTET_LENGTH FROM information_schema.COLUMNS "
			       "WHERE TABLE_SCHEMA=CONVERT(") != RC_OK ||
	    put_string(&sql, t->schema) != RC_OK ||
	    iobuf_printf(&sql, " USING utf8mb4) AND TABLE_NAME=CONVERT(") != RC_OK ||
	    put_string(&sql, t->name) != RC_OK || iobuf_printf(&sql, " USING utf8mb4)") != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_column, cols);
}

/* ---- indexes ---- */

struct indexes {
	const struct advise_columns *wanted;
	char key[ADVISE_NAME]; /* of the index being read */
	char column[MOST_INDEX][ADVISE_NAME];
	size_t n;
	char *found; /* ADVISE_NAME bytes */
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

static void end_index(struct indexes *x)
{
	if (x->n && !x->found[0] && serves(x))
		memcpy(x->found, x->key, ADVISE_NAME);
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
	take(x->column[x->n++], sqlconn_field(row, "Column_name"));
	return RC_OK;
}

enum rc advise_look_indexes(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index,
			    char out[ADVISE_NAME])
{
	struct indexes x = {.wanted = index, .found = out};
	struct iobuf sql;
	enum rc rc;

	out[0] = '\0';
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

/* ---- values ---- */

static uint64_t number(struct span s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len && i < 18 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	return v;
}

static enum rc on_sample(void *arg, const struct sqlconn_row *row)
{
	struct advise_sample *out = arg;

	if (row->n == 2)
		*out = (struct advise_sample){.rows = number(row->value[0]), .match = number(row->value[1])};
	return RC_OK;
}

static bool is_tried(const struct advise_column *c)
{
	return c->use != ADVISE_SORT && c->test.len;
}

static enum rc put_columns(const struct advise_columns *index, bool test, struct iobuf *sql)
{
	bool first = true;

	for (size_t i = 0; i < index->n; i++) {
		const struct advise_column *c = &index->at[i];

		if (!is_tried(c))
			continue;
		if ((!first && iobuf_printf(sql, "%s", test ? " AND " : ", ") != RC_OK) ||
		    advise_put_name(sql, c->name) != RC_OK ||
		    (test &&
		     (iobuf_append(sql, " ", 1) != RC_OK || iobuf_append(sql, c->test.p, c->test.len) != RC_OK)))
			return RC_ERROR;
		first = false;
	}
	return RC_OK;
}

enum rc advise_look_values(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index,
			   struct advise_sample *out)
{
	struct iobuf sql;
	bool any = false;

	*out = (struct advise_sample){0};
	for (size_t i = 0; i < index->n; i++)
		any |= is_tried(&index->at[i]);
	if (!any)
		return RC_OK;
	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT COUNT(*), SUM(") != RC_OK || put_columns(index, true, &sql) != RC_OK ||
	    iobuf_printf(&sql, ") FROM (SELECT ") != RC_OK || put_columns(index, false, &sql) != RC_OK ||
	    iobuf_printf(&sql, " FROM ") != RC_OK || advise_put_name(&sql, t->schema) != RC_OK ||
	    iobuf_append(&sql, ".", 1) != RC_OK || advise_put_name(&sql, t->name) != RC_OK ||
	    iobuf_printf(&sql, " LIMIT %d) s", SAMPLE_ROWS) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	return run(c, &sql, on_sample, out);
}
