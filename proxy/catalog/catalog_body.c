/*
 * catalog_body.c - follows the servers' grammar for stored programs by what a statement begins with. Nesting need not be
 * counted: blocks and branches only bring further statements, and all of them count.
 */
#include "catalog_body.h"

#include "facts.h"
#include "scan.h"

struct body {
	struct sql_scan scan;
	struct sql_token t; /* to be read next */
	catalog_body_fn fn;
	void *arg;
	enum rc rc; /* not RC_OK: the walk is over */
};

static void next(struct body *b)
{
	sql_scan_next_code(&b->scan, &b->t);
	if (b->t.kind == SQL_T_BAD || b->t.kind == SQL_T_EXEC_OPEN || b->t.kind == SQL_T_EXEC_CLOSE)
		b->rc = RC_DECLINED;
}

static bool going(const struct body *b)
{
	return b->rc == RC_OK && b->t.kind != SQL_T_END;
}

static bool is(const struct body *b, const char *word)
{
	return sql_token_is_word(&b->t, word);
}

static bool is_op(const struct body *b, unsigned op)
{
	return sql_token_is_op(&b->t, op);
}

static bool accept(struct body *b, const char *word)
{
	if (!going(b) || !is(b, word))
		return false;
	next(b);
	return true;
}

static void give(struct body *b, const char *from, const char *to, enum catalog_piece piece)
{
	if (b->rc == RC_OK && to > from)
		b->rc = b->fn(b->arg, span_of(from, (size_t)(to - from)), piece);
}

/* Reads on to the semicolon of this level, and behind it. Returns where it stood. */
static const char *to_semicolon(struct body *b)
{
	const char *end = b->t.text.p;
	int depth = 0;

	for (; going(b) && !(depth == 0 && is_op(b, ';')); next(b)) {
		if (is_op(b, '(') || is_op(b, ')'))
			depth += is_op(b, '(') ? 1 : -1;
		end = b->t.text.p + b->t.text.len;
	}
	if (going(b))
		next(b);
	return end;
}

static void plain_statement(struct body *b)
{
	const char *from = b->t.text.p;

	give(b, from, to_semicolon(b), CATALOG_STATEMENT);
}

/* An expression up to one of these words on its own level: a CASE inside it has a WHEN, THEN and END of its own. */
static void expression(struct body *b, const char *stop, const char *or_stop)
{
	const char *from = b->t.text.p, *end = from;
	unsigned depth = 0, cases = 0;

	for (; going(b); next(b)) {
		if (depth == 0 && cases == 0 && (is(b, stop) || (or_stop && is(b, or_stop))))
			break;
		if (is_op(b, '('))
			depth++;
		else if (is_op(b, ')') && depth)
			depth--;
		else if (is(b, "case"))
			cases++;
		else if (is(b, "end") && cases)
			cases--;
		else if (is_op(b, ';'))
			b->rc = RC_DECLINED;
		end = b->t.text.p + b->t.text.len;
	}
	give(b, from, end, CATALOG_EXPRESSION);
	if (!going(b))
		b->rc = b->rc == RC_OK ? RC_DECLINED : b->rc;
}

/* FOR SQLSTATE 'x', NOT FOUND, 1062, a_name ...: the handler's statement follows. */
static void handler_conditions(struct body *b)
{
	do {
		if (accept(b, "sqlstate"))
			(void)accept(b, "value");
		else
			(void)accept(b, "not");
		next(b);
		if (!going(b) || !is_op(b, ','))
			return;
		next(b);
	} while (going(b));
}

/* Up to a semicolon. */
static void whole_expression(struct body *b)
{
	const char *from = b->t.text.p;

	give(b, from, to_semicolon(b), CATALOG_EXPRESSION);
}

/* a, b, c of DECLARE a, b, c INT; the names of cursors and conditions, too, which does no harm. */
static void declared_names(struct body *b)
{
	while (going(b) && (b->t.kind == SQL_T_WORD || b->t.kind == SQL_T_QUOTED)) {
		give(b, b->t.text.p, b->t.text.p + b->t.text.len, CATALOG_VARIABLE);
		next(b);
		if (!going(b) || !is_op(b, ','))
			return;
		next(b);
	}
}

static void declare(struct body *b)
{
	if (accept(b, "continue") || accept(b, "exit") || accept(b, "undo")) {
		if (accept(b, "handler") && accept(b, "for"))
			handler_conditions(b);
		else
			b->rc = RC_DECLINED;
		return;
	}
	declared_names(b);
	while (going(b) && !is_op(b, ';') && !is(b, "default") && !is(b, "for"))
		next(b);
	if (accept(b, "default")) {
		whole_expression(b);
	} else if (accept(b, "for")) { /* a cursor's query, or a condition's number */
		if (is(b, "select") || is(b, "with"))
			plain_statement(b);
		else
			(void)to_semicolon(b);
	} else {
		(void)to_semicolon(b);
	}
}

/* CASE [expression] WHEN expression THEN: up to the first THEN; further WHENs begin statements of their own. */
static void case_statement(struct body *b)
{
	if (!is(b, "when"))
		expression(b, "when", NULL);
}

static bool is_skipped(const struct body *b)
{
	static const char *const words[] = {"end", "leave", "iterate", "open", "close", "fetch", "signal", "resignal"};

	for (size_t i = 0; i < countof(words); i++)
		if (is(b, words[i]))
			return true;
	return false;
}

/* A name and a colon: the label of a block or a loop. */
static bool label(struct body *b)
{
	struct sql_scan ahead = b->scan;
	struct sql_token t;

	if (b->t.kind != SQL_T_WORD && b->t.kind != SQL_T_QUOTED)
		return false;
	do
		sql_scan_next(&ahead, &t);
	while (t.kind == SQL_T_COMMENT);
	if (t.kind != SQL_T_OP || t.op != ':')
		return false;
	next(b);
	next(b);
	return true;
}

static void one(struct body *b)
{
	if (label(b) || accept(b, "else") || accept(b, "loop") || accept(b, "repeat"))
		return;
	if (accept(b, "begin")) {
		if (accept(b, "not") && !accept(b, "atomic"))
			b->rc = RC_DECLINED;
	} else if (accept(b, "if") || accept(b, "elseif") || accept(b, "when")) {
		expression(b, "then", NULL);
		next(b);
	} else if (accept(b, "while")) {
		expression(b, "do", NULL);
		next(b);
	} else if (accept(b, "until")) {
		expression(b, "end", NULL);
	} else if (accept(b, "case")) {
		case_statement(b);
	} else if (accept(b, "declare")) {
		declare(b);
	} else if (accept(b, "return")) {
		whole_expression(b);
	} else if (is(b, "for") || is(b, "goto")) {
		b->rc = RC_DECLINED;
	} else if (is_skipped(b)) {
		(void)to_semicolon(b);
	} else {
		plain_statement(b);
	}
}

enum rc catalog_body_walk(struct span body, unsigned mode, catalog_body_fn fn, void *arg)
{
	struct body b = {.fn = fn, .arg = arg};

	sql_scan_init(&b.scan, body, mode);
	next(&b);
	while (going(&b))
		one(&b);
	return b.rc;
}

/* ---- local variables ---- */

enum rc catalog_locals_add(struct catalog_locals *l, struct span name)
{
	if (l->n == CATALOG_LOCALS_MOST)
		return RC_DECLINED;
	l->at[l->n++] = name;
	return RC_OK;
}

enum rc catalog_locals_add_list(struct catalog_locals *l, struct span list)
{
	while (list.len) {
		const char *comma = memchr(list.p, ',', list.len);
		size_t n = comma ? (size_t)(comma - list.p) : list.len;

		if (n && catalog_locals_add(l, span_of(list.p, n)) != RC_OK)
			return RC_DECLINED;
		n += comma != NULL;
		list = span_of(list.p + n, list.len - n);
	}
	return RC_OK;
}

bool catalog_locals_have(const struct catalog_locals *l, struct span name)
{
	for (size_t i = 0; i < l->n; i++)
		if (span_ieq(l->at[i], name))
			return true;
	return false;
}
