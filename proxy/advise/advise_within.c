/*
 * advise_within.c - a subquery that the server works out whole first, as nothing lets it look for what each row of the statement asks of it:
 * IN and EXISTS, NOT IN and NOT EXISTS.
 *
 * With an index on the column that is asked for, each of those rows costs a look-up instead. That is less only where they are few, so they are
 * counted as the plan has it, each with all the rows that a value has, and twice over, so that the server surely comes to the same.
 */
#include "advise_tokens.h"

#define MOST_DEPTH 64
#define MARGIN 2

struct within {
	const char *table; /* the very string of the plan */
	double lookups;    /* 0: not found */
};

static double product(const json_t *node, unsigned depth);

/* Of the rows of one query block's tables. */
static double product_of_children(const json_t *node, unsigned depth)
{
	double n = 1;
	const json_t *child;
	const char *key;
	size_t i;

	json_array_foreach(node, i, child)
	{
		n *= product(child, depth + 1);
	}
	/* jansson's iterator does not take a const object */
	json_object_foreach((json_t *)(uintptr_t)node, key, child)
	{
		if (strcmp(key, "subqueries") != 0 && strcmp(key, "attached_subqueries") != 0 && strcmp(key, "materialized") != 0 && strcmp(key, "query_block") != 0)
			n *= product(child, depth + 1);
	}
	return n;
}

static double product(const json_t *node, unsigned depth)
{
	bool mysql = json_object_get(node, "rows_examined_per_scan") != NULL;
	const json_t *rows = json_object_get(node, "table_name") ? json_object_get(node, mysql ? "rows_examined_per_scan" : "rows") : NULL;
	double n = json_is_integer(rows) && json_integer_value(rows) > 1 ? (double)json_integer_value(rows) : 1;

	return depth > MOST_DEPTH ? 1 : n * product_of_children(node, depth);
}

/* Nothing is done with its rows but to collect them: no grouping, no sort. */
static const char *only_table(const json_t *block)
{
	const json_t *loop = json_object_get(block, "nested_loop"), *table = json_object_get(json_array_get(loop, 0), "table");

	if (json_object_get(block, "having_condition") || json_array_size(loop) > 1)
		return NULL;
	return json_string_value(json_object_get(table ? table : json_object_get(block, "table"), "table_name"));
}

/* Is it looked into? MySQL says so of a derived table, too, which bears its own name. */
static bool is_into(const json_t *node, const char *key)
{
	const char *access = json_string_value(json_object_get(node, "access_type")), *name = json_string_value(json_object_get(node, "table_name"));

	if (strcmp(key, "materialization") == 0)
		return true;
	if (!access || strcmp(access, "eq_ref") != 0)
		return false;
	return strcmp(key, "materialized") == 0 || (strcmp(key, "materialized_from_subquery") == 0 && name && name[0] == '<');
}

/* In the statement's own query block: what is materialized in it to be looked into. */
static void look(struct within *w, const json_t *node, double rows, unsigned depth)
{
	const json_t *child;
	const char *key;
	size_t i;

	if (depth > MOST_DEPTH)
		return;
	json_array_foreach(node, i, child)
	{
		look(w, child, rows, depth + 1);
	}
	json_object_foreach((json_t *)(uintptr_t)node, key, child)
	{
		if (is_into(node, key) && only_table(json_object_get(child, "query_block")) == w->table)
			w->lookups = rows;
		else if (strcmp(key, "query_block") != 0)
			look(w, child, rows, depth + 1);
	}
}

double advise_plan_lookups(const json_t *plan, const char *table)
{
	const json_t *block = json_object_get(plan, "query_block");
	struct within w = {.table = table};

	look(&w, block, product_of_children(block, 0), 0);
	return w.lookups;
}

/* column [NOT] IN (SELECT [DISTINCT] column FROM table ..: the second of the table, by its name there or as the only one that is read. */
void advise_selected(struct span text, struct span table, struct advise_columns *out)
{
	struct advise_tokens c = {.table = table, .out = out};
	struct advise_path left, p, from;

	if (!advise_tokens_read(&c, text))
		return;
	for (size_t i = 0, next; i < c.n; i = next > i ? next : i + 1) {
		struct advise_column like = {.use = ADVISE_EQUALS};
		size_t at, end;

		next = advise_tokens_path(&c, i, c.n, &left);
		at = next + (next < c.n && sql_token_is_word(&c.t[next], "not"));
		if (next == i || sql_token_is_word(&c.t[i], "not") || at + 3 >= c.n || !sql_token_is_word(&c.t[at], "in") || !sql_token_is_op(&c.t[at + 1], '(') ||
		    !sql_token_is_word(&c.t[at + 2], "select"))
			continue;
		at += 3;
		at += sql_token_is_word(&c.t[at], "distinct");
		end = advise_tokens_path(&c, at, c.n, &p);
		if (end == at || end + 1 >= c.n || !sql_token_is_word(&c.t[end], "from"))
			continue;
		at = advise_tokens_path(&c, end + 1, c.n, &from);
		if (at == end + 1 || !advise_tokens_of(p.table.len ? p.table : from.column, table) ||
		    (left.table.len && advise_name(left.table, like.other_table) != RC_OK) || advise_name(left.column, like.other) != RC_OK ||
		    advise_name(p.column, like.name) != RC_OK)
			continue;
		if (out->n < countof(out->at))
			out->at[out->n++] = like;
	}
}

bool advise_is_asked_for(const struct advise_verdict *v)
{
	bool asked = v->add && !v->sides.n && !v->quoted && !v->recoded && !v->hidden && !v->json.column[0] && v->index.n;

	for (size_t i = 0; i < v->index.n; i++)
		asked &= v->index.at[i].other[0] && v->index.at[i].use == ADVISE_EQUALS && !v->index.at[i].prefix;
	return asked;
}

bool advise_few_lookups(const struct advise_verdict *v, double lookups, uint64_t *left)
{
	double each = v->sample.rows ? (double)v->scan.rows * (double)v->sample.match / (double)v->sample.rows : 0, rows = lookups * (1 + each);

	if (v->sample.rows == 0 || rows * ADVISE_LOOKED_UP * MARGIN > (double)v->scan.rows)
		return false;
	*left = (uint64_t)(lookups * (1 + each / 2)); /* one that answers ends the look */
	return true;
}
