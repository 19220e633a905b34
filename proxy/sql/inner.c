/*
 * inner.c - the text that PREPARE name FROM '..' and EXECUTE IMMEDIATE '..' are given, where it stands there as a literal.
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

static bool at_inner(struct sql_parser *p)
{
	struct span name;

	if (sql_accept(p, SQL_W_PREPARE))
		return sql_name(p, &name) && sql_accept(p, SQL_W_FROM);
	if (!sql_accept(p, SQL_W_EXECUTE) || p->t.kind != SQL_T_WORD || !span_ieq(p->t.text, span_str("immediate")))
		return false;
	sql_advance(p);
	return true;
}

enum rc sql_inner_text(struct span text, unsigned mode, struct iobuf *out, bool *whole)
{
	struct sql_parser p;
	enum rc rc = RC_OK;

	sql_parser_init(&p, text, mode, false);
	if (!at_inner(&p) || p.why || p.t.kind != SQL_T_STRING)
		return RC_DECLINED;
	for (; rc == RC_OK && p.t.kind == SQL_T_STRING; sql_advance(&p))
		if (p.t.text.len >= 2)
			rc = put_string(p.t.text, mode, out);
	*whole = p.t.kind == SQL_T_END || sql_is_op(&p, ';') || sql_is(&p, SQL_W_USING);
	return rc;
}
