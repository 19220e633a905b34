/*
 * expr.c - expressions.
 *
 * What an expression touches does not depend on its operators' precedence, so an expression is read flat: operands
 * with operators between them, where some operators take a word or two more.
 */
#include "parse.h"

static bool prefix(struct sql_parser *p)
{
	return sql_accept_op(p, '-') || sql_accept_op(p, '+') || sql_accept_op(p, '!') || sql_accept_op(p, '~') ||
	       sql_accept(p, SQL_W_NOT) || sql_accept(p, SQL_W_BINARY);
}

/* Where an expression may end, and what was met on its own level. */
struct flow {
	unsigned between; /* BETWEENs whose AND is still to come */
	bool stop_at_and; /* an AND that belongs to no BETWEEN ends it */
	bool saw_or;      /* OR, XOR or || */
	bool no_in;       /* an IN ends it */
};

static bool symbol_operator(struct sql_parser *p, struct flow *f)
{
	switch (p->t.op) {
	case '=':
	case '<':
	case '>':
	case SQL_OP_NULLSAFE:
	case SQL_OP_LE:
	case SQL_OP_GE:
	case SQL_OP_NE:
		sql_advance(p);
		if (sql_is(p, SQL_W_ALL) || ((sql_is(p, SQL_W_ANY) || sql_is(p, SQL_W_SOME)) && sql_peek_op(p, '(')))
			sql_advance(p);
		return true;
	case SQL_OP_OROR:
		f->saw_or = true;
		sql_advance(p);
		return true;
	case SQL_OP_ANDAND:
		if (f->stop_at_and)
			return false;
		sql_advance(p);
		return true;
	case '+':
	case '-':
	case '*':
	case '/':
	case '%':
	case '^':
	case '|':
	case '&':
	case SQL_OP_SHL:
	case SQL_OP_SHR:
	case SQL_OP_ARROW:
	case SQL_OP_ARROW2:
		sql_advance(p);
		return true;
	default:
		return false;
	}
}

/* NOT in front of an operator's word. */
static bool negated_operator(struct sql_parser *p)
{
	sql_advance(p);
	return sql_is(p, SQL_W_IN) || sql_is(p, SQL_W_LIKE) || sql_is(p, SQL_W_BETWEEN) || sql_is(p, SQL_W_REGEXP) ||
	       sql_is(p, SQL_W_RLIKE) || sql_is(p, SQL_W_MEMBER);
}

/* An AND: the one of a BETWEEN, or a connective. */
static bool and_operator(struct sql_parser *p, struct flow *f)
{
	if (f->between)
		f->between--;
	else if (f->stop_at_and)
		return false;
	sql_advance(p);
	return true;
}

static void collate(struct sql_parser *p)
{
	sql_advance(p);
	if (!sql_any_word(p))
		sql_fail(p, "a collation was expected");
}

/* An operator's word that must be followed by another to be one. */
static bool two_words(struct sql_parser *p, enum sql_word second)
{
	if (!sql_peek_is(p, second))
		return false;
	sql_advance(p);
	sql_advance(p);
	return true;
}

static bool escape_operator(struct sql_parser *p)
{
	struct sql_token t = sql_peek(p);

	if (t.kind == SQL_T_END || (t.kind == SQL_T_OP && t.op != '('))
		return false; /* somebody's name */
	sql_advance(p);
	return true;
}

/* Reads an operator that takes another operand; false: the expression ends here. */
static bool binary_operator(struct sql_parser *p, struct flow *f)
{
	while (p->t.kind == SQL_T_WORD && p->t.word == SQL_W_COLLATE)
		collate(p);
	if (p->t.kind == SQL_T_OP)
		return symbol_operator(p, f);
	if (p->t.kind != SQL_T_WORD)
		return false;
	switch (p->t.word) {
	case SQL_W_NOT:
		if (!negated_operator(p))
			return false;
		return binary_operator(p, f);
	case SQL_W_AND:
		return and_operator(p, f);
	case SQL_W_OR:
	case SQL_W_XOR:
		f->saw_or = true;
		sql_advance(p);
		return true;
	case SQL_W_BETWEEN:
		f->between++;
		sql_advance(p);
		return true;
	case SQL_W_IN:
		if (f->no_in)
			return false;
		sql_advance(p);
		return true;
	case SQL_W_LIKE:
	case SQL_W_REGEXP:
	case SQL_W_RLIKE:
	case SQL_W_IS:
	case SQL_W_DIV:
	case SQL_W_MOD:
		sql_advance(p);
		return true;
	case SQL_W_ESCAPE:
		return escape_operator(p);
	case SQL_W_SOUNDS:
		return two_words(p, SQL_W_LIKE);
	case SQL_W_MEMBER:
		return two_words(p, SQL_W_OF);
	default:
		return false;
	}
}

static void flat(struct sql_parser *p, struct flow *f)
{
	if (sql_deeper(p)) {
		do {
			while (prefix(p))
				;
			sql_operand(p);
		} while (binary_operator(p, f));
	}
	p->depth--;
}

void sql_expr(struct sql_parser *p)
{
	struct flow f = {0};

	flat(p, &f);
}

bool sql_conjunct(struct sql_parser *p)
{
	struct flow f = {.stop_at_and = true};

	flat(p, &f);
	return f.saw_or;
}

void sql_expr_list(struct sql_parser *p)
{
	do
		sql_expr(p);
	while (sql_accept_op(p, ','));
}

/* ( expression, ... ) or ( query ). What stands in parentheses may turn out to have been a query that goes on. */
void sql_parens(struct sql_parser *p)
{
	sql_advance(p);
	if (sql_at_query(p) && !(sql_is(p, SQL_W_VALUES) && sql_peek_op(p, '('))) {
		sql_subquery(p);
	} else {
		sql_expr_list(p);
		sql_query_tail(p);
	}
	sql_expect_op(p, ')', "a closing parenthesis was expected");
}

void sql_expr_without_in(struct sql_parser *p)
{
	struct flow f = {.no_in = true};

	flat(p, &f);
}
