/*
 * session.c - SET, and the statements that begin and end transactions or change the session.
 */
#include "parse.h"

static void scope_of(struct sql_parser *p, enum sql_word scope)
{
	p->flags |= scope == SQL_W_GLOBAL || scope == SQL_W_PERSIST || scope == SQL_W_PERSIST_ONLY ? SQL_F_GLOBAL_SET
												   : SQL_F_SESSION_SET;
}

static bool is_scope(enum sql_word w)
{
	return w == SQL_W_GLOBAL || w == SQL_W_SESSION || w == SQL_W_LOCAL || w == SQL_W_PERSIST ||
	       w == SQL_W_PERSIST_ONLY;
}

/* Variables that act on the next statement or name the session: giving them again later means something else. */
static bool replayable(enum sql_word w)
{
	switch (w) {
	case SQL_W_INSERT_ID:
	case SQL_W_LAST_INSERT_ID:
	case SQL_W_IDENTITY:
	case SQL_W_RAND_SEED1:
	case SQL_W_RAND_SEED2:
	case SQL_W_PSEUDO_THREAD_ID:
	case SQL_W_PSEUDO_SLAVE_MODE:
	case SQL_W_GTID_NEXT:
	case SQL_W_SQL_LOG_BIN:
		return false;
	default:
		return true;
	}
}

/* The variable's name, perhaps qualified; its effects. */
static void set_system(struct sql_parser *p, enum sql_word scope)
{
	enum sql_word w = p->t.kind == SQL_T_WORD ? (enum sql_word)p->t.word : SQL_WORD_NONE;
	struct span name;

	if (p->t.kind != SQL_T_WORD && p->t.kind != SQL_T_QUOTED && p->t.kind != SQL_T_STRING) {
		sql_fail(p, "a variable was expected");
		return;
	}
	sql_advance(p);
	while (sql_accept_op(p, '.')) { /* a key cache's, or NEW.column in a trigger */
		w = sql_word_find(p->t.text.p, p->t.text.len);
		sql_name(p, &name);
	}
	scope_of(p, scope);
	p->reads_anew |= w == SQL_W_SQL_MODE || w == SQL_W_CHARACTER_SET_CLIENT;
	if (w == SQL_W_AUTOCOMMIT && scope != SQL_W_GLOBAL)
		p->flags |= SQL_F_AUTOCOMMIT_SET;
	if (!replayable(w))
		p->flags |= SQL_F_USER_VAR_WRITE;
}

/* = value; a value may be a bare word (ON, BINARY, a character set). */
static void set_value(struct sql_parser *p)
{
	if (!sql_accept_op(p, '='))
		sql_expect_op(p, SQL_OP_ASSIGN, "an assignment was expected");
	if (sql_is(p, SQL_W_ON) || sql_is(p, SQL_W_ALL) || sql_is(p, SQL_W_BINARY) || sql_is(p, SQL_W_ROW)) {
		struct sql_token next = sql_peek(p);

		if (next.kind == SQL_T_END || (next.kind == SQL_T_WORD && next.word == SQL_W_FOR) ||
		    (next.kind == SQL_T_OP && (next.op == ',' || next.op == ';'))) {
			sql_advance(p);
			return;
		}
	}
	sql_expr(p);
}

static void set_names(struct sql_parser *p)
{
	p->reads_anew = true;
	scope_of(p, SQL_W_SESSION);
	if (!sql_any_word(p))
		sql_fail(p, "a character set was expected");
	if (sql_accept(p, SQL_W_COLLATE) && !sql_any_word(p))
		sql_fail(p, "a collation was expected");
}

/* READ ONLY, READ WRITE, ISOLATION LEVEL .. behind SET [SESSION|GLOBAL] TRANSACTION. */
static void set_transaction(struct sql_parser *p, enum sql_word scope)
{
	if (scope == SQL_WORD_NONE)
		p->verb = SQL_SET_TRANSACTION;
	else
		scope_of(p, scope);
	do {
		if (sql_accept(p, SQL_W_ISOLATION)) {
			sql_expect(p, SQL_W_LEVEL, "LEVEL was expected");
			if (!sql_accept(p, SQL_W_SERIALIZABLE)) {
				sql_advance(p);
				sql_any_word(p);
			}
		} else {
			sql_expect(p, SQL_W_READ, "READ or ISOLATION was expected");
			if (!sql_accept(p, SQL_W_ONLY))
				sql_expect(p, SQL_W_WRITE, "ONLY or WRITE was expected");
		}
	} while (sql_accept_op(p, ','));
}

/* SET STATEMENT a=1, .. FOR statement (MariaDB): the variables hold for that statement alone. */
static void set_statement(struct sql_parser *p)
{
	struct span name;

	do {
		if (p->t.kind == SQL_T_SYSTEM_VAR)
			sql_advance(p);
		if (!sql_name(p, &name))
			return;
		while (sql_accept_op(p, '.'))
			sql_name(p, &name);
		set_value(p);
	} while (sql_accept_op(p, ','));
	sql_expect(p, SQL_W_FOR, "FOR was expected");
	p->flags |= SQL_F_SYSTEM_VAR | SQL_F_REPLAY_UNSAFE;
	if (sql_deeper(p))
		sql_statement(p);
	p->depth--;
}

static void set_account(struct sql_parser *p, uint64_t flags)
{
	p->flags |= flags;
	sql_skip_statement(p);
}

/* @x = .., @@scope.x = .., [scope] x = .. */
static void set_one(struct sql_parser *p, enum sql_word *scope)
{
	if (p->t.kind == SQL_T_USER_VAR) {
		p->flags |= SQL_F_USER_VAR_WRITE;
		sql_advance(p);
		set_value(p);
		return;
	}
	if (p->t.kind == SQL_T_SYSTEM_VAR) {
		enum sql_word own = SQL_W_SESSION;

		sql_advance(p);
		if (p->t.kind == SQL_T_WORD && is_scope(p->t.word) && sql_peek_op(p, '.')) {
			own = p->t.word;
			sql_advance(p);
			sql_advance(p);
		}
		set_system(p, own);
		set_value(p);
		return;
	}
	if (p->t.kind == SQL_T_WORD && is_scope(p->t.word) && !sql_peek_op(p, '=')) {
		*scope = p->t.word;
		sql_advance(p);
		if (sql_accept(p, SQL_W_TRANSACTION)) {
			set_transaction(p, *scope);
			return;
		}
	}
	set_system(p, *scope == SQL_WORD_NONE ? SQL_W_SESSION : *scope);
	set_value(p);
}

/* The forms of SET that are no assignment; false when it is one. */
static bool set_special(struct sql_parser *p)
{
	bool assigns = sql_peek_op(p, '=') || sql_peek_op(p, SQL_OP_ASSIGN) || sql_peek_op(p, '.');

	if (p->t.kind != SQL_T_WORD)
		return false;
	if (p->t.word == SQL_W_PASSWORD) {
		set_account(p, SQL_F_ACCOUNTS | SQL_F_PASSWORD | SQL_F_WRITES | SQL_F_SYSTEM_SCHEMA | SQL_F_IMPLICIT_COMMIT);
	} else if (assigns) {
		return false;
	} else if (p->t.word == SQL_W_NAMES) {
		sql_advance(p);
		set_names(p);
	} else if (p->t.word == SQL_W_CHARACTER || p->t.word == SQL_W_CHARSET || p->t.word == SQL_W_CHAR) {
		if (!sql_accept(p, SQL_W_CHARSET)) {
			sql_advance(p);
			sql_expect(p, SQL_W_SET, "SET was expected");
		}
		set_names(p);
	} else if (p->t.word == SQL_W_TRANSACTION) {
		sql_advance(p);
		set_transaction(p, SQL_WORD_NONE);
	} else if (p->t.word == SQL_W_STATEMENT) {
		sql_advance(p);
		set_statement(p);
	} else if (p->t.word == SQL_W_ROLE) {
		set_account(p, SQL_F_USER_VAR_WRITE); /* a state that no variable gives back */
	} else if (p->t.word == SQL_W_DEFAULT) {
		set_account(p, SQL_F_ACCOUNTS | SQL_F_WRITES | SQL_F_SYSTEM_SCHEMA | SQL_F_IMPLICIT_COMMIT);
	} else if (p->t.word == SQL_W_RESOURCE) {
		set_account(p, SQL_F_USER_VAR_WRITE);
	} else {
		return false;
	}
	return true;
}

void sql_stmt_set(struct sql_parser *p)
{
	enum sql_word scope = SQL_WORD_NONE;

	do {
		if (!set_special(p))
			set_one(p, &scope);
	} while (p->verb == SQL_SET && sql_accept_op(p, ','));
	/* only a SET of session variables alone can be given again to another connection */
	if (p->flags & (SQL_F_USER_VAR_WRITE | SQL_F_GLOBAL_SET))
		p->flags &= ~SQL_F_SESSION_SET;
}

void sql_stmt_begin(struct sql_parser *p)
{
	p->flags |= SQL_F_IMPLICIT_COMMIT; /* of the transaction that may be open */
	if (sql_begins_block(p)) {
		p->verb = SQL_COMPOUND;
		sql_fail(p, "a compound statement");
	}
	sql_accept(p, SQL_W_WORK);
}

static void begin_writing(struct sql_parser *p)
{
	sql_expect(p, SQL_W_WRITE, "ONLY or WRITE was expected");
	p->flags |= SQL_F_TRX_READ_WRITE;
}

/* START TRANSACTION options; START REPLICA and the like. */
void sql_stmt_start(struct sql_parser *p)
{
	if (!sql_accept(p, SQL_W_TRANSACTION)) {
		p->verb = SQL_ADMIN;
		p->flags |= SQL_F_SERVER_STATE | SQL_F_IMPLICIT_COMMIT | SQL_F_PASSWORD;
		sql_skip_statement(p);
		return;
	}
	p->flags |= SQL_F_IMPLICIT_COMMIT;
	do {
		if (sql_accept(p, SQL_W_READ)) {
			if (sql_accept(p, SQL_W_ONLY))
				p->flags |= SQL_F_TRX_READ_ONLY;
			else
				begin_writing(p);
		} else if (sql_accept(p, SQL_W_WITH)) {
			sql_expect(p, SQL_W_CONSISTENT, "CONSISTENT was expected");
			sql_expect(p, SQL_W_SNAPSHOT, "SNAPSHOT was expected");
			p->flags |= SQL_F_SNAPSHOT;
		}
	} while (sql_accept_op(p, ','));
}

/* [WORK] [AND [NO] CHAIN] [[NO] RELEASE] */
static void completion(struct sql_parser *p)
{
	sql_accept(p, SQL_W_WORK);
	if (sql_accept(p, SQL_W_AND)) {
		if (!sql_accept(p, SQL_W_NO))
			p->flags |= SQL_F_CHAIN;
		sql_expect(p, SQL_W_CHAIN, "CHAIN was expected");
	}
	if (sql_accept(p, SQL_W_NO))
		sql_expect(p, SQL_W_RELEASE, "RELEASE was expected");
	else if (sql_accept(p, SQL_W_RELEASE))
		p->flags |= SQL_F_RELEASE;
}

void sql_stmt_commit(struct sql_parser *p)
{
	completion(p);
}

void sql_stmt_rollback(struct sql_parser *p)
{
	struct span name;

	if (sql_is(p, SQL_W_TO) || (sql_is(p, SQL_W_WORK) && sql_peek_is(p, SQL_W_TO))) {
		p->verb = SQL_ROLLBACK_TO;
		sql_accept(p, SQL_W_WORK);
		sql_advance(p);
		if (sql_is(p, SQL_W_SAVEPOINT) && !sql_peek_op(p, ';') && sql_peek(p).kind != SQL_T_END)
			sql_advance(p);
		sql_name(p, &name);
		return;
	}
	completion(p);
}

void sql_stmt_savepoint(struct sql_parser *p)
{
	struct span name;

	sql_name(p, &name);
}

void sql_stmt_release(struct sql_parser *p)
{
	struct span name;

	sql_expect(p, SQL_W_SAVEPOINT, "SAVEPOINT was expected");
	sql_name(p, &name);
}

void sql_stmt_xa(struct sql_parser *p)
{
	static const struct { const char *word; uint64_t flag; } kinds[] = {
		{"start", SQL_F_XA_BEGIN}, {"begin", SQL_F_XA_BEGIN}, {"commit", SQL_F_XA_END}, {"rollback", SQL_F_XA_END},
	};

	for (size_t i = 0; i < countof(kinds) && p->t.kind == SQL_T_WORD; i++)
		if (span_ieq(p->t.text, span_str(kinds[i].word)))
			p->flags |= kinds[i].flag;
	sql_skip_statement(p);
}

void sql_stmt_use(struct sql_parser *p)
{
	p->reads_anew = true;
	sql_name(p, &p->use_schema);
}

/* LOCK TABLES t [AS a] READ [LOCAL] | WRITE [CONCURRENT], ..; LOCK INSTANCE FOR BACKUP. */
void sql_stmt_lock(struct sql_parser *p)
{
	struct span alias = {0};
	struct sql_ref *r;

	if (!sql_accept(p, SQL_W_TABLES) && !sql_accept(p, SQL_W_TABLE)) {
		sql_expect(p, SQL_W_INSTANCE, "TABLES was expected");
		sql_skip_statement(p);
		return;
	}
	p->flags |= SQL_F_IMPLICIT_COMMIT;
	do {
		r = sql_table_name(p);
		if (r)
			r->read = true;
		sql_alias(p, false, &alias);
		sql_accept(p, SQL_W_LOW_PRIORITY);
		if (sql_accept(p, SQL_W_WRITE)) {
			sql_accept(p, SQL_W_CONCURRENT);
		} else {
			sql_expect(p, SQL_W_READ, "READ or WRITE was expected");
			sql_accept(p, SQL_W_LOCAL);
		}
	} while (sql_accept_op(p, ','));
	sql_wait(p);
}

void sql_stmt_unlock(struct sql_parser *p)
{
	p->flags |= SQL_F_IMPLICIT_COMMIT;
	if (!sql_accept(p, SQL_W_TABLES) && !sql_accept(p, SQL_W_TABLE))
		sql_expect(p, SQL_W_INSTANCE, "TABLES was expected");
}
