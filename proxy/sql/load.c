/*
 * load.c - LOAD, and the smaller statements that touch rows: HANDLER, TRUNCATE, CALL, DO.
 */
#include "parse.h"

/* (column | @variable, ...) */
static void load_columns(struct sql_parser *p)
{
	struct span name;

	sql_advance(p);
	while (!sql_is_op(p, ')') && !sql_at_end(p)) {
		if (p->t.kind == SQL_T_USER_VAR) {
			p->flags |= SQL_F_USER_VAR_WRITE;
			sql_advance(p);
		} else {
			sql_name(p, &name);
			while (sql_accept_op(p, '.'))
				sql_name(p, &name);
		}
		if (!sql_accept_op(p, ','))
			break;
	}
	sql_expect_op(p, ')', "a closing parenthesis was expected");
}

static void load_tail(struct sql_parser *p)
{
	sql_file_options(p);
	if (sql_accept(p, SQL_W_ROWS)) {
		sql_expect(p, SQL_W_IDENTIFIED, "IDENTIFIED BY was expected");
		sql_expect(p, SQL_W_BY, "BY was expected");
		sql_any_word(p);
	}
	sql_file_options(p);
	if (sql_accept(p, SQL_W_IGNORE)) {
		sql_operand(p);
		if (!sql_accept(p, SQL_W_LINES))
			sql_expect(p, SQL_W_ROWS, "LINES was expected");
	}
	if (sql_is_op(p, '('))
		load_columns(p);
	if (sql_accept(p, SQL_W_SET))
		sql_assignments(p, NULL, 0);
}

void sql_stmt_load(struct sql_parser *p)
{
	if (!sql_accept(p, SQL_W_DATA) && !sql_accept(p, SQL_W_XML)) { /* LOAD INDEX INTO CACHE, LOAD PLUGIN .. */
		p->verb = SQL_ADMIN;
		p->flags |= SQL_F_SERVER_STATE;
		sql_skip_statement(p);
		return;
	}
	p->flags |= SQL_F_WRITES | SQL_F_REPLAY_UNSAFE;
	if (!sql_accept(p, SQL_W_LOW_PRIORITY))
		sql_accept(p, SQL_W_CONCURRENT);
	p->flags |= sql_accept(p, SQL_W_LOCAL) ? SQL_F_LOCAL_INFILE : SQL_F_SERVER_FILE;
	sql_expect(p, SQL_W_INFILE, "INFILE was expected");
	if (!sql_any_word(p))
		sql_fail(p, "a file name was expected");
	if (!sql_accept(p, SQL_W_REPLACE))
		sql_accept(p, SQL_W_IGNORE);
	sql_expect(p, SQL_W_INTO, "INTO was expected");
	sql_expect(p, SQL_W_TABLE, "TABLE was expected");
	sql_written_table(p);
	sql_partition_list(p);
	load_tail(p);
}

/* HANDLER t OPEN [[AS] alias] | READ index .. | CLOSE */
void sql_stmt_handler(struct sql_parser *p)
{
	struct sql_ref *r = sql_table_name(p);
	struct span alias = {0};

	if (r)
		r->read = true;
	if (sql_accept(p, SQL_W_OPEN)) {
		sql_alias(p, false, &alias);
		return;
	}
	if (sql_accept(p, SQL_W_CLOSE))
		return;
	sql_expect(p, SQL_W_READ, "OPEN, READ or CLOSE was expected");
	while (!sql_at_end(p) && !sql_is(p, SQL_W_WHERE) && !sql_is(p, SQL_W_LIMIT))
		sql_is_op(p, '(') ? sql_parens(p) : sql_advance(p);
	sql_where(p);
	sql_order_and_limit(p);
}

void sql_stmt_truncate(struct sql_parser *p)
{
	p->flags |= SQL_F_WRITES | SQL_F_DDL | SQL_F_IMPLICIT_COMMIT;
	sql_accept(p, SQL_W_TABLE);
	sql_written_table(p);
	sql_wait(p);
}

/* CALL [schema.]name[(arguments)]: what the procedure does is not known from here. */
void sql_stmt_call(struct sql_parser *p)
{
	struct span schema = {0}, name = {0};

	p->flags |= SQL_F_REPLAY_UNSAFE;
	if (!sql_name(p, &name))
		return;
	while (sql_accept_op(p, '.')) {
		schema = name;
		if (!sql_name(p, &name))
			return;
	}
	sql_add_call(p, schema, name);
	if (!sql_accept_op(p, '('))
		return;
	if (!sql_is_op(p, ')'))
		sql_expr_list(p);
	sql_expect_op(p, ')', "a closing parenthesis was expected");
}

void sql_stmt_do(struct sql_parser *p)
{
	struct span alias;

	do {
		sql_expr(p);
		sql_alias(p, true, &alias);
	} while (sql_accept_op(p, ','));
}
