/*
 * inner.c - the text that PREPARE name FROM '..' and EXECUTE IMMEDIATE '..' are given, where it stands there as a literal; and the statements
 * of a body.
 */
#include "inner.h"

#include "parse.h"

/* What a backslash makes of the character behind it; before % and _ it stays. */
static enum rc put_escaped(char c, struct iobuf *out)
{
	static const char from[] = "0bnrtZ", to[] = "\0\b\n\r\t\x1a";
	const char *at = c ? strchr(from, c) : NULL;

	if (c == '%' || c == '_')
		return iobuf_append(out, (const char[]){'\\', c}, 2);
	return iobuf_append(out, at ? &to[at - from] : &c, 1);
}

/* token: with its quotes, and perhaps an n before them. */
static enum rc put_string(struct span token, unsigned mode, struct iobuf *out)
{
	size_t i = token.p[0] == '\'' || token.p[0] == '"' ? 1 : 2;
	char quote = token.p[i - 1];
	enum rc rc = RC_OK;

	for (; i + 1 < token.len && rc == RC_OK; i++) {
		if (token.p[i] == '\\' && !(mode & SQL_MODE_NO_BACKSLASH_ESCAPES) && i + 2 < token.len)
			rc = put_escaped(token.p[++i], out);
		else if (token.p[i] == quote && i + 2 < token.len && token.p[i + 1] == quote)
			rc = iobuf_append(out, &token.p[i++], 1);
		else
			rc = iobuf_append(out, &token.p[i], 1);
	}
	return rc;
}

/* SET STATEMENT a=1 FOR ..: what it is given is not looked for. */
static bool sets_for_inner(struct sql_parser *p)
{
	if (!sql_accept(p, SQL_W_SET) || !sql_token_is_word(&p->t, "statement"))
		return false;
	while (!sql_at_end(p) && !sql_is(p, SQL_W_PREPARE) && !sql_is(p, SQL_W_EXECUTE))
		sql_advance(p);
	return !sql_at_end(p);
}

/* To what it is given. */
static bool at_inner(struct sql_parser *p)
{
	struct span name;

	if (sql_accept(p, SQL_W_PREPARE))
		return sql_name(p, &name) && sql_accept(p, SQL_W_FROM);
	if (!sql_accept(p, SQL_W_EXECUTE))
		return sets_for_inner(p);
	if (!sql_token_is_word(&p->t, "immediate"))
		return false;
	sql_advance(p);
	return true;
}

static bool at_inner_end(const struct sql_parser *p)
{
	return p->t.kind == SQL_T_END || sql_is_op(p, ';') || sql_is(p, SQL_W_USING);
}

enum rc sql_inner_text(struct span text, unsigned mode, struct iobuf *out, bool *whole)
{
	struct sql_parser p;
	enum rc rc = RC_OK;

	sql_parser_init(&p, text, mode, false);
	if (!at_inner(&p))
		return RC_DECLINED;
	if (p.t.kind == SQL_T_USER_VAR) {
		sql_advance(&p);
		*whole = false;
		return at_inner_end(&p) ? RC_DECLINED : RC_OK;
	}
	*whole = p.t.kind == SQL_T_STRING;
	for (; rc == RC_OK && p.t.kind == SQL_T_STRING; sql_advance(&p))
		if (p.t.text.len >= 2)
			rc = put_string(p.t.text, mode, out);
	*whole = *whole && at_inner_end(&p) && !sql_depends_on_server(text, mode);
	return rc;
}

/* ---- bodies ---- */

#define OPEN_MOST 64     /* that have begun before one semicolon */
#define TEXTS_MOST 4     /* times the text: bytes of all that is found, which lie in each other */
#define BYTES_LEAST 4096

struct body {
	const char *judged; /* behind the last "(" of several that was looked behind */
	bool query;         /* ... and whether a query stands there */
	enum rc (*put)(void *arg, struct span one);
	void *arg;
	struct { const char *at; unsigned depth; } open[OPEN_MOST]; /* what has begun, and in how many parentheses */
	unsigned n, depth;
	size_t left; /* bytes */
};

/* Those in so many parentheses, or more, end here. */
static enum rc close_open(struct body *b, unsigned depth, const char *end)
{
	enum rc rc = RC_OK;

	while (rc == RC_OK && b->n && b->open[b->n - 1].depth >= depth) {
		const char *at = b->open[--b->n].at;
		size_t len = (size_t)(end - at);

		if (len > b->left)
			return RC_ERROR;
		b->left -= len;
		rc = b->put(b->arg, span_of(at, len));
	}
	return rc;
}

static bool is_query_word(const struct sql_token *t)
{
	return t->kind == SQL_T_WORD && (t->word == SQL_W_SELECT || t->word == SQL_W_WITH || t->word == SQL_W_VALUES || t->word == SQL_W_TABLE);
}

/* Behind this "(", and those that follow it at once. */
static bool opens_query(struct body *b, const struct sql_parser *p)
{
	struct sql_scan s = p->scan;
	struct sql_token t;

	if (b->judged && p->t.text.p < b->judged)
		return b->query;
	do
		sql_scan_next_code(&s, &t);
	while (sql_token_is_op(&t, '(') || t.kind == SQL_T_EXEC_OPEN || t.kind == SQL_T_EXEC_CLOSE);
	b->judged = t.text.p;
	return b->query = is_query_word(&t);
}

static bool is_query(struct body *b, const struct sql_parser *p)
{
	return sql_is_op(p, '(') ? opens_query(b, p) : is_query_word(&p->t);
}

/* INSERT(s, 1, 2, t), REPLACE(s, a, b), (a + b): no statement begins so, whatever stands before it. */
static bool is_expression(struct body *b, const struct sql_parser *p)
{
	if (sql_is_op(p, '('))
		return !opens_query(b, p);
	return (sql_is(p, SQL_W_INSERT) || sql_is(p, SQL_W_REPLACE) || sql_is(p, SQL_W_TRUNCATE)) && sql_peek_op(p, '(');
}

/* May a statement begin with the next token, by the one before it? */
static bool begins_behind(struct body *b, const struct sql_parser *p, const struct sql_token *before)
{
	if (before->kind == SQL_T_OP)
		return before->op == ';' || before->op == ':' || (before->op == '(' && is_query(b, p));
	switch (before->kind == SQL_T_WORD ? before->word : SQL_WORD_NONE) {
	case SQL_W_BEGIN:
	case SQL_W_ATOMIC:
	case SQL_W_THEN:
	case SQL_W_ELSE:
	case SQL_W_DO:
	case SQL_W_LOOP:
	case SQL_W_REPEAT:
		return true;
	case SQL_W_FOR:
		return is_query(b, p); /* a cursor's */
	case SQL_W_IS:
	case SQL_W_AS:
		return is_query_word(&p->t); /* likewise */
	default:
		return false;
	}
}

static enum rc body_token(struct body *b, struct sql_parser *p, bool begins)
{
	if (begins && !is_expression(b, p) && !sql_is(p, SQL_W_END) && !sql_is_op(p, ';') && !sql_is_op(p, ')')) {
		if (b->n == OPEN_MOST)
			return RC_ERROR;
		b->open[b->n].at = p->t.text.p;
		b->open[b->n++].depth = b->depth;
	}
	if (sql_is_op(p, '(')) {
		b->depth++;
	} else if (sql_is_op(p, ')') && b->depth) {
		b->depth--;
		return close_open(b, b->depth + 1, p->t.text.p);
	} else if (sql_is_op(p, ';')) {
		b->depth = 0;
		return close_open(b, 0, p->t.text.p);
	}
	return RC_OK;
}

bool sql_inner_is_statement(struct span text, unsigned mode)
{
	struct sql_parser p;

	sql_parser_init(&p, text, mode, false);
	if (p.why || sql_is_op(&p, '('))
		return true;
	return sql_begins_statement(&p) && !sql_is(&p, SQL_W_BEGIN) && !sql_is(&p, SQL_W_VALUES);
}

enum rc sql_inner_statements(struct span text, unsigned mode, enum rc (*put)(void *arg, struct span one), void *arg)
{
	struct body b = {.put = put, .arg = arg, .left = text.len * TEXTS_MOST + BYTES_LEAST};
	struct sql_token before = {.kind = SQL_T_END};
	struct sql_parser p;
	bool handler = false; /* in DECLARE .. HANDLER FOR conditions: its statement comes behind them */
	enum rc rc = RC_OK;

	if (sql_depends_on_server(text, mode))
		return RC_ERROR;
	sql_parser_init(&p, text, mode, false);
	while (rc == RC_OK && p.t.kind != SQL_T_END && !p.why) {
		rc = body_token(&b, &p, begins_behind(&b, &p, &before) || (handler && sql_begins_statement(&p)));
		handler = !sql_is_op(&p, ';') && (handler || sql_is(&p, SQL_W_HANDLER));
		before = p.t;
		sql_advance(&p);
	}
	if (rc != RC_OK)
		return rc;
	return p.why ? RC_ERROR : close_open(&b, 0, text.p + text.len);
}
