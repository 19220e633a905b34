/*
 * advise_cond.c - a condition as a plan prints it: fully qualified names, AND between terms. What hides its column in a
 * function no plain index serves, nor does a single one what is joined by OR.
 */
#include "advise_impl.h"

#define MOST_TOKENS 512 /* of one condition; a longer one is let be */
#define MOST_DEPTH 16

struct cond {
	struct sql_token t[MOST_TOKENS];
	size_t n;
	struct span table; /* whose columns are wanted */
	struct advise_columns *out;
};

struct path {
	struct span table, column;
};

static bool is_word(const struct sql_token *t, const char *word)
{
	return t->kind == SQL_T_WORD && span_ieq(t->text, span_str(word));
}

static bool is_op(const struct sql_token *t, unsigned op)
{
	return t->kind == SQL_T_OP && t->op == op;
}

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_T_WORD || t->kind == SQL_T_QUOTED;
}

/* The index behind the parenthesis that opens at i; to when it does not close. */
static size_t behind(const struct cond *c, size_t i, size_t to)
{
	int depth = 0;

	for (; i < to; i++) {
		if (is_op(&c->t[i], '('))
			depth++;
		else if (is_op(&c->t[i], ')') && --depth == 0)
			return i + 1;
	}
	return to;
}

/* [schema.]table.column at i. Returns the index behind it, or i: there is none. */
static size_t read_path(const struct cond *c, size_t i, size_t to, struct path *p)
{
	size_t start = i;

	*p = (struct path){0};
	for (;;) {
		if (i >= to || !is_name(&c->t[i]))
			return start;
		p->table = p->column;
		p->column = c->t[i].text;
		i++;
		if (i >= to || !is_op(&c->t[i], '.'))
			break;
		i++;
	}
	return i < to && is_op(&c->t[i], '(') ? start : i; /* a function's name */
}

static bool same_table(struct span quoted, struct span table)
{
	char name[ADVISE_NAME];

	return quoted.len && advise_name(quoted, name) == RC_OK && span_ieq(span_str(name), table);
}

/* Does any name between from and to belong to the table? */
static bool mentions(const struct cond *c, size_t from, size_t to)
{
	struct path p;

	while (from < to) {
		size_t next = read_path(c, from, to, &p);

		if (next > from && same_table(p.table, c->table))
			return true;
		from = next > from ? next : from + 1;
	}
	return false;
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
	for (size_t i = 0; i < out->n; i++)
		if (span_ieq(span_str(out->at[i].name), span_str(col->name)) &&
		    (out->at[i].use == like->use || like->use != ADVISE_EQUALS))
			return;
	out->n++;
}

static void add(struct advise_columns *out, struct span quoted, enum advise_use use, struct span test)
{
	add_column(out, quoted, &(struct advise_column){.use = use, .test = test});
}

/* Compared with something: literals, another table's column alone, or else. */
static void add_compared(const struct cond *c, struct span quoted, enum advise_use use, struct span test, size_t from, size_t to)
{
	struct advise_column like = {.use = use, .test = test};
	struct path p;

	for (size_t i = from; i < to; i++)
		like.computed |= is_word(&c->t[i], "subquery") || is_word(&c->t[i], "select");
	if (use == ADVISE_EQUALS && from < to && read_path(c, from, to, &p) == to && p.table.len &&
	    (advise_name(p.table, like.other_table) != RC_OK || advise_name(p.column, like.other) != RC_OK))
		return;
	add_column(c->out, quoted, &like);
}

/* A pattern that fixes the beginning. */
static bool begins_fixed(const struct cond *c, size_t i, size_t to)
{
	if (i < to && c->t[i].kind == SQL_T_WORD && c->t[i].text.p[0] == '_') /* a character set */
		i++;
	return i < to && c->t[i].kind == SQL_T_STRING && c->t[i].text.len > 2 && c->t[i].text.p[1] != '%' &&
	       c->t[i].text.p[1] != '_';
}

/* Compared with what a subquery gives for each row: that is known when the row has been read. */
static bool is_computed(const struct cond *c, size_t from, size_t to)
{
	for (; from < to; from++)
		if (is_word(&c->t[from], "expr_cache"))
			return true;
	return false;
}

/* What the tokens behind a column of ours make of it. False: nothing an index serves. */
static bool use_of(const struct cond *c, size_t i, size_t to, enum advise_use *use)
{
	const struct sql_token *t = &c->t[i];

	if (i >= to || mentions(c, i, to) || is_computed(c, i, to))
		return false;
	if (is_op(t, '=') || is_op(t, SQL_OP_NULLSAFE) || (is_word(t, "is") && i + 2 == to && is_word(t + 1, "null")))
		*use = ADVISE_EQUALS;
	else if (is_op(t, '<') || is_op(t, '>') || is_op(t, SQL_OP_LE) || is_op(t, SQL_OP_GE) ||
		 is_word(t, "between") || (is_word(t, "like") && begins_fixed(c, i + 1, to)))
		*use = ADVISE_RANGE;
	else if (is_word(t, "in"))
		*use = ADVISE_IN;
	else if (is_word(t, "like") && i + 1 < to && c->t[i + 1].kind == SQL_T_STRING)
		*use = ADVISE_PATTERN;
	else
		return false;
	return true;
}

/* TIMESTAMP'2021-01-03 00:00:00': plans write dates so. */
static bool is_typed(const struct cond *c, size_t i, size_t to)
{
	return i + 1 < to && c->t[i + 1].kind == SQL_T_STRING &&
	       (is_word(&c->t[i], "timestamp") || is_word(&c->t[i], "date") || is_word(&c->t[i], "time"));
}

/* <cache>(..) at i: a constant that the server computes once, such as NOW() - INTERVAL 1 DAY. Returns the index behind it, or i: it is not
 * there, or holds a column or a subquery. */
static size_t cached_end(const struct cond *c, size_t i, size_t to)
{
	size_t end;

	if (i + 3 >= to || !is_op(&c->t[i], '<') || !is_word(&c->t[i + 1], "cache") || !is_op(&c->t[i + 2], '>') ||
	    !is_op(&c->t[i + 3], '('))
		return i;
	end = behind(c, i + 3, to);
	for (size_t at = i + 3; at < end; at++)
		if (is_op(&c->t[at], '.') || is_op(&c->t[at], '<') || is_op(&c->t[at], '@') || is_word(&c->t[at], "select"))
			return i;
	return end;
}

static struct span from_to(const struct cond *c, size_t from, size_t to)
{
	return span_of(c->t[from].text.p, (size_t)(c->t[to - 1].text.p + c->t[to - 1].text.len - c->t[from].text.p));
}

/* The text from one token to another, if nothing but literals, such constants and comparisons stands there. */
static struct span literals(const struct cond *c, size_t from, size_t to)
{
	static const char *const words[] = {"between", "and", "like", "in", "is", "null"};

	for (size_t i = from, end; i < to; i = end > i ? end : i + 1) {
		const struct sql_token *t = &c->t[i];
		bool fine = t->kind == SQL_T_STRING || t->kind == SQL_T_NUMBER || t->kind == SQL_T_BYTES ||
			    t->kind == SQL_T_OP || (t->kind == SQL_T_WORD && t->text.p[0] == '_') || is_typed(c, i, to);

		end = cached_end(c, i, to);
		if (end > i)
			continue;
		for (size_t w = 0; w < countof(words) && !fine; w++)
			fine = is_word(t, words[w]);
		if (!fine)
			return span_of(NULL, 0);
	}
	return from_to(c, from, to);
}

/* value = column: the operator on this level, with a column of ours and nothing else behind it. */
static void mirrored(struct cond *c, size_t from, size_t to)
{
	struct path p;

	for (size_t i = from; i < to; i++) {
		const struct sql_token *t = &c->t[i];
		bool equals = is_op(t, '=') || is_op(t, SQL_OP_NULLSAFE);

		if (is_op(t, '(')) {
			i = behind(c, i, to) - 1;
		} else if (equals || is_op(t, '<') || is_op(t, '>') || is_op(t, SQL_OP_LE) || is_op(t, SQL_OP_GE)) {
			if (i > from && !mentions(c, from, i) && read_path(c, i + 1, to, &p) == to &&
			    same_table(p.table, c->table))
				add_compared(c, p.column, equals ? ADVISE_EQUALS : ADVISE_RANGE, span_of(NULL, 0), from, i);
			return;
		}
	}
}

static bool is_comparison(const struct sql_token *t)
{
	return is_op(t, '=') || is_op(t, '<') || is_op(t, '>') || is_op(t, SQL_OP_LE) || is_op(t, SQL_OP_GE) || is_word(t, "between") ||
	       is_word(t, "in");
}

/* function(column) = literal: one column of ours on the left of a comparison on this level, nothing but literals behind it. */
static void hidden(struct cond *c, size_t from, size_t to)
{
	struct path p, found = {0};
	size_t i = from, seen = 0;
	bool called = from + 1 < to && c->t[from].kind == SQL_T_WORD && is_op(&c->t[from + 1], '(');

	for (; i < to && !is_comparison(&c->t[i]); i++)
		if (is_op(&c->t[i], '('))
			i = behind(c, i, to) - 1;
	if (i + 1 >= to || is_word(&c->t[i - (i > from)], "not") || !literals(c, i + 1, to).len || (called && behind(c, from + 1, i) != i))
		return;
	for (size_t at = from; at < i;) {
		size_t next = read_path(c, at, i, &p);

		if (next > at && p.table.len) {
			found = p;
			seen++;
		}
		at = next > at ? next : at + 1;
	}
	if (seen == 1 && same_table(found.table, c->table))
		add_column(c->out, found.column, &(struct advise_column){.use = ADVISE_HIDDEN,
									 .function = called ? c->t[from].text : span_of(NULL, 0),
									 .term = from_to(c, from, to)});
}

static void term(struct cond *c, size_t from, size_t to)
{
	enum advise_use use;
	struct path p;
	size_t next = read_path(c, from, to, &p);

	if (next > from && same_table(p.table, c->table)) {
		if (use_of(c, next, to, &use))
			add_compared(c, p.column, use, literals(c, next, to), next + 1, to);
		else
			hidden(c, from, to);
	} else {
		mirrored(c, from, to);
		hidden(c, from, to);
	}
}

/* Takes off what a plan wraps a condition into: parentheses, trigcond(..), <if>(.., condition, true). */
static bool unwrap(const struct cond *c, size_t *from, size_t *to)
{
	size_t f = *from, t = *to, start;

	if (f < t && is_op(&c->t[f], '(') && behind(c, f, t) == t) {
		*from = f + 1;
		*to = t - 1;
		return true;
	}
	if (f + 1 < t && is_word(&c->t[f], "trigcond") && is_op(&c->t[f + 1], '(') && behind(c, f + 1, t) == t) {
		*from = f + 2;
		*to = t - 1;
		return true;
	}
	if (f + 3 >= t || !is_op(&c->t[f], '<') || !is_word(&c->t[f + 1], "if") || !is_op(&c->t[f + 2], '>') ||
	    !is_op(&c->t[f + 3], '(') || behind(c, f + 3, t) != t)
		return false;
	for (start = f + 4; start < t && !is_op(&c->t[start], ',');)
		start = is_op(&c->t[start], '(') ? behind(c, start, t) : start + 1;
	for (f = start + 1; f < t && !is_op(&c->t[f], ',');)
		f = is_op(&c->t[f], '(') ? behind(c, f, t) : f + 1;
	if (f >= t)
		return false;
	*from = start + 1;
	*to = f;
	return true;
}

/* The end of the part that begins at i: the next OR of this level, or AND but for BETWEEN's; to: there is none. */
static size_t part_end(const struct cond *c, size_t i, size_t to, bool either)
{
	bool between = false;

	for (; i < to; i = is_op(&c->t[i], '(') ? behind(c, i, to) : i + 1) {
		const struct sql_token *t = &c->t[i];

		if (either && (is_word(t, "or") || is_op(t, SQL_OP_OROR)))
			return i;
		if (either)
			continue;
		if (is_word(t, "between"))
			between = true;
		else if (is_word(t, "and") && between)
			between = false;
		else if (is_word(t, "and") || is_op(t, SQL_OP_ANDAND))
			return i;
	}
	return to;
}

static bool has_or(const struct cond *c, size_t from, size_t to)
{
	for (size_t i = from; i < to; i = is_op(&c->t[i], '(') ? behind(c, i, to) : i + 1)
		if (is_word(&c->t[i], "or") || is_word(&c->t[i], "xor") || is_op(&c->t[i], SQL_OP_OROR))
			return true;
	return false;
}

static void conjunction(struct cond *c, size_t from, size_t to, unsigned depth)
{
	size_t end;

	if (depth > MOST_DEPTH)
		return;
	while (unwrap(c, &from, &to))
		;
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

static size_t disjunction(struct cond *c, size_t from, size_t to, struct advise_columns *sides, unsigned depth)
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

/* MariaDB writes a subquery as (subquery#2): no comment begins there. */
static bool is_number_sign(const struct sql_token *t)
{
	return t->kind == SQL_T_COMMENT && *t->text.p == '#';
}

/* False: too long, or not a text that can be read. */
static bool read_tokens(struct cond *c, struct span text)
{
	struct sql_scan s;

	sql_scan_init(&s, text, 0);
	for (c->n = 0; c->n < MOST_TOKENS; c->n++) {
		do {
			sql_scan_next(&s, &c->t[c->n]);
			if (is_number_sign(&c->t[c->n]))
				s.p = c->t[c->n].text.p + 1;
		} while (c->t[c->n].kind == SQL_T_COMMENT);
		if (c->t[c->n].kind == SQL_T_END)
			return true;
		if (c->t[c->n].kind == SQL_T_BAD)
			return false;
	}
	return false;
}

void advise_condition(struct span text, struct span table, struct advise_columns *out)
{
	struct cond c = {.table = table, .out = out};

	if (read_tokens(&c, text))
		conjunction(&c, 0, c.n, 0);
}

size_t advise_either(struct span text, struct span table, struct advise_columns out[ADVISE_MOST_SIDES])
{
	struct cond c = {.table = table};

	return read_tokens(&c, text) ? disjunction(&c, 0, c.n, out, 0) : 0;
}

void advise_compared(struct span text, struct span table, struct advise_columns *out)
{
	struct cond c = {.table = table, .out = out};
	struct path p, q;

	if (!read_tokens(&c, text))
		return;
	for (size_t i = 0, next; i < c.n; i = next > i ? next : i + 1) {
		size_t end;

		next = read_path(&c, i, c.n, &p);
		if (next == i || next >= c.n || !is_op(&c.t[next], '='))
			continue;
		end = read_path(&c, next + 1, c.n, &q);
		if (end == next + 1 || !p.table.len || !q.table.len || same_table(p.table, table) == same_table(q.table, table))
			continue;
		if (same_table(p.table, table))
			add_compared(&c, p.column, ADVISE_EQUALS, span_of(NULL, 0), next + 1, end);
		else
			add_compared(&c, q.column, ADVISE_EQUALS, span_of(NULL, 0), i, next);
	}
}

void advise_sort(struct span list, struct span table, struct advise_columns *out)
{
	struct cond c = {.table = table, .out = out};
	size_t before = out->n, i = 0;
	int direction = 0;

	if (!read_tokens(&c, list))
		return;
	while (i < c.n) {
		struct path p;
		size_t next = read_path(&c, i, c.n, &p);
		bool desc = next < c.n && is_word(&c.t[next], "desc");
		bool ours = next > i && (p.table.len == 0 || same_table(p.table, table));

		if (!ours || (direction && direction != (desc ? -1 : 1))) {
			out->n = before; /* no index of this table gives that order */
			return;
		}
		direction = desc ? -1 : 1;
		add(out, p.column, ADVISE_SORT, span_of(NULL, 0));
		next += desc || (next < c.n && is_word(&c.t[next], "asc"));
		if (next < c.n && !is_op(&c.t[next], ',')) {
			out->n = before;
			return;
		}
		i = next + 1;
	}
}

/* A word of a condition that stands for more than this table's rows. */
static bool reaches_out(const struct sql_token *t)
{
	static const char *const words[] = {"select", "subquery", "exists", "expr_cache", "in_optimizer", "trigcond", "materialize"};

	for (size_t i = 0; i < countof(words); i++)
		if (is_word(t, words[i]))
			return true;
	return false;
}

/* The token at i as a statement may have it. RC_DECLINED: no statement may. */
static enum rc put_plain(const struct cond *c, size_t i, struct iobuf *out)
{
	const struct sql_token *t = &c->t[i];
	bool fine = t->kind == SQL_T_STRING || t->kind == SQL_T_NUMBER || t->kind == SQL_T_BYTES || t->kind == SQL_T_OP ||
		    (t->kind == SQL_T_WORD && !reaches_out(t));
	bool apart = i && t->text.p > c->t[i - 1].text.p + c->t[i - 1].text.len;

	if (!fine || (is_op(t, '<') && i + 3 < c->n && c->t[i + 1].kind == SQL_T_WORD && is_op(&c->t[i + 2], '>') && is_op(&c->t[i + 3], '(')))
		return RC_DECLINED;
	if (apart && iobuf_append(out, " ", 1) != RC_OK)
		return RC_ERROR;
	return iobuf_append(out, t->text.p, t->text.len);
}

static enum rc put_column(const struct path *p, struct iobuf *out, struct advise_columns *named)
{
	char name[ADVISE_NAME];

	if (named->n == countof(named->at) || advise_name(p->column, name) != RC_OK)
		return RC_DECLINED;
	add(named, p->column, ADVISE_EQUALS, span_of(NULL, 0));
	return iobuf_append(out, " ", 1) == RC_OK ? advise_put_name(out, name) : RC_ERROR;
}

enum rc advise_put_condition(struct span text, struct span table, struct iobuf *out, struct advise_columns *named)
{
	struct cond c = {.table = table};
	enum rc rc = RC_OK;

	if (!read_tokens(&c, text) || c.n == 0)
		return RC_DECLINED;
	for (size_t i = 0; i < c.n && rc == RC_OK;) {
		struct path p;
		size_t next = read_path(&c, i, c.n, &p);

		if (next > i && p.table.len) {
			rc = same_table(p.table, table) ? put_column(&p, out, named) : RC_DECLINED;
			i = next;
		} else if (cached_end(&c, i, c.n) > i) {
			i += 3; /* what is between its parentheses */
		} else {
			rc = put_plain(&c, i++, out);
		}
	}
	return rc;
}

void advise_equals(const char *name, struct advise_columns *out)
{
	add(out, span_str(name), ADVISE_EQUALS, span_of(NULL, 0));
}

void advise_ref(struct span text, struct span table, const char *by, const char *key, struct advise_columns *out)
{
	struct advise_column like = {.use = ADVISE_EQUALS};
	struct cond c = {.table = table, .out = out};
	struct path p;

	if (by && key)
		if (advise_name(span_str(by), like.other_table) != RC_OK || advise_name(span_str(key), like.other) != RC_OK)
			return;
	if (read_tokens(&c, text) && read_path(&c, 0, c.n, &p) == c.n && c.n && same_table(p.table, table))
		add_column(out, p.column, &like);
}
