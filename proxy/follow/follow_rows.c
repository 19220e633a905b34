/*
 * follow_rows.c - rows to tags (C6). The images say the values; which columns are keys, and whether they are signed, the
 * catalog does. What does not fit together goes by table.
 */
#include "catalog.h"
#include "follow_impl.h"
#include "rowvalue.h"

#define KEYS CATALOG_KEYS_MOST

/* ---- the schemas of the server itself: nothing of them is cached, but who may do what stands there ---- */

void follow_system_table(struct span table, struct follow_set *out)
{
	static const char *const names[] = {"user",	    "global_priv",  "db",	   "tables_priv",   "columns_priv",
					    "procs_priv",   "proxies_priv", "role_edges",  "default_roles", "global_grants",
					    "roles_mapping"};

	for (size_t i = 0; i < countof(names); i++)
		if (span_ieq(table, span_str(names[i])))
			out->accounts = out->anything = true;
}

/* ---- a row's keys ---- */

/* False: the value names no row that a statement could. */
static bool value_of(const struct catalog_key *k, const struct binlog_value *v, struct rowvalue *out)
{
	if (k->type == CATALOG_INTEGER)
		return v->kind == BINLOG_INTEGER && rowvalue_number(v->raw, k->is_unsigned, out);
	return v->kind == BINLOG_STRING && !k->wide && rowvalue_text(v->raw, out);
}

/* The row by this key; or all that was read through the key. Where it is NULL no statement names it. */
static void put_key(struct follow_set *s, cache_tag table, const struct catalog_key *k, const struct binlog_value *v)
{
	cache_tag key = cache_tag_key(table, span_str(k->column));
	struct rowvalue value;

	if (v->kind == BINLOG_NULL)
		return;
	follow_put_tag(s, &(struct follow_tag){value_of(k, v, &value) ? cache_tag_row(key, rowvalue_span(&value)) : key, key, table});
}

/* What an update leaves out of the row as it is now has not changed. */
static void put_image(struct follow_set *s, cache_tag table, const struct catalog_keys *keys, const struct binlog_value *values,
		      bool changed)
{
	for (unsigned i = 0; i < keys->n; i++)
		if (!changed || values[i].kind != BINLOG_ABSENT)
			put_key(s, table, &keys->at[i], &values[i]);
}

/* RC_ERROR: the rows cannot be read. */
static enum rc put_rows(struct binlog_rows *rows, cache_tag table, const struct catalog_keys *keys, struct follow_set *s)
{
	struct binlog_value values[KEYS];
	bool after = rows->change == BINLOG_INSERTED;
	enum rc rc = RC_DECLINED;

	for (unsigned i = 0; i < keys->n; i++)
		values[i].column = (uint16_t)(keys->at[i].position - 1);
	follow_put_tag(s, &(struct follow_tag){cache_tag_rows(table), table, table});
	while (!s->by_table && (rc = binlog_image_next(rows, after, values, keys->n)) == RC_OK) {
		put_image(s, table, keys, values, after && rows->change == BINLOG_UPDATED);
		if (rows->change == BINLOG_UPDATED)
			after = !after;
	}
	return s->by_table || rc == RC_DECLINED ? RC_OK : RC_ERROR;
}

/* Every key is where the image can have it, and no cascade changes further rows of the table. */
static bool keys_fit(const struct binlog_rows *rows, const struct catalog_keys *keys)
{
	const struct binlog_table *t = rows->table;

	if (rows->change != BINLOG_INSERTED && !keys->written_by_row)
		return false;
	for (unsigned i = 0; i < keys->n; i++)
		if (keys->at[i].position < 1 || keys->at[i].position > t->columns)
			return false;
	return keys->n > 0;
}

/* ---- the event ---- */

struct others { struct follow_set *set; cache_tag own; unsigned n; };

static enum rc put_other(void *arg, struct span schema, struct span table)
{
	struct others *o = arg;

	if (o->n++ == 0)
		o->own = cache_tag_table(schema, table);
	else
		(void)follow_put_name(o->set, schema, table);
	return RC_OK;
}

static void one_table(struct follow *f, struct binlog_rows *rows, struct follow_set *out)
{
	const struct binlog_table *t = rows->table;
	struct others o = {.set = out, .own = cache_tag_table(t->schema, t->name)};
	struct catalog_keys keys;
	const char *why;

	/* Rows that are new have no children yet. What triggers write stands in the log for itself; what cascades do does not. */
	if (catalog_row_changes(f->in->catalog, t->schema, t->name, put_other, &o, &why) != RC_OK &&
	    rows->change != BINLOG_INSERTED)
		out->anything = true;
	follow_put_table(out, o.own);
	if (out->anything || out->by_table)
		return;
	if (!rows->readable || catalog_row_keys(f->in->catalog, t->schema, t->name, &keys) != RC_OK || !keys_fit(rows, &keys) ||
	    put_rows(rows, o.own, &keys, out) != RC_OK)
		follow_put_tag(out, &(struct follow_tag){o.own, o.own, o.own});
}

void follow_rows(struct follow *f, struct binlog_rows *rows, struct follow_set *out)
{
	if (!rows->table) {
		stats_count(f->sink, STATS_C_CACHE_BINLOG_UNREADABLE, 1);
		out->anything = true;
	} else if (!catalog_is_system(rows->table->schema)) {
		one_table(f, rows, out);
	} else if (span_ieq(rows->table->schema, span_str("mysql"))) {
		follow_system_table(rows->table->name, out);
	}
}
