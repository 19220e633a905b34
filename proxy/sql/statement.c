/*
 * statement.c - which statement it is: one row a first word.
 */
#include "parse.h"

struct statement {
	uint16_t word;                       /* enum sql_word */
	uint8_t verb;                        /* enum sql_verb, until the statement's function knows better */
	void (*parse)(struct sql_parser *p); /* NULL: a query, from its first word */
};

/* A compound statement outside a routine (MariaDB) may do anything. */
static void compound(struct sql_parser *p)
{
	sql_fail(p, "a compound statement");
}

static const struct statement statements[] = {
	{SQL_W_SELECT, SQL_SELECT, NULL},
	{SQL_W_VALUES, SQL_VALUES, NULL},
	{SQL_W_TABLE, SQL_TABLE, NULL},
	{SQL_W_INSERT, SQL_INSERT, sql_stmt_insert},
	{SQL_W_REPLACE, SQL_REPLACE, sql_stmt_insert},
	{SQL_W_UPDATE, SQL_UPDATE, sql_stmt_update},
	{SQL_W_DELETE, SQL_DELETE, sql_stmt_delete},
	{SQL_W_LOAD, SQL_LOAD, sql_stmt_load},
	{SQL_W_TRUNCATE, SQL_TRUNCATE, sql_stmt_truncate},
	{SQL_W_CALL, SQL_CALL, sql_stmt_call},
	{SQL_W_DO, SQL_DO, sql_stmt_do},
	{SQL_W_HANDLER, SQL_HANDLER, sql_stmt_handler},
	{SQL_W_BEGIN, SQL_BEGIN, sql_stmt_begin},
	{SQL_W_START, SQL_BEGIN, sql_stmt_start},
	{SQL_W_COMMIT, SQL_COMMIT, sql_stmt_commit},
	{SQL_W_ROLLBACK, SQL_ROLLBACK, sql_stmt_rollback},
	{SQL_W_SAVEPOINT, SQL_SAVEPOINT, sql_stmt_savepoint},
	{SQL_W_RELEASE, SQL_RELEASE_SAVEPOINT, sql_stmt_release},
	{SQL_W_XA, SQL_XA, sql_stmt_xa},
	{SQL_W_SET, SQL_SET, sql_stmt_set},
	{SQL_W_USE, SQL_USE, sql_stmt_use},
	{SQL_W_SHOW, SQL_SHOW, sql_stmt_show},
	{SQL_W_DESCRIBE, SQL_DESCRIBE, sql_stmt_describe},
	{SQL_W_DESC, SQL_DESCRIBE, sql_stmt_describe},
	{SQL_W_EXPLAIN, SQL_EXPLAIN, sql_stmt_describe},
	{SQL_W_HELP, SQL_HELP, sql_stmt_help},
	{SQL_W_CREATE, SQL_CREATE, sql_stmt_create},
	{SQL_W_ALTER, SQL_ALTER, sql_stmt_alter},
	{SQL_W_DROP, SQL_DROP, sql_stmt_drop},
	{SQL_W_RENAME, SQL_RENAME, sql_stmt_rename},
	{SQL_W_GRANT, SQL_GRANT, sql_stmt_grant},
	{SQL_W_REVOKE, SQL_REVOKE, sql_stmt_grant},
	{SQL_W_LOCK, SQL_LOCK_TABLES, sql_stmt_lock},
	{SQL_W_UNLOCK, SQL_UNLOCK_TABLES, sql_stmt_unlock},
	{SQL_W_PREPARE, SQL_PREPARE, sql_stmt_prepare},
	{SQL_W_EXECUTE, SQL_EXECUTE, sql_stmt_execute},
	{SQL_W_DEALLOCATE, SQL_DEALLOCATE, sql_stmt_deallocate},
	{SQL_W_KILL, SQL_KILL, sql_stmt_kill},
	{SQL_W_ANALYZE, SQL_ADMIN, sql_stmt_analyze},
	{SQL_W_CHECK, SQL_ADMIN, sql_stmt_maintain},
	{SQL_W_CHECKSUM, SQL_ADMIN, sql_stmt_maintain},
	{SQL_W_OPTIMIZE, SQL_ADMIN, sql_stmt_maintain},
	{SQL_W_REPAIR, SQL_ADMIN, sql_stmt_repair},
	{SQL_W_FLUSH, SQL_ADMIN, sql_stmt_flush},
	{SQL_W_BACKUP, SQL_ADMIN, sql_stmt_backup},
	{SQL_W_RESET, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_PURGE, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_INSTALL, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_UNINSTALL, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_STOP, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_CHANGE, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_BINLOG, SQL_ADMIN, sql_stmt_binlog},
	{SQL_W_CACHE, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_CLONE, SQL_ADMIN, sql_stmt_clone},
	{SQL_W_IMPORT, SQL_ADMIN, sql_stmt_import},
	{SQL_W_RESTART, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_SHUTDOWN, SQL_ADMIN, sql_stmt_admin},
	{SQL_W_GET, SQL_OTHER, sql_stmt_get},
	{SQL_W_SIGNAL, SQL_OTHER, sql_stmt_signal},
	{SQL_W_RESIGNAL, SQL_OTHER, sql_stmt_signal},
	{SQL_W_IF, SQL_COMPOUND, compound},
	{SQL_W_CASE, SQL_COMPOUND, compound},
	{SQL_W_LOOP, SQL_COMPOUND, compound},
	{SQL_W_WHILE, SQL_COMPOUND, compound},
	{SQL_W_REPEAT, SQL_COMPOUND, compound},
	{SQL_W_FOR, SQL_COMPOUND, compound},
	{SQL_W_DECLARE, SQL_COMPOUND, compound},
};

static const struct statement *find(enum sql_word w)
{
	for (size_t i = 0; i < countof(statements); i++)
		if (statements[i].word == w)
			return &statements[i];
	return NULL;
}

bool sql_at_label(const struct sql_parser *p)
{
	return sql_at_name(p) && sql_peek_op(p, ':');
}

bool sql_begins_block(const struct sql_parser *p)
{
	return sql_is(p, SQL_W_NOT) || (p->scan.mode & SQL_MODE_ORACLE && !sql_at_end(p) && !sql_is(p, SQL_W_WORK));
}

bool sql_begins_statement(const struct sql_parser *p)
{
	return p->t.kind == SQL_T_WORD && (p->t.word == SQL_W_WITH || find(p->t.word));
}

/* WITH .. in front of SELECT, UPDATE or DELETE. */
static void with_statement(struct sql_parser *p)
{
	uint16_t scope = p->nctes;

	p->verb = SQL_OTHER; /* until it is seen which one */
	sql_with(p);
	if (!p->why)
		p->verb = SQL_SELECT;
	if (sql_is(p, SQL_W_UPDATE) || sql_is(p, SQL_W_DELETE)) {
		bool update = sql_is(p, SQL_W_UPDATE);

		p->verb = update ? SQL_UPDATE : SQL_DELETE;
		p->flags |= SQL_F_SUBQUERY | SQL_F_REPLAY_UNSAFE;
		sql_advance(p);
		update ? sql_stmt_update(p) : sql_stmt_delete(p);
	} else {
		sql_query(p);
	}
	p->nctes = scope;
}

static void dispatch(struct sql_parser *p)
{
	const struct statement *s;

	if (sql_is_op(p, '(')) {
		p->verb = SQL_SELECT;
		sql_query(p);
		return;
	}
	if (sql_is(p, SQL_W_WITH)) {
		with_statement(p);
		return;
	}
	s = p->t.kind == SQL_T_WORD ? find(p->t.word) : NULL;
	if (!s && sql_at_label(p)) {
		p->verb = SQL_COMPOUND;
		compound(p);
		return;
	}
	if (!s) {
		sql_fail(p, "not a statement that is known");
		return;
	}
	p->verb = s->verb;
	if (!s->parse) {
		sql_query(p);
		return;
	}
	sql_advance(p);
	s->parse(p);
}

void sql_statement(struct sql_parser *p)
{
	dispatch(p);
	if (!sql_at_end(p))
		sql_fail(p, "the statement goes on where its end was expected");
}
