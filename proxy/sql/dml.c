/*
 * dml.c - INSERT, REPLACE, UPDATE, DELETE, LOAD, and the smaller statements that touch rows.
 */
#include "parse.h"

/* Skips the words of a statement's head: LOW_PRIORITY and its kin. */
static void modifiers(struct sql_parser *p)
{
	while (sql_is(p, SQL_W_LOW_PRIORITY) || sql_is(p, SQL_W_DELAYED) || sql_is(p, SQL_W_HIGH_PRIORITY) ||
	       sql_is(p, SQL_W_IGNORE) || (sql_is(p, SQL_W_QUICK) && !sql_peek_is(p, SQL_W_SET))) {
		if (p->insert && sql_is(p, SQL_W_IGNORE))
			p->insert->ignores = true;
		if (sql_is(p, SQL_W_DELAYED))
			p->flags |= SQL_F_DELAYED;
		sql_advance(p);
	}
}

void sql_written_table(struct sql_parser *p)
{
	struct sql_ref *r;
	uint16_t ctes = p->nctes;

	p->nctes = 0; /* nobody writes to a common table expression */
	r = sql_table_name(p);
	p->nctes = ctes;
	if (r)
		r->written = true;
}

/* [db.][t.]column {= | :=} value, ...; each assigned is told the qualifier, or an empty span. */
void sql_assignments(struct sql_parser *p, void (*each)(struct sql_parser *, struct span, uint16_t), uint16_t first)
{
	do {
		struct span qualifier = {0}, name;

		if (!sql_name(p, &name))
			return;
		while (sql_accept_op(p, '.')) {
			qualifier = name;
			if (!sql_name(p, &name))
				return;
		}
		if (p->keys && p->keys->nassigned < SQL_MAX_ASSIGNED)
			p->keys->assigned[p->keys->nassigned] = name;
		if (p->keys && p->keys->nassigned <= SQL_MAX_ASSIGNED)
			p->keys->nassigned++;
		if (!sql_accept_op(p, '='))
			sql_expect_op(p, SQL_OP_ASSIGN, "an assignment was expected");
		if (p->insert)
			sql_insert_assigned(p, name);
		sql_expr(p);
		if (each)
			each(p, qualifier, first);
	} while (sql_accept_op(p, ','));
}

static void returning(struct sql_parser *p)
{
	if (!sql_accept(p, SQL_W_RETURNING))
		return;
	p->flags |= SQL_F_RETURNING;
	sql_select_items(p);
}

/* [AS row[(columns)]] [ON DUPLICATE KEY UPDATE ..] [RETURNING ..] */
static void insert_tail(struct sql_parser *p)
{
	struct span alias;

	if (sql_is(p, SQL_W_AS)) {
		sql_alias(p, false, &alias);
		if (sql_is_op(p, '('))
			sql_skip_parens(p);
	}
	if (sql_accept(p, SQL_W_ON)) {
		sql_expect(p, SQL_W_DUPLICATE, "DUPLICATE was expected");
		sql_expect(p, SQL_W_KEY, "KEY was expected");
		sql_expect(p, SQL_W_UPDATE, "UPDATE was expected");
		if (p->insert)
			p->insert->in_update = p->insert->replaces = true;
		sql_assignments(p, NULL, 0);
	}
	returning(p);
}

/* (value, ...) with DEFAULT among the values; may be empty. */
static void row(struct sql_parser *p)
{
	if (p->insert)
		sql_insert_row(p);
	sql_expect_op(p, '(', "a row was expected");
	if (!sql_is_op(p, ')'))
		sql_expr_list(p);
	sql_expect_op(p, ')', "a row's closing parenthesis was expected");
}

static void insert_rows(struct sql_parser *p)
{
	uint64_t before = p->flags & SQL_F_SUBQUERY;

	sql_advance(p);
	p->flags &= ~SQL_F_SUBQUERY;
	if (sql_is(p, SQL_W_ROW)) { /* VALUES ROW(..): a query's form */
		do {
			sql_expect(p, SQL_W_ROW, "a row was expected");
			row(p);
		} while (sql_accept_op(p, ','));
	} else {
		do
			row(p);
		while (sql_accept_op(p, ','));
		if (!(p->flags & SQL_F_SUBQUERY))
			p->flags |= SQL_F_INSERT_VALUES;
	}
	p->flags |= before;
}

/* The columns an INSERT names, or the parenthesis of a query. */
static bool column_list(struct sql_parser *p)
{
	struct sql_token next;

	if (!sql_is_op(p, '('))
		return false;
	next = sql_peek(p);
	if (next.kind == SQL_T_OP && next.op == '(')
		return false;
	if (next.kind == SQL_T_WORD && (next.word == SQL_W_SELECT || next.word == SQL_W_WITH ||
					next.word == SQL_W_VALUES || next.word == SQL_W_TABLE))
		return false;
	if (p->insert)
		sql_insert_list(p);
	sql_skip_parens(p);
	return true;
}

void sql_stmt_insert(struct sql_parser *p)
{
	p->flags |= SQL_F_WRITES;
	modifiers(p);
	sql_accept(p, SQL_W_INTO);
	sql_written_table(p);
	sql_partition_list(p);
	column_list(p);
	if (sql_accept(p, SQL_W_SET)) {
		sql_assignments(p, NULL, 0);
	} else if ((sql_is(p, SQL_W_VALUES) || sql_is(p, SQL_W_VALUE))) {
		insert_rows(p);
	} else {
		p->flags |= SQL_F_REPLAY_UNSAFE;
		sql_subquery(p);
	}
	insert_tail(p);
}

/* FOR PORTION OF period FROM a TO b (MariaDB). What a row says beyond the portion goes into new rows, which an AUTO_INCREMENT column
 * gives numbers of their own. */
static void portion(struct sql_parser *p)
{
	struct span name;

	if (!sql_is(p, SQL_W_FOR) || !sql_peek_is(p, SQL_W_PORTION))
		return;
	sql_advance(p);
	sql_advance(p);
	sql_expect(p, SQL_W_OF, "OF was expected");
	sql_name(p, &name);
	sql_expect(p, SQL_W_FROM, "FROM was expected");
	sql_expr(p);
	sql_expect(p, SQL_W_TO, "TO was expected");
	sql_expr(p);
	if (p->keys)
		p->keys->others = true;
}

void sql_order_and_limit(struct sql_parser *p)
{
	bool ordered = sql_is(p, SQL_W_ORDER);

	if (ordered)
		sql_order_by(p);
	if (sql_is(p, SQL_W_LIMIT)) {
		if (!ordered)
			p->flags |= SQL_F_LIMIT_NO_ORDER;
		sql_limit(p);
	}
}

/* Marks what a qualifier names among the statement's own tables as written; all of them when it names none. */
static void mark_written(struct sql_parser *p, struct span qualifier, uint16_t first)
{
	bool found = false;

	for (int pass = 0; pass < 2 && !found; pass++) {
		for (uint16_t i = first; i < p->nrefs; i++) {
			struct sql_ref *r = &p->refs[i];
			struct span called = r->alias.len ? r->alias : r->name;

			if (r->level == p->level && (pass || (qualifier.len && sql_like_name(called, qualifier)))) {
				r->written = true;
				found = true;
			}
		}
	}
}

void sql_stmt_update(struct sql_parser *p)
{
	uint16_t first = p->nrefs, ctes = p->nctes;
	bool single;

	p->flags |= SQL_F_WRITES;
	modifiers(p);
	sql_table_refs(p);
	single = p->nrefs == first + 1 && p->refs[first].level == p->level;
	portion(p);
	sql_expect(p, SQL_W_SET, "SET was expected");
	sql_assignments(p, mark_written, first);
	sql_where(p);
	sql_order_and_limit(p);
	returning(p);
	if (single)
		p->refs[first].read = false; /* its rows are found, not read */
	else
		p->flags |= SQL_F_REPLAY_UNSAFE;
	p->nctes = ctes;
}

/* The names in DELETE a, b FROM ..., each perhaps with a star; resolved when the tables are known. */
struct targets {
	struct span schema[SQL_MAX_TABLES], name[SQL_MAX_TABLES];
	uint16_t n;
};

static void delete_targets(struct sql_parser *p, struct targets *t)
{
	do {
		struct span schema = {0}, name = {0};

		sql_name(p, &name);
		while (sql_accept_op(p, '.')) {
			if (sql_accept_op(p, '*'))
				break;
			schema = name;
			sql_name(p, &name);
		}
		if (t->n == SQL_MAX_TABLES) {
			sql_fail(p, "too many tables");
			return;
		}
		t->schema[t->n] = schema;
		t->name[t->n++] = name;
	} while (sql_accept_op(p, ','));
}

static void resolve_targets(struct sql_parser *p, const struct targets *t, uint16_t first)
{
	uint16_t end = p->nrefs;

	for (uint16_t k = 0; k < t->n; k++) {
		bool found = false;

		for (uint16_t i = first; i < end; i++) {
			struct sql_ref *r = &p->refs[i];
			struct span called = r->alias.len && !t->schema[k].len ? r->alias : r->name;

			if (r->level == p->level && sql_like_name(called, t->name[k])) {
				r->written = true;
				found = true;
			}
		}
		if (!found) {
			struct sql_ref *r = sql_add_ref(p, t->schema[k], t->name[k]);

			if (r)
				r->written = true;
		}
	}
}

static void delete_multi(struct sql_parser *p, struct targets *t, uint16_t first)
{
	p->flags |= SQL_F_REPLAY_UNSAFE;
	sql_table_refs(p);
	resolve_targets(p, t, first);
	sql_where(p);
	returning(p);
}

/* Behind DELETE [..] FROM: one table, or targets with USING. */
static void delete_from(struct sql_parser *p, uint16_t first)
{
	struct sql_parser_mark m = sql_mark(p);
	struct targets t = {.n = 0};

	delete_targets(p, &t);
	if (sql_accept(p, SQL_W_USING)) {
		delete_multi(p, &t, first);
		return;
	}
	sql_rewind(p, &m);
	sql_written_table(p);
	sql_partition_list(p);
	portion(p);
	if (p->nrefs > first)
		sql_alias(p, false, &p->refs[first].alias);
	sql_partition_list(p);
	portion(p);
	sql_where(p);
	sql_order_and_limit(p);
	returning(p);
}

/* DELETE HISTORY FROM t [BEFORE SYSTEM_TIME e] (MariaDB). */
static void delete_history(struct sql_parser *p)
{
	sql_advance(p);
	sql_expect(p, SQL_W_FROM, "FROM was expected");
	sql_written_table(p);
	sql_partition_list(p);
	if (sql_accept(p, SQL_W_BEFORE)) {
		sql_expect(p, SQL_W_SYSTEM_TIME, "SYSTEM_TIME was expected");
		sql_history_point(p);
	}
}

void sql_stmt_delete(struct sql_parser *p)
{
	struct targets t = {.n = 0};
	uint16_t first = p->nrefs;

	p->flags |= SQL_F_WRITES;
	modifiers(p);
	if (sql_is(p, SQL_W_HISTORY) && sql_peek_is(p, SQL_W_FROM)) {
		delete_history(p);
	} else if (sql_accept(p, SQL_W_FROM)) {
		delete_from(p, first);
	} else {
		delete_targets(p, &t);
		sql_expect(p, SQL_W_FROM, "FROM was expected");
		delete_multi(p, &t, first);
	}
}
