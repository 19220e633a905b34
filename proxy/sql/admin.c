/*
 * admin.c - the statements that ask about the server or work on it. Their effects are read, not their details.
 */
#include "parse.h"

/* SHOW .. [LIKE ..] [WHERE expression]: the expression may call anything. */
void sql_stmt_show(struct sql_parser *p)
{
	p->flags |= SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE;
	if (sql_is(p, SQL_W_WARNINGS) || sql_is(p, SQL_W_ERRORS) || sql_is(p, SQL_W_COUNT))
		p->flags |= SQL_F_DIAGNOSTICS;
	while (!sql_at_end(p) && !sql_is(p, SQL_W_WHERE) && !sql_is(p, SQL_W_LIMIT))
		sql_advance(p);
	sql_where(p);
	if (sql_is(p, SQL_W_LIMIT))
		sql_limit(p);
}

/* EXTENDED, PARTITIONS, ANALYZE, FORMAT = x, INTO @x. True with ANALYZE: it is run. */
static bool explain_options(struct sql_parser *p)
{
	bool runs = false;

	for (;;) {
		if (sql_is(p, SQL_W_FORMAT) && sql_peek_op(p, '=')) {
			sql_advance(p);
			sql_advance(p);
			sql_any_word(p);
		} else if (sql_accept(p, SQL_W_INTO)) {
			p->flags |= SQL_F_USER_VAR_WRITE;
			sql_any_word(p);
		} else if (sql_accept(p, SQL_W_ANALYZE)) {
			runs = true;
		} else if (!sql_accept(p, SQL_W_EXTENDED) && !sql_accept(p, SQL_W_PARTITIONS) && !sql_accept(p, SQL_W_ALL)) {
			return runs;
		}
	}
}

/* The statement explained; only ANALYZE of MariaDB does what it does. runs: its verb is one of the statement's, too. */
static void explained(struct sql_parser *p, bool runs, bool does)
{
	enum sql_verb verb = p->verb;
	uint16_t first = p->nrefs;

	if (sql_deeper(p))
		sql_statement(p);
	p->depth--;
	if (runs)
		p->verbs |= SQL_VERB(p->verb);
	p->verb = verb;
	p->flags |= SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE;
	if (does)
		return;
	p->flags &= ~(SQL_F_WRITES | SQL_F_DDL | SQL_F_IMPLICIT_COMMIT | SQL_F_INSERT_VALUES | SQL_F_RETURNING |
		      SQL_F_LOCKING_READ | SQL_F_TEMP_TABLE | SQL_F_CALC_FOUND_ROWS);
	for (uint16_t i = first; i < p->nrefs; i++) {
		p->refs[i].read = true;
		p->refs[i].written = false;
	}
}

static bool at_statement(const struct sql_parser *p)
{
	return sql_is_op(p, '(') || sql_is(p, SQL_W_INSERT) || sql_is(p, SQL_W_REPLACE) || sql_is(p, SQL_W_UPDATE) ||
	       sql_is(p, SQL_W_DELETE) || sql_at_query(p);
}

/* DESCRIBE and EXPLAIN: a statement, a connection's statement, or a table with its columns. */
void sql_stmt_describe(struct sql_parser *p)
{
	struct sql_ref *r;
	bool runs = explain_options(p);

	if (at_statement(p)) {
		p->verb = SQL_EXPLAIN;
		explained(p, runs, false);
	} else if (sql_is(p, SQL_W_FOR)) {
		p->verb = SQL_EXPLAIN;
		p->flags |= SQL_F_NONDETERMINISTIC | SQL_F_SERVER_STATE;
		sql_skip_statement(p);
	} else {
		p->verb = SQL_DESCRIBE;
		p->flags |= SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE;
		r = sql_table_name(p);
		if (r)
			r->read = true;
		sql_any_word(p);
	}
}

/* Tables of ANALYZE, CHECK, OPTIMIZE, REPAIR, CHECKSUM: not changed for a reader, but not a read either. */
static void maintained(struct sql_parser *p)
{
	struct sql_ref *r;

	do {
		r = sql_table_name(p);
		if (r)
			r->read = true;
	} while (sql_accept_op(p, ','));
	sql_skip_statement(p);
}

void sql_stmt_maintain(struct sql_parser *p)
{
	p->flags |= SQL_F_IMPLICIT_COMMIT | SQL_F_SERVER_STATE | SQL_F_REPLAY_UNSAFE;
	if (!sql_accept(p, SQL_W_NO_WRITE_TO_BINLOG))
		sql_accept(p, SQL_W_LOCAL);
	if (sql_accept(p, SQL_W_TABLE) || sql_accept(p, SQL_W_TABLES))
		maintained(p);
	else
		sql_skip_statement(p);
}

/* REPAIR: rows that cannot be saved are lost; of a view, its definition changes. */
void sql_stmt_repair(struct sql_parser *p)
{
	uint16_t first = p->nrefs;

	sql_stmt_maintain(p);
	p->flags |= SQL_F_WRITES | (p->nrefs == first ? SQL_F_DDL : 0);
	for (uint16_t i = first; i < p->nrefs; i++)
		p->refs[i].written = true;
}

/* ANALYZE TABLE .., or ANALYZE [FORMAT=JSON] statement (MariaDB), which runs it. */
void sql_stmt_analyze(struct sql_parser *p)
{
	if (sql_is(p, SQL_W_TABLE) || sql_is(p, SQL_W_LOCAL) || sql_is(p, SQL_W_NO_WRITE_TO_BINLOG) ||
	    sql_is(p, SQL_W_TABLES)) {
		sql_stmt_maintain(p);
		return;
	}
	(void)explain_options(p);
	p->verb = SQL_EXPLAIN;
	if (at_statement(p))
		explained(p, true, true);
	else
		sql_fail(p, "a statement to analyze was expected");
}

/* FLUSH; with a read lock it leaves locks behind. A table may be called status: its session counts nothing, and is taken to. */
void sql_stmt_flush(struct sql_parser *p)
{
	p->flags |= SQL_F_IMPLICIT_COMMIT | SQL_F_SERVER_STATE | SQL_F_REPLAY_UNSAFE;
	while (!sql_at_end(p)) {
		if (sql_is(p, SQL_W_LOCK) || sql_is(p, SQL_W_EXPORT))
			p->verb = SQL_LOCK_TABLES;
		if (sql_is(p, SQL_W_PRIVILEGES))
			p->flags |= SQL_F_ACCOUNTS;
		if (sql_is(p, SQL_W_STATUS))
			p->flags |= SQL_F_COUNTERS;
		sql_advance(p);
	}
}

/* PREPARE name FROM text: the text is not looked at before it is executed. */
void sql_stmt_prepare(struct sql_parser *p)
{
	struct span name;

	p->flags |= SQL_F_REPLAY_UNSAFE;
	sql_name(p, &name);
	sql_expect(p, SQL_W_FROM, "FROM was expected");
	sql_expr(p);
}

void sql_stmt_execute(struct sql_parser *p)
{
	p->flags |= SQL_F_REPLAY_UNSAFE;
	sql_fail(p, "EXECUTE runs text that is not here");
}

void sql_stmt_deallocate(struct sql_parser *p)
{
	struct span name;

	sql_expect(p, SQL_W_PREPARE, "PREPARE was expected");
	sql_name(p, &name);
}

/* GRANT, REVOKE: accounts change, and with them what may be read. */
void sql_stmt_grant(struct sql_parser *p)
{
	p->flags |= SQL_F_ACCOUNTS | SQL_F_WRITES | SQL_F_IMPLICIT_COMMIT | SQL_F_SYSTEM_SCHEMA | SQL_F_REPLAY_UNSAFE |
		    SQL_F_PASSWORD;
	sql_skip_statement(p);
}

/* Everything else that works on the server itself: RESET, PURGE, INSTALL, STOP, CHANGE, SHUTDOWN, CACHE .. */
void sql_stmt_admin(struct sql_parser *p)
{
	p->flags |= SQL_F_SERVER_STATE | SQL_F_IMPLICIT_COMMIT | SQL_F_REPLAY_UNSAFE | SQL_F_PASSWORD;
	sql_skip_statement(p);
}

/* Tables from elsewhere, which the text does not name: any. */
void sql_stmt_import(struct sql_parser *p)
{
	p->flags |= SQL_F_WRITES | SQL_F_DDL;
	sql_stmt_admin(p);
}

/* CLONE INSTANCE FROM ..: all of another server's, with its accounts, in place of this one's. */
void sql_stmt_clone(struct sql_parser *p)
{
	p->flags |= SQL_F_ACCOUNTS;
	sql_stmt_import(p);
}

/* BINLOG '..': row events, which an event before on the same connection says how to read. */
void sql_stmt_binlog(struct sql_parser *p)
{
	p->flags |= SQL_F_USER_VAR_WRITE;
	sql_stmt_import(p);
}

/* BACKUP STAGE .., BACKUP LOCK t, BACKUP UNLOCK (MariaDB): locks that a session holds. */
void sql_stmt_backup(struct sql_parser *p)
{
	p->flags |= SQL_F_SERVER_STATE | SQL_F_IMPLICIT_COMMIT | SQL_F_REPLAY_UNSAFE;
	p->verb = sql_is(p, SQL_W_UNLOCK) || sql_peek_is(p, SQL_W_END) ? SQL_UNLOCK_TABLES : SQL_LOCK_TABLES;
	sql_skip_statement(p);
}

void sql_stmt_kill(struct sql_parser *p)
{
	p->flags |= SQL_F_SERVER_STATE | SQL_F_REPLAY_UNSAFE;
	sql_skip_statement(p);
}

void sql_stmt_help(struct sql_parser *p)
{
	p->flags |= SQL_F_NONDETERMINISTIC;
	sql_skip_statement(p);
}

/* GET [CURRENT|STACKED] DIAGNOSTICS @x = .. */
void sql_stmt_get(struct sql_parser *p)
{
	p->flags |= SQL_F_DIAGNOSTICS | SQL_F_USER_VAR_WRITE | SQL_F_REPLAY_UNSAFE;
	for (; !sql_at_end(p); sql_advance(p))
		if (sql_is(p, SQL_W_ROW_COUNT))
			p->flags |= SQL_F_ROW_COUNT;
}

void sql_stmt_signal(struct sql_parser *p)
{
	p->flags |= SQL_F_DIAGNOSTICS | SQL_F_REPLAY_UNSAFE;
	sql_skip_statement(p);
}
