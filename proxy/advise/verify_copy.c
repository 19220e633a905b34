#include "verify.h"

#include <inttypes.h>

#define SLICES 20 /* a large table's sample comes from so many places of it */

/* ---- the scratch schema ---- */

bool verify_scratch_allowed(const char *name, const char **why)
{
	size_t len = strlen(name);

	*why = "a scratch schema's name is of 1 to 64 letters, digits, _ and $";
	if (len == 0 || len >= VERIFY_NAME ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$") != len)
		return false;
	*why = "that schema is the server's own";
	if (catalog_is_system(span_str(name)))
		return false;
	*why = "that name looks like production";
	return !strcasestr(name, "prod");
}

struct three {
	uint64_t n[3];
};

static enum rc on_three(void *arg, const struct sqlconn_row *row)
{
	struct three *t = arg;

	for (unsigned i = 0; i < row->n && i < countof(t->n); i++)
		t->n[i] = advise_number(row->value[i]);
	return RC_OK;
}

enum rc verify_make_schema(struct verify *v)
{
	struct three is = {{0}};
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (strcasecmp(v->o->scratch, v->what->schema) == 0)
		return verify_fail(v, RC_DECLINED, "the scratch schema is the one that the statement reads");
	if (iobuf_printf(&sql,
			 "SELECT (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='%s'),"
			 " (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s'),"
			 " (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='%s')",
			 v->o->scratch, v->o->scratch, v->o->scratch) != RC_OK ||
	    verify_sql(v, &sql, on_three, &is) != RC_OK)
		return RC_ERROR;
	if (is.n[1] || is.n[2])
		return verify_fail(v, RC_DECLINED, "the schema %s is not empty: name one that is, or that is not there", v->o->scratch);
	if (is.n[0])
		return RC_OK;
	if (iobuf_printf(&sql, "CREATE DATABASE `%s`", v->o->scratch) != RC_OK || verify_sql(v, &sql, NULL, NULL) != RC_OK)
		return RC_ERROR;
	v->made_schema = true;
	return RC_OK;
}

/* "`schema`.`table`" behind head */
static enum rc put_table(struct iobuf *sql, const char *head, const char *schema, const char *table)
{
	return iobuf_append(sql, head, strlen(head)) == RC_OK && advise_put_name(sql, schema) == RC_OK &&
			       iobuf_append(sql, ".", 1) == RC_OK ?
		       advise_put_name(sql, table) :
		       RC_ERROR;
}

static enum rc of_copy(struct verify *v, const char *head, const struct verify_table *t, sqlconn_row_fn row, void *arg)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	return put_table(&sql, head, v->o->scratch, t->name) == RC_OK ? verify_sql(v, &sql, row, arg) : RC_ERROR;
}

/* Tables one by one, then the schema where it was made here: as no other's table is in it, nothing else goes. */
enum rc verify_drop(struct verify *v)
{
	struct three left = {{1}};
	enum rc rc = RC_OK;
	struct iobuf sql;

	iobuf_init(&sql, 0);
	for (size_t i = 0; i < v->n; i++) {
		if (v->table[i].made && of_copy(v, "DROP TABLE ", &v->table[i], NULL, NULL) != RC_OK)
			rc = RC_ERROR;
		else
			v->table[i].made = false;
	}
	if (rc != RC_OK || !v->made_schema)
		return rc;
	if (iobuf_printf(&sql, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s'", v->o->scratch) != RC_OK ||
	    verify_sql(v, &sql, on_three, &left) != RC_OK)
		return RC_ERROR;
	if (left.n[0])
		return verify_fail(v, RC_ERROR, "somebody else has made a table there");
	return iobuf_printf(&sql, "DROP DATABASE `%s`", v->o->scratch) == RC_OK ? verify_sql(v, &sql, NULL, NULL) : RC_ERROR;
}

/* ---- a table ---- */

struct columns {
	struct iobuf list;   /* quoted; without those that the server computes */
	struct iobuf key;    /* the primary key's only column, quoted, if that is a whole number; else empty */
	uint64_t rows;       /* an estimate */
};

static enum rc on_column(void *arg, const struct sqlconn_row *row)
{
	struct columns *c = arg;
	char name[ADVISE_NAME];

	if (row->n < 2 || row->value[0].len >= sizeof(name))
		return RC_DECLINED;
	memcpy(name, row->value[0].p, row->value[0].len);
	name[row->value[0].len] = '\0';
	if (span_eq(row->value[1], span_str("1")) && advise_put_name(&c->key, name) != RC_OK)
		return RC_ERROR;
	if (iobuf_len(&c->list) && iobuf_append(&c->list, ", ", 2) != RC_OK)
		return RC_ERROR;
	return advise_put_name(&c->list, name);
}

static enum rc ask(struct verify *v, const char *head, const char *table, const char *tail, sqlconn_row_fn row, void *arg)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (iobuf_append(&sql, head, strlen(head)) == RC_OK && advise_put_of(&sql, v->what->schema, table) == RC_OK &&
	    iobuf_append(&sql, tail, strlen(tail)) == RC_OK)
		return verify_sql(v, &sql, row, arg);
	iobuf_reset(&sql);
	return RC_ERROR;
}

static enum rc look(struct verify *v, const char *table, struct columns *c)
{
	struct three is = {{0}};
	enum rc rc = ask(v, "SELECT COALESCE(TABLE_ROWS, 0), TABLE_TYPE='BASE TABLE' FROM information_schema.TABLES WHERE", table, "",
			 on_three, &is);

	if (rc == RC_OK && !is.n[1])
		return verify_fail(v, RC_DECLINED, "%s.%s is no table, or this account may not read it", v->what->schema, table);
	c->rows = is.n[0];
	if (rc == RC_OK)
		rc = ask(v,
			 "SELECT COLUMN_NAME, COLUMN_KEY='PRI' AND DATA_TYPE IN ('tinyint','smallint','mediumint','int','bigint')"
			 " AND (SELECT COUNT(*) FROM information_schema.COLUMNS p WHERE p.TABLE_SCHEMA=c.TABLE_SCHEMA AND"
			 " p.TABLE_NAME=c.TABLE_NAME AND p.COLUMN_KEY='PRI')=1 FROM information_schema.COLUMNS c"
			 " WHERE COALESCE(GENERATION_EXPRESSION, '')='' AND",
			 table, " ORDER BY ORDINAL_POSITION", on_column, c);
	return rc;
}

/* The bounds of the key's slice: all between its least and its largest value in parts of the same width. */
static enum rc put_slice(struct iobuf *sql, const char *from, const char *key, unsigned slice, unsigned long rows)
{
	enum rc rc = iobuf_printf(sql, " s JOIN (SELECT MIN(%s) least, MAX(%s) - MIN(%s) width FROM %s) b ON s.%s >= b.least + b.width * %u DIV %u",
				  key, key, key, from, key, slice, SLICES);

	if (rc == RC_OK && slice + 1 < SLICES)
		rc = iobuf_printf(sql, " AND s.%s < b.least + b.width * %u DIV %u", key, slice + 1, SLICES);
	return rc == RC_OK ? iobuf_printf(sql, " ORDER BY s.%s LIMIT %lu", key, rows / SLICES + 1) : rc;
}

static enum rc copy_rows(struct verify *v, const struct verify_table *t, const struct columns *c, const char *from, int slice)
{
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = put_table(&sql, "INSERT INTO ", v->o->scratch, t->name);
	if (rc == RC_OK)
		rc = iobuf_printf(&sql, " (%s) SELECT %s FROM %s", (const char *)iobuf_data(&c->list), (const char *)iobuf_data(&c->list), from);
	if (rc == RC_OK)
		rc = slice < 0 ? iobuf_printf(&sql, " LIMIT %lu", v->o->rows) :
				 put_slice(&sql, from, (const char *)iobuf_data(&c->key), (unsigned)slice, v->o->rows);
	if (rc == RC_OK)
		return verify_sql(v, &sql, NULL, NULL);
	iobuf_reset(&sql);
	return rc;
}

static enum rc fill(struct verify *v, const struct verify_table *t, struct columns *c, bool sliced)
{
	struct iobuf from;
	enum rc rc;

	iobuf_init(&from, 0);
	rc = put_table(&from, "", v->what->schema, t->name);
	/* what printf takes as text ends */
	if (rc == RC_OK && (iobuf_append(&from, "", 1) != RC_OK || iobuf_append(&c->list, "", 1) != RC_OK ||
			    iobuf_append(&c->key, "", 1) != RC_OK))
		rc = RC_ERROR;
	for (int i = 0; rc == RC_OK && i < (sliced ? SLICES : 1); i++)
		rc = verify_is_interrupted() ? verify_fail(v, RC_ERROR, "interrupted") :
					       copy_rows(v, t, c, (const char *)iobuf_data(&from), sliced ? i : -1);
	iobuf_reset(&from);
	return rc;
}

static enum rc make(struct verify *v, struct verify_table *t)
{
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (put_table(&sql, "CREATE TABLE ", v->o->scratch, t->name) != RC_OK ||
	    put_table(&sql, " LIKE ", v->what->schema, t->name) != RC_OK) {
		iobuf_reset(&sql);
		return RC_ERROR;
	}
	if (verify_sql(v, &sql, NULL, NULL) != RC_OK)
		return RC_ERROR;
	t->made = true;
	return RC_OK;
}

static enum rc copy(struct verify *v, struct verify_table *t, struct columns *c)
{
	struct three copied = {{0}};
	enum rc rc = look(v, t->name, c);
	bool part = c->rows > v->o->rows, sliced = part && iobuf_len(&c->key);

	if (rc == RC_OK)
		rc = make(v, t);
	if (rc == RC_OK)
		rc = fill(v, t, c, sliced);
	if (rc == RC_OK)
		rc = of_copy(v, "ANALYZE TABLE ", t, NULL, NULL);
	if (rc == RC_OK)
		rc = of_copy(v, "SELECT COUNT(*) FROM ", t, on_three, &copied);
	if (rc == RC_OK)
		(void)fprintf(v->o->out, "  copied   %" PRIu64 " rows of %s.%s%s\n", copied.n[0], v->what->schema, t->name,
			      !part ? "" : sliced ? ", from all over it" : ", its first");
	return rc;
}

enum rc verify_copy_tables(struct verify *v)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < v->n && rc == RC_OK; i++) {
		struct columns c = {.rows = 0};

		iobuf_init(&c.list, 1024 * 1024);
		iobuf_init(&c.key, 0);
		rc = copy(v, &v->table[i], &c);
		iobuf_reset(&c.list);
		iobuf_reset(&c.key);
	}
	return rc;
}
