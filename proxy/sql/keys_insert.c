/*
 * keys_insert.c - the values an INSERT gives the columns that name rows.
 */
#include "parse.h"

static unsigned column_index(const struct sql_insert_keys *k, struct span name)
{
	unsigned i;

	for (i = 0; i < k->ncolumns; i++)
		if (sql_like_name(name, span_str(k->columns[i])))
			break;
	return i;
}

/* (column, column, ...): where each of those asked for stands. */
void sql_insert_list(struct sql_parser *p)
{
	struct sql_insert_keys *k = p->insert;
	struct sql_parser_mark m = sql_mark(p);

	k->listed = true;
	sql_advance(p);
	while (sql_at_name(p) && k->nplaces < sizeof(k->place)) {
		struct span name = p->t.text;
		unsigned i;

		sql_advance(p);
		while (sql_accept_op(p, '.') && sql_at_name(p)) { /* [schema.]table.column */
			name = p->t.text;
			sql_advance(p);
		}
		i = column_index(k, name);
		k->place[k->nplaces++] = i < k->ncolumns ? (uint8_t)(i + 1) : 0;
		if (i < k->ncolumns)
			k->at[i].given = SQL_GIVEN_VALUES;
		if (!sql_accept_op(p, ','))
			break;
	}
	if (!sql_is_op(p, ')') && k->nplaces) /* too long, or odd: what is behind it is not known */
		k->listed = false;
	sql_rewind(p, &m);
}

static void take_value(struct sql_insert_column *c, bool good, struct sql_key_value v)
{
	if (!good || c->n == SQL_INSERT_ROWS)
		c->given = SQL_GIVEN_UNKNOWN;
	else
		c->values[c->n++] = v;
}

/* To the comma or parenthesis behind an expression. */
static void skip_expression(struct sql_parser *p)
{
	while (!sql_is_op(p, ',') && !sql_is_op(p, ')') && !sql_at_end(p)) {
		if (sql_is_op(p, '('))
			sql_skip_parens(p);
		else
			sql_advance(p);
	}
}

/* (value, ...): of those columns only. */
void sql_insert_row(struct sql_parser *p)
{
	struct sql_insert_keys *k = p->insert;
	struct sql_parser_mark m = sql_mark(p);
	bool more = sql_accept_op(p, '(');

	k->rows++;
	for (uint16_t place = 0; more && place < k->nplaces; place++) {
		struct sql_key_value v = {0};
		bool good = sql_key_literal(p, &v) && (sql_is_op(p, ',') || sql_is_op(p, ')'));

		if (k->place[place])
			take_value(&k->at[k->place[place] - 1], good, v);
		skip_expression(p);
		more = sql_accept_op(p, ',');
	}
	sql_rewind(p, &m);
}

/* column = value of INSERT ... SET, or of ON DUPLICATE KEY UPDATE. */
void sql_insert_assigned(struct sql_parser *p, struct span column)
{
	struct sql_insert_keys *k = p->insert;
	struct sql_parser_mark m = sql_mark(p);
	unsigned i = column_index(k, column);
	struct sql_key_value v = {0};
	bool good;

	if (!k->in_update) {
		k->listed = true;
		k->rows = 1;
	}
	if (i == k->ncolumns)
		return;
	if (k->in_update) {
		k->at[i].assigned = true;
		return;
	}
	k->at[i].given = SQL_GIVEN_VALUES;
	good = sql_key_literal(p, &v) && (sql_is_op(p, ',') || sql_is(p, SQL_W_ON) || sql_at_end(p));
	take_value(&k->at[i], good, v);
	sql_rewind(p, &m);
}

enum rc sql_insert_keys_parse(struct span text, unsigned mode, struct sql_insert_keys *k)
{
	struct sql_parser p;

	for (unsigned i = 0; i < k->ncolumns; i++)
		k->at[i] = (struct sql_insert_column){.given = SQL_GIVEN_NOT};
	k->rows = 0;
	k->nplaces = 0;
	k->replaces = k->ignores = k->listed = k->in_update = false;
	sql_parser_init(&p, text, mode, false);
	p.insert = k;
	sql_statement(&p);
	sql_accept_op(&p, ';');
	if (p.why || p.t.kind != SQL_T_END || sql_depends_on_server(text, mode) || p.nrefs != 1 || (p.flags & SQL_F_SUBQUERY) || !k->rows)
		return RC_DECLINED;
	if (p.verb != SQL_INSERT && p.verb != SQL_REPLACE)
		return RC_DECLINED;
	k->replaces |= p.verb == SQL_REPLACE;
	for (unsigned i = 0; i < k->ncolumns; i++)
		if (!k->listed || (k->at[i].given == SQL_GIVEN_VALUES && k->at[i].n != k->rows))
			k->at[i].given = SQL_GIVEN_UNKNOWN;
	return RC_OK;
}
