/*
 * catalog_ddl.c - what a procedure's body does to the schema. Temporary tables are the session's own; a DROP of what is not there changes
 * nothing (many clear away a temporary table that way, before they make it). Functions and triggers need not be looked at: the servers let
 * none of them do what commits, nor execute texts.
 */
#include "catalog_ddl.h"

#include <string.h>
#include <strings.h>

#include "catalog_accounts.h"
#include "catalog_body.h"
#include "facts.h"

static const char *const words[] = {"create", "alter", "drop", "rename"};

struct reading { struct snapshot *s; struct entity *e; unsigned mode; };

bool catalog_says_ddl(struct span text)
{
	for (size_t i = 0; i < countof(words); i++)
		if (catalog_has_word(text, words[i]))
			return true;
	return false;
}

bool catalog_holds_ddl(struct span bytes)
{
	for (size_t i = 0; i < countof(words); i++)
		if (span_iholds(bytes, span_str(words[i])))
			return true;
	return false;
}

bool catalog_may_say_ddl(struct span text)
{
	return catalog_says_ddl(text) || catalog_has_word(text, "call") || catalog_has_word(text, "execute") ||
	       catalog_has_word(text, "import"); /* MySQL's IMPORT TABLE */
}

static bool is_there(const struct reading *r, const struct sql_table *t)
{
	const struct entity *e = snapshot_find(r->s, t->schema.len ? t->schema : r->e->schema, t->name);

	return e && e->kind != CATALOG_UNKNOWN;
}

static bool drops_nothing(const struct reading *r, const struct sql_facts *f)
{
	if (f->verb != SQL_DROP || f->ntables == 0)
		return false;
	for (uint16_t i = 0; i < f->ntables; i++)
		if (is_there(r, &f->tables[i]))
			return false;
	return true;
}

/* The procedure is the first; the others are functions in its arguments. */
static enum rc link_call(struct reading *r, const struct sql_facts *f)
{
	const struct sql_routine *to = f->routines;
	struct entity *called;

	if (!f->nroutines || to->schema.len > SNAPSHOT_NAME_MAX || to->name.len >= SNAPSHOT_NAME_MAX) {
		r->e->ddl = true;
		return RC_OK;
	}
	called = snapshot_get_routine(r->s, to->schema.len ? to->schema : r->e->schema, to->name, true);
	return called ? snapshot_link(&r->e->calls, called) : RC_ERROR;
}

static enum rc take_facts(struct reading *r, const struct sql_facts *f, struct span text)
{
	enum rc rc = RC_OK;

	if (f->verb == SQL_EXECUTE)
		r->e->executes = true;
	else if (f->flags & SQL_F_UNKNOWN)
		r->e->ddl |= catalog_may_say_ddl(text);
	else if (f->flags & SQL_F_DDL && f->verb != SQL_TRUNCATE)
		r->e->ddl |= !(f->flags & SQL_F_TEMP_TABLE) && !drops_nothing(r, f);
	if (f->flags & SQL_F_DDL)
		return RC_OK;
	r->e->says_ddl |= catalog_says_ddl(text);
	if (f->verb == SQL_CALL && !(f->flags & SQL_F_UNKNOWN))
		rc = link_call(r, f);
	return rc;
}

static enum rc on_piece(void *arg, struct span text, enum catalog_piece piece)
{
	struct reading *r = arg;
	struct sql_facts f;
	enum rc rc;

	if (piece == CATALOG_VARIABLE)
		return RC_OK;
	if (piece == CATALOG_EXPRESSION) {
		r->e->says_ddl |= catalog_says_ddl(text);
		return RC_OK;
	}
	if (sql_facts_parse(text, r->mode, &f) != RC_OK)
		return RC_ERROR;
	rc = take_facts(r, &f, text);
	sql_facts_free(&f);
	return rc;
}

enum rc catalog_take_ddl(struct snapshot *s, struct entity *e, struct span body, unsigned mode)
{
	struct reading r = {s, e, mode};
	enum rc rc;

	if (!body.len) {
		e->executes = true; /* whatever its text is */
		return RC_OK;
	}
	rc = catalog_body_walk(body, mode, on_piece, &r);
	if (rc == RC_DECLINED)
		e->ddl |= catalog_may_say_ddl(body) || mode & SQL_MODE_ORACLE;
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}
