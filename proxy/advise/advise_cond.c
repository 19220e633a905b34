/*
 * advise_cond.c - a condition as a plan prints it: fully qualified names, AND between terms. What hides its column in a
 * function no plain index serves, nor does a single one what is joined by OR.
 */
#include "advise_tokens.h"

#define MOST_DEPTH 16

/* Does any name between from and to belong to the table? */
static bool mentions(const struct advise_tokens *c, size_t from, size_t to)
{
	struct advise_path p;

	while (from < to) {
		size_t next = advise_tokens_path(c, from, to, &p);

		if (next > from && advise_tokens_of(p.table, c->table))
			return true;
		from = next > from ? next : from + 1;
	}
	return false;
}

/* YEAR(column) = .. AND MONTH(column) = ..: neither says much without the other. */
static bool is_month(const struct advise_column *a, const struct advise_column *b)
{
	struct span year = span_str("year"), month = span_str("month");

	return a->use == ADVISE_HIDDEN && b->use == ADVISE_HIDDEN &&
	       ((span_ieq(a->function, year) && span_ieq(b->function, month)) || (span_ieq(a->function, month) && span_ieq(b->function, year)));
}

/* DATE(column) >= .. AND DATE(column) < ..: either alone may match nearly all rows. */
static bool are_bounds(const struct advise_column *a, const struct advise_column *b)
{
	return a->use == ADVISE_HIDDEN && b->use == ADVISE_HIDDEN && a->is_bound && b->is_bound && span_ieq(a->function, b->function);
}

static void add_column(struct advise_columns *out, struct span quoted, const struct advise_column *like)
{
	struct advise_column *col;

	if (out->n == countof(out->at))
		return;
	col = &out->at[out->n];
	*col = *like;
	if (advise_name(quoted, col->name) != RC_OK)
		return;
	for (size_t i = 0; i < out->n; i++) {
		if (!span_ieq(span_str(out->at[i].name), span_str(col->name)) ||
		    (out->at[i].use != like->use && like->use == ADVISE_EQUALS))
			continue;
		if (out->at[i].is_null && like->use == ADVISE_EQUALS)
			out->at[i] = *col; /* that it is NULL says less than what it equals does */
		else if (is_month(&out->at[i], like) && !out->at[i].also.len)
			out->at[i].also = like->term;
		else if (are_bounds(&out->at[i], like) && !out->at[i].also.len) {
			out->at[i].also = like->term;
			out->at[i].both_bounds = true;
		}
		else if (out->at[i].use == ADVISE_RANGE && like->use == ADVISE_RANGE && out->at[i].test.len && !out->at[i].other_bound.len)
			out->at[i].other_bound = like->test; /* either alone may match nearly all rows */
		return;
	}
	out->n++;
}

static void add(struct advise_columns *out, struct span quoted, enum advise_use use, struct span test)
{
	add_column(out, quoted, &(struct advise_column){.use = use, .test = test});
}

/* Compared with something from `from` on: literals, another table's column alone, or else. as: how. */
static void add_compared(const struct advise_tokens *c, struct span quoted, const struct advise_column *as, size_t from, size_t to)
{
	struct advise_column like = *as;
	struct advise_path p;

	like.is_null = as->use == ADVISE_EQUALS && from && sql_token_is_word(&c->t[from - 1], "is");
	like.pattern = as->use == ADVISE_RANGE && from && sql_token_is_word(&c->t[from - 1], "like");
	like.as_bytes = as->use == ADVISE_HIDDEN;
	for (size_t i = from; i < to; i++)
		like.computed |= sql_token_is_word(&c->t[i], "subquery") || sql_token_is_word(&c->t[i], "select");
	if (as->use == ADVISE_EQUALS && from < to && advise_tokens_path(c, from, to, &p) == to && p.table.len &&
	    (advise_name(p.table, like.other_table) != RC_OK || advise_name(p.column, like.other) != RC_OK))
		return;
	add_column(c->out, quoted, &like);
}

/* A pattern that fixes the beginning. */
static bool begins_fixed(const struct advise_tokens *c, size_t i, size_t to)
{
	if (i < to && c->t[i].kind == SQL_T_WORD && c->t[i].text.p[0] == '_') /* a character set */
		i++;
	return i < to && c->t[i].kind == SQL_T_STRING && c->t[i].text.len > 2 && c->t[i].text.p[1] != '%' &&
	       c->t[i].text.p[1] != '_';
}

/* <cache>(cast('x%' as ..)), <cache>(concat('%', ..)): LIKE BINARY, and a pattern that is put together. The index of its first argument, or i. */
static size_t made_of(const struct advise_tokens *c, size_t i, size_t to, bool cast)
{
	if (advise_tokens_cached(c, i, to) == i || i + 6 >= to || !sql_token_is_word(&c->t[i + 4], cast ? "cast" : "concat"))
		return i;
	return i + 6;
}

static bool begins_open(const struct advise_tokens *c, size_t i, size_t to)
{
	size_t at = made_of(c, i, to, true) + made_of(c, i, to, false) - i;

	if (at > i && c->t[at].kind == SQL_T_WORD && c->t[at].text.p[0] == '_') /* a character set */
		at++;
	return at > i && at < to && c->t[at].kind == SQL_T_STRING && c->t[at].text.len > 2 && (c->t[at].text.p[1] == '%' || c->t[at].text.p[1] == '_');
}

/* LIKE BINARY: an index is in the order of letters, not of bytes. */
static bool is_of_bytes(const struct advise_tokens *c, size_t i, size_t to)
{
	size_t at = made_of(c, i, to, true);

	return at > i && begins_fixed(c, at, to) && sql_token_is_word(&c->t[advise_tokens_cached(c, i, to) - 3], "binary");
}

/* Compared with what a subquery gives for each row: that is known when the row has been read. */
static bool is_computed(const struct advise_tokens *c, size_t from, size_t to)
{
	for (; from < to; from++)
		if (sql_token_is_word(&c->t[from], "expr_cache"))
			return true;
	return false;
}

/* What the tokens behind a column of ours make of it. False: nothing an index serves. */
static bool use_of(const struct advise_tokens *c, size_t i, size_t to, enum advise_use *use)
{
	const struct sql_token *t = &c->t[i];

	if (i >= to || mentions(c, i, to) || is_computed(c, i, to))
		return false;
	if (sql_token_is_op(t, '=') || sql_token_is_op(t, SQL_OP_NULLSAFE) || (sql_token_is_word(t, "is") && i + 2 == to && sql_token_is_word(t + 1, "null")))
		*use = ADVISE_EQUALS;
	else if (sql_token_is_op(t, '<') || sql_token_is_op(t, '>') || sql_token_is_op(t, SQL_OP_LE) || sql_token_is_op(t, SQL_OP_GE) ||
		 sql_token_is_word(t, "between") || (sql_token_is_word(t, "like") && begins_fixed(c, i + 1, to)))
		*use = ADVISE_RANGE;
	else if (sql_token_is_word(t, "in"))
		*use = ADVISE_IN;
	else if (sql_token_is_word(t, "like") && i + 1 < to && (c->t[i + 1].kind == SQL_T_STRING || begins_open(c, i + 1, to)))
		*use = ADVISE_PATTERN;
	else if (sql_token_is_word(t, "like") && is_of_bytes(c, i + 1, to))
		*use = ADVISE_HIDDEN;
	else
		return false;
	return true;
}

/* TIMESTAMP'2021-01-03 00:00:00': plans write dates so. */
static bool is_typed(const struct advise_tokens *c, size_t i, size_t to)
{
	return i + 1 < to && c->t[i + 1].kind == SQL_T_STRING &&
	       (sql_token_is_word(&c->t[i], "timestamp") || sql_token_is_word(&c->t[i], "date") || sql_token_is_word(&c->t[i], "time"));
}

static struct span from_to(const struct advise_tokens *c, size_t from, size_t to)
{
	return span_of(c->t[from].text.p, (size_t)(c->t[to - 1].text.p + c->t[to - 1].text.len - c->t[from].text.p));
}

/* The text from one token to another, if nothing but literals, such constants and comparisons stands there. */
static struct span literals(const struct advise_tokens *c, size_t from, size_t to)
{
	static const char *const words[] = {"between", "and", "like", "in", "is", "null"};

	for (size_t i = from, end; i < to; i = end > i ? end : i + 1) {
		const struct sql_token *t = &c->t[i];
		bool fine = t->kind == SQL_T_STRING || t->kind == SQL_T_NUMBER || t->kind == SQL_T_BYTES ||
			    t->kind == SQL_T_OP || (t->kind == SQL_T_WORD && t->text.p[0] == '_') || is_typed(c, i, to);

		end = advise_tokens_cached(c, i, to);
		if (end > i)
			continue;
		for (size_t w = 0; w < countof(words) && !fine; w++)
			fine = sql_token_is_word(t, words[w]);
		if (!fine)
			return span_of(NULL, 0);
	}
	return from_to(c, from, to);
}

static bool is_number(const struct advise_tokens *c, size_t from, size_t to)
{
	return from < to && c->t[to - 1].kind == SQL_T_NUMBER && (from + 1 == to || (from + 2 == to && sql_token_is_op(&c->t[from], '-')));
}

/* value = column: the operator on this level, with a column of ours and nothing else behind it. */
static void mirrored(struct advise_tokens *c, size_t from, size_t to)
{
	struct advise_path p;

	for (size_t i = from; i < to; i++) {
		const struct sql_token *t = &c->t[i];
		bool equals = sql_token_is_op(t, '=') || sql_token_is_op(t, SQL_OP_NULLSAFE);

		if (sql_token_is_op(t, '(')) {
			i = advise_tokens_behind(c, i, to) - 1;
		} else if (equals || sql_token_is_op(t, '<') || sql_token_is_op(t, '>') || sql_token_is_op(t, SQL_OP_LE) || sql_token_is_op(t, SQL_OP_GE)) {
			if (i > from && !mentions(c, from, i) && advise_tokens_path(c, i + 1, to, &p) == to &&
			    advise_tokens_of(p.table, c->table))
				add_compared(c, p.column, &(struct advise_column){.use = equals ? ADVISE_EQUALS : ADVISE_RANGE, .behind_number = is_number(c, from, i)}, from, i);
			return;
		}
	}
}

static bool is_bound(const struct sql_token *t)
{
	return sql_token_is_op(t, '<') || sql_token_is_op(t, '>') || sql_token_is_op(t, SQL_OP_LE) || sql_token_is_op(t, SQL_OP_GE);
}

static bool is_comparison(const struct sql_token *t)
{
	return sql_token_is_op(t, '=') || is_bound(t) || sql_token_is_word(t, "between") || sql_token_is_word(t, "in");
}

/* The comparison of this level; to: there is none. */
static size_t comparison_at(const struct advise_tokens *c, size_t from, size_t to)
{
	for (size_t i = from, end; i < to; i = end) {
		end = advise_tokens_cached(c, i, to);
		if (end > i)
			continue;
		if (is_comparison(&c->t[i]))
			return i;
		end = sql_token_is_op(&c->t[i], '(') ? advise_tokens_behind(c, i, to) : i + 1;
	}
	return to;
}

/* What looks for its value inside the column, or for the column in a list: there is no bare column to compare, nor an expression to index. */
static bool searches(const struct sql_token *function)
{
	static const char *const names[] = {"locate", "instr", "position", "find_in_set", "field", "strcmp"};

	for (size_t i = 0; i < countof(names); i++)
		if (sql_token_is_word(function, names[i]))
			return true;
	return false;
}

/* What is called at from: EXTRACT by what it takes of a day, as YEAR() and MONTH() have it. */
static struct span function_at(const struct advise_tokens *c, size_t from, size_t to)
{
	bool extract = sql_token_is_word(&c->t[from], "extract") && from + 3 < to && sql_token_is_word(&c->t[from + 3], "from");

	return c->t[extract ? from + 2 : from].text;
}

/* function(column) = literal: one column of ours on the left of a comparison on this level, nothing but literals behind it. */
static void hidden(struct advise_tokens *c, size_t from, size_t to)
{
	struct advise_path p, found = {0};
	size_t i = comparison_at(c, from, to), seen = 0;
	bool called = from + 1 < to && c->t[from].kind == SQL_T_WORD && sql_token_is_op(&c->t[from + 1], '('), alone;

	if (i + 1 >= to || (called && searches(&c->t[from])) || sql_token_is_word(&c->t[i - (i > from)], "not") || !literals(c, i + 1, to).len)
		return;
	alone = called && advise_tokens_behind(c, from + 1, i) == i; /* else something is computed of what it gives, as of DATEDIFF's days */
	for (size_t at = from; at < i;) {
		size_t next = advise_tokens_path(c, at, i, &p);

		if (next > at && p.table.len) {
			found = p;
			seen++;
		}
		at = next > at ? next : at + 1;
	}
	if (seen == 1 && advise_tokens_of(found.table, c->table))
		add_column(c->out, found.column, &(struct advise_column){.use = ADVISE_HIDDEN,
									 .function = alone ? function_at(c, from, i) : span_of(NULL, 0),
									 .is_bound = is_bound(&c->t[i]),
									 .term = from_to(c, from, to)});
}

static void term(struct advise_tokens *c, size_t from, size_t to)
{
	enum advise_use use;
	struct advise_path p;
	size_t next = advise_tokens_path(c, from, to, &p);

	if (next > from && advise_tokens_of(p.table, c->table)) {
		if (use_of(c, next, to, &use))
			add_compared(c, p.column, &(struct advise_column){.use = use, .test = literals(c, next, to), .term = from_to(c, from, to)}, next + 1, to);
		else
			hidden(c, from, to);
	} else {
		mirrored(c, from, to);
		hidden(c, from, to);
	}
}

/* Takes off what a plan wraps a condition into: parentheses, trigcond(..), <if>(.., condition, true). */
static bool unwrap(const struct advise_tokens *c, size_t *from, size_t *to)
{
	size_t f = *from, t = *to, start;

	if (f < t && sql_token_is_op(&c->t[f], '(') && advise_tokens_behind(c, f, t) == t) {
		*from = f + 1;
		*to = t - 1;
		return true;
	}
	if (f + 1 < t && sql_token_is_word(&c->t[f], "trigcond") && sql_token_is_op(&c->t[f + 1], '(') && advise_tokens_behind(c, f + 1, t) == t) {
		*from = f + 2;
		*to = t - 1;
		return true;
	}
	if (f + 3 >= t || !sql_token_is_op(&c->t[f], '<') || !sql_token_is_word(&c->t[f + 1], "if") || !sql_token_is_op(&c->t[f + 2], '>') ||
	    !sql_token_is_op(&c->t[f + 3], '(') || advise_tokens_behind(c, f + 3, t) != t)
		return false;
	for (start = f + 4; start < t && !sql_token_is_op(&c->t[start], ',');)
		start = sql_token_is_op(&c->t[start], '(') ? advise_tokens_behind(c, start, t) : start + 1;
	for (f = start + 1; f < t && !sql_token_is_op(&c->t[f], ',');)
		f = sql_token_is_op(&c->t[f], '(') ? advise_tokens_behind(c, f, t) : f + 1;
	if (f >= t)
		return false;
	*from = start + 1;
	*to = f;
	return true;
}

/* What is asked of an outer join's inner side once its partner has been looked for: that there is none. No lookup finds a row by that.
 * MySQL says where a condition is of this kind; MariaDB writes trigcond() around that of ON, too, which compares something. */
static bool asks_for_missing(const struct advise_tokens *c, size_t from, size_t to)
{
	struct advise_path p;
	size_t f = from, t = to, next;

	if (!unwrap(c, &f, &t))
		return false;
	if (sql_token_is_op(&c->t[from], '<'))
		return sql_token_is_word(&c->t[from + 4], "found_match");
	if (sql_token_is_op(&c->t[from], '('))
		return false;
	while (f < t) {
		if (sql_token_is_op(&c->t[f], '(') || sql_token_is_op(&c->t[f], ')') || sql_token_is_word(&c->t[f], "and")) {
			f++;
			continue;
		}
		next = advise_tokens_path(c, f, t, &p);
		if (next == f || next + 1 >= t || !sql_token_is_word(&c->t[next], "is") || !sql_token_is_word(&c->t[next + 1], "null"))
			return false;
		f = next + 2;
	}
	return true;
}

/* The end of the part that begins at i: the next OR of this level, or AND but for BETWEEN's; to: there is none. */
static size_t part_end(const struct advise_tokens *c, size_t i, size_t to, bool either)
{
	bool between = false;

	for (; i < to; i = sql_token_is_op(&c->t[i], '(') ? advise_tokens_behind(c, i, to) : i + 1) {
		const struct sql_token *t = &c->t[i];

		if (either && (sql_token_is_word(t, "or") || sql_token_is_op(t, SQL_OP_OROR)))
			return i;
		if (either)
			continue;
		if (sql_token_is_word(t, "between"))
			between = true;
		else if (sql_token_is_word(t, "and") && between)
			between = false;
		else if (sql_token_is_word(t, "and") || sql_token_is_op(t, SQL_OP_ANDAND))
			return i;
	}
	return to;
}

static bool has_or(const struct advise_tokens *c, size_t from, size_t to)
{
	for (size_t i = from; i < to; i = sql_token_is_op(&c->t[i], '(') ? advise_tokens_behind(c, i, to) : i + 1)
		if (sql_token_is_word(&c->t[i], "or") || sql_token_is_word(&c->t[i], "xor") || sql_token_is_op(&c->t[i], SQL_OP_OROR))
			return true;
	return false;
}

static void conjunction(struct advise_tokens *c, size_t from, size_t to, unsigned depth)
{
	size_t end;

	if (depth > MOST_DEPTH)
		return;
	do {
		if (asks_for_missing(c, from, to))
			return;
	} while (unwrap(c, &from, &to));
	if (has_or(c, from, to))
		return;
	if (part_end(c, from, to, false) == to) {
		term(c, from, to);
		return;
	}
	do {
		end = part_end(c, from, to, false);
		conjunction(c, from, end, depth + 1);
		from = end + 1;
	} while (end < to);
}

static size_t disjunction(struct advise_tokens *c, size_t from, size_t to, struct advise_columns *sides, unsigned depth)
{
	bool either;
	size_t n = 0, end;

	if (depth > MOST_DEPTH)
		return 0;
	while (unwrap(c, &from, &to))
		;
	either = has_or(c, from, to);
	if (!either && part_end(c, from, to, false) == to)
		return 0;
	do {
		end = part_end(c, from, to, either);
		if (!either) {
			n = disjunction(c, from, end, sides, depth + 1);
			if (n)
				return n;
		} else if (n == ADVISE_MOST_SIDES) {
			return 0;
		} else {
			sides[n] = (struct advise_columns){0};
			c->out = &sides[n];
			conjunction(c, from, end, depth + 1);
			if (sides[n++].n == 0)
				return 0;
		}
		from = end + 1;
	} while (end < to);
	return n;
}

void advise_condition(struct span text, struct span table, struct advise_columns *out)
{
	struct advise_tokens c = {.table = table, .out = out};

	if (advise_tokens_read(&c, text))
		conjunction(&c, 0, c.n, 0);
}

size_t advise_either(struct span text, struct span table, struct advise_columns out[ADVISE_MOST_SIDES])
{
	struct advise_tokens c = {.table = table};

	return advise_tokens_read(&c, text) ? disjunction(&c, 0, c.n, out, 0) : 0;
}

void advise_compared(struct span text, struct span table, struct advise_columns *out)
{
	struct advise_tokens c = {.table = table, .out = out};
	const struct advise_column equals = {.use = ADVISE_EQUALS};
	struct advise_path p, q;

	if (!advise_tokens_read(&c, text))
		return;
	for (size_t i = 0, next; i < c.n; i = next > i ? next : i + 1) {
		size_t end;

		next = advise_tokens_path(&c, i, c.n, &p);
		if (next == i || next >= c.n || !sql_token_is_op(&c.t[next], '='))
			continue;
		end = advise_tokens_path(&c, next + 1, c.n, &q);
		if (end == next + 1 || !p.table.len || !q.table.len || advise_tokens_of(p.table, table) == advise_tokens_of(q.table, table))
			continue;
		if (advise_tokens_of(p.table, table))
			add_compared(&c, p.column, &equals, next + 1, end);
		else
			add_compared(&c, q.column, &equals, i, next);
	}
}

void advise_sort(struct span list, struct span table, struct advise_columns *out)
{
	struct advise_tokens c = {.table = table, .out = out};
	size_t before = out->n, i = 0;
	int direction = 0;

	if (!advise_tokens_read(&c, list))
		return;
	while (i < c.n) {
		struct advise_path p;
		size_t next = advise_tokens_path(&c, i, c.n, &p);
		bool desc = next < c.n && sql_token_is_word(&c.t[next], "desc");
		bool ours = next > i && (p.table.len == 0 || advise_tokens_of(p.table, table));

		if (!ours || (direction && direction != (desc ? -1 : 1))) {
			out->n = before; /* no index of this table gives that order */
			return;
		}
		direction = desc ? -1 : 1;
		add(out, p.column, ADVISE_SORT, span_of(NULL, 0));
		next += desc || (next < c.n && sql_token_is_word(&c.t[next], "asc"));
		if (next < c.n && !sql_token_is_op(&c.t[next], ',')) {
			out->n = before;
			return;
		}
		i = next + 1;
	}
}

void advise_equals(const char *name, struct advise_columns *out)
{
	add(out, span_str(name), ADVISE_EQUALS, span_of(NULL, 0));
}

void advise_ref(struct span text, struct span table, const char *by, const char *key, struct advise_columns *out)
{
	struct advise_column like = {.use = ADVISE_EQUALS};
	struct advise_tokens c = {.table = table, .out = out};
	struct advise_path p;

	if (by && key)
		if (advise_name(span_str(by), like.other_table) != RC_OK || advise_name(span_str(key), like.other) != RC_OK)
			return;
	if (advise_tokens_read(&c, text) && advise_tokens_path(&c, 0, c.n, &p) == c.n && c.n && advise_tokens_of(p.table, table))
		add_column(out, p.column, &like);
}
