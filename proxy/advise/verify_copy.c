#include "verify.h"

#include <inttypes.h>
#include <string.h>

#define SLICES 20 /* a large table's sample comes from so many places of it */

/* ---- the scratch schema ---- */

bool verify_scratch_allowed(const char *name, const char *why[1])
{
	static const char *const taken[] = {"mysql", "information_schema", "performance_schema", "sys"};
	size_t len = strlen(name);

	*why = "its name is not of 1 to 64 letters, digits, _ and $";
	if (len == 0 || len >= VERIFY_NAME ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$") != len)
		return false;
	*why = "it is the server's own";
	for (size_t i = 0; i < countof(taken); i++)
		if (span_ieq(span_str(name), span_str(taken[i])))
			return false;
	*why = "its name looks like production";
	return !strcasestr(name, "prod");
}

static enum rc on_count(void *arg, const struct sqlconn_row *row)
{
	uint64_t *n = arg;

	for (unsigned i = 0; i < row->n && i < 3; i++) {
		n[i] = 0;
		for (size_t k = 0; k < row->value[i].len && row->value[i].p[k] >= '0' && row->value[i].p[k] <= '9' && n[i] < UINT64_MAX / 100; k++)
			n[i] = n[i] * 10 + (uint64_t)(row->value[i].p[k] - '0');
	}
	return RC_OK;
}

enum rc verify_make_schema(struct verify *v)
{
	uint64_t n[3] = {0};
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (strcmp(v->o->scratch, v->what->schema) == 0)
		return verify_fail(v, RC_DECLINED, "the scratch schema is the one that the statement reads");
	if (iobuf_printf(&sql,
			 "SELECT (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='%s'),"
			 " (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s'),"
			 " (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='%s')",
			 v->o->scratch, v->o->scratch, v->o->scratch) != RC_OK ||
	    verify_sql(v, &sql, on_count, n) != RC_OK)
		return RC_ERROR;
	if (n[1] || n[2])
		return verify_fail(v, RC_DECLINED, "the schema %s is not empty: name one that is, or that is not there", v->o->scratch);
	if (n[0])
		return RC_OK;
	if (iobuf_printf(&sql, "CREATE DATABASE `%s`", v->o->scratch) != RC_OK || verify_sql(v, &sql, NULL, NULL) != RC_OK)
		return RC_ERROR;
	v->made_schema = true;
	return RC_OK;
}

enum rc verify_drop(struct verify *v)
{
	enum rc rc = RC_OK;
	struct iobuf sql;

	iobuf_init(&sql, 0);
	for (size_t i = 0; i < v->n; i++) {
		if (!v->table[i].made)
			continue;
		if (iobuf_printf(&sql, "DROP TABLE `%s`.", v->o->scratch) != RC_OK || advise_put_name(&sql, v->table[i].name) != RC_OK ||
		    verify_sql(v, &sql, NULL, NULL) != RC_OK)
			rc = RC_ERROR;
		else
			v->table[i].made = false;
	}
	if (rc == RC_OK && v->made_schema &&
	    (iobuf_printf(&sql, "DROP DATABASE `%s`", v->o->scratch) != RC_OK || verify_sql(v, &sql, NULL, NULL) != RC_OK))
		rc = RC_ERROR;
	return rc;
}

/* ---- a table ---- */

/* "`schema`.`table`" */
static enum rc put_table(struct iobuf *sql, const char *schema, const char *table)
{
	return advise_put_name(sql, schema) == RC_OK && iobuf_append(sql, ".", 1) == RC_OK ? advise_put_name(sql, table) : RC_ERROR;
}

struct columns {
	struct iobuf list;      /* quoted; without those that the server computes */
	char key[ADVISE_NAME];  /* the primary key's only column, if that is a number; else "" */
	uint64_t rows;          /* an estimate */
};

static enum rc on_column(void *arg, const struct sqlconn_row *row)
{
	struct columns *c = arg;
	char name[ADVISE_NAME];

	if (row->n < 3 || row->value[0].len >= sizeof(name))
		return RC_DECLINED;
	memcpy(name, row->value[0].p, row->value[0].len);
	name[row->value[0].len] = '\0';
	if (span_ieq(row->value[1], span_str("1")))
		memcpy(c->key, name, sizeof(name));
	if (iobuf_len(&c->list) && iobuf_append(&c->list, ", ", 2) != RC_OK)
		return RC_ERROR;
	return advise_put_name(&c->list, name);
}

static enum rc put_where(struct iobuf *sql, const struct verify *v, const char *table)
{
	return iobuf_printf(sql, " TABLE_SCHEMA=CONVERT(") == RC_OK && advise_put_hex(sql, v->what->schema) == RC_OK &&
			       iobuf_printf(sql, " USING utf8mb4) AND TABLE_NAME=CONVERT(") == RC_OK && advise_put_hex(sql, table) == RC_OK ?
		       iobuf_printf(sql, " USING utf8mb4)") :
		       RC_ERROR;
}

static enum rc look(struct verify *v, const char *table, struct columns *c)
{
	uint64_t n[3] = {0};
	struct iobuf sql;
	enum rc rc;

	iobuf_init(&sql, 0);
	rc = iobuf_printf(&sql, "SELECT COALESCE(TABLE_ROWS, 0), TABLE_TYPE='BASE TABLE' FROM information_schema.TABLES WHERE");
	if (rc == RC_OK)
		rc = put_where(&sql, v, table);
	if (rc == RC_OK)
		rc = verify_sql(v, &sql, on_count, n);
	if (rc == RC_OK && !n[1])
		return verify_fail(v, RC_DECLINED, "%s.%s is no table, or this account may not read it", v->what->schema, table);
	c->rows = n[0];
	if (rc == RC_OK)
		rc = iobuf_printf(&sql, "SELECT COLUMN_NAME, COLUMN_KEY='PRI' AND DATA_TYPE IN ('tinyint','smallint','mediumint','int','bigint')"
					" AND (SELECT COUNT(*) FROM information_schema.COLUMNS p WHERE p.TABLE_SCHEMA=c.TABLE_SCHEMA AND"
					" p.TABLE_NAME=c.TABLE_NAME AND p.COLUMN_KEY='PRI')=1, 0 FROM information_schema.COLUMNS c"
					" WHERE COALESCE(GENERATION_EXPRESSION, '')='' AND");
	if (rc == RC_OK)
		rc = put_where(&sql, v, table);
	if (rc == RC_OK && iobuf_printf(&sql, " ORDER BY ORDINAL_POSITION") == RC_OK)
		return verify_sql(v, &sql, on_column, c);
	iobuf_reset(&sql);
	return RC_ERROR;
}

/* The rows of one slice of the key; all of it where there is none. */
static enum rc copy_rows(struct verify *v, const char *table, const struct columns *c, unsigned slice)
{
	struct iobuf sql, from;
	enum rc rc;

	iobuf_init(&sql, 0);
	iobuf_init(&from, 0);
	rc = put_table(&from, v->what->schema, table);
	if (rc == RC_OK && iobuf_append(&from, "", 1) == RC_OK && iobuf_printf(&sql, "INSERT INTO ") == RC_OK &&
	    put_table(&sql, v->o->scratch, table) == RC_OK)
		rc = iobuf_printf(&sql, " (%.*s) SELECT %.*s FROM %s", (int)iobuf_len(&c->list), (const char *)iobuf_data(&c->list),
				  (int)iobuf_len(&c->list), (const char *)iobuf_data(&c->list), (const char *)iobuf_data(&from));
	if (rc == RC_OK && c->key[0])
		rc = iobuf_printf(&sql,
				  " s JOIN (SELECT MIN(`%s`) AS least, MAX(`%s`) - MIN(`%s`) AS width FROM %s) b ON"
				  " s.`%s` >= b.least + b.width * %u DIV %u AND (s.`%s` < b.least + b.width * %u DIV %u OR %u = %u)"
				  " ORDER BY s.`%s` LIMIT %lu",
				  c->key, c->key, c->key, (const char *)iobuf_data(&from), c->key, slice, SLICES, c->key, slice + 1, SLICES,
				  slice + 1, SLICES, c->key, v->o->rows / SLICES + 1);
	else if (rc == RC_OK)
		rc = iobuf_printf(&sql, " LIMIT %lu", v->o->rows);
	if (rc == RC_OK)
		rc = verify_sql(v, &sql, NULL, NULL);
	iobuf_reset(&from);
	iobuf_reset(&sql);
	return rc;
}

static enum rc copy(struct verify *v, struct verify_table *t, struct columns *c)
{
	enum rc rc = look(v, t->name, c);
	bool part = c->rows > v->o->rows;
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (rc != RC_OK)
		return rc;
	if (!part || strchr(c->key, '`'))
		c->key[0] = '\0';
	if (iobuf_printf(&sql, "CREATE TABLE ") != RC_OK || put_table(&sql, v->o->scratch, t->name) != RC_OK ||
	    iobuf_printf(&sql, " LIKE ") != RC_OK || put_table(&sql, v->what->schema, t->name) != RC_OK ||
	    verify_sql(v, &sql, NULL, NULL) != RC_OK)
		return RC_ERROR;
	t->made = true;
	for (unsigned i = 0; rc == RC_OK && i < (c->key[0] ? SLICES : 1); i++)
		rc = copy_rows(v, t->name, c, i);
	if (rc == RC_OK && (iobuf_printf(&sql, "ANALYZE TABLE ") != RC_OK || put_table(&sql, v->o->scratch, t->name) != RC_OK))
		rc = RC_ERROR;
	return rc == RC_OK ? verify_sql(v, &sql, NULL, NULL) : rc;
}

static enum rc tell(struct verify *v, const struct verify_table *t, const struct columns *c)
{
	uint64_t n[3] = {0};
	struct iobuf sql;

	iobuf_init(&sql, 0);
	if (iobuf_printf(&sql, "SELECT COUNT(*) FROM ") != RC_OK || put_table(&sql, v->o->scratch, t->name) != RC_OK ||
	    verify_sql(v, &sql, on_count, n) != RC_OK)
		return RC_ERROR;
	(void)fprintf(v->o->out, "  copied   %" PRIu64 " rows of %s.%s%s\n", n[0], v->what->schema, t->name,
		      c->rows > v->o->rows ? c->key[0] ? ", from all over it" : ", its first" : "");
	return RC_OK;
}

enum rc verify_copy_tables(struct verify *v)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < v->n && rc == RC_OK; i++) {
		struct columns c = {.rows = 0};

		iobuf_init(&c.list, 1024 * 1024);
		rc = copy(v, &v->table[i], &c);
		if (rc == RC_OK)
			rc = tell(v, &v->table[i], &c);
		iobuf_reset(&c.list);
	}
	return rc;
}
