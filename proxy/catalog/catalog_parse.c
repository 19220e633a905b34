/*
 * catalog_parse.c - what the texts in information_schema say: a view's definition, a trigger's body.
 */
#include "catalog_parse.h"

#include "catalog_body.h"
#include "catalog_session.h"
#include "catalog_today.h"
#include "mem.h"

static const char *why_not_view(const struct sql_facts *f)
{
	if (f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI))
		return "the view's definition is not understood";
	if (f->flags & SQL_F_SYSTEM_SCHEMA)
		return "the view reads a system schema";
	if (f->flags & CATALOG_BEYOND_TABLES)
		return "the view's answer hangs on more than its tables";
	return f->flags & (SQL_F_WRITES | SQL_F_LOCKING_READ) ? "the view's definition is not understood" : NULL;
}

enum rc catalog_link_tables(struct snapshot *s, const struct entity *e, const struct sql_facts *f, bool written,
			    struct edge **list)
{
	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct sql_table *t = &f->tables[i];
		struct entity *to;

		if (written && !t->written)
			continue;
		if (t->schema.len > SNAPSHOT_NAME_MAX || t->name.len > SNAPSHOT_NAME_MAX)
			return RC_DECLINED;
		to = snapshot_get(s, t->schema.len ? t->schema : e->schema, t->name);
		if (!to || snapshot_link(list, to) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

enum rc catalog_link_calls(struct snapshot *s, const struct entity *e, const struct sql_facts *f, struct edge **list)
{
	bool calls = f->verb == SQL_CALL;

	/* Functions that one of the servers has are the server's own, unless a routine of the name is there. */
	for (uint16_t i = 0; i < f->nroutines; i++) {
		const struct sql_routine *r = &f->routines[i];
		struct span schema = r->schema.len ? r->schema : e->schema;
		struct entity *to;

		if (!calls && !(f->flags & SQL_F_STORED_FUNCTION))
			continue;
		if (schema.len > SNAPSHOT_NAME_MAX || r->name.len >= SNAPSHOT_NAME_MAX)
			return RC_DECLINED;
		to = snapshot_get_routine(s, schema, r->name, calls && i == 0);
		if (!to || snapshot_link(list, to) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

static enum rc facts_of_expression(struct span expression, struct sql_facts *f)
{
	char *select = mem_printf("SELECT " SPAN_FMT, SPAN_ARG(expression));
	enum rc rc = select ? sql_facts_parse(span_str(select), 0, f) : RC_ERROR;

	mem_free(select);
	return rc;
}

/* MariaDB lets a column that is not kept say NOW() and the like. */
enum rc catalog_take_computed(struct entity *e, struct span expression)
{
	struct sql_facts f;
	enum rc rc = facts_of_expression(expression, &f);

	if (rc != RC_OK)
		return rc;
	if (!e->why_reads && f.flags & (CATALOG_BEYOND_TABLES | SQL_F_UNKNOWN | SQL_F_MULTI | SQL_F_STORED_FUNCTION))
		e->why_reads = "a column of it is computed from more than its row";
	if (!e->why_reads && catalog_column_hangs_on_today(e, expression))
		e->why_reads = "a column of it makes of a time one of today";
	if (f.flags & (CATALOG_NOT_LATER | SQL_F_UNKNOWN | SQL_F_MULTI))
		e->why_not_later = "a column of it is computed from what would be another answer when it is applied";
	sql_facts_free(&f);
	return RC_OK;
}

enum rc catalog_take_default(struct entity *e, struct span expression)
{
	struct sql_facts f;
	enum rc rc = facts_of_expression(expression, &f);

	if (rc != RC_OK)
		return rc;
	e->defaults_not_later |= (f.flags & (CATALOG_NOT_LATER | SQL_F_UNKNOWN | SQL_F_MULTI)) != 0;
	sql_facts_free(&f);
	return RC_OK;
}

/* The views among what it reads. Tables and views are known by now. */
static enum rc link_views(struct snapshot *s, struct entity *e, const struct sql_facts *f)
{
	for (uint16_t i = 0; i < f->ntables; i++) {
		const struct sql_table *t = &f->tables[i];
		struct entity *to = snapshot_find(s, t->schema.len ? t->schema : e->schema, t->name);

		if (to && to->kind == CATALOG_VIEW && snapshot_link(&e->writes, to) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

/* What a view calls may write, whatever else there is to say of it. */
static enum rc link_called(struct snapshot *s, struct entity *e, const struct sql_facts *f)
{
	enum rc rc = link_views(s, e, f);

	return rc == RC_OK ? catalog_link_calls(s, e, f, &e->writes) : rc;
}

static bool view_hangs_on_today(const struct snapshot *s, const struct entity *e, const struct sql_facts *f, struct span definition)
{
	struct sql_today t;

	catalog_judge_today(s, f, e->schema, definition, 0, &t);
	return t.always;
}

/* Servers differ in how they print a string with a backslash for sessions in which it does not escape. */
static enum rc take_ambiguous(struct snapshot *s, struct entity *e, struct span definition)
{
	static const unsigned modes[] = {0, SQL_MODE_NO_BACKSLASH_ESCAPES};
	enum rc rc = RC_OK;

	e->why_reads = "the view's definition holds a backslash";
	for (size_t i = 0; i < countof(modes) && rc == RC_OK; i++) {
		struct sql_facts f;

		if (sql_facts_parse(definition, modes[i], &f) != RC_OK)
			return RC_ERROR;
		rc = link_called(s, e, &f);
		sql_facts_free(&f);
	}
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

enum rc catalog_take_view(struct snapshot *s, struct entity *e, struct span definition)
{
	struct sql_facts f;
	enum rc rc;

	if (memchr(definition.p, '\\', definition.len))
		return take_ambiguous(s, e, definition);
	if (sql_facts_parse(definition, 0, &f) != RC_OK)
		return RC_ERROR;
	e->why_reads = why_not_view(&f);
	if (!e->why_reads && view_hangs_on_today(s, e, &f, definition))
		e->why_reads = "the view makes of a time one of today";
	rc = e->why_reads ? RC_OK : catalog_link_tables(s, e, &f, false, &e->reads);
	if (rc == RC_OK && !e->why_reads)
		rc = catalog_link_calls(s, e, &f, &e->reads);
	if (rc == RC_OK)
		rc = link_called(s, e, &f);
	sql_facts_free(&f);
	if (rc == RC_DECLINED)
		e->why_reads = "the view's definition holds a name that is too long";
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

/* ---- triggers ---- */

static bool has_word(struct span list, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= list.len; i++)
		if (strncasecmp(list.p + i, word, len) == 0 && (i == 0 || list.p[i - 1] == ',') &&
		    (i + len == list.len || list.p[i + len] == ','))
			return true;
	return false;
}

unsigned catalog_mode_of(struct span sql_mode)
{
	unsigned mode = 0;

	if (has_word(sql_mode, "ANSI_QUOTES"))
		mode |= SQL_MODE_ANSI_QUOTES;
	if (has_word(sql_mode, "NO_BACKSLASH_ESCAPES"))
		mode |= SQL_MODE_NO_BACKSLASH_ESCAPES;
	if (has_word(sql_mode, "ORACLE"))
		mode |= SQL_MODE_ORACLE;
	if (has_word(sql_mode, "PIPES_AS_CONCAT"))
		mode |= SQL_MODE_PIPES_AS_CONCAT;
	return mode;
}

bool catalog_moves_rows_only(const struct sql_facts *f)
{
	switch (f->verb) {
	case SQL_SELECT:
	case SQL_INSERT:
	case SQL_REPLACE:
	case SQL_UPDATE:
	case SQL_DELETE:
	case SQL_SET:
	case SQL_DO:
	case SQL_CALL:
		return true;
	default:
		return false;
	}
}

static const char *why_not_trigger(const struct sql_facts *f)
{
	if (f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI) || !catalog_moves_rows_only(f))
		return "a trigger on it is not understood";
	return NULL;
}

struct trigger {
	struct snapshot *s;
	struct entity *e;
	unsigned mode;
};

/* An expression of the control flow is read as what a SELECT would answer. */
static enum rc on_piece(void *arg, struct span text, enum catalog_piece piece)
{
	struct trigger *t = arg;
	bool expression = piece == CATALOG_EXPRESSION;
	char *select = expression ? mem_printf("SELECT " SPAN_FMT, SPAN_ARG(text)) : NULL;
	struct sql_facts f;
	const char *why;
	enum rc rc;

	if (piece == CATALOG_VARIABLE)
		return RC_OK;
	if (expression && !select)
		return RC_ERROR;
	rc = sql_facts_parse(select ? span_str(select) : text, t->mode, &f);
	mem_free(select);
	if (rc != RC_OK)
		return rc;
	if (f.flags & CATALOG_NOT_LATER)
		t->e->why_not_later = "a trigger on it asks for what would be another answer when it is applied";
	why = why_not_trigger(&f);
	if (why)
		t->e->why_writes = why;
	else
		rc = catalog_link_tables(t->s, t->e, &f, true, &t->e->writes);
	if (!why && rc == RC_OK)
		rc = catalog_link_calls(t->s, t->e, &f, &t->e->writes);
	if (!why && rc == RC_OK)
		rc = catalog_link_tables(t->s, t->e, &f, false, &t->e->needs);
	if (!why && rc == RC_OK)
		rc = catalog_link_calls(t->s, t->e, &f, &t->e->needs);
	sql_facts_free(&f);
	return why ? RC_DECLINED : rc;
}

enum rc catalog_take_trigger(struct snapshot *s, struct entity *e, struct span body, struct span sql_mode)
{
	struct trigger t = {.s = s, .e = e, .mode = catalog_mode_of(sql_mode)};
	const char *before = e->why_writes;
	enum rc rc;

	if (catalog_take_session(s, e, body, span_of("", 0), t.mode) != RC_OK)
		return RC_ERROR;
	if (e->sets)
		e->why_not_later = "a trigger on it sets what its session keeps";
	if (body.len == 0) {
		e->why_writes = "the account that reads the schema may not see a trigger on it";
		return RC_OK;
	}
	rc = catalog_body_walk(body, t.mode, on_piece, &t);
	if (rc == RC_DECLINED && e->why_writes == before)
		e->why_writes = "a trigger on it is not understood";
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}
