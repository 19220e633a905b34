#include "catalog_today.h"

#include <string.h>

#include "mem.h"

/* The tables, views and routines whose names a text may mean. */
struct meant {
	size_t ntables, nroutines;
	const struct entity *tables[SQL_MAX_TABLES];
	const struct entity *routines[SQL_MAX_TABLES];
};

unsigned catalog_kind_of_type(struct span type)
{
	static const char *const dates[] = {"date", "datetime", "timestamp", "year"};

	if (span_ieq(type, span_str("time")))
		return SQL_KIND_TIME;
	for (size_t i = 0; i < countof(dates); i++)
		if (span_ieq(type, span_str(dates[i])))
			return SQL_KIND_DATE;
	return 0;
}

/* Letters that have another case but in ASCII, and quotes, which are doubled. */
static bool is_odd(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] >= 0x80 || name.p[i] == '`' || name.p[i] == '"')
			return true;
	return false;
}

enum rc catalog_add_temporal(struct entity *e, struct span column, struct span type)
{
	unsigned kinds = catalog_kind_of_type(type);
	struct temporal *t;

	if (!kinds)
		return RC_OK;
	t = mem_alloc(sizeof(*t) + column.len);
	if (!t)
		return RC_ERROR;
	*t = (struct temporal){.next = e->temporals, .kinds = kinds, .odd = is_odd(column), .len = column.len};
	memcpy(t->name, column.p, column.len);
	e->temporals = t;
	return RC_OK;
}

static struct span unquoted(struct span name)
{
	if (name.len >= 2 && (*name.p == '`' || *name.p == '"') && name.p[name.len - 1] == *name.p)
		return span_of(name.p + 1, name.len - 2);
	return name;
}

static unsigned kinds_of_columns(const struct entity *e, struct span name)
{
	bool odd = is_odd(name);
	unsigned kinds = 0;

	for (const struct temporal *t = e->temporals; t; t = t->next)
		if (!name.len || (odd && t->odd) || span_ieq(name, span_of(t->name, t->len)))
			kinds |= t->kinds;
	return kinds;
}

static unsigned kinds_of(void *arg, struct span name, bool call)
{
	const struct meant *m = arg;
	unsigned kinds = 0;

	name = unquoted(name);
	for (size_t i = 0; call && i < m->nroutines; i++)
		if (is_odd(name) || span_ieq(name, snapshot_bare_name(m->routines[i])))
			kinds |= m->routines[i]->kinds;
	for (size_t i = 0; !call && i < m->ntables; i++)
		kinds |= kinds_of_columns(m->tables[i], name);
	return kinds;
}

void catalog_judge_today(const struct snapshot *s, const struct sql_facts *f, struct span schema, struct span text, unsigned mode,
			 struct sql_today *out)
{
	struct meant m = {0};

	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct entity *e = snapshot_find(s, f->tables[i].schema.len ? f->tables[i].schema : schema, f->tables[i].name);

		if (e && m.ntables < countof(m.tables))
			m.tables[m.ntables++] = e;
	}
	for (uint16_t i = 0; i < f->nroutines; i++) {
		const struct sql_routine *r = &f->routines[i];
		const struct entity *e = snapshot_find_routine(s, r->schema.len ? r->schema : schema, r->name, false);

		if (e && m.nroutines < countof(m.routines))
			m.routines[m.nroutines++] = e;
	}
	sql_today(text, mode, false, 0, kinds_of, &m, out);
}

bool catalog_column_hangs_on_today(const struct entity *e, struct span expression)
{
	struct meant m = {.ntables = 1, .tables = {e}};
	struct sql_today t;

	sql_today(expression, 0, true, 0, kinds_of, &m, &t);
	return t.always;
}

bool catalog_routine_hangs_on_today(const struct entity *e, struct span body, unsigned mode)
{
	struct meant m = {0};
	struct sql_today t;

	for (const struct edge *at = e->reads; at; at = at->next) {
		bool routine = snapshot_is_routine(at->to);

		if ((routine ? m.nroutines : m.ntables) == countof(m.tables))
			return true;
		if (routine)
			m.routines[m.nroutines++] = at->to;
		else
			m.tables[m.ntables++] = at->to;
	}
	sql_today(body, mode, true, e->kinds, kinds_of, &m, &t);
	return t.always;
}
