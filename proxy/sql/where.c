/*
 * where.c - the condition of a statement, and the row keys it names.
 *
 * Keys are the terms "column = value" and "column IN (values)" that an AND on the condition's own level joins, in
 * parentheses or not. Each term is first held against that form and then, wherever it began, read as any expression.
 */
#include "parse.h"

#define MAX_GROUPS 8 /* parentheses around terms */

static bool at_and(const struct sql_parser *p)
{
	return sql_is(p, SQL_W_AND) || sql_is_op(p, SQL_OP_ANDAND);
}

/* True where a term can end: what follows would otherwise be part of it. */
static bool at_term_end(const struct sql_parser *p)
{
	if (sql_at_end(p) || at_and(p) || sql_is_op(p, ')'))
		return true;
	if (p->t.kind != SQL_T_WORD)
		return false;
	switch (p->t.word) {
	case SQL_W_ORDER:
	case SQL_W_GROUP:
	case SQL_W_HAVING:
	case SQL_W_LIMIT:
	case SQL_W_FOR:
	case SQL_W_LOCK:
	case SQL_W_INTO:
	case SQL_W_RETURNING:
	case SQL_W_OFFSET:
	case SQL_W_FETCH:
	case SQL_W_WINDOW:
		return true;
	default:
		return false;
	}
}

bool sql_key_literal(struct sql_parser *p, struct sql_key_value *out)
{
	struct sql_key_value v = {.text = p->t.text, .param = SQL_NO_PARAM};

	if (sql_accept_op(p, '-')) {
		if (p->t.kind != SQL_T_NUMBER)
			return false;
		v.text.len = (size_t)(p->t.text.p + p->t.text.len - v.text.p);
	} else if (p->t.kind == SQL_T_PARAM) {
		v.param = p->params;
	} else if (p->t.kind != SQL_T_STRING && p->t.kind != SQL_T_NUMBER && p->t.kind != SQL_T_BYTES) {
		return false;
	}
	sql_advance(p);
	*out = v;
	return true;
}

/* A literal or a placeholder, added to the values. */
static bool value(struct sql_parser *p)
{
	struct sql_keys *k = p->keys;

	return k->nvalues < SQL_MAX_KEY_VALUES && sql_key_literal(p, &k->values[k->nvalues]) && ++k->nvalues;
}

/* [[schema.]table.]column: the column's own name. */
static bool column(struct sql_parser *p, struct span *out)
{
	do {
		if (!sql_at_name(p))
			return false;
		*out = p->t.text;
		sql_advance(p);
	} while (sql_accept_op(p, '.'));
	return true;
}

static bool equals(struct sql_parser *p)
{
	return sql_accept_op(p, '=') || sql_accept_op(p, SQL_OP_NULLSAFE);
}

/* column = value, value = column, column IN (value, ...) */
static bool term(struct sql_parser *p)
{
	struct sql_keys *k = p->keys;
	struct sql_key key = {.first = k->nvalues};

	if (k->nkeys == SQL_MAX_KEYS)
		return false;
	if (!sql_at_name(p)) {
		if (!value(p) || !equals(p) || !column(p, &key.column))
			return false;
	} else {
		if (!column(p, &key.column))
			return false;
		if (equals(p)) {
			if (!value(p))
				return false;
		} else {
			if (!sql_accept(p, SQL_W_IN) || !sql_accept_op(p, '('))
				return false;
			do
				if (!value(p))
					return false;
			while (sql_accept_op(p, ','));
			if (!sql_accept_op(p, ')'))
				return false;
		}
	}
	key.n = (uint16_t)(k->nvalues - key.first);
	k->keys[k->nkeys++] = key;
	return at_term_end(p);
}

/* A term, or terms with AND between them in parentheses. */
static bool group(struct sql_parser *p, unsigned depth)
{
	if (!sql_accept_op(p, '('))
		return term(p);
	if (depth == MAX_GROUPS)
		return false;
	for (;;) {
		if (!group(p, depth + 1))
			return false;
		if (!at_and(p))
			break;
		sql_advance(p);
	}
	return sql_accept_op(p, ')') && at_term_end(p);
}

/* Takes the keys of what begins here, if it has the form, and goes back. */
static void try_keys(struct sql_parser *p)
{
	struct sql_parser_mark m = sql_mark(p);
	uint16_t nkeys = p->keys->nkeys, nvalues = p->keys->nvalues;

	if (!group(p, 0)) {
		p->keys->nkeys = nkeys;
		p->keys->nvalues = nvalues;
	}
	sql_rewind(p, &m);
}

static void conjunction(struct sql_parser *p)
{
	bool other = p->keys->wheres++ > 0; /* of a UNION: the keys of one say nothing of the other */

	for (;;) {
		try_keys(p);
		other |= sql_conjunct(p);
		if (!at_and(p))
			break;
		sql_advance(p);
	}
	if (other)
		p->keys->nkeys = 0;
}

void sql_where(struct sql_parser *p)
{
	if (!sql_accept(p, SQL_W_WHERE))
		return;
	if (p->keys && p->level == 0)
		conjunction(p);
	else
		sql_expr(p);
}

/* A row whose key is given another value is under two: such keys do not count. */
static void drop_assigned(struct sql_keys *k)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < k->nkeys; i++) {
		bool assigned = k->nassigned > SQL_MAX_ASSIGNED;

		for (uint16_t j = 0; j < k->nassigned && j < SQL_MAX_ASSIGNED; j++)
			assigned |= sql_like_name(k->keys[i].column, k->assigned[j]);
		if (!assigned)
			k->keys[kept++] = k->keys[i];
	}
	k->nkeys = kept;
}

enum rc sql_keys_parse(struct span text, unsigned mode, struct sql_keys *out)
{
	struct sql_parser p;

	out->nkeys = out->nvalues = out->wheres = out->nassigned = 0;
	out->others = false;
	out->schema = out->table = (struct span){0};
	sql_parser_init(&p, text, mode, false);
	p.keys = out;
	sql_statement(&p);
	sql_accept_op(&p, ';');
	drop_assigned(out);
	if (p.why || p.t.kind != SQL_T_END || sql_depends_on_server(text, mode) || p.nrefs != 1 || p.refs[0].level ||
	    (p.flags & SQL_F_SUBQUERY) || out->others || out->wheres != 1 || !out->nkeys)
		return RC_DECLINED;
	if (p.verb != SQL_SELECT && p.verb != SQL_UPDATE && p.verb != SQL_DELETE)
		return RC_DECLINED;
	out->schema = p.refs[0].schema;
	out->table = p.refs[0].name;
	return RC_OK;
}

bool sql_key_is(struct span column, const char *name)
{
	return sql_like_name(column, span_str(name));
}
