/*
 * catalog_routine.c - what a stored routine's text says: which tables it reads and writes, what it calls, and whether it
 * is a plain read. All that could run in it counts.
 */
#include "catalog_accounts.h"
#include "catalog_body.h"
#include "catalog_ddl.h"
#include "catalog_parse.h"
#include "catalog_session.h"
#include "catalog_today.h"
#include "mem.h"
#include "scan.h"

struct reading {
	struct snapshot *s;
	struct entity *e;
	unsigned mode;
	struct catalog_locals locals;
};

/* What a plain read has none of. */
#define BEYOND_ROWS                                                                                                    \
	(CATALOG_BEYOND_TABLES | SQL_F_WRITES | SQL_F_LOCKING_READ | SQL_F_TEMP_TABLE | SQL_F_SYSTEM_SCHEMA |          \
	 SQL_F_SESSION_SET | SQL_F_GLOBAL_SET | SQL_F_DIAGNOSTICS | SQL_F_CALC_FOUND_ROWS)

static const char *why_no_routine(const struct sql_facts *f)
{
	if (f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI))
		return "a routine is not understood";
	return catalog_moves_rows_only(f) ? NULL : "a routine does more than read and write rows";
}

static const char *why_no_plain_read(const struct sql_facts *f, struct span text)
{
	uint64_t beyond = f->flags & BEYOND_ROWS;

	/* SELECT .. INTO a local variable */
	if (beyond & SQL_F_USER_VAR_WRITE && !memchr(text.p, '@', text.len))
		beyond &= ~SQL_F_USER_VAR_WRITE;
	if (beyond & SQL_F_WRITES)
		return "it calls a routine that writes";
	if (beyond)
		return "it calls a routine whose answer hangs on more than tables";
	return f->verb == SQL_SET ? "it calls a routine that sets variables" : NULL;
}

static enum rc take_facts(struct reading *r, struct span text)
{
	struct sql_facts f;
	const char *why;
	enum rc rc;

	if (sql_facts_parse(text, r->mode, &f) != RC_OK)
		return RC_ERROR;
	why = why_no_routine(&f);
	if (why) {
		r->e->why_reads = r->e->why_writes = why;
		rc = RC_DECLINED;
	} else {
		why = why_no_plain_read(&f, text);
		if (why)
			r->e->why_reads = why;
		rc = catalog_link_tables(r->s, r->e, &f, false, &r->e->reads);
		if (rc == RC_OK)
			rc = catalog_link_tables(r->s, r->e, &f, true, &r->e->writes);
		if (rc == RC_OK)
			rc = catalog_link_calls(r->s, r->e, &f, &r->e->reads);
		if (rc == RC_OK)
			rc = catalog_link_calls(r->s, r->e, &f, &r->e->writes);
	}
	sql_facts_free(&f);
	return rc;
}

static enum rc take_expression(struct reading *r, struct span text)
{
	char *select = mem_printf("SELECT " SPAN_FMT, SPAN_ARG(text));
	enum rc rc = select ? take_facts(r, span_str(select)) : RC_ERROR;

	mem_free(select);
	return rc;
}

/* The end of the expression that begins behind t: a comma of this level, or the text's end. t is what ends it. */
static const char *expression_end(struct sql_scan *s, struct sql_token *t)
{
	const char *end = s->p;
	int depth = 0;

	for (sql_scan_next(s, t); t->kind != SQL_T_END && !(depth == 0 && sql_token_is_op(t, ','));
	     sql_scan_next(s, t)) {
		depth += sql_token_is_op(t, '(') - sql_token_is_op(t, ')');
		end = t->text.p + t->text.len;
	}
	return end;
}

/* SET a = .., b = ..: those of local variables are expressions; at the first that is not, all of it is a statement. */
static enum rc take_set(struct reading *r, struct span text)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, text, r->mode);
	sql_scan_next(&s, &t);
	do {
		const char *from;
		enum rc rc;

		sql_scan_next(&s, &t);
		if ((t.kind != SQL_T_WORD && t.kind != SQL_T_QUOTED) || !catalog_locals_have(&r->locals, t.text))
			return take_facts(r, text);
		sql_scan_next(&s, &t);
		if (!sql_token_is_op(&t, '=') && !sql_token_is_op(&t, SQL_OP_ASSIGN))
			return take_facts(r, text);
		from = s.p;
		rc = take_expression(r, span_of(from, (size_t)(expression_end(&s, &t) - from)));
		if (rc != RC_OK)
			return rc;
	} while (t.kind != SQL_T_END);
	return RC_OK;
}

static enum rc on_piece(void *arg, struct span text, enum catalog_piece piece)
{
	struct reading *r = arg;

	if (piece == CATALOG_VARIABLE)
		return catalog_locals_add(&r->locals, text);
	if (piece == CATALOG_EXPRESSION)
		return take_expression(r, text);
	if (text.len > 4 && strncasecmp(text.p, "set", 3) == 0 && (text.p[3] == ' ' || text.p[3] == '\n' || text.p[3] == '\t'))
		return take_set(r, text);
	return take_facts(r, text);
}

static enum rc link_call(void *arg, struct span schema, struct span name)
{
	struct reading *r = arg;
	struct entity *to;

	if (schema.len > SNAPSHOT_NAME_MAX || name.len >= SNAPSHOT_NAME_MAX)
		return RC_DECLINED;
	to = snapshot_get_routine(r->s, schema.len ? schema : r->e->schema, name, true);
	return to ? snapshot_link(&r->e->calls, to) : RC_ERROR;
}

/* Names that are EXECUTEd may have been prepared by anybody. */
static enum rc take_accounts(struct reading *r, struct span body)
{
	struct catalog_accounts a = {.mode = r->mode, .arg = r, .call = link_call};
	enum rc rc = body.len ? catalog_accounts_body(&a, body) : RC_DECLINED;

	r->e->accounts = rc != RC_OK;
	/* A procedure may run texts; the servers let no function do that. */
	r->e->sets |= rc != RC_OK && snapshot_is_procedure(r->e);
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

enum rc catalog_take_routine(struct snapshot *s, struct entity *e, struct span body, struct span parameters,
			     struct span sql_mode)
{
	struct reading r = {.s = s, .e = e, .mode = catalog_mode_of(sql_mode)};
	enum rc rc;

	e->why_reads = e->why_writes = NULL;
	rc = body.len ? catalog_locals_add_list(&r.locals, parameters) : RC_DECLINED;
	if (rc == RC_OK)
		rc = catalog_body_walk(body, r.mode, on_piece, &r);
	if (rc == RC_DECLINED && !e->why_writes)
		e->why_reads = e->why_writes = body.len ? "a routine is not understood"
							: "the account that reads the schema may not see a routine's body";
	else if (rc == RC_OK && !e->why_reads && catalog_routine_hangs_on_today(e, body, r.mode))
		e->why_reads = "it calls a routine that makes of a time one of today";
	if (rc != RC_ERROR)
		rc = take_accounts(&r, body);
	if (rc != RC_ERROR)
		rc = catalog_take_session(s, e, body, parameters, r.mode);
	return rc == RC_ERROR ? RC_ERROR : catalog_take_ddl(s, e, body, r.mode);
}
