/*
 * temps.c - a session's own temporary tables: a write to one touches nothing that others see.
 *
 * Only those are kept that are certainly there: one that might have gone (by DDL, a routine, a trigger, several statements
 * at once) would leave its name to a table of everybody's. What is not kept is taken for shared, and of a name that the
 * catalog does not know for anything.
 */
#include <string.h>

#include "mem.h"
#include "request.h"

struct temp { char *name; size_t len; }; /* "schema\0table" as written; owned */
struct temps { struct temp all[SESSION_TEMPS]; uint8_t n; };

static void drop_at(struct temps *t, uint8_t i)
{
	mem_free(t->all[i].name);
	t->all[i] = t->all[--t->n];
}

void temps_forget(struct session *s)
{
	if (!s->temps)
		return;
	while (s->temps->n)
		drop_at(s->temps, 0);
	mem_free(s->temps);
	s->temps = NULL;
}

/* Where it stands in the list, or its end. Letter case counts: a name in another case is looked for among the shared. */
static uint8_t find(const struct temps *t, const struct statement *st, const struct sql_table *table)
{
	struct span schema = table->schema.len ? table->schema : span_str(st->schema);
	uint8_t i = 0;

	for (; i < t->n; i++) {
		const struct temp *e = &t->all[i];

		if (e->len == schema.len + 1 + table->name.len && memcmp(e->name, schema.p, schema.len) == 0 &&
		    memcmp(e->name + schema.len + 1, table->name.p, table->name.len) == 0)
			break;
	}
	return i;
}

static bool has(const struct session *s, const struct statement *st, const struct sql_table *t)
{
	return s->temps && find(s->temps, st, t) < s->temps->n;
}

/* One CREATE TEMPORARY TABLE and nothing else. */
static bool makes_one(const struct sql_facts *f)
{
	return f->verb == SQL_CREATE && (f->flags & SQL_F_TEMP_TABLE) && !(f->flags & (SQL_F_MULTI | SQL_F_UNKNOWN));
}

static bool is_own(const struct request *r, const struct sql_table *t)
{
	return (t->written && makes_one(&r->st->facts)) || has(r->s, r->st, t);
}

bool temps_named(const struct request *r)
{
	const struct sql_facts *f;

	if (!r->st)
		return false;
	f = &r->st->facts;
	if (likely(!r->s->temps))
		return makes_one(f);
	for (uint16_t i = 0; i < f->ntables; i++)
		if (is_own(r, &f->tables[i]))
			return true;
	return false;
}

static bool skip(const void *arg, const struct sql_table *t)
{
	return is_own(arg, t);
}

/* What it reads is looked at, too: a view may call a function that writes. */
bool temps_only(const struct request *r)
{
	const struct sql_facts *f = &r->st->facts;
	struct write_targets shared;

	if (!f->ntables || !temps_named(r) || f->flags & (SQL_F_MULTI | SQL_F_UNKNOWN | SQL_F_STORED_FUNCTION))
		return false;
	for (uint16_t i = 0; i < f->ntables; i++)
		if (f->tables[i].written && !is_own(r, &f->tables[i]))
			return false;
	return statement_shared(r->st, r->s->worker->in->catalog, skip, r, &shared) && shared.n == 0;
}

void temps_targets(const struct request *r, struct write_targets *out)
{
	const struct statement *st = r->st;

	*out = (struct write_targets){.anything = false};
	if (st && temps_only(r)) /* a DROP of it, too */
		return;
	out->anything = r->plan.writes_anything || !st || unlikely(deltas_schema_moved(r));
	if (st && temps_named(r)) {
		out->anything |= !statement_shared(st, r->s->worker->in->catalog, skip, r, out);
		return;
	}
	out->transactional = st && st->transactional;
	out->n = st ? st->nwrites : 0;
	if (out->n)
		memcpy(out->tags, st->writes, out->n * sizeof(out->tags[0]));
	out->anything |= !st || !st->resolved || !st->nwrites; /* a write that names no table has written any */
}

/* ---- after a statement ---- */

static void add(struct session *s, const struct statement *st, const struct sql_table *t)
{
	struct span schema = t->schema.len ? t->schema : span_str(st->schema);
	struct temp *e;

	if (has(s, st, t) || !schema.len)
		return;
	if (!s->temps)
		s->temps = mem_zalloc(sizeof(*s->temps));
	if (!s->temps || s->temps->n == SESSION_TEMPS)
		return; /* it is taken for shared */
	e = &s->temps->all[s->temps->n];
	e->name = mem_zalloc(schema.len + 1 + t->name.len + 1);
	if (!e->name)
		return;
	memcpy(e->name, schema.p, schema.len);
	memcpy(e->name + schema.len + 1, t->name.p, t->name.len);
	e->len = schema.len + 1 + t->name.len;
	s->temps->n++;
}

/* It may have run what drops temporary tables without naming them. */
static bool may_drop_unseen(const struct request *r)
{
	const struct sql_facts *f = &r->st->facts;
	struct write_targets shared;
	uint64_t verbs = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND) | SQL_VERB(SQL_ALTER) |
			 SQL_VERB(SQL_RENAME) | SQL_VERB(SQL_XA);

	if (f->verbs & verbs || f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_STORED_FUNCTION) ||
	    (f->verb == SQL_DROP && f->ntables == 0))
		return true;
	/* A view or a trigger may call what does: of those the catalog says that it does not know. */
	return f->ntables && !statement_shared(r->st, r->s->worker->in->catalog, skip, r, &shared);
}

void temps_settle(struct request *r)
{
	struct session *s = r->s;
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;

	if (f && makes_one(f) && !r->error && r->plan.writes) { /* a PREPARE of it writes nothing */
		if (s->temps && may_drop_unseen(r))
			temps_forget(s);
		for (uint16_t i = 0; i < f->ntables; i++)
			if (f->tables[i].written)
				add(s, r->st, &f->tables[i]);
		return;
	}
	if (likely(!s->temps))
		return;
	if (!f || may_drop_unseen(r)) {
		if (f || r->plan.writes_anything)
			temps_forget(s);
		return;
	}
	/* DROP, also one that has failed half way; CREATE OR REPLACE that has failed. */
	for (uint16_t i = 0; (f->verb == SQL_DROP || f->verb == SQL_CREATE) && i < f->ntables; i++) {
		uint8_t at = find(s->temps, r->st, &f->tables[i]);

		if (at < s->temps->n)
			drop_at(s->temps, at);
	}
}
