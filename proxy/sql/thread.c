#include "thread.h"

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

enum rc sql_kill_parse(struct span text, unsigned mode, struct sql_kill *out)
{
	struct sql_parser p;

	*out = (struct sql_kill){.how = ""};
	sql_parser_init(&p, text, mode, false);
	if (!sql_accept(&p, SQL_W_KILL))
		return RC_DECLINED;
	if (p.t.kind == SQL_T_WORD && span_ieq(p.t.text, span_str("hard")))
		out->how = "HARD ";
	else if (p.t.kind == SQL_T_WORD && span_ieq(p.t.text, span_str("soft")))
		out->how = "SOFT ";
	if (out->how[0])
		sql_advance(&p);
	out->query = sql_accept(&p, SQL_W_QUERY);
	if (!out->query)
		(void)sql_accept(&p, SQL_W_CONNECTION);
	if (p.t.kind != SQL_T_NUMBER || !plain_number(p.t.text, &out->id))
		return RC_DECLINED;
	sql_advance(&p);
	return at_text_end(&p) ? RC_OK : RC_DECLINED;
}

bool sql_asks_connection_id(struct span text, unsigned mode)
{
	struct sql_parser p;

	sql_parser_init(&p, text, mode, false);
	if (!sql_accept(&p, SQL_W_SELECT) || !sql_accept(&p, SQL_W_CONNECTION_ID) || !sql_accept_op(&p, '(') ||
	    !sql_accept_op(&p, ')'))
		return false;
	if (sql_accept(&p, SQL_W_AS) || sql_at_name(&p)) {
		struct span name;

		if (p.t.kind == SQL_T_STRING)
			sql_advance(&p);
		else
			(void)sql_name(&p, &name);
	}
	return at_text_end(&p);
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
