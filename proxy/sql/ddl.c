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
		if (next.kind == SQL_T_WORD &&
		    (next.word == SQL_W_SELECT || next.word == SQL_W_WITH || next.word == SQL_W_VALUES))
			break;
		if (next.kind == SQL_T_OP && next.op == '(')
			break;
		sql_skip_parens(p);
	}
	if (sql_at_end(p))
		return;
	sql_subquery(p);
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

/* .. ON t: whatever stands before */
static void on_table(struct sql_parser *p)
{
	while (!sql_is(p, SQL_W_ON) && !sql_at_end(p))
		sql_advance(p);
	sql_expect(p, SQL_W_ON, "ON was expected");
	table(p, true);
}

/* CREATE [UNIQUE ..] INDEX name [USING ..] ON t (..) */
static void index_on_table(struct sql_parser *p)
{
	on_table(p);
	sql_skip_statement(p);
}

/* A trigger's body is not run now, but from now on with every write to its table. */
static void create_trigger(struct sql_parser *p)
{
	on_table(p);
	sql_skip_body(p);
}

static void create_view(struct sql_parser *p)
{
	if_exists(p);
	table(p, true);
	sql_skip_statement(p);
}

/* DEFINER = user, ALGORITHM = x, SQL SECURITY x, ONLINE, UNIQUE ... : what stands before the kind of thing. */
static void skip_to_kind(struct sql_parser *p)
{
	while (!sql_at_end(p)) {
		switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
		case SQL_W_TABLE:
		case SQL_W_TABLES:
		case SQL_W_VIEW:
		case SQL_W_INDEX:
		case SQL_W_PROCEDURE:
		case SQL_W_FUNCTION:
		case SQL_W_TRIGGER:
		case SQL_W_EVENT:
		case SQL_W_PACKAGE:
		case SQL_W_SEQUENCE:
		case SQL_W_DATABASE:
		case SQL_W_SCHEMA:
		case SQL_W_USER:
		case SQL_W_ROLE:
		case SQL_W_SERVER:
		case SQL_W_PREPARE:
			return;
		default:
			sql_advance(p);
		}
	}
}

void sql_stmt_create(struct sql_parser *p)
{
	bool temporary = false, replaces = sql_accept(p, SQL_W_OR);

	p->flags |= DDL;
	if (replaces)
		sql_expect(p, SQL_W_REPLACE, "REPLACE was expected");
	temporary = sql_accept(p, SQL_W_TEMPORARY);
	skip_to_kind(p);
	switch (p->t.kind == SQL_T_WORD ? p->t.word : SQL_WORD_NONE) {
	case SQL_W_TABLE:
		sql_advance(p);
		create_table(p, temporary);
		break;
	case SQL_W_SEQUENCE:
		sql_advance(p);
		if_exists(p);
		table(p, true);
		if (temporary)
			p->flags |= SQL_F_TEMP_TABLE;
		sql_skip_statement(p);
		break;
	case SQL_W_VIEW:
		sql_advance(p);
		create_view(p);
		break;
	case SQL_W_INDEX:
		index_on_table(p);
		break;
	case SQL_W_TRIGGER:
		create_trigger(p);
		break;
	case SQL_W_PROCEDURE:
	case SQL_W_FUNCTION:
	case SQL_W_EVENT:
	case SQL_W_PACKAGE:
		sql_skip_body(p);
		break;
	case SQL_W_USER:
		p->flags |= SQL_F_ACCOUNTS | SQL_F_PASSWORD | SQL_F_SYSTEM_SCHEMA;
		sql_skip_statement(p);
		break;
	case SQL_W_ROLE:
		p->flags |= SQL_F_ACCOUNTS;
		sql_skip_statement(p);
		break;
	case SQL_W_DATABASE:
	case SQL_W_SCHEMA: /* one that is made was none that a connection could have chosen */
		p->flags |= replaces ? SQL_F_ACCOUNTS : 0;
		sql_skip_statement(p);
		break;
	case SQL_W_SERVER:
		p->flags |= SQL_F_PASSWORD;
		sql_skip_statement(p);
		break;
	default:
		sql_skip_statement(p);
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
	case SQL_W_TABLE:
	case SQL_W_SEQUENCE:
		sql_advance(p);
		if_exists(p);
		table(p, true);
		alter_table_rest(p);
		break;
	case SQL_W_VIEW:
		sql_advance(p);
		create_view(p);
		break;
	case SQL_W_PROCEDURE:
	case SQL_W_FUNCTION:
	case SQL_W_EVENT:
		sql_skip_body(p);
		break;
	case SQL_W_USER:
		p->flags |= SQL_F_ACCOUNTS | SQL_F_PASSWORD | SQL_F_SYSTEM_SCHEMA;
		sql_skip_statement(p);
		break;
	case SQL_W_DATABASE:
	case SQL_W_SCHEMA:
		p->flags |= SQL_F_ACCOUNTS;
		sql_skip_statement(p);
		break;
	default:
		sql_skip_statement(p);
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
	case SQL_W_TABLE:
	case SQL_W_TABLES:
	case SQL_W_VIEW:
	case SQL_W_SEQUENCE:
		drop_tables(p);
		break;
	case SQL_W_INDEX:
		index_on_table(p);
		break;
	case SQL_W_USER:
	case SQL_W_ROLE:
		p->flags |= SQL_F_ACCOUNTS | SQL_F_SYSTEM_SCHEMA;
		sql_skip_statement(p);
		break;
	case SQL_W_DATABASE:
	case SQL_W_SCHEMA:
		p->flags |= SQL_F_ACCOUNTS;
		sql_advance(p);
		if_exists(p);
		sql_name(p, &p->drop_schema);
		sql_skip_statement(p);
		break;
	default:
		sql_skip_statement(p);
	}
}

/* RENAME TABLE a TO b, ...; RENAME USER .. */
void sql_stmt_rename(struct sql_parser *p)
{
	p->flags |= DDL;
	if (!sql_accept(p, SQL_W_TABLE) && !sql_accept(p, SQL_W_TABLES)) {
		p->flags |= SQL_F_ACCOUNTS | SQL_F_SYSTEM_SCHEMA;
		sql_skip_statement(p);
		return;
	}
	if_exists(p);
	do {
		table(p, true);
		sql_wait(p);
		sql_expect(p, SQL_W_TO, "TO was expected");
		table(p, true);
	} while (sql_accept_op(p, ','));
}
