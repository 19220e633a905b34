/*
 * operand.c - what stands between the operators of an expression: literals, columns, variables, functions.
 */
#include "parse.h"

static void string(struct sql_parser *p)
{
	while (p->t.kind == SQL_T_STRING || p->t.kind == SQL_T_BYTES)
		sql_advance(p);
}

static void user_variable(struct sql_parser *p)
{
	sql_effects(p, SQL_F_REPLAY_UNSAFE, p->t.text);
	sql_advance(p);
	if (sql_accept_op(p, SQL_OP_ASSIGN)) {
		p->flags |= SQL_F_USER_VAR_WRITE;
		sql_expr(p);
	} else {
		p->flags |= SQL_F_USER_VAR_READ;
	}
}

static uint64_t system_variable_effects(enum sql_word w)
{
	switch (w) {
	case SQL_W_WARNING_COUNT:
	case SQL_W_ERROR_COUNT:
		return SQL_F_DIAGNOSTICS;
	case SQL_W_LAST_INSERT_ID:
	case SQL_W_IDENTITY:
		return SQL_F_LAST_INSERT_ID;
	case SQL_W_PSEUDO_THREAD_ID:
		return SQL_F_CONNECTION_ID;
	default:
		return 0;
	}
}

void sql_system_variable(struct sql_parser *p)
{
	struct span cause = p->t.text;

	do {
		sql_advance(p);
		if (p->t.kind == SQL_T_WORD)
			p->flags |= system_variable_effects(p->t.word);
		else if (p->t.kind != SQL_T_QUOTED &&
			 p->t.kind != SQL_T_STRING) /* a key cache's or connection's name */
			sql_fail(p, "a variable's name was expected");
		if (p->why)
			return;
		cause.len = (size_t)(p->t.text.p + p->t.text.len - cause.p);
		sql_advance(p);
	} while (sql_is_op(p, '.'));
	sql_effects(p, SQL_F_SYSTEM_VAR | SQL_F_NONDETERMINISTIC | SQL_F_REPLAY_UNSAFE, cause);
}

/* {d '2020-01-01'}, {fn now()} */
static void odbc(struct sql_parser *p)
{
	struct span kind;

	sql_advance(p);
	if (sql_name(p, &kind))
		sql_expr(p);
	sql_expect_op(p, '}', "a closing brace was expected");
}

static void case_expression(struct sql_parser *p)
{
	sql_advance(p);
	if (!sql_is(p, SQL_W_WHEN))
		sql_expr(p);
	do {
		sql_expect(p, SQL_W_WHEN, "WHEN was expected");
		sql_expr(p);
		sql_expect(p, SQL_W_THEN, "THEN was expected");
		sql_expr(p);
	} while (sql_is(p, SQL_W_WHEN));
	if (sql_accept(p, SQL_W_ELSE))
		sql_expr(p);
	sql_expect(p, SQL_W_END, "END was expected");
}

/* INTERVAL expression unit, or the function INTERVAL(a, b, ...). */
static void interval(struct sql_parser *p)
{
	bool function;

	sql_advance(p);
	function = sql_is_op(p, '(');
	if (function)
		sql_parens(p);
	else
		sql_expr(p);
	if (p->t.kind == SQL_T_WORD && sql_is_unit(p->t.word))
		sql_advance(p);
	else if (!function)
		sql_fail(p, "a unit of time was expected");
}

/* MATCH (columns) AGAINST (expression [mode]); InnoDB looks among committed rows only, and a batch commits at its end. */
static void match(struct sql_parser *p)
{
	sql_effects(p, SQL_F_REPLAY_UNSAFE, p->t.text);
	sql_advance(p);
	sql_expr_list(p);
	sql_expect(p, SQL_W_AGAINST, "AGAINST was expected");
	sql_expect_op(p, '(', "an opening parenthesis was expected");
	sql_expr_without_in(p);
	while (p->t.kind == SQL_T_WORD) /* IN BOOLEAN MODE and the like */
		sql_advance(p);
	sql_expect_op(p, ')', "a closing parenthesis was expected");
}

/* DEFAULT, or DEFAULT(column): MariaDB computes that for each row, and the schema may say NOW(), UUID() or RAND() there. */
static void default_value(struct sql_parser *p)
{
	struct span cause = p->t.text;

	sql_advance(p);
	if (!sql_is_op(p, '('))
		return;
	sql_effects(p, SQL_F_NONDETERMINISTIC, cause);
	sql_parens(p);
}

/* NEXT VALUE FOR s, PREVIOUS VALUE FOR s: the sequence moves, or the session's last one is asked for. */
static void sequence_value(struct sql_parser *p)
{
	struct span cause = p->t.text;
	struct sql_ref *r;
	bool next = sql_is(p, SQL_W_NEXT);

	sql_advance(p);
	sql_advance(p);
	sql_expect(p, SQL_W_FOR, "FOR was expected");
	r = sql_table_name(p);
	if (r)
		r->written = next, r->read = true;
	sql_effects(p, sql_words[SQL_W_NEXTVAL].effects | (next ? SQL_F_WRITES : 0), cause);
}

/* A column, or a function of a schema's: name, schema.name or schema.table.name, perhaps with a star at the end. */
static void column(struct sql_parser *p)
{
	struct span path[3] = {{0}}, name;
	size_t n = 0;
	bool word = p->t.kind == SQL_T_WORD;

	do {
		if (sql_is_op(p, '*') && n) {
			sql_advance(p);
			return;
		}
		if (n == 3 || !sql_name(p, &name)) {
			sql_fail(p, "a column was expected");
			return;
		}
		path[n++] = name;
	} while (sql_accept_op(p, '.'));
	if (n > 1 && (p->scan.mode & SQL_MODE_ORACLE))
		sql_oracle_sequence(p, path, n);
	if (!sql_is_op(p, '('))
		return;
	if (n > 1)
		sql_call_stored(p, path[0], path[n - 1]); /* a package's name may stand between (MariaDB) */
	else
		sql_call_function(p, word ? sql_word_find(name.p, name.len) : SQL_WORD_NONE, name,
				  p->t.blank);
}

/* DATE '..', TIME '..', TIMESTAMP '..', _utf8 '..': a word that belongs to the literal behind it. */
static bool literal_prefix(const struct sql_parser *p)
{
	struct sql_token next;

	if (!sql_word_is(p->t.word, SQL_WT_CHARSET) && p->t.word != SQL_W_DATE && p->t.word != SQL_W_TIME &&
	    p->t.word != SQL_W_TIMESTAMP)
		return false;
	next = sql_peek(p);
	return next.kind == SQL_T_STRING || (next.kind == SQL_T_BYTES && sql_word_is(p->t.word, SQL_WT_CHARSET));
}

/* A reserved word where an operand is wanted: one with a grammar of its own, or one of the functions. */
static void reserved(struct sql_parser *p)
{
	struct sql_token t = p->t;

	switch (t.word) {
	case SQL_W_NULL:
	case SQL_W_TRUE:
	case SQL_W_FALSE:
	case SQL_W_MAXVALUE:
	case SQL_W_IGNORE: /* MariaDB: a value that says DEFAULT */
		sql_advance(p);
		return;
	case SQL_W_CASE:
		case_expression(p);
		return;
	case SQL_W_EXISTS:
		sql_advance(p);
		sql_parens(p);
		return;
	case SQL_W_INTERVAL:
		interval(p);
		return;
	case SQL_W_MATCH:
		match(p);
		return;
	case SQL_W_DEFAULT:
		default_value(p);
		return;
	default:
		break;
	}
	sql_advance(p);
	if (sql_is_op(p, '(') && (sql_word_is(t.word, SQL_WT_FUNCTION) || t.word == SQL_W_CONVERT))
		sql_call_function(p, t.word, t.text, p->t.blank);
	else if (sql_word_is(t.word, SQL_WT_BARE))
		sql_effects(p, sql_words[t.word].effects, t.text);
	else
		sql_fail(p, "an expression was expected");
}

/* A word that is not reserved: a column, a function, or the start of something longer. */
static void plain_word(struct sql_parser *p)
{
	struct sql_token t = p->t;

	if (literal_prefix(p)) {
		sql_advance(p);
		string(p);
	} else if ((t.word == SQL_W_NEXT || t.word == SQL_W_PREVIOUS) && sql_peek_is(p, SQL_W_VALUE)) {
		sequence_value(p);
	} else if (t.word == SQL_W_ROW && sql_peek_op(p, '(')) {
		sql_advance(p);
		sql_parens(p);
	} else if (sql_word_is(t.word, SQL_WT_BARE) && !sql_peek_op(p, '.') && !sql_peek_op(p, '(')) {
		sql_effects(p, sql_words[t.word].effects, t.text);
		sql_advance(p);
	} else {
		if ((p->scan.mode & SQL_MODE_ORACLE) && (t.word == SQL_W_SYSDATE || t.word == SQL_W_ROWNUM))
			sql_effects(p, sql_words[t.word].effects, t.text);
		column(p);
	}
}

void sql_operand(struct sql_parser *p)
{
	switch (p->t.kind) {
	case SQL_T_STRING:
		string(p);
		break;
	case SQL_T_NUMBER:
	case SQL_T_BYTES:
	case SQL_T_PARAM:
		sql_advance(p);
		break;
	case SQL_T_USER_VAR:
		user_variable(p);
		break;
	case SQL_T_SYSTEM_VAR:
		sql_system_variable(p);
		break;
	case SQL_T_QUOTED:
		column(p);
		break;
	case SQL_T_WORD:
		sql_word_is(p->t.word, SQL_WT_RESERVED) ? reserved(p) : plain_word(p);
		break;
	case SQL_T_OP:
		if (sql_is_op(p, '(')) {
			sql_parens(p);
			break;
		}
		if (sql_is_op(p, '{')) {
			odbc(p);
			break;
		}
		/* fall through */
	default:
		sql_fail(p, "an expression was expected");
	}
}
