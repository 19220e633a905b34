/*
 * ddl.c - CREATE, ALTER, DROP, RENAME.
 *
 * Which tables they touch is read; the rest of their text is passed over. A statement that changes the schema without
 * naming a table (a database dropped, a routine or trigger created) has SQL_F_DDL and no tables.
 */
#include "parse.h"

#define DDL (SQL_F_WRITES | SQL_F_DDL | SQL_F_IMPLICIT_COMMIT | SQL_F_REPLAY_UNSAFE)

static void table(struct sql_parser *p, bool written)
{
	struct sql_ref *r = sql_table_name(p);

	if (!r)
		return;
	r->written = written;
	r->read = !written;
}

static void if_exists(struct sql_parser *p)
{
	if (!sql_is(p, SQL_W_IF))
		return;
	sql_advance(p);
	sql_accept(p, SQL_W_NOT);
	sql_expect(p, SQL_W_EXISTS, "EXISTS was expected");
}

/* IF as a statement: not IF(..) as a function, nor IF [NOT] EXISTS in front of a name. Behind the IF. */
static bool if_statement(struct sql_parser *p)
{
	struct sql_parser_mark m = sql_mark(p);
	bool statement = true;

	if (sql_accept(p, SQL_W_NOT) || sql_is(p, SQL_W_EXISTS)) {
		if (sql_accept(p, SQL_W_EXISTS))
			statement = sql_is_op(p, '(');
	} else if (sql_is_op(p, '(')) {
		sql_skip_parens(p);
		statement = !sql_is_op(p, ',') && !sql_is_op(p, ')') && !sql_is(p, SQL_W_END) && !sql_is(p, SQL_W_WHEN) &&
			    !sql_is(p, SQL_W_ELSE);
	}
	sql_rewind(p, &m);
	return statement;
}

/* Whether a word that has just been read opens a block. starts: it stood where a statement of the body starts. */
static bool opens_block(struct sql_parser *p, enum sql_word w, bool starts)
{
	switch (w) {
	case SQL_W_BEGIN: case SQL_W_CASE: case SQL_W_LOOP: case SQL_W_WHILE:
		return true;
	case SQL_W_IF:
		return starts && if_statement(p);
	case SQL_W_REPEAT:
		return starts && !sql_is_op(p, '(');
	case SQL_W_FOR:
		return starts;
	default:
		return false;
	}
}

/* True when a statement of the body can start behind the token that is next. Outside of any block that is where the
 * routine's head ends. */
static bool starts_statement(const struct sql_parser *p, bool in_block)
{
	if (sql_is_op(p, ';') || sql_is_op(p, ':'))
		return true;
	if (!in_block && (sql_is_op(p, ')') || p->t.kind == SQL_T_STRING))
		return true;
	if (p->t.kind != SQL_T_WORD)
		return false;
	switch (p->t.word) {
	case SQL_W_ROW: case SQL_W_DETERMINISTIC: case SQL_W_SQL: case SQL_W_DATA: case SQL_W_DEFINER:
		return !in_block;
	case SQL_W_THEN: case SQL_W_ELSE: case SQL_W_DO: case SQL_W_LOOP: case SQL_W_BEGIN: case SQL_W_REPEAT:
	case SQL_W_ATOMIC:
		return true;
	default:
		return false;
	}
}

/* A routine's body, in which semicolons end nothing as long as a block is open. */
static void skip_body(struct sql_parser *p)
{
	size_t blocks = 0;
	bool starts = false, xa = false;

	while (p->t.kind != SQL_T_END && p->t.kind != SQL_T_BAD && (blocks || !sql_is_op(p, ';'))) {
		enum sql_word w = p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE;
		bool next_starts = starts_statement(p, blocks > 0);

		sql_advance(p);
		if (w == SQL_W_END && blocks && !xa) {
			blocks--;
			if (sql_is(p, SQL_W_IF) || sql_is(p, SQL_W_CASE) || sql_is(p, SQL_W_LOOP) ||
			    sql_is(p, SQL_W_WHILE) || sql_is(p, SQL_W_REPEAT) || sql_is(p, SQL_W_FOR))
				sql_advance(p);
		} else if (opens_block(p, w, starts)) {
			blocks++;
		}
		starts = next_starts;
		xa = w == SQL_W_XA; /* XA END ends no block */
	}
	if (blocks)
		sql_fail(p, "a block has no END");
}

/* Column definitions and options, up to a query that fills the table. */
static void create_table_rest(struct sql_parser *p)
{
	while (!sql_at_end(p) && (!sql_at_query(p) || (sql_is(p, SQL_W_WITH) && sql_peek_is(p, SQL_W_SYSTEM)))) {
		struct sql_token next;

		if (!sql_is_op(p, '(')) {
			/* AS is no part of the options, but VALUES is of a partition's */
			bool values = sql_is(p, SQL_W_PARTITION);

			sql_advance(p);
			while (values && !sql_at_end(p))
				sql_is_op(p, '(') ? sql_skip_parens(p) : sql_advance(p);
			continue;
		}
		next = sql_peek(p);
		if (next.kind == SQL_T_WORD && (next.word == SQL_W_SELECT || next.word == SQL_W_WITH || next.word == SQL_W_VALUES))
			break;
		if (next.kind == SQL_T_OP && next.op == '(')
			break;
		sql_skip_parens(p);
	}
	if (sql_at_end(p))
		return;
	p->flags |= SQL_F_SUBQUERY;
	p->level++;
	sql_query(p);
	p->level--;
}

static void create_table(struct sql_parser *p, bool temporary)
{
	if (temporary) {
		p->flags &= ~SQL_F_IMPLICIT_COMMIT;
		p->flags |= SQL_F_TEMP_TABLE;
	}
	if_exists(p);
	table(p, true);
	if (sql_accept(p, SQL_W_LIKE)) {
		table(p, false);
		sql_skip_statement(p);
	} else if (sql_is_op(p, '(') && sql_peek_is(p, SQL_W_LIKE)) {
		sql_advance(p);
		sql_advance(p);
		table(p, false);
		sql_expect_op(p, ')', "a closing parenthesis was expected");
	} else {
		create_table_rest(p);
	}
}

/* CREATE [UNIQUE ..] INDEX name [USING ..] ON t (..) */
static void index_on_table(struct sql_parser *p)
{
	while (!sql_is(p, SQL_W_ON) && !sql_at_end(p))
		sql_advance(p);
	sql_expect(p, SQL_W_ON, "ON was expected");
	table(p, true);
	sql_skip_statement(p);
}

/* A trigger's body is not run now, but from now on with every write to its table. */
static void create_trigger(struct sql_parser *p)
{
	while (!sql_is(p, SQL_W_ON) && !sql_at_end(p))
		sql_advance(p);
	sql_expect(p, SQL_W_ON, "ON was expected");
	table(p, true);
	skip_body(p);
}

static void create_view(struct sql_parser *p)
{
	if_exists(p);
	table(p, true);
	sql_skip_statement(p);
}

/* DEFINER = user, ALGORITHM = x, SQL SECURITY x, AGGREGATE, ONLINE, UNIQUE ... : what stands before the kind of thing. */
static void skip_to_kind(struct sql_parser *p)
{
	while (!sql_at_end(p)) {
		switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
		case SQL_W_TABLE: case SQL_W_TABLES: case SQL_W_VIEW: case SQL_W_INDEX: case SQL_W_PROCEDURE:
		case SQL_W_FUNCTION: case SQL_W_TRIGGER: case SQL_W_EVENT: case SQL_W_PACKAGE: case SQL_W_SEQUENCE:
		case SQL_W_DATABASE: case SQL_W_SCHEMA: case SQL_W_USER: case SQL_W_ROLE: case SQL_W_SERVER:
		case SQL_W_PREPARE:
			return;
		default:
			sql_advance(p);
		}
	}
}

void sql_stmt_create(struct sql_parser *p)
{
	bool temporary = false;

	p->flags |= DDL;
	if (sql_accept(p, SQL_W_OR))
		sql_expect(p, SQL_W_REPLACE, "REPLACE was expected");
	temporary = sql_accept(p, SQL_W_TEMPORARY);
	skip_to_kind(p);
	switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
	case SQL_W_TABLE: sql_advance(p); create_table(p, temporary); break;
	case SQL_W_SEQUENCE:
		sql_advance(p);
		if_exists(p);
		table(p, true);
		if (temporary)
			p->flags |= SQL_F_TEMP_TABLE;
		sql_skip_statement(p);
		break;
	case SQL_W_VIEW: sql_advance(p); create_view(p); break;
	case SQL_W_INDEX: index_on_table(p); break;
	case SQL_W_TRIGGER: create_trigger(p); break;
	case SQL_W_PROCEDURE: case SQL_W_FUNCTION: case SQL_W_EVENT: case SQL_W_PACKAGE: skip_body(p); break;
	case SQL_W_USER: p->flags |= SQL_F_PASSWORD | SQL_F_SYSTEM_SCHEMA; sql_skip_statement(p); break;
	case SQL_W_SERVER: p->flags |= SQL_F_PASSWORD; sql_skip_statement(p); break;
	default: sql_skip_statement(p);
	}
}

/* A name that ALTER TABLE gives or swaps with: RENAME [TO|AS] t, EXCHANGE PARTITION p WITH TABLE t. */
static void alter_table_rest(struct sql_parser *p)
{
	while (!sql_at_end(p)) {
		if (sql_is_op(p, '(')) {
			sql_skip_parens(p);
		} else if (sql_accept(p, SQL_W_RENAME)) {
			if (sql_is(p, SQL_W_COLUMN) || sql_is(p, SQL_W_INDEX) || sql_is(p, SQL_W_KEY)) {
				sql_advance(p);
				continue;
			}
			if (!sql_accept(p, SQL_W_TO) && !sql_accept(p, SQL_W_AS))
				sql_accept_op(p, '=');
			table(p, true);
		} else if (sql_is(p, SQL_W_WITH) && sql_peek_is(p, SQL_W_TABLE)) {
			sql_advance(p);
			sql_advance(p);
			table(p, true);
		} else {
			sql_advance(p);
		}
	}
}

void sql_stmt_alter(struct sql_parser *p)
{
	p->flags |= DDL;
	if (sql_is(p, SQL_W_INSTANCE)) {
		p->verb = SQL_ADMIN;
		sql_skip_statement(p);
		return;
	}
	skip_to_kind(p);
	switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
	case SQL_W_TABLE: case SQL_W_SEQUENCE:
		sql_advance(p);
		if_exists(p);
		table(p, true);
		alter_table_rest(p);
		break;
	case SQL_W_VIEW: sql_advance(p); create_view(p); break;
	case SQL_W_PROCEDURE: case SQL_W_FUNCTION: case SQL_W_EVENT: skip_body(p); break;
	case SQL_W_USER: p->flags |= SQL_F_PASSWORD | SQL_F_SYSTEM_SCHEMA; sql_skip_statement(p); break;
	default: sql_skip_statement(p);
	}
}

static void drop_tables(struct sql_parser *p)
{
	sql_advance(p);
	if_exists(p);
	do
		table(p, true);
	while (sql_accept_op(p, ','));
	sql_skip_statement(p);
}

void sql_stmt_drop(struct sql_parser *p)
{
	p->flags |= DDL;
	if (sql_is(p, SQL_W_PREPARE)) {
		p->verb = SQL_DEALLOCATE;
		p->flags = 0;
		sql_skip_statement(p);
		return;
	}
	if (sql_accept(p, SQL_W_TEMPORARY))
		p->flags &= ~SQL_F_IMPLICIT_COMMIT;
	skip_to_kind(p);
	switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
	case SQL_W_TABLE: case SQL_W_TABLES: case SQL_W_VIEW: case SQL_W_SEQUENCE: drop_tables(p); break;
	case SQL_W_INDEX: index_on_table(p); break;
	case SQL_W_USER: case SQL_W_ROLE: p->flags |= SQL_F_SYSTEM_SCHEMA; sql_skip_statement(p); break;
	default: sql_skip_statement(p);
	}
}

/* RENAME TABLE a TO b, ...; RENAME USER .. */
void sql_stmt_rename(struct sql_parser *p)
{
	p->flags |= DDL;
	if (!sql_accept(p, SQL_W_TABLE) && !sql_accept(p, SQL_W_TABLES)) {
		p->flags |= SQL_F_SYSTEM_SCHEMA;
		sql_skip_statement(p);
		return;
	}
	if_exists(p);
	do {
		table(p, true);
		if (sql_accept(p, SQL_W_WAIT))
			sql_operand(p);
		else
			sql_accept(p, SQL_W_NOWAIT);
		sql_expect(p, SQL_W_TO, "TO was expected");
		table(p, true);
	} while (sql_accept_op(p, ','));
}
