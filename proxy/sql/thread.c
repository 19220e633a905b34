#include "thread.h"

#include <string.h>

#include "parse.h"

static bool plain_number(struct span s, uint64_t *out)
{
	*out = 0;
	if (s.len > 19)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*out = *out * 10 + (uint64_t)(s.p[i] - '0');
	}
	return s.len > 0;
}

static bool at_text_end(struct sql_parser *p)
{
	while (sql_accept_op(p, ';'))
		;
	return !p->why && p->t.kind == SQL_T_END;
}

/* To behind HARD or SOFT, which is returned. */
static const char *kill_how(struct sql_parser *p)
{
	const char *how = "";

	if (p->t.kind == SQL_T_WORD && span_ieq(p->t.text, span_str("hard")))
		how = "HARD ";
	else if (p->t.kind == SQL_T_WORD && span_ieq(p->t.text, span_str("soft")))
		how = "SOFT ";
	if (how[0])
		sql_advance(p);
	return how;
}

enum rc sql_kill_parse(struct span text, unsigned mode, struct sql_kill *out)
{
	struct sql_parser p;

	*out = (struct sql_kill){.how = "", .rest = span_of("", 0)};
	sql_parser_init(&p, text, mode, false);
	if (!sql_accept(&p, SQL_W_KILL))
		return RC_DECLINED;
	out->how = kill_how(&p);
	out->query = sql_accept(&p, SQL_W_QUERY);
	if (!out->query)
		(void)sql_accept(&p, SQL_W_CONNECTION);
	if (p.t.kind != SQL_T_NUMBER || !plain_number(p.t.text, &out->id))
		return RC_DECLINED;
	sql_advance(&p);
	if (sql_is_op(&p, ';'))
		out->rest = span_of(p.t.text.p, (size_t)(text.p + text.len - p.t.text.p));
	else if (p.t.kind != SQL_T_END)
		return RC_DECLINED;
	if (at_text_end(&p))
		out->rest = span_of("", 0);
	return p.why ? RC_DECLINED : RC_OK;
}

/* What stands between quotes, or the word. */
static bool unquoted(struct span s, struct span *out)
{
	char quote = s.len ? s.p[0] : 0;

	*out = s;
	if (quote != '\'' && quote != '"' && quote != '`')
		return s.len > 0;
	if (s.len < 2 || s.p[s.len - 1] != quote)
		return false;
	*out = span_of(s.p + 1, s.len - 2);
	return !memchr(out->p, quote, out->len) && !memchr(out->p, '\\', out->len);
}

enum rc sql_kill_user_parse(struct span text, unsigned mode, struct span *name, struct span *host)
{
	struct sql_parser p;

	*host = span_str("%");
	sql_parser_init(&p, text, mode, false);
	if (!sql_accept(&p, SQL_W_KILL))
		return RC_DECLINED;
	(void)kill_how(&p);
	(void)sql_accept(&p, SQL_W_CONNECTION);
	if (!sql_accept(&p, SQL_W_USER) || !(sql_at_name(&p) || p.t.kind == SQL_T_STRING) || !unquoted(p.t.text, name))
		return RC_DECLINED;
	sql_advance(&p);
	if (p.t.kind == SQL_T_USER_VAR) {
		if (!unquoted(span_of(p.t.text.p + 1, p.t.text.len - 1), host))
			return RC_DECLINED;
		sql_advance(&p);
	}
	return at_text_end(&p) ? RC_OK : RC_DECLINED;
}

/* One such function, and maybe a name for its column; 0: anything else. */
static uint64_t asked(struct sql_parser *p)
{
	uint64_t what = sql_accept(p, SQL_W_CONNECTION_ID)    ? SQL_F_CONNECTION_ID
			: sql_accept(p, SQL_W_FOUND_ROWS)     ? SQL_F_FOUND_ROWS
			: sql_accept(p, SQL_W_ROW_COUNT)      ? SQL_F_ROW_COUNT
			: sql_accept(p, SQL_W_LAST_INSERT_ID) ? SQL_F_LAST_INSERT_ID
							      : 0;

	if (!what || !sql_accept_op(p, '(') || !sql_accept_op(p, ')'))
		return 0;
	if (sql_accept(p, SQL_W_AS) || sql_at_name(p)) {
		struct span name;

		if (p->t.kind == SQL_T_STRING)
			sql_advance(p);
		else
			(void)sql_name(p, &name);
	}
	return what;
}

unsigned sql_asks_each(struct span text, unsigned mode, uint64_t *what, unsigned most)
{
	struct sql_parser p;
	unsigned n = 0;

	sql_parser_init(&p, text, mode, false);
	if (!sql_accept(&p, SQL_W_SELECT))
		return 0;
	do {
		if (n == most || !(what[n] = asked(&p)))
			return 0;
		n++;
	} while (sql_accept_op(&p, ','));
	return at_text_end(&p) ? n : 0;
}

uint64_t sql_asks_alone(struct span text, unsigned mode)
{
	uint64_t what;

	return sql_asks_each(text, mode, &what, 1) == 1 ? what : 0;
}

/* LIMIT a, b or LIMIT b OFFSET a; b may be ALL. */
enum rc sql_offset(struct span text, unsigned mode, uint64_t *n)
{
	struct sql_parser p;
	unsigned limits = 0, depth = 0;

	*n = 0;
	if (sql_depends_on_server(text, mode))
		return RC_DECLINED;
	for (sql_parser_init(&p, text, mode, false); !p.why && p.t.kind != SQL_T_END;) {
		struct span first;

		depth += sql_is_op(&p, '(');
		depth -= sql_is_op(&p, ')') && depth;
		if (sql_is(&p, SQL_W_OFFSET)) /* OFFSET 3 ROWS */
			return RC_DECLINED;
		if (!sql_accept(&p, SQL_W_LIMIT)) {
			sql_advance(&p);
			continue;
		}
		first = p.t.kind == SQL_T_NUMBER ? p.t.text : span_str("");
		sql_advance(&p);
		if (limits++)
			return RC_DECLINED;
		if (sql_accept(&p, SQL_W_OFFSET))
			first = p.t.kind == SQL_T_NUMBER ? p.t.text : span_str("");
		else if (!sql_accept_op(&p, ','))
			continue;
		if (depth || !plain_number(first, n)) /* GROUP_CONCAT(x LIMIT 2, 3) */
			return RC_DECLINED;
	}
	return p.why ? RC_DECLINED : RC_OK;
}

size_t sql_numbers(struct span text, unsigned mode, uint64_t least, uint64_t most, struct sql_number *out, size_t cap)
{
	struct sql_parser p;
	size_t n = 0;

	for (sql_parser_init(&p, text, mode, false); n < cap && !p.why && p.t.kind != SQL_T_END; sql_advance(&p)) {
		uint64_t v;

		if (p.t.kind == SQL_T_NUMBER && plain_number(p.t.text, &v) && v >= least && v <= most)
			out[n++] = (struct sql_number){.at = p.t.text, .number = v};
	}
	return n;
}
